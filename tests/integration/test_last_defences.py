"""What stops a batch whose rules were wrong: nothing of it is written."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from imprest_server.core.errors import Conflict
from imprest_server.core.ids import AccountId, ReservationId, uuid7
from imprest_server.ledger import operations as ops
from imprest_server.ledger.model import Account, Book, OnExpiry, Reservation
from imprest_server.ledger.operations import StoredOperation
from imprest_server.ledger.rules.decide import RULES
from imprest_server.ledger.rules.holds import reserve as reserve_rule
from imprest_server.ledger.verify import verify
from imprest_server.ledger.working_set import Ledger
from tests.conftest import Database
from tests.support import clock
from tests.support.lanes import TENANT, Lanes, Standing, running_lanes, usd

GHOST = AccountId("ghost")
GHOST_HOLD = ReservationId(uuid7())
NOW = datetime(2026, 1, 31, tzinfo=UTC)

#: Changes to rows that do not exist, one per statement that updates.
GHOSTS: dict[str, Callable[[Ledger], None]] = {
    "accounts": lambda ledger: ledger.put_account(Account(TENANT, GHOST, "USD", create_time=NOW, update_time=NOW)),
    "books": lambda ledger: ledger.put_book(Book(TENANT, GHOST)),
    "reservations": lambda ledger: ledger.put_reservation(
        Reservation(TENANT, GHOST_HOLD, GHOST, "", 1, OnExpiry.RELEASE, NOW, NOW)
    ),
    "extends": lambda ledger: ledger.put_extend((TENANT, GHOST_HOLD), "k", StoredOperation(b"", None, "{}")),
}


@pytest.fixture
async def lanes(database: Database) -> AsyncIterator[Lanes]:
    clock.install(database.owner_dsn)
    async with running_lanes(database) as lanes:
        yield lanes


@pytest.mark.parametrize("change", GHOSTS.values(), ids=GHOSTS.keys())
async def test_an_update_that_finds_no_row_undoes_its_batch(
    lanes: Lanes, monkeypatch: pytest.MonkeyPatch, change: Callable[[Ledger], None]
) -> None:
    account = await lanes.open("acme", credit="10")

    def rule(ledger: Ledger, *rest: Any) -> ops.Reply:
        change(ledger)
        return reserve_rule(ledger, *rest)

    with monkeypatch.context() as patch:
        patch.setitem(RULES, ops.Reserve, rule)
        with pytest.raises(psycopg.errors.DivisionByZero):
            await lanes.post(lanes.reserve(account, "1"))
    assert lanes.standing(account) == Standing("10", held="0", receivable="0", open_count=0)
    await lanes.post(lanes.reserve(account, "1"))


async def test_a_key_that_only_a_bug_violates_is_no_conflict(lanes: Lanes) -> None:
    """Whoever holds the book knows its next number: to try again would not help, and nobody would be told."""
    account = await lanes.open("acme", credit="10")
    with psycopg.connect(lanes.database.owner_dsn) as owner:
        owner.execute("UPDATE books SET seq = 0")
    with pytest.raises(psycopg.errors.UniqueViolation):
        await lanes.post(ops.AddCredit(tenant_id=TENANT, idempotency_key="k", account_id=account, amount=usd("1")))
    assert lanes.engines[0].stats.retries == 0


async def test_a_hold_expires_once(lanes: Lanes) -> None:
    """Its expiry has a key of its own: brought back to life, it would not be charged again."""
    account = await lanes.open("acme", credit="10")
    hold = await lanes.hold(account, "5", ttl=timedelta(seconds=60))
    await lanes.post(ops.Extend(tenant_id=TENANT, idempotency_key="use", reservation_id=hold, used_so_far=usd("2")))
    clock.advance(lanes.database.owner_dsn, 60)
    expire = ops.ExpireDue(tenant_id=TENANT, account_id=account)
    await lanes.post(expire)
    await lanes.post(expire)
    assert lanes.standing(account) == Standing("8", held="0", receivable="0", open_count=0)
    with psycopg.connect(lanes.database.owner_dsn) as owner:
        keys = owner.execute("SELECT tenant_id, idempotency_key FROM operations WHERE kind = 'EXPIRE'").fetchall()
        assert keys == [(TENANT, hold.hex)]
        owner.execute("UPDATE reservations SET state = 'ACTIVE', ended_by = NULL, captured = 0")
        owner.execute("UPDATE books SET held = 5, open_count = 1")
    with pytest.raises(Conflict):
        await lanes.post(expire)
    assert lanes.standing(account).wallet == "8"


async def test_an_expiry_happened_when_the_hold_was_due(lanes: Lanes) -> None:
    """Whenever it is written: then it is `create_time` that is later."""
    account = await lanes.open("acme", credit="10")
    hold = await lanes.hold(account, "5", ttl=timedelta(seconds=60))
    await lanes.post(ops.Extend(tenant_id=TENANT, idempotency_key="use", reservation_id=hold, used_so_far=usd("2")))
    clock.advance(lanes.database.owner_dsn, 3600)
    await lanes.post(ops.ExpireDue(tenant_id=TENANT, account_id=account))
    with psycopg.connect(lanes.database.owner_dsn) as owner:
        row = owner.execute(
            """
            SELECT t.effective_time = r.expire_time, r.end_time = r.expire_time,
                t.create_time > r.expire_time + interval '50 minutes'
            FROM transactions AS t JOIN reservations AS r USING (tenant_id, reservation_id)
            WHERE t.kind = 'EXPIRE'
            """
        ).fetchone()
    assert row == (True, True, True)


async def test_a_clock_that_steps_back_moves_nothing_back(lanes: Lanes) -> None:
    """After a failover the database may be on a machine that is behind."""
    account = await lanes.open("acme", credit="10")
    ended = await lanes.hold(account, "5", ttl=timedelta(seconds=60))
    running = await lanes.hold(account, "3", ttl=timedelta(seconds=7200))
    use = ops.Extend(tenant_id=TENANT, idempotency_key="use", reservation_id=ended, used_so_far=usd("2"))
    await lanes.post(use)
    clock.advance(lanes.database.owner_dsn, 60)
    await lanes.post(ops.ExpireDue(tenant_id=TENANT, account_id=account))
    clock.advance(lanes.database.owner_dsn, -3600)
    late = await lanes.post(lanes.commit(ended, "4"))
    assert late.reply.late
    ttl = timedelta(seconds=60)
    extended = await lanes.post(ops.Extend(tenant_id=TENANT, idempotency_key="longer", reservation_id=running, ttl=ttl))
    assert extended.reply.reservation is not None
    assert extended.reply.reservation.expire_time - extended.reply.reservation.create_time == timedelta(seconds=7200)
    assert lanes.standing(account) == Standing("6", held="3", receivable="0", open_count=1)
    assert (await verify(lanes.database.owner_dsn)).ok, "create_time never falls"
