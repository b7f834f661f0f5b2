"""What the reads show, on a real Postgres with a clock that the tests move."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from imprest_server.core.errors import Conflict, InvalidArgument, NotFound, Unavailable
from imprest_server.core.ids import AccountId, ReservationId, TenantId, TransactionId
from imprest_server.db.pool import read_pool
from imprest_server.ledger import operations as ops
from imprest_server.ledger.chart import LedgerAccountCode as Code
from imprest_server.ledger.model import AccountState, Balance, OverrunPolicy, ReservationState, TransactionKind
from imprest_server.ledger.queries import SQL, Queries
from imprest_server.ledger.views import PastBalance, TrialBalance
from tests.conftest import Database
from tests.support import clock
from tests.support.ledger import LIMITS, TENANT, House, house_on, units

A, B, C = AccountId("a"), AccountId("b"), AccountId("c")
OTHER = TenantId("other")
NANO = 10**9


@pytest.fixture
async def house(database: Database) -> AsyncIterator[House]:
    clock.install(database.owner_dsn)
    async with house_on(database) as house:
        yield house


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


# ── accounts ─────────────────────────────────────────────────────────────────────────────────────────


async def test_an_account_and_none(house: House) -> None:
    await house.open("a", credit_limit=units(5), labels={"k": "v"}, display_name="Ann")
    account = await house.queries.get_account(TENANT, A)
    assert (account.account_id, account.credit_limit, account.labels) == ("a", 5 * NANO, {"k": "v"})
    assert account.create_time is not None and account.create_time.tzinfo is UTC
    with pytest.raises(NotFound) as caught:
        await house.queries.get_account(TENANT, B)
    assert caught.value.values == {"resource": "account", "id": "b"}


async def test_accounts_are_listed_by_id_filtered_and_paged(house: House) -> None:
    for number in range(7):
        customer = "even" if number % 2 == 0 else "odd"
        parent = "acc-0" if number in (3, 4) else None
        await house.open(f"acc-{number}", customer_id=customer, parent_account_id=parent)
    await house.do(ops.FreezeAccount, account_id="acc-2")

    async def ids(**filters: Any) -> list[str]:
        found, token = await house.queries.list_accounts(TENANT, **filters)
        assert token == ""
        return [account.account_id for account in found]

    assert await ids() == [f"acc-{number}" for number in range(7)]
    assert await ids(customer_id="odd") == ["acc-1", "acc-3", "acc-5"]
    assert await ids(parent_account_id="acc-0") == ["acc-3", "acc-4"]
    assert await ids(parent_account_id="acc-0", customer_id="odd") == ["acc-3"]
    assert await ids(state=AccountState.FROZEN) == ["acc-2"]
    assert await ids(customer_id="", parent_account_id="", state=None) == await ids()
    assert await ids(customer_id="nobody") == []

    pages, token = [], ""
    while True:
        page, token = await house.queries.list_accounts(TENANT, customer_id="even", page_size=2, page_token=token)
        pages.append([account.account_id for account in page])
        if not token:
            break
    assert pages == [["acc-0", "acc-2"], ["acc-4", "acc-6"]]


async def test_a_page_token_belongs_to_its_filters_and_tenant(house: House) -> None:
    for name in "abc":
        await house.open(name)
    queries = house.queries
    _, token = await queries.list_accounts(TENANT, page_size=1)
    assert token
    for attempt in (
        queries.list_accounts(TENANT, page_size=1, page_token=token, customer_id="x"),
        queries.list_accounts(TENANT, page_token=token, state=AccountState.ACTIVE),
        queries.list_accounts(OTHER, page_token=token),
        queries.list_reservations(TENANT, page_token=token),
        queries.list_transactions(TENANT, A, page_token=token),
        queries.list_accounts(TENANT, page_token=token[:-2]),
    ):
        with pytest.raises(InvalidArgument) as caught:
            await attempt
        assert caught.value.field == "page_token"
    with pytest.raises(InvalidArgument) as caught:
        await queries.list_accounts(TENANT, page_size=-1)
    assert caught.value.field == "page_size"
    page, _ = await queries.list_accounts(TENANT, page_size=2, page_token=token)  # the size may change
    assert [account.account_id for account in page] == ["b", "c"]


# ── balances ─────────────────────────────────────────────────────────────────────────────────────────


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
            await house.queries.get_balance(TENANT, account_id, datetime.now(UTC) + timedelta(minutes=1))
        assert caught.value.field == "as_of"


async def _wait_until_blocked(connection: psycopg.AsyncConnection, by: int) -> None:
    blocked = "SELECT 1 FROM pg_stat_activity WHERE %s = ANY(pg_blocking_pids(pid))"
    async with asyncio.timeout(10):
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
        settled = await asyncio.wait_for(
            past_balance_of(house, A, first.create_time - timedelta(microseconds=1)), timeout=5
        )
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


async def test_a_lock_that_is_not_to_be_had_is_a_conflict(house: House, database: Database) -> None:
    await house.open("a")
    as_of = (await balance_of(house, A)).as_of
    async with (
        await psycopg.AsyncConnection.connect(database.owner_dsn) as writer,
        read_pool(database.app_dsn, statement_timeout_ms=5000, lock_timeout_ms=50) as pool,
    ):
        await writer.execute("SELECT 1 FROM books FOR NO KEY UPDATE")
        with pytest.raises(Conflict):
            await Queries(pool, _never).get_balance(TENANT, A, as_of)
        await writer.rollback()


# ── reservations ─────────────────────────────────────────────────────────────────────────────────────


async def test_a_due_hold_is_shown_expired_at_once(house: House, database: Database) -> None:
    await house.open("a", credit=10)
    due = await house.reserve("a", 3, ttl_s=60, call_id="call-1", labels={"agent": "x"})
    reservation, currency_code = await house.queries.get_reservation(TENANT, due)
    assert (reservation.state, currency_code, reservation.labels) == (ReservationState.ACTIVE, "USD", {"agent": "x"})
    clock.advance(database.owner_dsn, 61)
    reservation, _ = await house.queries.get_reservation(TENANT, due)
    assert (reservation.state, reservation.end_time) == (ReservationState.EXPIRED, reservation.expire_time)
    assert house.expired == ["a"]
    with pytest.raises(NotFound):
        await house.queries.get_reservation(TENANT, ReservationId(uuid4()))


async def test_reservations_are_listed_newest_first_filtered_and_paged(house: House, database: Database) -> None:
    for name in "abc":
        await house.open(name, credit=100)
    soon = await house.reserve("a", 1, ttl_s=60, call_id="call-1")
    committed = await house.reserve("a", 1, call_id="call-2")
    voided = await house.reserve("b", 1, call_id="call-1")
    active = await house.reserve("b", 1, call_id="call-2")
    soon_too = await house.reserve("c", 1, ttl_s=60)
    await house.do(ops.Commit, reservation_id=committed, amount=1)
    await house.do(ops.Void, reservation_id=voided)
    clock.advance(database.owner_dsn, 61)

    async def ids(**filters: Any) -> list[UUID]:
        found, token = await house.queries.list_reservations(TENANT, **filters)
        assert token == ""
        return [reservation.reservation_id for reservation, _ in found]

    assert await ids(state=ReservationState.ACTIVE) == [active]
    assert house.expired == [], "a due hold is no longer ACTIVE, so none is on that page"
    assert await ids(account_id="a", state=ReservationState.EXPIRED) == [soon]
    assert house.expired == ["a"]
    assert await ids() == [soon_too, active, voided, committed, soon]
    assert house.expired == ["a", "c"]
    assert await ids(state=ReservationState.EXPIRED) == [soon_too, soon]
    assert await ids(state=ReservationState.COMMITTED) == [committed]
    assert await ids(state=ReservationState.VOIDED) == [voided]
    assert await ids(call_id="call-1") == [voided, soon]
    assert await ids(call_id="call-1", account_id="b") == [voided]
    assert await ids(account_id="nobody") == []

    pages, token = [], ""
    while True:
        page, token = await house.queries.list_reservations(TENANT, page_size=2, page_token=token)
        pages.append([reservation.reservation_id for reservation, _ in page])
        if not token:
            break
    assert pages == [[soon_too, active], [voided, committed], [soon]]


# ── transactions ─────────────────────────────────────────────────────────────────────────────────────


async def test_transactions_are_listed_oldest_first_with_the_running_balance(house: House) -> None:
    await house.open("a", credit=10)
    await house.do(ops.AddCredit, account_id="a", amount=5, payment_fee=1, external_reference="pay-1")
    hold = await house.reserve("a", 3, call_id="call-1", labels={"agent": "x"})
    await house.do(ops.Commit, reservation_id=hold, amount=2)
    transactions, currency_code, token = await house.queries.list_transactions(TENANT, A)
    assert (currency_code, token) == ("USD", "")
    assert [(t.seq, t.kind.value, t.wallet_after // NANO) for t in transactions] == [
        (1, "ADD_CREDIT", 10),
        (2, "ADD_CREDIT", 15),
        (3, "COMMIT", 13),
    ]
    assert [(p.debit.value, p.credit.value, p.amount // NANO) for p in transactions[1].postings] == [
        ("CASH", "WALLET", 5),
        ("FEE_COST", "FEE_PAYABLE", 1),
    ]
    assert [t.external_reference for t in transactions] == ["", "pay-1", ""]
    assert (transactions[2].reservation_id, transactions[2].call_id) == (hold, "call-1")
    for transaction in transactions:
        found = await house.queries.get_transaction(TENANT, transaction.transaction_id)
        assert found == (transaction, "USD", [])
    with pytest.raises(NotFound):
        await house.queries.get_transaction(TENANT, TransactionId(uuid4()))


async def test_transactions_by_time_kind_and_page(house: House, database: Database) -> None:
    await house.open("a")
    for amount in range(1, 8):
        clock.advance(database.owner_dsn, 10)
        kind = ops.AddCredit if amount % 2 else ops.GrantCredit
        await house.do(kind, account_id="a", amount=amount)
    everything, *_ = await house.queries.list_transactions(TENANT, A)
    times = [t.create_time for t in everything]

    async def seqs(**filters: Any) -> list[int]:
        found, _, token = await house.queries.list_transactions(TENANT, A, **filters)
        assert token == ""
        return [t.seq for t in found]

    assert await seqs() == [1, 2, 3, 4, 5, 6, 7]
    assert await seqs(start_time=times[2]) == [3, 4, 5, 6, 7]
    assert await seqs(end_time=times[2]) == [1, 2]
    assert await seqs(start_time=times[2], end_time=times[5]) == [3, 4, 5]
    assert await seqs(start_time=times[2] + timedelta(microseconds=1), end_time=times[5]) == [4, 5]
    assert await seqs(start_time=times[6] + timedelta(microseconds=1)) == []
    assert await seqs(end_time=times[0]) == []
    assert await seqs(kinds=[TransactionKind.GRANT_CREDIT]) == [2, 4, 6]
    assert await seqs(kinds=[TransactionKind.GRANT_CREDIT, TransactionKind.ADD_CREDIT], start_time=times[5]) == [6, 7]
    with pytest.raises(InvalidArgument) as caught:
        await house.queries.list_transactions(TENANT, A, start_time=times[1], end_time=times[1])
    assert caught.value.field == "end_time"

    filters: dict[str, Any] = {"start_time": times[1], "kinds": [TransactionKind.ADD_CREDIT]}
    pages, token = [], ""
    while True:
        page, _, token = await house.queries.list_transactions(TENANT, A, page_size=2, page_token=token, **filters)
        pages.append([t.seq for t in page])
        if not token:
            break
        with pytest.raises(InvalidArgument):
            await house.queries.list_transactions(TENANT, A, page_token=token)
    assert pages == [[3, 5], [7]]


async def test_transactions_of_a_reservation(house: House, database: Database) -> None:
    await house.open("a", credit=100)
    await house.open("b", credit=100)
    hold, other = await house.reserve("a", 10), await house.reserve("a", 10)
    await house.do(ops.Commit, reservation_id=hold, amount=2, final=False)
    await house.do(ops.Commit, reservation_id=other, amount=1)
    await house.do(ops.Commit, reservation_id=await house.reserve("b", 5), amount=1)
    await house.do(ops.Commit, reservation_id=hold, amount=3)
    await house.do(ops.Refund, reservation_id=hold, amount=4)

    async def seqs(account_id: AccountId = A, **filters: Any) -> list[int]:
        found, _, token = await house.queries.list_transactions(TENANT, account_id, **filters)
        assert token == ""
        return [t.seq for t in found]

    assert await seqs(reservation_id=hold) == [2, 4, 5]
    assert await seqs(reservation_id=hold, kinds=[TransactionKind.COMMIT]) == [2, 4]
    assert await seqs(B, reservation_id=hold) == [], "the same places in another book are not its own"
    assert await seqs(reservation_id=ReservationId(uuid4())) == []
    page, _, token = await house.queries.list_transactions(TENANT, A, reservation_id=hold, page_size=2)
    assert [t.seq for t in page] == [2, 4]
    with pytest.raises(InvalidArgument):
        await house.queries.list_transactions(TENANT, A, reservation_id=other, page_token=token)
    assert await seqs(reservation_id=hold, page_token=token) == [5]

    due = await house.reserve("a", 10, ttl_s=60)
    await house.do(ops.Extend, reservation_id=due, used_so_far=6)
    clock.advance(database.owner_dsn, 61)
    assert await seqs(reservation_id=due) == [6], "a due hold's capture is there at once"


async def test_a_transaction_knows_its_refunds(house: House, database: Database) -> None:
    await house.open("a", credit=100)

    async def parts(transaction_id: TransactionId) -> list[tuple[TransactionId, TransactionId, int]]:
        _, _, found = await house.queries.get_transaction(TENANT, transaction_id)
        return [(part.captured_transaction_id, part.refund_transaction_id, part.amount // NANO) for part in found]

    hold = await house.reserve("a", 10)
    first = (await house.do(ops.Commit, reservation_id=hold, amount=2, final=False)).transaction_id
    last = (await house.do(ops.Commit, reservation_id=hold, amount=3)).transaction_id
    charged = (await house.do(ops.Charge, account_id="a", amount=7)).transaction_id
    assert first is not None and last is not None and charged is not None
    assert await parts(first) == []
    both = (await house.do(ops.Refund, reservation_id=hold, amount=4)).transaction_id
    rest = (await house.do(ops.Refund, reservation_id=hold)).transaction_id
    some = (await house.do(ops.Refund, transaction_id=charged, amount=5)).transaction_id
    assert both is not None and rest is not None and some is not None
    assert await parts(last) == [(last, both, 3)]
    assert await parts(first) == [(first, both, 1), (first, rest, 1)], "oldest first"
    assert await parts(both) == [(first, both, 1), (last, both, 3)]
    assert await parts(charged) == await parts(some) == [(charged, some, 5)]

    due = await house.reserve("a", 10, ttl_s=60)
    await house.do(ops.Extend, reservation_id=due, used_so_far=6)
    clock.advance(database.owner_dsn, 61)
    late = (await house.do(ops.Commit, reservation_id=due, amount=2)).transaction_id
    (expiry, _), *_ = await house.queries.list_transactions(TENANT, A, reservation_id=due)
    assert late is not None
    assert await parts(late) == await parts(expiry.transaction_id) == [(expiry.transaction_id, late, 4)]


async def test_an_account_without_transactions_and_no_account(house: House) -> None:
    await house.open("a", currency_code="EUR")
    assert await house.queries.list_transactions(TENANT, A) == ([], "EUR", "")
    with pytest.raises(NotFound):
        await house.queries.list_transactions(TENANT, B)


# ── trial balances ───────────────────────────────────────────────────────────────────────────────────


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
    assert as_of - datetime.now(UTC) > timedelta(seconds=50)
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


async def test_a_tenant_whose_holds_keep_coming_due_still_gets_a_trial_balance(
    house: House, database: Database
) -> None:
    await house.open("a", credit=1000)
    for _ in range(30):
        await house.reserve("a", 1, ttl_s=60)
        clock.advance(database.owner_dsn, 1)
    clock.advance(database.owner_dsn, 30)

    async def expire_one(tenant_id: TenantId, account_id: AccountId) -> None:
        await house.engine.submit(ops.ExpireDue(tenant_id=tenant_id, account_id=account_id))
        clock.advance(database.owner_dsn, 1)  # the next one is due by now

    async with read_pool(database.app_dsn, **LIMITS) as pool:
        (found,), _ = await Queries(pool, expire_one).trial_balance(TENANT)
        assert found.total_debits == 1000 * NANO


# ── the sweeper, tenants, failures ───────────────────────────────────────────────────────────────────


async def test_due_accounts(house: House, database: Database) -> None:
    for seconds, name in ((90, "a"), (60, "b"), (3600, "c")):
        await house.open(name, credit=10)
        await house.reserve(name, 1, ttl_s=seconds)
        await house.reserve(name, 1, ttl_s=seconds)
    assert await house.queries.due_accounts([TENANT], 10) == []
    clock.advance(database.owner_dsn, 91)
    assert sorted(await house.queries.due_accounts([TENANT, OTHER], 10)) == [(TENANT, "a"), (TENANT, "b")]
    assert await house.queries.due_accounts([TENANT], 2) == [(TENANT, "b")], "the longest due first"
    assert await house.queries.due_accounts([OTHER], 10) == []
    assert await house.queries.due_accounts([], 10) == []


async def test_another_tenant_sees_nothing(house: House, database: Database) -> None:
    await house.open("a", credit=10)
    hold = await house.reserve("a", 1)
    (transaction,), *_ = await house.queries.list_transactions(TENANT, A)
    queries = house.queries
    for attempt in (
        queries.get_account(OTHER, A),
        queries.get_balance(OTHER, A),
        queries.get_balance(OTHER, A, transaction.create_time),
        queries.get_reservation(OTHER, hold),
        queries.get_transaction(OTHER, transaction.transaction_id),
        queries.list_transactions(OTHER, A),
        queries.trial_balance(OTHER, A),
    ):
        with pytest.raises(NotFound):
            await attempt
    assert await queries.list_accounts(OTHER) == ([], "")
    assert await queries.list_reservations(OTHER, account_id=A) == ([], "")
    assert (await queries.trial_balance(OTHER))[0] == []


async def _never(_tenant_id: TenantId, _account_id: AccountId) -> None:
    """An engine that expires nothing."""


async def test_a_read_gives_up_when_nothing_gets_expired(house: House, database: Database) -> None:
    await house.open("a", credit=10)
    await house.reserve("a", 1, ttl_s=1)
    clock.advance(database.owner_dsn, 2)
    async with read_pool(database.app_dsn, **LIMITS) as pool:
        with pytest.raises(Unavailable):
            await Queries(pool, _never).get_balance(TENANT, A)


async def test_a_slow_or_absent_database_is_unavailable(house: House, database: Database) -> None:
    await house.open("a")
    async with read_pool(database.app_dsn, statement_timeout_ms=50, lock_timeout_ms=0) as pool:
        queries = Queries(pool, _never)
        async with await psycopg.AsyncConnection.connect(database.owner_dsn) as locker:
            await locker.execute("LOCK TABLE accounts")
            with pytest.raises(Unavailable):
                await queries.get_account(TENANT, A)
            await locker.rollback()
    with pytest.raises(Unavailable):
        await queries.get_account(TENANT, A)


@pytest.mark.parametrize("name", ["get_balance", "get_balance_as_of", "list_transactions", "due_accounts"])
async def test_a_due_check_reads_an_index_up_to_the_clock(database: Database, name: str) -> None:
    """Not so with `expire_time <= clock_timestamp()`: a volatile clock makes it read every open hold."""
    query = SQL[name].replace("{filters}", "")
    parameters = {"tenant": "t", "account": "a", "as_of": datetime.now(UTC), "tenants": ["t"], "limit": 1, "after": 0}
    async with await psycopg.AsyncConnection.connect(database.owner_dsn) as connection:
        await connection.execute("SET enable_seqscan = off; SET enable_bitmapscan = off")
        cursor = await connection.execute("EXPLAIN " + query, parameters)
        plan = "\n".join(row[0] for row in await cursor.fetchall())
    conditions = [line for line in plan.splitlines() if "Index Cond" in line]
    assert any("expire_time <=" in line for line in conditions), plan
