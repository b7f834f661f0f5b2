"""Races on a real Postgres. What is compared in the end is money, not row counts."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta

import psycopg
import pytest
from structlog.testing import capture_logs

from imprest_server.core.errors import ImprestError
from imprest_server.core.ids import AccountId
from imprest_server.ledger import operations as ops
from imprest_server.ledger.rules import Outcome
from tests.conftest import Database
from tests.support import clock
from tests.support.lanes import TENANT, Lanes, Standing, running_lanes, usd

#: Engines on the database at once, and the most operations in one of their transactions.
SETUPS = {"one lane": (1, 250), "two lanes": (2, 250), "four lanes, no batching": (4, 1)}


@pytest.fixture(params=SETUPS.values(), ids=SETUPS.keys())
async def lanes(request: pytest.FixtureRequest, database: Database) -> AsyncIterator[Lanes]:
    """Engines in each set-up. Their database's clock can be moved."""
    clock.install(database.owner_dsn)
    engines, batch_max = request.param
    async with running_lanes(database, engines=engines, batch_max=batch_max) as lanes:
        yield lanes


def tally(results: list[Outcome | ImprestError]) -> Counter[str]:
    """How often each answer was given: OK, replayed, or the reason of a denial."""
    return Counter(("replayed" if r.replayed else "OK") if isinstance(r, Outcome) else r.reason for r in results)


async def together(lanes: Lanes, operations: list[ops.Operation]) -> list[Outcome | ImprestError]:
    """All at once, in an order of chance."""
    random.shuffle(operations)
    return await asyncio.gather(*(lanes.attempt(operation) for operation in operations))


async def test_reserves_never_exceed_the_funds(lanes: Lanes) -> None:
    account = await lanes.open("acme", credit="100")
    results = await together(lanes, [lanes.reserve(account, "1") for _ in range(200)])
    assert tally(results) == {"OK": 100, "INSUFFICIENT_FUNDS": 100}
    assert lanes.standing(account) == Standing("100", held="100", receivable="0", open_count=100)


async def test_call_cap_holds(lanes: Lanes) -> None:
    account = await lanes.open("acme", credit="100", max_concurrent_calls=7)
    results = await together(lanes, [lanes.reserve(account, "1") for _ in range(60)])
    assert tally(results) == {"OK": 7, "CALL_LIMIT_REACHED": 53}
    assert lanes.standing(account) == Standing("100", held="7", receivable="0", open_count=7)


async def test_one_key_in_flight_fifty_times_holds_once(lanes: Lanes) -> None:
    account = await lanes.open("acme", credit="100")
    results = await together(lanes, [lanes.reserve(account, "3", key="same") for _ in range(50)])
    assert tally(results) == {"OK": 1, "replayed": 49}
    replies = [result.reply for result in results if isinstance(result, Outcome)]
    assert all(reply == replies[0] for reply in replies)
    assert lanes.standing(account) == Standing("100", held="3", receivable="0", open_count=1)


async def test_one_key_with_two_contents_happens_once(lanes: Lanes) -> None:
    account = await lanes.open("acme", credit="100")
    operations: list[ops.Operation] = [
        lanes.reserve(account, amount, key="same") for amount in ("3", "4") for _ in range(20)
    ]
    counts = tally(await together(lanes, operations))
    assert counts == {"OK": 1, "replayed": 19, "IDEMPOTENCY_KEY_REUSED": 20}
    assert lanes.standing(account).held in ("3", "4")


async def test_one_key_on_many_accounts_happens_once(lanes: Lanes) -> None:
    """No book lock stands between these: only the key does."""
    accounts = [await lanes.open(f"acme-{n}", credit="10") for n in range(8)]
    counts = tally(await together(lanes, [lanes.reserve(account, "1", key="same") for account in accounts]))
    assert counts == {"OK": 1, "IDEMPOTENCY_KEY_REUSED": 7}
    assert sum(lanes.standing(account).open_count for account in accounts) == 1


async def test_one_account_id_is_created_once(lanes: Lanes) -> None:
    def create() -> ops.Operation:
        return ops.CreateAccount(
            tenant_id=TENANT,
            idempotency_key=lanes.key(),
            account_id=AccountId("acme"),
            currency_code="USD",
            settings={},
        )

    assert tally(await together(lanes, [create() for _ in range(20)])) == {"OK": 1, "ACCOUNT_EXISTS": 19}


async def test_one_external_reference_credits_once(lanes: Lanes) -> None:
    """Also across accounts, which no lock joins."""
    accounts = [await lanes.open(f"acme-{n}") for n in range(4)]
    operations: list[ops.Operation] = [
        ops.AddCredit(
            tenant_id=TENANT,
            idempotency_key=lanes.key(),
            account_id=account,
            amount=usd("5"),
            external_reference="pi_1",
        )
        for account in accounts
        for _ in range(5)
    ]
    assert tally(await together(lanes, operations)) == {"OK": 1, "EXTERNAL_REFERENCE_USED": 19}
    assert sorted(lanes.standing(account).wallet for account in accounts) == ["0", "0", "0", "5"]


async def test_one_commit_wins(lanes: Lanes) -> None:
    account = await lanes.open("acme", credit="100")
    hold = await lanes.hold(account, "10")
    results = await together(lanes, [lanes.commit(hold, "4") for _ in range(30)])
    assert tally(results) == {"OK": 1, "RESERVATION_COMMITTED": 29}
    assert lanes.standing(account) == Standing("96", held="0", receivable="0", open_count=0)


async def test_commit_against_void(lanes: Lanes) -> None:
    account = await lanes.open("acme", credit="100")
    committed = 0
    for _ in range(10):
        hold = await lanes.hold(account, "5")
        counts = tally(await together(lanes, [lanes.commit(hold, "1"), lanes.void(hold), lanes.void(hold)]))
        if counts["RESERVATION_VOIDED"]:
            assert counts == {"OK": 2, "RESERVATION_VOIDED": 1}
        else:
            assert counts == {"OK": 1, "RESERVATION_COMMITTED": 2}
            committed += 1
    assert lanes.standing(account) == Standing(str(100 - committed), held="0", receivable="0", open_count=0)


async def test_commit_against_void_against_expiry(lanes: Lanes) -> None:
    """The hold expires by the clock while both are in flight: it is committed (late) or stays expired."""
    account = await lanes.open("acme", credit="100")
    charged = 0
    for _ in range(5):
        hold = await lanes.hold(account, "5", ttl=timedelta(seconds=60))
        await lanes.post(ops.Extend(tenant_id=TENANT, idempotency_key="use", reservation_id=hold, used_so_far=usd("2")))
        clock.advance(lanes.database.owner_dsn, 60)
        expire = [ops.ExpireDue(tenant_id=TENANT, account_id=account) for _ in range(4)]
        results = await together(lanes, [lanes.commit(hold, "3"), lanes.void(hold), *expire])
        counts = tally(results)
        void_denied = counts["RESERVATION_EXPIRED"] + counts["RESERVATION_COMMITTED"]
        assert (counts["OK"], void_denied) == (5, 1), counts
        charged += 3
        assert lanes.standing(account) == Standing(str(100 - charged), held="0", receivable="0", open_count=0)


async def test_refunds_never_exceed_the_capture(lanes: Lanes) -> None:
    account = await lanes.open("acme", credit="100")
    hold = await lanes.hold(account, "10")
    await lanes.post(lanes.commit(hold, "10"))
    refunds: list[ops.Operation] = [
        ops.Refund(tenant_id=TENANT, idempotency_key=lanes.key(), reservation_id=hold, amount=usd("3"))
        for _ in range(12)
    ]
    assert tally(await together(lanes, refunds)) == {"OK": 3, "REFUND_EXCEEDS_CAPTURE": 9}
    assert lanes.standing(account).wallet == "99"


async def test_two_full_refunds_give_back_once(lanes: Lanes) -> None:
    account = await lanes.open("acme", credit="100")
    hold = await lanes.hold(account, "10")
    charge = await lanes.post(lanes.commit(hold, "10"))
    refunds: list[ops.Operation] = [
        ops.Refund(tenant_id=TENANT, idempotency_key=lanes.key(), reservation_id=hold),
        ops.Refund(tenant_id=TENANT, idempotency_key=lanes.key(), transaction_id=charge.reply.transaction_id),
    ]
    assert tally(await together(lanes, refunds)) == {"OK": 1, "REFUND_EXCEEDS_CAPTURE": 1}
    assert lanes.standing(account).wallet == "100"


async def test_opposed_transfers_neither_deadlock_nor_lose(lanes: Lanes) -> None:
    a, b, c = [await lanes.open(name, credit="50") for name in ("a", "b", "c")]
    transfers: list[ops.Operation] = [
        ops.Transfer(
            tenant_id=TENANT, idempotency_key=lanes.key(), from_account_id=giver, to_account_id=taker, amount=usd("1")
        )
        for giver, taker in ((a, b), (b, a), (b, c), (c, b), (c, a), (a, c))
        for _ in range(20)
    ]
    assert tally(await together(lanes, transfers)) == {"OK": 120}
    assert [lanes.standing(account).wallet for account in (a, b, c)] == ["50", "50", "50"]
    assert [engine.stats.retries for engine in lanes.engines] == [0] * len(lanes.engines)


async def test_opposed_references_never_deadlock(database: Database) -> None:
    """Batches on different books meet on references only, each naming them in an order of its own."""
    with psycopg.connect(database.owner_dsn) as owner:
        # So slow that two batches are certain to insert side by side.
        owner.execute(
            """
            CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql
                AS 'BEGIN PERFORM pg_sleep(0.01); RETURN NEW; END';
            CREATE TRIGGER slowly BEFORE INSERT ON transactions FOR EACH ROW EXECUTE FUNCTION slowly();
            """
        )
    async with running_lanes(database, engines=2) as lanes:
        accounts = [await lanes.open(name) for name in ("a", "b")]
        references = [f"pi_{n:02}" for n in range(20)]
        orders = (references, references[::-1])
        with capture_logs() as logged:
            results = await asyncio.gather(
                *(
                    engine.submit(
                        ops.AddCredit(
                            tenant_id=TENANT,
                            idempotency_key=lanes.key(),
                            account_id=account,
                            amount=usd("1"),
                            external_reference=reference,
                        )
                    )
                    for engine, account, order in zip(lanes.engines, accounts, orders, strict=True)
                    for reference in order
                ),
                return_exceptions=True,
            )
        assert Counter(getattr(result, "reason", "OK") for result in results) == {
            "OK": 20,
            "EXTERNAL_REFERENCE_USED": 20,
        }
        assert {event["sqlstate"] for event in logged if "sqlstate" in event} <= {"23505"}


async def test_reserve_between_due_and_swept(lanes: Lanes) -> None:
    """A due hold frees its funds for the very next Reserve, without a sweeper, and only once."""
    account = await lanes.open("acme", credit="10")
    await lanes.hold(account, "10", ttl=timedelta(seconds=60))
    assert tally(await together(lanes, [lanes.reserve(account, "1") for _ in range(5)])) == {"INSUFFICIENT_FUNDS": 5}
    clock.advance(lanes.database.owner_dsn, 60)
    results = await together(lanes, [lanes.reserve(account, "4") for _ in range(5)])
    assert tally(results) == {"OK": 2, "INSUFFICIENT_FUNDS": 3}
    assert lanes.standing(account) == Standing("10", held="8", receivable="0", open_count=2)


async def test_more_due_holds_than_a_batch_expires(lanes: Lanes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Operations wait until all due holds have ended, however many batches that takes."""
    monkeypatch.setattr("imprest_server.posting.lane.DUE_LIMIT", 7)
    account = await lanes.open("acme", credit="60")
    await asyncio.gather(*(lanes.hold(account, "1", ttl=timedelta(seconds=60)) for _ in range(60)))
    clock.advance(lanes.database.owner_dsn, 60)
    results = await together(lanes, [lanes.reserve(account, "20") for _ in range(4)])
    assert tally(results) == {"OK": 3, "INSUFFICIENT_FUNDS": 1}
    assert lanes.standing(account) == Standing("60", held="60", receivable="0", open_count=3)


async def test_everything_at_once(lanes: Lanes) -> None:
    """A storm over few accounts; money is neither made nor lost."""
    accounts = [await lanes.open(f"acme-{n}", credit="100") for n in range(3)]

    async def call(n: int) -> None:
        chance = random.Random(n)
        reserved = await lanes.attempt(lanes.reserve(chance.choice(accounts), chance.choice(["1", "2.5", "7"])))
        if isinstance(reserved, Outcome):
            assert reserved.reply.reservation is not None
            hold = reserved.reply.reservation.reservation_id
            ending = chance.choice([lanes.commit(hold, "0.75"), lanes.void(hold), lanes.commit(hold, "9")])
            await lanes.post(ending)
            if chance.random() < 0.5:
                await lanes.attempt(ops.Refund(tenant_id=TENANT, idempotency_key=lanes.key(), reservation_id=hold))
        giver, taker = chance.sample(accounts, 2)
        await lanes.attempt(
            ops.Transfer(
                tenant_id=TENANT,
                idempotency_key=lanes.key(),
                from_account_id=giver,
                to_account_id=taker,
                amount=usd("0.5"),
            )
        )

    await asyncio.gather(*(call(n) for n in range(150)))
    assert all((standing.held, standing.open_count) == ("0", 0) for standing in map(lanes.standing, accounts))
