"""The admin's client, async and blocking, against a server."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from imprest_client import KEEP, AdminClient, Connection, sync
from imprest_client.errors import (
    AccountExists,
    AccountNotEmpty,
    IdempotencyKeyReused,
    InsufficientFunds,
    InvalidArgument,
    NotFound,
)
from imprest_client.model import (
    AccountState,
    LedgerAccountCode,
    OnExpiry,
    OverrunPolicy,
    Posting,
    ReservationState,
    TransactionKind,
)
from tests.conftest import Database
from tests.support.server import running_server


@pytest.fixture
async def target(database: Database) -> AsyncIterator[str]:
    async with running_server(database) as server:
        yield server.target


@pytest.fixture
async def admin(target: str) -> AsyncIterator[AdminClient]:
    async with AdminClient(target, currency="USD") as client:
        yield client


async def test_an_account_from_beginning_to_end(admin: AdminClient) -> None:
    receipt = await admin.create_account(
        "acme",
        customer_id="c-1",
        display_name="Acme",
        credit_limit="2.5",
        overrun_policy=OverrunPolicy.CAP,
        max_overrun=7,
        max_concurrent_calls=3,
        low_balance_threshold="0.5",
        time_zone="Europe/Berlin",
        labels={"plan": "pro"},
    )
    account = receipt.account
    assert (account.account_id, account.customer_id, account.display_name) == ("acme", "c-1", "Acme")
    assert (account.credit_limit, account.max_overrun, account.low_balance_threshold) == (
        Decimal("2.5"),
        Decimal(7),
        Decimal("0.5"),
    )
    assert (account.overrun_policy, account.max_concurrent_calls) == (OverrunPolicy.CAP, 3)
    assert (account.time_zone, account.labels, account.state) == (
        "Europe/Berlin",
        {"plan": "pro"},
        AccountState.ACTIVE,
    )
    assert account.create_time.tzinfo is UTC
    assert receipt.balance.available == Decimal("2.5")
    assert not receipt.replayed

    changed = await admin.update_account("acme", max_overrun=None, credit_limit=0, labels={}, display_name=KEEP)
    assert (changed.account.max_overrun, changed.account.credit_limit, changed.account.labels) == (None, 0, {})
    assert (changed.account.display_name, changed.account.max_concurrent_calls) == ("Acme", 3)
    policy = await admin.update_account("acme", overrun_policy=OverrunPolicy.COLLECT, max_concurrent_calls=None)
    assert (policy.account.overrun_policy, policy.account.max_concurrent_calls) == (OverrunPolicy.COLLECT, None)

    assert (await admin.freeze_account("acme")).account.state is AccountState.FROZEN
    assert (await admin.unfreeze_account("acme")).account.state is AccountState.ACTIVE
    await admin.add_credit("acme", 1)
    with pytest.raises(AccountNotEmpty) as refused:
        await admin.close_account("acme")
    assert (refused.value.wallet, refused.value.held, refused.value.open_reservations) == (1, 0, 0)
    closed = await admin.close_account("acme", forfeit=True)
    assert (closed.account.state, closed.balance.wallet) == (AccountState.CLOSED, 0)
    assert await admin.get_account("acme") == closed.account


async def test_credit_in_all_its_forms_and_its_statement(admin: AdminClient) -> None:
    await admin.create_account("acme")
    await admin.create_account("other")
    before = datetime.now(UTC) - timedelta(days=1)
    bought = await admin.add_credit("acme", 25, payment_fee="0.75", external_reference="pi_1", labels={"a": "b"})
    await admin.grant_credit("acme", 5, external_reference="promo")
    await admin.adjust("acme", "-1.000000001", reason="typing error")
    await admin.reverse_credit("acme", 2, reason="chargeback")
    await admin.withdraw("acme", 3)
    moved = await admin.transfer("acme", "other", 4, reason="gift")
    assert (moved.balance.wallet, moved.to_balance.wallet) == (Decimal("19.999999999"), 4)

    balance = await admin.get_balance("acme")
    assert (balance.wallet, balance.available, balance.held) == (Decimal("19.999999999"), Decimal("19.999999999"), 0)
    past = await admin.get_balance("acme", as_of=before)
    assert (past.wallet, past.receivable) == (0, 0)

    statement = [transaction async for transaction in admin.list_transactions("acme", page_size=2)]
    assert [(t.seq, t.kind) for t in statement] == [
        (1, TransactionKind.ADD_CREDIT),
        (2, TransactionKind.GRANT_CREDIT),
        (3, TransactionKind.ADJUST),
        (4, TransactionKind.REVERSE_CREDIT),
        (5, TransactionKind.WITHDRAW),
        (6, TransactionKind.TRANSFER_OUT),
    ]
    first = statement[0]
    assert first.postings == (
        Posting(LedgerAccountCode.CASH, LedgerAccountCode.WALLET, Decimal(25)),
        Posting(LedgerAccountCode.FEE_COST, LedgerAccountCode.FEE_PAYABLE, Decimal("0.75")),
    )
    assert (first.external_reference, first.labels, first.wallet_after) == ("pi_1", {"a": "b"}, 25)
    assert len(first.chain_hash) == 32
    assert await admin.get_transaction(bought.transaction_id) == first
    found = admin.list_transactions("acme", kinds=[TransactionKind.ADJUST, TransactionKind.WITHDRAW], start_time=before)
    assert [t.seq async for t in found] == [3, 5]
    assert [t async for t in admin.list_transactions("acme", end_time=before)] == []

    (mine,) = await admin.get_trial_balance("acme")
    lines = {line.code: line for line in mine.lines}
    assert lines[LedgerAccountCode.WALLET].credit_balance == Decimal("19.999999999")
    assert lines[LedgerAccountCode.WALLET].debit_balance is None
    assert mine.total_debits == mine.total_credits
    (all_of_them,) = await admin.get_trial_balance()
    assert all_of_them.total_debits == all_of_them.total_credits > 0


async def test_holds_charges_and_refunds(admin: AdminClient) -> None:
    await admin.create_account("acme")
    await admin.add_credit("acme", 10)
    held = await admin.reserve(
        "acme", 20, min_amount=1, call_id="c-1", ttl=timedelta(minutes=1), on_expiry=OnExpiry.RELEASE, labels={"l": "v"}
    )
    assert (held.reservation.amount, held.final_unit, held.balance.available) == (10, True, 0)
    assert (held.reservation.state, held.reservation.on_expiry) == (ReservationState.ACTIVE, OnExpiry.RELEASE)
    assert (held.reservation.call_id, held.reservation.labels) == ("c-1", {"l": "v"})
    assert held.reservation.expire_time - held.reservation.create_time == timedelta(minutes=1)
    reservation_id = held.reservation.reservation_id

    more = await admin.extend(reservation_id, new_total=11, used_so_far="0.5", ttl=timedelta(hours=1))
    assert (more.final_unit, more.denial_reason, more.reservation.amount) == (True, "INSUFFICIENT_FUNDS", 10)
    assert more.reservation.used_so_far == Decimal("0.5")
    part = await admin.commit(reservation_id, "1.5", final=False, effective_time=more.balance.as_of)
    assert (part.charge.charged, part.charge.from_hold, part.reservation.state) == (
        Decimal("1.5"),
        Decimal("1.5"),
        ReservationState.ACTIVE,
    )
    ended = await admin.void(reservation_id, reason="enough")
    assert ended.reservation.state is ReservationState.COMMITTED
    assert await admin.get_reservation(reservation_id) == ended.reservation

    charged = await admin.charge("acme", "0.5", call_id="c-2", labels={"x": "y"})
    assert charged.charge.from_available == Decimal("0.5")
    back = await admin.refund(transaction_id=charged.transaction_id, amount="0.2", reason="rude agent")
    assert (back.refunded_total, back.transaction.reason) == (Decimal("0.2"), "rude agent")
    rest = await admin.refund(reservation_id=reservation_id)
    assert rest.refunded_total == Decimal("1.5")
    assert rest.balance.wallet == Decimal("9.7")

    for _ in range(3):
        await admin.reserve("acme", 1)
    active = [r.reservation_id async for r in admin.list_reservations(state=ReservationState.ACTIVE, page_size=2)]
    assert len(active) == 3
    assert [r.reservation_id async for r in admin.list_reservations(call_id="c-1")] == [reservation_id]


async def test_a_key_makes_a_request_repeatable(admin: AdminClient) -> None:
    await admin.create_account("acme")
    first = await admin.add_credit("acme", 5, idempotency_key="k")
    again = await admin.add_credit("acme", 5, idempotency_key="k")
    assert (first.replayed, again.replayed, again.transaction_id) == (False, True, first.transaction_id)
    with pytest.raises(IdempotencyKeyReused) as reused:
        await admin.add_credit("acme", 6, idempotency_key="k")
    assert reused.value.idempotency_key == "k"
    # Without a key every call is a request of its own.
    await admin.add_credit("acme", 5)
    assert (await admin.get_balance("acme")).wallet == 10


async def test_errors_carry_their_values(admin: AdminClient) -> None:
    await admin.create_account("acme")
    await admin.add_credit("acme", "1.5")
    for replayed in (False, True):
        with pytest.raises(InsufficientFunds) as denied:
            await admin.reserve("acme", 2, idempotency_key="k")
        error = denied.value
        assert (error.account_id, error.available, error.required) == ("acme", Decimal("1.5"), Decimal(2))
        assert (error.currency_code, error.reason, error.replayed) == ("USD", "INSUFFICIENT_FUNDS", replayed)
        assert str(error).startswith("INSUFFICIENT_FUNDS: Account acme has 1.5 USD")
    with pytest.raises(AccountExists):
        await admin.create_account("acme")
    with pytest.raises(NotFound) as missing:
        await admin.get_account("nobody")
    assert (missing.value.resource, missing.value.id) == ("account", "nobody")
    with pytest.raises(InvalidArgument) as invalid:
        await admin.adjust("acme", 0, reason="none")
    assert invalid.value.field == "amount"


async def test_what_cannot_be_sent_is_refused_at_once(admin: AdminClient, target: str) -> None:
    with pytest.raises(TypeError, match="float"):
        await admin.add_credit("acme", 0.1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no time zone"):
        await admin.get_balance("acme", as_of=datetime(2026, 1, 1))  # noqa: DTZ001
    async with AdminClient(target) as bare:
        with pytest.raises(ValueError, match="needs a currency"):
            await bare.add_credit("acme", 1)
        await bare.create_account("acme", currency="EUR")
        assert (await bare.add_credit("acme", 1, currency="EUR")).balance.currency_code == "EUR"


async def test_a_connection_can_be_shared(target: str) -> None:
    async with Connection(target, connections=1) as connection:
        async with AdminClient(connection, currency="USD") as one:
            await one.create_account("acme")
        other = AdminClient(connection, currency="USD").with_timeout(5)
        assert (await other.get_balance("acme")).wallet == 0


async def test_the_blocking_client_is_the_same(target: str) -> None:
    def work() -> None:
        with sync.AdminClient(target, currency="USD") as admin:
            admin.create_account("acme")
            admin.add_credit("acme", 5, idempotency_key="k")
            assert admin.with_timeout(5).add_credit("acme", 5, idempotency_key="k").replayed
            with pytest.raises(InsufficientFunds):
                admin.reserve("acme", 6)
            assert admin.get_balance("acme").available == 5
            assert admin.get_balance("acme", as_of=datetime.now(UTC) - timedelta(days=1)).wallet == 0
            for number in range(3):
                admin.grant_credit("acme", 1, external_reference=f"g{number}")
            assert [t.seq for t in admin.list_transactions("acme", page_size=2)] == [1, 2, 3, 4]
            assert [account.account_id for account in admin.list_accounts()] == ["acme"]
            assert sync.AdminClient.add_credit.__doc__ == AdminClient.add_credit.__doc__

    await asyncio.to_thread(work)
