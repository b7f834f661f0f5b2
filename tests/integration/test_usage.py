"""Usage on a real database: what is kept of it, the months' counts, and prices that change meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from psycopg.rows import dict_row

from imprest_server.core.errors import ImprestError, InsufficientFunds, PriceNotFound
from imprest_server.core.ids import AccountId, format_reservation_id, format_transaction_id
from imprest_server.core.money import nanos_of
from imprest_server.core.usage import UsageLine, UsageReport
from imprest_server.ledger import operations as ops
from imprest_server.ledger.verify import verify
from imprest_server.pricing.model import ChargeModel, Price, Tier
from tests.conftest import Database
from tests.support import clock
from tests.support.lanes import TENANT, Lanes, running_lanes, usd
from tests.support.prices import COST, SALE, Shop, shop_on, unit, units

SECONDS = "telephony.outbound_seconds"
TOKENS = "llm.input_tokens"
TIERS = (Tier(up_to=Decimal(100), unit_price=Decimal(1)), Tier(up_to=None, unit_price=Decimal("0.5")))
TIERED = Price(meter=SECONDS, charge_model=ChargeModel.GRADUATED, tiers=TIERS)


@pytest.fixture
async def shop(database: Database) -> AsyncIterator[Shop]:
    async with shop_on(database) as shop:
        yield shop


@pytest.fixture
async def lanes(database: Database) -> AsyncIterator[Lanes]:
    """Two engines that take turns, in small batches; in the end the ledger is sound."""
    async with running_lanes(database, engines=2, batch_max=7) as lanes:
        yield lanes
    report = await verify(database.owner_dsn, all_differences=True)
    assert report.differences == []


def rows(database: Database, query: str) -> list[dict[str, Any]]:
    with psycopg.connect(database.owner_dsn, row_factory=dict_row) as owner:
        owner.execute("SET TimeZone = 'UTC'")
        return owner.execute(query).fetchall()  # type: ignore[call-overload, no-any-return]


def counters(database: Database) -> dict[str, Decimal]:
    """What was counted, by side and month."""
    found = rows(database, "SELECT side, month, quantity FROM usage_counters ORDER BY side, month")
    return {f"{row['side']} {row['month']:%Y-%m}": row["quantity"].normalize() for row in found}


def charge(lanes: Lanes, account: AccountId, usage: UsageReport, **fields: Any) -> ops.Charge:
    return ops.Charge(
        tenant_id=TENANT, **{"idempotency_key": lanes.key(), "account_id": account, "usage": usage, **fields}
    )


def commit(lanes: Lanes, reservation_id: Any, usage: UsageReport, **fields: Any) -> ops.Commit:
    return ops.Commit(
        tenant_id=TENANT, **{"idempotency_key": lanes.key(), "reservation_id": reservation_id, "usage": usage, **fields}
    )


async def reserve(lanes: Lanes, account: AccountId, estimate: UsageReport, **fields: Any) -> ops.Reply:
    operation = ops.Reserve(
        tenant_id=TENANT, idempotency_key=lanes.key(), account_id=account, estimate=estimate, **fields
    )
    return (await lanes.post(operation)).reply


def paid(reply: ops.Reply) -> int:
    assert reply.charge is not None
    return reply.charge.charged


# ── what is kept ─────────────────────────────────────────────────────────────────────────────────────


async def test_a_line_is_kept_with_its_prices_and_their_versions(database: Database, lanes: Lanes, shop: Shop) -> None:
    sale = await shop.open(SALE, [unit("0.05", SECONDS, per_quantity=Decimal(60)), unit("0.000003", TOKENS)])
    await shop.open(COST, [unit("0.000001000000000001", TOKENS)])
    account = await lanes.open("ann", "10")
    call = await lanes.hold(account, "5", call_id="call-1")
    start = datetime.now(UTC) - timedelta(seconds=1)
    await lanes.post(commit(lanes, call, units(1, meter=TOKENS), final=False))
    report = UsageReport(
        lines=(
            UsageLine(meter=SECONDS, quantity=Decimal("145.5"), line_id="leg", destination="4930"),
            UsageLine(meter=TOKENS, quantity=Decimal(3), labels={"agent": "own"}, operation="chat"),
        ),
        start_time=start.replace(microsecond=7),
        labels={"agent": "all", "lead": "l1"},
    )
    # Prices known now are for now: before they were published there were none.
    with pytest.raises(PriceNotFound):
        await lanes.post(commit(lanes, call, replace(report, start_time=start - timedelta(days=1))))
    reply = (await lanes.post(commit(lanes, call, replace(report, start_time=None)))).reply
    transaction_id = reply.transaction_id
    assert transaction_id is not None and reply.charge is not None
    leg, tokens = reply.charge.lines
    assert (leg.price, leg.cost, leg.cost_version) == (121_250_000, 0, None)
    assert (tokens.price, tokens.cost) == (9_000, 3_000)
    assert tokens.line.line_id == f"{format_transaction_id(transaction_id)}.2"
    assert tokens.line.labels == {"agent": "own", "lead": "l1"}
    stored = rows(database, "SELECT * FROM usage_lines WHERE seq = 3 ORDER BY meter DESC")
    assert [row["line_id"] for row in stored] == ["leg", tokens.line.line_id]
    assert [row["price_version_id"] for row in stored] == [leg.price_version, tokens.price_version]
    assert [row["cost_version_id"] for row in stored] == [None, tokens.cost_version]
    assert stored[1]["exact_cost"] == Decimal("0.000003000000000003")
    assert {row["call_id"] for row in stored} == {"call-1"}
    assert stored[0]["labels"] == {"agent": "all", "lead": "l1"}
    assert stored[0]["match"].startswith(f"price: book {sale} version 1")


async def test_a_call_without_a_name_is_called_after_its_hold(database: Database, lanes: Lanes, shop: Shop) -> None:
    await shop.sell_units()
    account = await lanes.open("ann", "10")
    first, second = [(await reserve(lanes, account, units(2))).reservation for _ in range(2)]
    assert first is not None and second is not None
    for hold in (first, second):
        assert paid((await lanes.post(commit(lanes, hold.reservation_id, units(1, "l1"), final=False))).reply) == 10**9
        assert paid((await lanes.post(commit(lanes, hold.reservation_id, units(1, "l1")))).reply) == 0
    alone = (await lanes.post(charge(lanes, account, units(1, "l1")))).reply
    assert alone.transaction_id is not None
    calls = {row["call_id"] for row in rows(database, "SELECT call_id FROM usage_lines")}
    assert calls == {
        format_reservation_id(first.reservation_id),
        format_reservation_id(second.reservation_id),
        format_transaction_id(alone.transaction_id),
    }


async def test_usage_that_costs_nobody_anything_is_kept_without_a_transaction(
    database: Database, lanes: Lanes, shop: Shop
) -> None:
    await shop.open(SALE, [Price(meter=SECONDS, unit_price=Decimal(1), free_quantity=Decimal(10))])
    account = await lanes.open("ann")
    reply = (await lanes.post(charge(lanes, account, units(4)))).reply
    assert reply.transaction_id is None and reply.charge is not None
    assert [line.price for line in reply.charge.lines] == [0]
    assert [row["seq"] for row in rows(database, "SELECT seq FROM usage_lines")] == [None]
    assert list(counters(database).values()) == [4]


# ── counts of the month ──────────────────────────────────────────────────────────────────────────────


async def test_a_tier_crossed_by_many_at_once_is_crossed_once(database: Database, lanes: Lanes, shop: Shop) -> None:
    """The sum of what 50 commits pay on two lanes is what one commit of all of it would."""
    await shop.open(SALE, [TIERED])
    await shop.open(COST, [replace(TIERED, tiers=(Tier(up_to=Decimal(40), unit_price=Decimal("0.2")), TIERS[1]))])
    account = await lanes.open("ann", "1000")
    holds = [await lanes.hold(account, "3") for _ in range(50)]
    await asyncio.gather(*(lanes.post(commit(lanes, hold, units(3))) for hold in holds))
    assert nanos_of(Decimal(1000)) - nanos_of(Decimal(lanes.standing(account).wallet)) == 125 * 10**9
    assert set(counters(database).values()) == {Decimal("1.5E+2")}
    (posted,) = rows(database, "SELECT provider_cost FROM books WHERE account_id = 'ann'")
    assert posted["provider_cost"] == 40 * Decimal("0.2") + 110 * Decimal("0.5")
    found = rows(database, "SELECT counts FROM usage_lines")
    positions = sorted(Decimal(before) for row in found for *_, side, _m, _p, _o, _d, before, _q in row["counts"][:1])
    assert len(found) == 50 and side_of(found) == {"SALE", "COST"}
    assert positions == [Decimal(3 * n) for n in range(50)]


def side_of(found: Sequence[dict[str, Any]]) -> set[str]:
    return {count[1] for row in found for count in row["counts"]}


async def test_lines_of_one_report_count_on_from_each_other(database: Database, lanes: Lanes, shop: Shop) -> None:
    await shop.open(SALE, [TIERED])
    account = await lanes.open("ann", "1000")
    report = UsageReport(lines=tuple(UsageLine(meter=SECONDS, quantity=Decimal(quantity)) for quantity in (80, 40, 2)))
    reply = (await lanes.post(charge(lanes, account, report))).reply
    assert reply.charge is not None
    assert [line.price for line in reply.charge.lines] == [80 * 10**9, 30 * 10**9, 10**9]
    assert paid(reply) == 111 * 10**9
    stored = rows(database, "SELECT counts FROM usage_lines ORDER BY line_id")
    assert [row["counts"][0][-2:] for row in stored] == [["0", "80"], ["80", "40"], ["120", "2"]]


async def test_a_denied_charge_counts_nothing(database: Database, lanes: Lanes, shop: Shop) -> None:
    await shop.open(SALE, [TIERED])
    account = await lanes.open("ann", "10")
    with pytest.raises(InsufficientFunds):
        await lanes.post(charge(lanes, account, units(11, "l1"), call_id="c"))
    assert counters(database) == {} and rows(database, "SELECT 1 FROM usage_lines") == []
    assert paid((await lanes.post(charge(lanes, account, units(10, "l1"), call_id="c"))).reply) == 10 * 10**9


async def test_the_month_is_the_account_s_own(database: Database, shop: Shop) -> None:
    """What is free comes back at the turn of the month in the account's zone; late news count where they belong."""
    clock.install(database.owner_dsn)
    await shop.open(SALE, [Price(meter=SECONDS, unit_price=Decimal(1), free_quantity=Decimal(10))])
    clock.advance(database.owner_dsn, timedelta(days=70).total_seconds())
    ((now,),) = [row.values() for row in rows(database, "SELECT clock_timestamp() AS now")]
    zone = ZoneInfo("Asia/Tokyo")
    turn = now.astimezone(zone).replace(day=1, hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)
    if now - turn < timedelta(days=1):  # leave room for a usage of a day later in the same month
        clock.advance(database.owner_dsn, timedelta(days=2).total_seconds())
    this, last = f"SALE {turn.astimezone(zone):%Y-%m}", f"SALE {(turn - timedelta(1)).astimezone(zone):%Y-%m}"
    async with running_lanes(database) as lanes:
        account = await lanes.open("ann", "100", time_zone="Asia/Tokyo")
        usages = [
            (turn - timedelta(microseconds=1), 6, 0),
            (turn, 7, 0),
            (turn - timedelta(hours=9), 6, 2),  # 6 + 6: 2 more than are free in the month before
            (turn + timedelta(hours=9), 5, 2),
        ]
        for start, quantity, expected in usages:
            reply = (await lanes.post(charge(lanes, account, units(quantity, start_time=start)))).reply
            assert paid(reply) == expected * 10**9, start
    assert counters(database) == {last: 12, this: 12}


async def test_what_a_call_has_captured_is_not_counted_twice_in_its_whole(
    database: Database, lanes: Lanes, shop: Shop
) -> None:
    """The use so far includes the captures, so it is priced from before them."""
    await shop.open(SALE, [Price(meter=SECONDS, unit_price=Decimal(1), free_quantity=Decimal(100))])
    account = await lanes.open("ann", "1000")
    call = await lanes.hold(account, "100")
    assert paid((await lanes.post(commit(lanes, call, units(100), final=False))).reply) == 0
    extend = ops.Extend(
        tenant_id=TENANT,
        idempotency_key=lanes.key(),
        reservation_id=call,
        used=units(150),
        estimate_total=units(180),
    )
    reply = (await lanes.post(extend)).reply
    assert reply.reservation is not None
    assert reply.reservation.used_so_far == 50 * 10**9
    assert reply.reservation.amount == 100 * 10**9 and reply.affordable_duration == timedelta(seconds=200)


# ── prices that change ───────────────────────────────────────────────────────────────────────────────


async def test_a_hold_keeps_the_prices_it_was_reserved_at(lanes: Lanes, shop: Shop) -> None:
    sale = await shop.open(SALE, [unit(1)])
    account = await lanes.open("ann", "100")
    priced = (await reserve(lanes, account, units(4))).reservation
    plain = await lanes.hold(account, "4")
    assert priced is not None
    await shop.publish(sale, [unit(2)])
    for _ in lanes.engines:
        extend = ops.Extend(
            tenant_id=TENANT,
            idempotency_key=lanes.key(),
            reservation_id=priced.reservation_id,
            estimate_total=units(5),
            used=units(3),
        )
        extended = (await lanes.post(extend)).reply.reservation
        assert extended is not None and (extended.amount, extended.used_so_far) == (5 * 10**9, 3 * 10**9)
    assert paid((await lanes.post(commit(lanes, priced.reservation_id, units(3)))).reply) == 3 * 10**9
    assert paid((await lanes.post(commit(lanes, plain, units(3)))).reply) == 6 * 10**9
    assert (await reserve(lanes, account, units(4))).reservation.amount == 8 * 10**9  # type: ignore[union-attr]


async def test_what_a_priced_hold_has_no_price_for_has_that_of_the_commit(
    database: Database, lanes: Lanes, shop: Shop
) -> None:
    sale = await shop.open(SALE, [unit(1, SECONDS)])
    account = await lanes.open("ann", "100")
    reservation = (await reserve(lanes, account, units(4, meter=SECONDS))).reservation
    assert reservation is not None
    both = UsageReport(
        lines=(*units(3, meter=SECONDS).lines, *units(2, meter=TOKENS).lines),
        start_time=reservation.create_time,
    )
    for _ in lanes.engines:
        with pytest.raises(PriceNotFound):
            await lanes.post(commit(lanes, reservation.reservation_id, both))
    await shop.publish(sale, [unit(7, SECONDS), unit(5, TOKENS)])
    for _ in lanes.engines:
        reply = (await lanes.post(commit(lanes, reservation.reservation_id, both, final=False))).reply
        assert reply.charge is not None
        assert [line.price for line in reply.charge.lines] == [3 * 10**9, 10 * 10**9]
    known = rows(database, "SELECT DISTINCT meter, match ~ '^by later prices: ' AS later FROM usage_lines ORDER BY 1")
    assert [(row["meter"], row["later"]) for row in known] == [(TOKENS, True), (SECONDS, False)]


async def test_no_operation_mixes_two_versions(database: Database, lanes: Lanes, shop: Shop) -> None:
    """Two lanes charge two lines at a time while prices are published; version n sells both at n."""
    sale = await shop.open(SALE, [unit(1, SECONDS), unit(1, TOKENS)])
    accounts = [await lanes.open(name, "100000") for name in ("ann", "bob", "cyd")]
    both = UsageReport(lines=(*units(1, meter=SECONDS).lines, *units(1, meter=TOKENS).lines))
    published = [1]

    async def publish() -> None:
        for number in range(2, 12):
            await shop.publish(sale, [unit(number, SECONDS), unit(number, TOKENS)])
            published.append(number)

    async def sell(account: AccountId) -> None:
        while publishing not in finished:
            known = published[-1]
            reply = (await lanes.post(charge(lanes, account, both))).reply
            assert reply.charge is not None
            first, second = reply.charge.lines
            assert first.price == second.price and first.price_version == second.price_version
            # Whatever was published before the request is in force for it, in every process.
            assert first.price >= known * 10**9

    finished: set[asyncio.Task[None]] = set()
    publishing = asyncio.create_task(publish())
    publishing.add_done_callback(finished.add)
    await asyncio.gather(*(sell(account) for account in accounts * 4), publishing)
    by_version = rows(
        database,
        "SELECT price_version_id, count(DISTINCT price) AS prices FROM usage_lines GROUP BY price_version_id",
    )
    assert {row["prices"] for row in by_version} == {1} and len(by_version) > 3


async def test_without_a_price_nothing_is_sold(database: Database, lanes: Lanes, shop: Shop) -> None:
    account = await lanes.open("ann", "10")
    refused = charge(lanes, account, units(1))
    for _ in lanes.engines:
        with pytest.raises(PriceNotFound):
            await lanes.post(refused)
    await shop.open(SALE, [unit(1)])
    with pytest.raises(PriceNotFound) as error:
        await lanes.post(refused)
    assert error.value.replayed
    assert paid((await lanes.post(charge(lanes, account, units(1)))).reply) == 10**9


async def test_an_account_made_in_the_same_batch_has_prices(lanes: Lanes, shop: Shop) -> None:
    await shop.sell_units()
    account = AccountId("new")
    create = ops.CreateAccount(
        tenant_id=TENANT,
        idempotency_key=lanes.key(),
        account_id=account,
        currency_code="USD",
        settings={"credit_limit": usd("5")},
    )
    engine = lanes.engines[0]
    _, outcome = await asyncio.gather(engine.submit(create), engine.submit(charge(lanes, account, units(3))))
    assert paid(outcome.reply) == 3 * 10**9
    assert engine.stats.splits == 0


# ── once ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_twins_on_two_lanes_charge_and_count_once(database: Database, lanes: Lanes, shop: Shop) -> None:
    await shop.open(SALE, [TIERED])
    account = await lanes.open("ann", "1000")
    calls = [await lanes.hold(account, "6") for _ in range(20)]
    twins = [commit(lanes, call, units(6, "l1")) for call in calls]
    answers = await asyncio.gather(*(engine.submit(twin) for twin in twins for engine in lanes.engines))
    before = lanes.standing(account), counters(database), rows(database, "SELECT * FROM usage_lines ORDER BY call_id")
    assert nanos_of(Decimal(before[0].wallet)) == (1000 - 110) * 10**9
    assert len(before[2]) == 20 and list(before[1].values()) == [120]
    assert [a.reply.charge for a in answers[::2]] == [a.reply.charge for a in answers[1::2]]
    assert sum(a.replayed for a in answers) == 20
    # Again after a restart, when nothing is in memory.
    async with running_lanes(database) as others:
        for twin in twins:
            assert (await others.post(twin)).replayed
    after = lanes.standing(account), counters(database), rows(database, "SELECT * FROM usage_lines ORDER BY call_id")
    assert after == before


async def test_the_same_line_by_two_requests_is_charged_once(database: Database, lanes: Lanes, shop: Shop) -> None:
    await shop.sell_units()
    account = await lanes.open("ann", "1000")
    doubled = [charge(lanes, account, units(5, f"l{n}"), call_id="c") for n in range(10) for _ in range(4)]
    other = [charge(lanes, account, units(6, f"l{n}"), call_id="c") for n in range(10)]
    await asyncio.gather(*map(lanes.post, doubled))
    refused = await asyncio.gather(*map(lanes.attempt, other))
    assert {r.reason for r in refused if isinstance(r, ImprestError)} == {"USAGE_LINE_REUSED"} and len(refused) == 10
    assert lanes.standing(account).wallet == "950"
    assert len(rows(database, "SELECT 1 AS one FROM usage_lines")) == 10
