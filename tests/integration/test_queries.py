"""What lists and look-ups show, on a real Postgres with a clock that the tests move."""

from datetime import UTC, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from imprest_server.core.errors import InvalidArgument, NotFound, Unavailable
from imprest_server.core.ids import AccountId, ReservationId, TenantId, TransactionId
from imprest_server.db.pool import read_pool
from imprest_server.ledger import operations as ops
from imprest_server.ledger.model import AccountState, ReservationState, TransactionKind
from imprest_server.ledger.queries import Queries
from tests.conftest import Database
from tests.support import clock
from tests.support.ledger import TENANT, House, expires_nothing, units

A, B = AccountId("a"), AccountId("b")
OTHER = TenantId("other")
NANO = 10**9


# ── accounts ──────────────────────────────────────────────────────────────────────────────────────────


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


# ── reservations ──────────────────────────────────────────────────────────────────────────────────────


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


# ── transactions ──────────────────────────────────────────────────────────────────────────────────────


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


# ── tenants and failures ──────────────────────────────────────────────────────────────────────────────


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


async def test_a_slow_or_absent_database_is_unavailable(house: House, database: Database) -> None:
    await house.open("a")
    async with read_pool(database.app_dsn, statement_timeout_ms=50, lock_timeout_ms=0) as pool:
        queries = Queries(pool, expires_nothing)
        async with await psycopg.AsyncConnection.connect(database.owner_dsn) as locker:
            await locker.execute("LOCK TABLE accounts")
            with pytest.raises(Unavailable):
                await queries.get_account(TENANT, A)
            await locker.rollback()
    with pytest.raises(Unavailable):
        await queries.get_account(TENANT, A)
