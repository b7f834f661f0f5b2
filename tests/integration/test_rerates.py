"""Posted usage at other prices, on a real database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from imprest_server.core.ids import AccountId, TransactionId
from imprest_server.core.money import nanos_of
from imprest_server.core.usage import UsageReport
from imprest_server.db.embedded import EmbeddedPostgres
from imprest_server.db.migrations import upgrade
from imprest_server.db.pool import read_pool
from imprest_server.ledger import operations as ops
from imprest_server.ledger.queries import Queries
from imprest_server.ledger.verify import verify
from imprest_server.posting.rerates import Rerated, Rerates
from imprest_server.pricing.cache import PriceCache
from imprest_server.pricing.model import ChargeModel, Price, PriceVersionId, Tier
from imprest_server.pricing.operations import RerateUsage
from imprest_server.pricing.service import PriceAdmin
from tests.conftest import Database
from tests.support import clock
from tests.support.damage import damage
from tests.support.lanes import TENANT, Lanes, running_lanes, usd
from tests.support.ledger import LIMITS, expires_nothing
from tests.support.prices import COST, SALE, Shop, shop_on, unit, units

SECONDS = "telephony.outbound_seconds"
ANN = AccountId("ann")
NANO = 10**9


@dataclass
class Desk:
    """An engine, prices, and what re-rates."""

    database: Database
    lanes: Lanes
    shop: Shop
    rerates: Rerates

    async def charge(self, quantity: int, account: AccountId = ANN) -> TransactionId:
        operation = ops.RecordUsage(
            tenant_id=TENANT, idempotency_key=self.lanes.key(), account_id=account, usage=units(quantity, meter=SECONDS)
        )
        transaction_id = (await self.lanes.post(operation)).reply.transaction_id
        assert transaction_id is not None
        return transaction_id

    async def rerate(
        self,
        version_id: PriceVersionId | None = None,
        *,
        key: str = "",
        validate_only: bool = False,
        account_id: AccountId | None = None,
        **page: Any,
    ) -> tuple[list[Rerated], str, bool]:
        now = datetime.now(UTC)
        self.span = getattr(self, "span", None) or (now - timedelta(days=1), now + timedelta(days=1))
        return await self.rerates.page(
            RerateUsage(
                tenant_id=TENANT,
                idempotency_key=key or self.lanes.key(),
                start_time=self.span[0],
                end_time=self.span[1],
                account_id=account_id,
                version_id=version_id,
                reason="wrong list",
            ),
            validate_only=validate_only,
            **page,
        )

    def book(self, account: AccountId = ANN) -> dict[str, int]:
        """The balances that matter here, in major units where they are whole."""
        columns = ("wallet", "receivable", "revenue", "refunds", "provider_cost", "overrun_loss")
        with psycopg.connect(self.database.owner_dsn) as owner:
            row = owner.execute(
                f"SELECT {', '.join(columns)} FROM books WHERE account_id = %s",  # type: ignore[arg-type]
                [account],
            ).fetchone()
        assert row is not None
        return {name: nanos_of(value) for name, value in zip(columns, row, strict=True)}


@pytest.fixture
def moving_clock(database: Database) -> None:
    clock.install(database.owner_dsn)


@pytest.fixture
async def desk(database: Database) -> AsyncIterator[Desk]:
    """Two engines; in the end the ledger is sound."""
    async with (
        running_lanes(database, engines=2) as lanes,
        shop_on(database) as shop,
        read_pool(database.app_dsn, **LIMITS) as pool,
    ):
        cache = PriceCache()
        queries = Queries(pool, expires_nothing)
        yield Desk(database, lanes, shop, Rerates(pool, cache, PriceAdmin(pool, cache), queries, lanes.post))
    report = await verify(database.owner_dsn, all_differences=True)
    assert report.differences == []


async def test_a_lower_price_is_given_back_once(desk: Desk) -> None:
    sale = await desk.shop.open(SALE, [unit("2", SECONDS)])
    await desk.shop.open(COST, [unit("0.5", SECONDS)])
    await desk.lanes.open("ann", "100")
    charged = [await desk.charge(n) for n in (1, 2, 3)]
    fair = await desk.shop.publish(sale, [unit("1.5", SECONDS)])
    asked, token, _ = await desk.rerate(fair, validate_only=True)
    assert [(item.used.transaction_id, item.before[0], item.after[0]) for item in asked] == [
        (id_, 2 * n * NANO, 3 * n * NANO // 2) for n, id_ in enumerate(charged, start=1)
    ]
    assert (token, desk.book()["refunds"]) == ("", 0)
    done, _, replayed = await desk.rerate(fair, key="again")
    assert not replayed and [item.charge and item.charge.charged for item in done] == [
        -n * NANO // 2 for n in (1, 2, 3)
    ]
    assert desk.book() == {
        "wallet": 91 * NANO,
        "receivable": 0,
        "revenue": 12 * NANO,
        "refunds": 3 * NANO,
        "provider_cost": 3 * NANO,
        "overrun_loss": 0,
    }
    before = desk.book()
    assert await desk.rerate(fair, key="again") == ([], "", True)
    assert (await desk.rerate(fair))[0] == []
    assert desk.book() == before


async def test_a_higher_price_is_collected_and_can_be_taken_back(desk: Desk) -> None:
    sale = await desk.shop.open(SALE, [unit("1", SECONDS)])
    await desk.lanes.open("ann", "4")
    transaction_id = await desk.charge(3)
    dear = await desk.shop.publish(sale, [unit("2", SECONDS)])
    cheap = await desk.shop.publish(sale, [unit("0.5", SECONDS)])
    await desk.rerate(dear)
    assert (desk.book()["wallet"], desk.book()["receivable"], desk.book()["revenue"]) == (0, 2 * NANO, 6 * NANO)
    await desk.rerate(cheap)
    book = desk.book()
    # 4.5 of the 6 come back: of the re-rate's 3 first, then of the charge.
    assert (book["wallet"], book["receivable"], book["refunds"]) == (5 * NANO // 2, 0, 9 * NANO // 2)
    refund = ops.Refund(tenant_id=TENANT, idempotency_key=desk.lanes.key(), transaction_id=transaction_id)
    assert (await desk.lanes.post(refund)).reply.refunded_total == 3 * NANO // 2


async def test_what_nobody_paid_is_not_given_back(desk: Desk) -> None:
    sale = await desk.shop.open(SALE, [unit("2", SECONDS)])
    await desk.lanes.open("ann", "4", max_overrun=usd("0"))
    await desk.charge(3)  # 4 of the 6 are paid, the rest is loss
    dear = await desk.shop.publish(sale, [unit("3", SECONDS)])
    fair = await desk.shop.publish(sale, [unit("1.5", SECONDS)])
    cheap = await desk.shop.publish(sale, [unit("1", SECONDS)])
    await desk.rerate(dear)
    assert (desk.book()["wallet"], desk.book()["overrun_loss"]) == (0, 5 * NANO)
    await desk.rerate(fair)
    assert desk.book()["wallet"] == 0, "it costs 4.5 now, and 4 are paid"
    await desk.rerate(cheap)
    assert desk.book()["wallet"] == NANO


@pytest.mark.usefixtures("moving_clock")
async def test_a_rerate_leaves_what_a_later_expiry_charged(desk: Desk) -> None:
    sale = await desk.shop.open(SALE, [unit("2", SECONDS)])
    ann = await desk.lanes.open("ann", "50")
    hold = await desk.lanes.hold(ann, "30")
    used = ops.Commit(
        tenant_id=TENANT,
        idempotency_key=desk.lanes.key(),
        reservation_id=hold,
        usage=units(5, meter=SECONDS),
        final=False,
    )
    transaction_id = (await desk.lanes.post(used)).reply.transaction_id
    refund = ops.Refund(
        tenant_id=TENANT, idempotency_key=desk.lanes.key(), transaction_id=transaction_id, amount=usd("8")
    )
    await desk.lanes.post(refund)
    await desk.lanes.post(
        ops.Extend(tenant_id=TENANT, idempotency_key=desk.lanes.key(), reservation_id=hold, used_so_far=usd("20"))
    )
    clock.advance(desk.database.owner_dsn, 3600)
    await desk.rerate(await desk.shop.publish(sale, [unit("1", SECONDS)]))
    assert desk.book()["wallet"] == 38 * NANO, "refunds have left 2, which is not enough; the expiry's is other usage"


async def test_a_refund_gets_past_what_a_rerate_of_its_batch_gives_back(desk: Desk) -> None:
    sale = await desk.shop.open(SALE, [unit("1", SECONDS)])
    ann = await desk.lanes.open("ann", "50")
    hold = await desk.lanes.hold(ann, "20")
    for _ in range(2):
        await desk.lanes.post(
            ops.Commit(
                tenant_id=TENANT,
                idempotency_key=desk.lanes.key(),
                reservation_id=hold,
                usage=units(5, meter=SECONDS),
                final=False,
            )
        )
    await desk.rerate(await desk.shop.publish(sale, [unit("2", SECONDS)]))
    free = await desk.shop.publish(sale, [unit("0", SECONDS)])
    last = (await desk.rerate(free, validate_only=True))[0][-1]
    rerate = ops.Rerate(
        tenant_id=TENANT,
        idempotency_key=desk.lanes.key(),
        account_id=ann,
        transaction_id=last.used.transaction_id,
        seq=last.used.seq,
        reservation_id=hold,
        call_id=last.used.call_id,
        lines=last.lines,
    )
    refund = ops.Refund(tenant_id=TENANT, idempotency_key=desk.lanes.key(), reservation_id=hold, amount=usd("10"))
    engine = desk.lanes.engines[0]
    await asyncio.gather(engine.submit(rerate), engine.submit(refund))
    assert desk.book()["wallet"] == 50 * NANO


async def test_what_was_refunded_is_not_given_back_again(desk: Desk) -> None:
    sale = await desk.shop.open(SALE, [unit("1", SECONDS)])
    await desk.lanes.open("ann", "10")
    transaction_id = await desk.charge(4)
    await desk.lanes.post(
        ops.Refund(tenant_id=TENANT, idempotency_key=desk.lanes.key(), transaction_id=transaction_id, amount=usd("3"))
    )
    free = await desk.shop.publish(sale, [unit("0", SECONDS)])
    for _ in range(2):
        ((item,), _, _) = await desk.rerate(free)
        assert "1 USD" in item.skipped
        assert desk.book()["wallet"] == 9 * NANO
    assert (await desk.rerate(await desk.shop.publish(sale, [unit("1", SECONDS)])))[0] == []
    assert desk.book()["wallet"] == 9 * NANO, "what was not lowered is not raised again"


async def test_rerates_of_both_sides_at_once_both_count(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """One is posted after the other has read what the lines cost, and before it posts."""
    sale, cost = await desk.shop.open(SALE, [unit("1", SECONDS)]), await desk.shop.open(COST, [unit("0.5", SECONDS)])
    await desk.lanes.open("ann", "20")
    await desk.charge(4)
    dearer, costlier = (
        await desk.shop.publish(sale, [unit("2", SECONDS)]),
        await desk.shop.publish(cost, [unit("1", SECONDS)]),
    )
    submit = desk.rerates._submit

    async def late(operation: ops.Operation) -> Any:
        monkeypatch.setattr(desk.rerates, "_submit", submit)
        await desk.rerate(costlier)
        return await submit(operation)

    monkeypatch.setattr(desk.rerates, "_submit", late)
    await desk.rerate(dearer)
    book = desk.book()
    assert (book["wallet"], book["provider_cost"]) == (12 * NANO, 4 * NANO)
    assert (await desk.rerate(dearer))[0] == (await desk.rerate(costlier))[0] == []


async def test_costs_follow_a_cost_version_and_leave_the_customer_alone(desk: Desk) -> None:
    await desk.shop.open(SALE, [unit("1", SECONDS)])
    cost = await desk.shop.open(COST, [unit("0.4", SECONDS)])
    await desk.lanes.open("ann", "10")
    transaction_id = await desk.charge(5)
    invoice = await desk.shop.publish(cost, [unit("0.6", SECONDS)])
    await desk.rerate(invoice)
    assert (desk.book()["provider_cost"], desk.book()["wallet"]) == (3 * NANO, 5 * NANO)
    await desk.lanes.post(
        ops.TrueUpCost(tenant_id=TENANT, idempotency_key=desk.lanes.key(), transaction_id=transaction_id, cost=usd("1"))
    )
    assert desk.book()["provider_cost"] == 1 * NANO, "the cost of a re-rate is that of the transaction"


@pytest.mark.usefixtures("moving_clock")
@pytest.mark.parametrize("quantity", [4, 8, 12])
async def test_costs_of_a_late_commit_were_posted_by_the_expiry_too(desk: Desk, quantity: int) -> None:
    await desk.shop.open(SALE, [unit("1", SECONDS)])
    cost = await desk.shop.open(COST, [unit("0.5", SECONDS)])
    hold = await desk.lanes.hold(await desk.lanes.open("ann", "100"), "30")
    await desk.lanes.post(
        ops.Extend(
            tenant_id=TENANT, idempotency_key=desk.lanes.key(), reservation_id=hold, used=units(8, meter=SECONDS)
        )
    )
    clock.advance(desk.database.owner_dsn, 3600)
    late = ops.Commit(
        tenant_id=TENANT,
        idempotency_key=desk.lanes.key(),
        reservation_id=hold,
        usage=units(quantity, meter=SECONDS),
    )
    assert (await desk.lanes.post(late)).reply.late
    for price in ("0.1", "1", "0"):
        await desk.rerate(await desk.shop.publish(cost, [unit(price, SECONDS)]))
        assert desk.book()["provider_cost"] == quantity * usd(price).nanos


async def test_a_cost_that_was_stated_is_left_alone(desk: Desk) -> None:
    sale, cost = await desk.shop.open(SALE, [unit("1", SECONDS)]), await desk.shop.open(COST, [unit("0.4", SECONDS)])
    ann = await desk.lanes.open("ann", "100")
    hold = await desk.lanes.hold(ann, "30")
    for quantity in (5, 2):
        await desk.lanes.post(
            ops.Commit(
                tenant_id=TENANT,
                idempotency_key=desk.lanes.key(),
                reservation_id=hold,
                usage=units(quantity, meter=SECONDS),
                final=quantity == 2,
            )
        )
    as_posted = await desk.charge(10)
    for target, stated in (({"reservation_id": hold}, "3"), ({"transaction_id": as_posted}, "4")):
        await desk.lanes.post(
            ops.TrueUpCost(
                tenant_id=TENANT,
                idempotency_key=desk.lanes.key(),
                cost=usd(stated),
                transaction_id=target.get("transaction_id"),
                reservation_id=target.get("reservation_id"),
            )
        )
    other = await desk.charge(1)
    assert desk.book()["provider_cost"] == 7 * NANO + 4 * NANO // 10
    dearer = await desk.shop.publish(cost, [unit("0.6", SECONDS)])
    done, _, _ = await desk.rerate(dearer)
    stated = "a true-up has stated what it costs"
    assert [item.skipped for item in done] == [stated, stated, stated, ""]
    assert done[-1].used.transaction_id == other
    assert desk.book()["provider_cost"] == 7 * NANO + 6 * NANO // 10
    await desk.rerate(await desk.shop.publish(sale, [unit("2", SECONDS)]))
    book = desk.book()
    assert (book["revenue"], book["provider_cost"]) == (36 * NANO, 7 * NANO + 6 * NANO // 10)


async def test_what_was_stated_before_there_was_a_mark_is_left_alone(desk: Desk) -> None:
    """Migration 0008 marks it; what re-rates have changed it does not."""
    await desk.shop.open(SALE, [unit("1", SECONDS)])
    cost = await desk.shop.open(COST, [unit("0.4", SECONDS)])
    await desk.lanes.open("ann", "100")
    invoiced, rerated = [await desk.charge(10) for _ in range(2)]
    await desk.rerate(await desk.shop.publish(cost, [unit("0.5", SECONDS)]))
    await desk.lanes.post(
        ops.TrueUpCost(tenant_id=TENANT, idempotency_key=desk.lanes.key(), transaction_id=invoiced, cost=usd("9"))
    )
    with psycopg.connect(desk.database.owner_dsn) as owner:
        for table in ("cost_adjustments", "rerated_lines"):
            owner.execute(f"ALTER TABLE {table} DROP COLUMN stated")
        owner.execute("ALTER TABLE cost_adjustments ADD CONSTRAINT ck_cost_adjustments_cost CHECK (cost <> 0)")
        owner.execute("UPDATE alembic_version SET version_num = '0007'")
    upgrade(desk.database.owner_dsn)
    done, _, _ = await desk.rerate(await desk.shop.publish(cost, [unit("0.6", SECONDS)]))
    assert {item.used.transaction_id: bool(item.skipped) for item in done} == {invoiced: True, rerated: False}
    assert desk.book()["provider_cost"] == 9 * NANO + 6 * NANO


async def test_lines_whose_cost_was_stated_are_left_alone(desk: Desk) -> None:
    await desk.shop.open(SALE, [unit("1", SECONDS)])
    cost = await desk.shop.open(COST, [unit("0.5", SECONDS)])
    await desk.lanes.open("ann", "20")
    usage = UsageReport(lines=(*units(4, "a", meter=SECONDS).lines, *units(4, "b", meter=SECONDS).lines))
    charge = ops.Charge(tenant_id=TENANT, idempotency_key="c", account_id=ANN, usage=usage)
    transaction_id = (await desk.lanes.post(charge)).reply.transaction_id
    await desk.lanes.post(
        ops.TrueUpCost(tenant_id=TENANT, idempotency_key="t", transaction_id=transaction_id, line_costs={"a": usd("3")})
    )
    assert desk.book()["provider_cost"] == 5 * NANO
    costlier = await desk.shop.publish(cost, [unit("1", SECONDS)])
    ((item,), _, _) = await desk.rerate(costlier)
    assert (item.before[1], item.after[1]) == (5 * NANO, 7 * NANO)
    assert (desk.book()["provider_cost"], (await desk.rerate(costlier))[0]) == (7 * NANO, [])


@pytest.mark.usefixtures("moving_clock")
async def test_what_a_late_commit_left_as_stated_is_left_alone(desk: Desk) -> None:
    await desk.shop.open(SALE, [unit("1", SECONDS)])
    cost = await desk.shop.open(COST, [unit("0.5", SECONDS)])
    hold = await desk.lanes.hold(await desk.lanes.open("ann", "50"), "30")
    fields: dict[str, Any] = {"tenant_id": TENANT, "reservation_id": hold}
    await desk.lanes.post(ops.Extend(**fields, idempotency_key="e", used=units(4, meter=SECONDS)))
    clock.advance(desk.database.owner_dsn, 3600)
    await desk.lanes.post(ops.TrueUpCost(**fields, idempotency_key="t", cost=usd("3")))
    await desk.lanes.post(ops.Commit(**fields, idempotency_key="c", usage=units(6, meter=SECONDS)))
    ((item,), _, _) = await desk.rerate(await desk.shop.publish(cost, [unit("1", SECONDS)]))
    assert (bool(item.skipped), desk.book()["provider_cost"]) == (True, 3 * NANO)


async def test_a_cost_that_is_stated_while_a_rerate_runs_is_left_alone(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await desk.shop.open(SALE, [unit("1", SECONDS)])
    cost = await desk.shop.open(COST, [unit("0.5", SECONDS)])
    await desk.lanes.open("ann", "20")
    transaction_id = await desk.charge(4)
    costlier = await desk.shop.publish(cost, [unit("1", SECONDS)])
    submit = desk.rerates._submit

    async def late(operation: ops.Operation) -> Any:
        await desk.lanes.post(
            ops.TrueUpCost(tenant_id=TENANT, idempotency_key="t", transaction_id=transaction_id, cost=usd("3"))
        )
        return await submit(operation)

    monkeypatch.setattr(desk.rerates, "_submit", late)
    await desk.rerate(costlier)
    assert desk.book()["provider_cost"] == 3 * NANO


async def test_lines_keep_their_place_in_the_tiers(desk: Desk) -> None:
    def tiered(first: str, then: str) -> Price:
        tiers = (
            Tier(up_to=Decimal(10), unit_price=Decimal(first)),
            Tier(up_to=None, unit_price=Decimal(then)),
        )
        return Price(meter=SECONDS, charge_model=ChargeModel.GRADUATED, tiers=tiers)

    sale = await desk.shop.open(SALE, [tiered("2", "1")])
    await desk.lanes.open("ann", "100")
    for _ in range(3):
        await desk.charge(6)
    assert desk.book()["revenue"] == (12 + 8 + 2 + 6) * NANO
    other = await desk.shop.publish(sale, [tiered("3", "1")])
    done, _, _ = await desk.rerate(other)
    assert [item.after[0] // NANO for item in done] == [18, 14]
    assert desk.book()["revenue"] == (18 + 14 + 6) * NANO


async def test_a_margin_is_on_the_cost_at_the_lines_place_in_the_tiers(desk: Desk) -> None:
    def margin(percent: int) -> Price:
        return Price(meter=SECONDS, margin_percent=Decimal(percent))

    sale = await desk.shop.open(SALE, [margin(100)])
    tiers = (Tier(up_to=Decimal(10), unit_price=Decimal(1)), Tier(up_to=None, unit_price=Decimal("0.5")))
    await desk.shop.open(COST, [Price(meter=SECONDS, charge_model=ChargeModel.GRADUATED, tiers=tiers)])
    await desk.lanes.open("ann", "100")
    for _ in range(3):
        await desk.charge(8)
    # They cost 8, 2 × 1 + 6 × 0.5 = 5 and 8 × 0.5 = 4.
    assert desk.book()["revenue"] == 2 * (8 + 5 + 4) * NANO
    done, _, _ = await desk.rerate(await desk.shop.publish(sale, [margin(50)]))
    assert [item.after for item in done] == [(12 * NANO, 8 * NANO), (15 * NANO // 2, 5 * NANO), (6 * NANO, 4 * NANO)]
    assert desk.book()["refunds"] == (34 * NANO - 51 * NANO // 2)
    assert desk.book()["provider_cost"] == 17 * NANO


async def test_a_margin_on_a_cost_that_begins_to_count_has_no_place_to_start_from(desk: Desk) -> None:
    sale = await desk.shop.open(SALE, [unit("1", SECONDS)])
    cost = await desk.shop.open(COST, [unit("0.5", SECONDS)])
    await desk.lanes.open("ann", "100")
    await desk.charge(6)
    derived = await desk.shop.publish(sale, [Price(meter=SECONDS, margin_percent=Decimal(50))])
    ((item,), _, _) = await desk.rerate(derived, validate_only=True)
    assert item.after == (9 * NANO // 2, 3 * NANO)
    free = Price(meter=SECONDS, unit_price=Decimal("0.5"), free_quantity=Decimal(100))
    await desk.shop.publish(cost, [free], effective_time=item.used.price_time)
    ((item,), _, _) = await desk.rerate(derived)
    assert "counts what was used in the month" in item.skipped
    assert desk.book()["revenue"] == 6 * NANO


async def test_a_version_is_for_what_its_book_has_priced(desk: Desk) -> None:
    retail = await desk.shop.open(SALE, [unit("2", SECONDS)])
    ann, bob = await desk.lanes.open("ann", "100"), await desk.lanes.open("bob", "100")
    contract = await desk.shop.open(SALE, [unit("1", SECONDS)], book="contract", account_id=bob)
    for account in (ann, bob):
        await desk.charge(4, account)
    fair = await desk.shop.publish(retail, [unit("1.5", SECONDS)])
    done, _, _ = await desk.rerate(fair)
    assert [(item.used.account_id, item.after[0]) for item in done] == [(ann, 6 * NANO)]
    assert (desk.book(ann)["wallet"], desk.book(bob)["wallet"]) == (94 * NANO, 96 * NANO)
    # The re-rated line is of the book still; a contract that should not have been is replaced by naming its account.
    assert len((await desk.rerate(await desk.shop.publish(retail, [unit("1.25", SECONDS)])))[0]) == 1
    assert len((await desk.rerate(fair, account_id=bob))[0]) == 1
    assert (desk.book(ann)["wallet"], desk.book(bob)["wallet"]) == (95 * NANO, 94 * NANO)
    # A cost that nobody knew.
    cost = await desk.shop.open(COST, [unit("1", SECONDS)])
    known = await desk.shop.publish(cost, [unit("0.5", SECONDS)])
    await desk.rerate(known)
    assert (desk.book(ann)["provider_cost"], desk.book(bob)["provider_cost"]) == (2 * NANO, 2 * NANO)
    assert (await desk.rerate(await desk.shop.publish(contract, [unit("3", SECONDS)])))[0] == []


async def test_a_price_that_begins_to_count_has_no_place_to_start_from(desk: Desk) -> None:
    sale = await desk.shop.open(SALE, [unit("1", SECONDS)])
    await desk.lanes.open("ann", "100")
    await desk.charge(6)
    free = await desk.shop.publish(sale, [unit("1", SECONDS, free_quantity=Decimal(100))])
    done, _, _ = await desk.rerate(free)
    assert [bool(item.skipped) for item in done] == [True]
    assert desk.book()["refunds"] == 0


async def test_as_published_now_is_by_the_prices_of_then(desk: Desk) -> None:
    sale = await desk.shop.open(SALE, [unit("1", SECONDS)])
    await desk.lanes.open("ann", "100")
    await desk.charge(6)
    assert (await desk.rerate())[0] == []
    await desk.shop.publish(sale, [unit("2", SECONDS)])
    assert (await desk.rerate())[0] == [], "what is in force from now on does not change what was"


async def test_as_published_now_is_by_later_prices_where_a_hold_had_none(desk: Desk) -> None:
    speech = "stt.seconds"
    sale = await desk.shop.open(SALE, [unit("1", SECONDS)])
    ann = await desk.lanes.open("ann", "100")
    reserve = ops.Reserve(tenant_id=TENANT, idempotency_key="r", account_id=ann, estimate=units(4, meter=SECONDS))
    reservation = (await desk.lanes.post(reserve)).reply.reservation
    assert reservation is not None
    await desk.shop.publish(sale, [unit("7", SECONDS), unit("5", speech)])
    lines = (*units(3, meter=SECONDS).lines, *units(2, meter=speech).lines)
    await desk.lanes.post(
        ops.Commit(
            tenant_id=TENANT,
            idempotency_key="c",
            reservation_id=reservation.reservation_id,
            usage=UsageReport(lines=lines),
        )
    )
    assert (desk.book()["revenue"], (await desk.rerate())[0]) == (13 * NANO, [])
    # A version of costs is for these lines, too.
    cost = await desk.shop.open(COST, [unit("0", SECONDS)])
    await desk.rerate(await desk.shop.publish(cost, [unit("0.5", SECONDS), unit("0.25", speech)]))
    book = desk.book()
    assert (book["revenue"], book["provider_cost"]) == (13 * NANO, 2 * NANO)


async def test_two_rerates_at_once_do_not_add_up(desk: Desk) -> None:
    sale = await desk.shop.open(SALE, [unit("1", SECONDS)])
    await desk.lanes.open("ann", "100")
    for _ in range(8):
        await desk.charge(1)
    dear = await desk.shop.publish(sale, [unit("3", SECONDS)])
    cheap = await desk.shop.publish(sale, [unit("2", SECONDS)])
    await asyncio.gather(*(desk.rerate(version) for version in (dear, cheap, dear, cheap)))
    await desk.rerate(cheap)
    book = desk.book()
    assert book["revenue"] - book["refunds"] == 16 * NANO
    assert book["wallet"] == 84 * NANO


async def test_an_interrupted_rerate_goes_on(desk: Desk) -> None:
    sale = await desk.shop.open(SALE, [unit("1", SECONDS)])
    for name in ("ann", "bob"):
        await desk.lanes.open(name, "100")
        for _ in range(3):
            await desk.charge(1, AccountId(name))
    dear = await desk.shop.publish(sale, [unit("3", SECONDS)])
    first, token, _ = await desk.rerate(dear, key="run", page_size=2)
    assert len(first) == 2 and token
    collected = []
    token = ""
    while True:
        items, token, replayed = await desk.rerate(dear, key="run", page_size=2, page_token=token)
        assert replayed
        collected += items
        if not token:
            break
    assert len(collected) == 4
    for name in ("ann", "bob"):
        assert desk.book(AccountId(name))["revenue"] == 9 * NANO


DAMAGE = {
    "cost corrections": ("UPDATE cost_adjustments SET cost = cost + {}", "1"),
    "charge for re-rated usage": ("UPDATE rerated_lines SET price = price + {}", "1"),
    "what line": ("UPDATE usage_lines SET price = price + {}", "1"),
}


@pytest.mark.parametrize("found", DAMAGE)
async def test_verify_finds_what_was_changed(desk: Desk, pg_cluster: EmbeddedPostgres, found: str) -> None:
    sale = await desk.shop.open(SALE, [unit("1", SECONDS)])
    cost = await desk.shop.open(COST, [unit("0.5", SECONDS)])
    await desk.lanes.open("ann", "100")
    await desk.charge(4)
    await desk.rerate(await desk.shop.publish(sale, [unit("2", SECONDS)]))
    await desk.rerate(await desk.shop.publish(cost, [unit("0.75", SECONDS)]))
    change, amount = DAMAGE[found]
    damage(desk.database, pg_cluster, change.format(amount))
    report = await verify(desk.database.owner_dsn, all_differences=True)
    assert any(difference.what.startswith(found) for difference in report.differences)
    damage(desk.database, pg_cluster, change.format(f"-{amount}"))
