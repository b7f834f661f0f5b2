"""Balances of now, of the past, and of the whole chart, on a real Postgres with a clock that the tests move."""

import asyncio
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from imprest_server.core.errors import Conflict, InvalidArgument, NotFound
from imprest_server.core.ids import AccountId, AccountKey, TenantId
from imprest_server.db.pool import read_pool
from imprest_server.ledger import operations as ops
from imprest_server.ledger.chart import LedgerAccountCode as Code
from imprest_server.ledger.model import Balance, OverrunPolicy, TransactionKind
from imprest_server.ledger.queries import Queries
from imprest_server.ledger.views import PastBalance, TrialBalance
from tests.conftest import Database
from tests.support import clock
from tests.support.ledger import LIMITS, TENANT, House, expires_nothing, units

A, B, C = AccountId("a"), AccountId("b"), AccountId("c")
OTHER = TenantId("other")
NANO = 10**9


async def balance_of(house: House, account_id: AccountId) -> Balance:
    balance = await house.queries.get_balance(TENANT, account_id)
    assert isinstance(balance, Balance)
    return balance


async def past_balance_of(house: House, account_id: AccountId, as_of: datetime) -> PastBalance:
    balance = await house.queries.get_balance(TENANT, account_id, as_of)
    assert isinstance(balance, PastBalance)
    return balance


def lines_of(trial_balance: TrialBalance) -> dict[Code, int]:
    """The lines that are not zero: debits positive, credits negative, in major units."""
    return {
        line.code: ((line.debit_balance or 0) - (line.credit_balance or 0)) // NANO
        for line in trial_balance.lines
        if line.debit_balance or line.credit_balance
    }


# ── balances ──────────────────────────────────────────────────────────────────────────────────────────


async def test_a_balance_counts_holds_until_the_instant_they_are_due(house: House, database: Database) -> None:
    await house.open("a", credit=10, credit_limit=units(5))
    await house.reserve("a", 4, ttl_s=60)
    before = await balance_of(house, A)
    assert (before.wallet, before.held, before.available) == (10 * NANO, 4 * NANO, 11 * NANO)
    assert (before.receivable, before.credit_limit, before.currency_code) == (0, 5 * NANO, "USD")
    assert house.expired == []
    clock.advance(database.owner_dsn, 60)
    after = await balance_of(house, A)
    assert (after.wallet, after.held, after.available) == (10 * NANO, 0, 15 * NANO)
    assert house.expired == ["a"]
    await balance_of(house, A)
    assert house.expired == ["a"], "what is written needs no more expiring"


async def test_a_read_shows_the_capture_and_the_settlement_of_a_due_hold(house: House, database: Database) -> None:
    await house.open("a", credit=10)
    running = await house.reserve("a", 8, ttl_s=60)
    await house.do(ops.Extend, reservation_id=running, used_so_far=3)
    overrun = await house.reserve("a", 2, ttl_s=3600)
    await house.do(ops.Commit, reservation_id=overrun, amount=4)  # 2 owed: all the rest is held
    assert (await balance_of(house, A)).receivable == 2 * NANO
    clock.advance(database.owner_dsn, 61)
    after = await balance_of(house, A)
    assert (after.wallet, after.held, after.receivable) == (3 * NANO, 0, 0)
    transactions, *_ = await house.queries.list_transactions(TENANT, A)
    assert [t.kind for t in transactions][-1] is TransactionKind.EXPIRE


async def test_no_balance_without_an_account(house: House) -> None:
    for as_of in (None, datetime.now(UTC) - timedelta(days=1)):
        with pytest.raises(NotFound):
            await house.queries.get_balance(TENANT, A, as_of)


async def test_past_balances(house: House, database: Database) -> None:
    await house.open("a", overrun_policy=OverrunPolicy.COLLECT)
    born = datetime.now(UTC)
    for amount in (5, 7):
        clock.advance(database.owner_dsn, 100)
        await house.do(ops.AddCredit, account_id="a", amount=amount)
    hold = await house.reserve("a", 12)
    clock.advance(database.owner_dsn, 100)
    await house.do(ops.Commit, reservation_id=hold, amount=15)
    transactions, *_ = await house.queries.list_transactions(TENANT, A)
    expected = [(5, 0), (12, 0), (0, 3)]
    assert [(t.wallet_after // NANO, t.receivable_after // NANO) for t in transactions] == expected
    microsecond = timedelta(microseconds=1)
    for transaction, (wallet, receivable), (wallet_before, receivable_before) in zip(
        transactions, expected, [(0, 0), *expected], strict=False
    ):
        at = await past_balance_of(house, A, transaction.create_time)
        just_before = await past_balance_of(house, A, transaction.create_time - microsecond)
        assert at == PastBalance(A, "USD", wallet * NANO, receivable * NANO, transaction.create_time)
        assert (just_before.wallet, just_before.receivable) == (wallet_before * NANO, receivable_before * NANO)
    latest = await past_balance_of(house, A, (await balance_of(house, A)).as_of)
    assert (latest.wallet, latest.receivable) == (0, 3 * NANO)
    ancient = await past_balance_of(house, A, born - timedelta(days=1000))
    assert (ancient.wallet, ancient.receivable) == (0, 0)


async def test_there_is_no_future_balance(house: House) -> None:
    await house.open("a", credit=1)
    for account_id in (A, B):
        with pytest.raises(InvalidArgument) as caught:
            await house.queries.get_balance(TENANT, account_id, datetime.now(UTC) + timedelta(days=1))
        assert caught.value.field == "as_of"


async def _wait_until_blocked(connection: psycopg.AsyncConnection, by: int) -> None:
    blocked = "SELECT 1 FROM pg_stat_activity WHERE %s = ANY(pg_blocking_pids(pid))"
    while not await (await connection.execute(blocked, [by])).fetchone():  # noqa: ASYNC110 - there is no event
        await asyncio.sleep(0.01)


async def test_a_past_balance_waits_for_the_writer_in_flight(house: House, database: Database) -> None:
    await house.open("a", credit=5)
    (first,), *_ = await house.queries.list_transactions(TENANT, A)
    async with (
        await psycopg.AsyncConnection.connect(database.owner_dsn) as writer,
        await psycopg.AsyncConnection.connect(database.owner_dsn, autocommit=True) as watcher,
    ):
        await writer.execute("SELECT 1 FROM books WHERE account_id = 'a' FOR NO KEY UPDATE")
        written = await (await writer.execute("SELECT clock_timestamp()")).fetchone()
        assert written is not None
        as_of = (await balance_of(house, A)).as_of
        assert as_of > written[0]
        reading = asyncio.create_task(past_balance_of(house, A, as_of))
        await _wait_until_blocked(watcher, writer.info.backend_pid)
        # Before the book's last transaction nothing can be added: no waiting.
        settled = await past_balance_of(house, A, first.create_time - timedelta(microseconds=1))
        assert settled.wallet == 0
        await writer.execute(
            """
            INSERT INTO transactions SELECT tenant_id, gen_random_uuid(), account_id, 2, kind, 9, 0, NULL, '', '', NULL,
                labels, %(at)s, %(at)s, chain_hash FROM transactions
            """,
            {"at": written[0]},
        )
        await writer.execute("UPDATE books SET cash = 9, wallet = 9, seq = 2, last_time = %s", written)
        assert not reading.done()
        await writer.commit()
        assert (await reading).wallet == 9 * NANO


async def test_a_past_balance_waits_also_at_the_last_instant(house: House, database: Database) -> None:
    """The writer in flight may still post at the very instant of the book's last transaction."""
    await house.open("a", credit=5)
    (first,), *_ = await house.queries.list_transactions(TENANT, A)
    async with (
        await psycopg.AsyncConnection.connect(database.owner_dsn) as writer,
        await psycopg.AsyncConnection.connect(database.owner_dsn, autocommit=True) as watcher,
    ):
        await writer.execute("SELECT 1 FROM books WHERE account_id = 'a' FOR NO KEY UPDATE")
        reading = asyncio.create_task(past_balance_of(house, A, first.create_time))
        await _wait_until_blocked(watcher, writer.info.backend_pid)
        await writer.rollback()
        assert (await reading).wallet == 5 * NANO


async def test_a_lock_that_is_not_to_be_had_is_a_conflict(house: House, database: Database) -> None:
    await house.open("a")
    as_of = (await balance_of(house, A)).as_of
    async with (
        await psycopg.AsyncConnection.connect(database.owner_dsn) as writer,
        read_pool(database.app_dsn, **{**LIMITS, "lock_timeout_ms": 50}) as pool,
    ):
        await writer.execute("SELECT 1 FROM books FOR NO KEY UPDATE")
        with pytest.raises(Conflict):
            await Queries(pool, expires_nothing).get_balance(TENANT, A, as_of)
        await writer.rollback()


# ── trial balances ────────────────────────────────────────────────────────────────────────────────────


async def test_trial_balances(house: House, database: Database) -> None:
    assert (await house.queries.trial_balance(TENANT))[0] == []
    await house.open("a", credit=10)
    await house.open("b", credit=5)
    await house.open("c", credit=7, currency_code="EUR")
    await house.do(ops.Transfer, from_account_id="a", to_account_id="b", amount=4)
    await house.do(ops.ReverseCredit, account_id="b", amount=units(11))  # 2 more than was added: CASH below zero
    hold = await house.reserve("a", 3, ttl_s=60)
    await house.do(ops.Extend, reservation_id=hold, used_so_far=2)
    clock.advance(database.owner_dsn, 61)

    (of_a,), as_of = await house.queries.trial_balance(TENANT, A)
    assert house.expired == ["a"]
    assert as_of > datetime.now(UTC)
    assert lines_of(of_a) == {Code.CASH: 10, Code.WALLET: -4, Code.REVENUE: -2, Code.CLEARING: -4}
    assert (of_a.total_debits, of_a.total_credits) == (10 * NANO, 10 * NANO)

    (of_b,), _ = await house.queries.trial_balance(TENANT, B)
    assert lines_of(of_b) == {Code.CASH: -6, Code.RECEIVABLE: 2, Code.CLEARING: 4}
    assert (of_b.total_debits, of_b.total_credits) == (6 * NANO, 6 * NANO)
    zeros = {line.code: (line.debit_balance, line.credit_balance) for line in of_b.lines}
    assert list(zeros) == list(Code)
    assert zeros[Code.REFUNDS] == (0, None) and zeros[Code.WALLET] == (None, 0)

    everything, _ = await house.queries.trial_balance(TENANT)
    assert [(t.currency_code, lines_of(t)) for t in everything] == [
        ("EUR", {Code.CASH: 7, Code.WALLET: -7}),
        ("USD", {Code.CASH: 4, Code.RECEIVABLE: 2, Code.WALLET: -4, Code.REVENUE: -2}),
    ]
    with pytest.raises(NotFound):
        await house.queries.trial_balance(TENANT, AccountId("nobody"))


async def test_a_tenants_trial_balance_expires_every_due_hold_first(house: House, database: Database) -> None:
    for name in "abc":
        await house.open(name, credit=10)
        hold = await house.reserve(name, 3, ttl_s=60)
        await house.do(ops.Extend, reservation_id=hold, used_so_far=2)
    clock.advance(database.owner_dsn, 61)
    (of_all,), _ = await house.queries.trial_balance(TENANT)
    assert lines_of(of_all)[Code.REVENUE] == -6
    assert house.expired == ["a", "b", "c"]


async def test_a_trial_balance_is_read_again_when_somebody_else_expires_what_was_due(
    house: House, monkeypatch: pytest.MonkeyPatch, database: Database
) -> None:
    await house.open("a", credit=10)
    hold = await house.reserve("a", 3, ttl_s=60)
    await house.do(ops.Extend, reservation_id=hold, used_so_far=2)
    clock.advance(database.owner_dsn, 61)
    due_accounts = house.queries.due_accounts

    async def later(tenant_ids: list[TenantId], limit: int) -> list[AccountKey]:
        await house.engine.submit(ops.ExpireDue(tenant_id=TENANT, account_id=A))
        return await due_accounts(tenant_ids, limit)

    monkeypatch.setattr(house.queries, "due_accounts", later)
    (found,), _ = await house.queries.trial_balance(TENANT)
    assert lines_of(found)[Code.REVENUE] == -2
