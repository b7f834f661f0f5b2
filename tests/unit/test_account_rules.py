"""Rules of accounts that the scenario tables cannot express: amounts in two currencies, what never changes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from imprest_server.core.errors import CurrencyMismatch, ImprestError, InvalidArgument
from imprest_server.core.ids import AccountId
from imprest_server.core.money import MAX_NANOS, Money
from imprest_server.ledger import operations as ops
from imprest_server.ledger.chart import LedgerAccountCode
from imprest_server.ledger.operations import AccountSettings
from imprest_server.ledger.rules import Outcome
from tests.scenarios.rules_adapter import TENANT, RulesAdapter
from tests.support.prices import COST, SALE, MemoryPrices, unit, units


class Books(RulesAdapter):
    """The pure rules, given operations as they are."""

    def do(self, operation: ops.Operation) -> Outcome:
        """Post one operation; raises its denial."""
        result = self._post([operation])[0]
        if isinstance(result, ImprestError):
            raise result
        assert isinstance(result, Outcome)
        return result


def create(settings: AccountSettings, key: str = "create", **fields: Any) -> ops.CreateAccount:
    return ops.CreateAccount(
        tenant_id=TENANT,
        idempotency_key=key,
        account_id=AccountId("acme"),
        currency_code="USD",
        settings=settings,
        **fields,
    )


def update(settings: AccountSettings, key: str = "update", **fields: Any) -> ops.UpdateAccount:
    return ops.UpdateAccount(
        tenant_id=TENANT, idempotency_key=key, account_id=AccountId("acme"), settings=settings, **fields
    )


def test_limits_of_a_new_account_are_in_its_currency() -> None:
    books = Books()
    for replayed in (False, True):
        with pytest.raises(CurrencyMismatch) as denial:
            books.do(create({"credit_limit": Money("EUR", 1)}))
        assert denial.value.replayed is replayed
    assert not books.ledger.accounts


def test_an_updated_limit_is_in_the_accounts_currency() -> None:
    books = Books()
    books.do(create({}))
    with pytest.raises(CurrencyMismatch):
        books.do(update({"max_overrun": Money("EUR", 1)}))


@pytest.mark.parametrize("fixed", [{"currency_code": "EUR"}, {"parent_account_id": AccountId("other")}])
def test_currency_and_parent_never_change(fixed: dict[str, Any]) -> None:
    books = Books()
    books.do(create({}))
    with pytest.raises(InvalidArgument, match="never changes"):
        books.do(update({"display_name": "Acme"}, **fixed))


def test_update_time_moves_with_a_change_only() -> None:
    books = Books()
    books.do(create({"display_name": "Acme"}))
    created = books.now
    books.now += timedelta(seconds=1)
    same = books.do(update({"display_name": "Acme"}, key="same")).reply.account
    other = books.do(update({"display_name": "Acme Inc."}, key="other")).reply.account
    assert same is not None
    assert other is not None
    assert (same.update_time, other.update_time) == (created, books.now)


def test_a_limit_is_taken_away() -> None:
    books = Books()
    books.do(create({"credit_limit": Money("USD", 5), "max_overrun": Money("USD", 5)}))
    account = books.do(update({"credit_limit": None, "max_overrun": None})).reply.account
    assert account is not None
    assert (account.credit_limit, account.max_overrun) == (0, None)


def reserve(books: Books, amount: int) -> Any:
    reply = books.do(
        ops.Reserve(
            tenant_id=TENANT,
            idempotency_key=f"reserve {amount}",
            account_id=AccountId("acme"),
            amount=Money("USD", amount),
            ttl=timedelta(seconds=30),
        )
    ).reply
    assert reply.reservation is not None
    return reply.reservation.reservation_id


def extend(hold: Any, used: int) -> ops.Extend:
    return ops.Extend(tenant_id=TENANT, idempotency_key="use", reservation_id=hold, used_so_far=Money("USD", used))


def test_absurd_use_cannot_be_reported() -> None:
    """Together with what was charged before it could not be charged."""
    books = Books()
    books.do(create({}))
    books.do(
        ops.AddCredit(tenant_id=TENANT, idempotency_key="add", account_id=AccountId("acme"), amount=Money("USD", 10))
    )
    hold, other = reserve(books, 1), reserve(books, 2)
    books.do(ops.Commit(tenant_id=TENANT, idempotency_key="c", reservation_id=other, amount=Money("USD", 2)))
    with pytest.raises(ImprestError) as error:
        books.do(extend(hold, MAX_NANOS))
    assert error.value.reason == "OUT_OF_RANGE"


def test_an_expiry_never_fails() -> None:
    """Two uses that each could be charged, but not both: of the second just what it holds; the account works on."""
    books = Books()
    books.do(create({}))
    books.do(
        ops.AddCredit(tenant_id=TENANT, idempotency_key="add", account_id=AccountId("acme"), amount=Money("USD", 10))
    )
    first, second = reserve(books, 1), reserve(books, 2)
    for hold in (first, second):
        books.do(extend(hold, MAX_NANOS - 2))
    books.now += timedelta(seconds=60)
    with pytest.raises(ImprestError) as error:
        reserve(books, 3)
    assert error.value.reason == "RECEIVABLE_OPEN"
    book = books.ledger.books[TENANT, AccountId("acme")]
    assert (book.held, book.open_count) == (0, 0)
    assert book.balances[LedgerAccountCode.REVENUE] == MAX_NANOS
    assert [books.ledger.reservations[TENANT, hold].captured for hold in (first, second)] == [MAX_NANOS - 2, 2]


def test_an_expiry_that_can_charge_nothing_frees_the_hold() -> None:
    books = Books()
    books.do(create({}))
    books.do(
        ops.AddCredit(tenant_id=TENANT, idempotency_key="add", account_id=AccountId("acme"), amount=Money("USD", 10))
    )
    first, second = reserve(books, 1), reserve(books, 2)
    for hold in (first, second):
        books.do(extend(hold, MAX_NANOS))
    books.now += timedelta(seconds=60)
    books.do(ops.FreezeAccount(tenant_id=TENANT, idempotency_key="f", account_id=AccountId("acme")))
    book = books.ledger.books[TENANT, AccountId("acme")]
    assert (book.held, book.open_count, book.balances[LedgerAccountCode.REVENUE]) == (0, 0, MAX_NANOS)
    assert books.ledger.reservations[TENANT, second].captured == 0


def test_an_expiry_charges_of_the_hold_what_a_balance_can_carry() -> None:
    books = Books()
    books.do(create({}))
    books.do(
        ops.AddCredit(tenant_id=TENANT, idempotency_key="add", account_id=AccountId("acme"), amount=Money("USD", 10))
    )
    first, second = reserve(books, 1), reserve(books, 5)
    for hold in (first, second):
        books.do(extend(hold, MAX_NANOS - 3))
    books.now += timedelta(seconds=60)
    books.do(ops.FreezeAccount(tenant_id=TENANT, idempotency_key="f", account_id=AccountId("acme")))
    book = books.ledger.books[TENANT, AccountId("acme")]
    assert (book.held, book.open_count, book.balances[LedgerAccountCode.REVENUE]) == (0, 0, MAX_NANOS)
    assert books.ledger.reservations[TENANT, second].captured == 3


def test_a_cost_that_no_balance_can_carry_lets_an_expiry_charge_all_the_same() -> None:
    prices = MemoryPrices()
    prices.publish(SALE, [unit("0.000000001")])
    prices.publish(COST, [unit(2**62)])
    books = Books()
    books.prices = prices
    books.do(create({}))
    books.do(
        ops.AddCredit(tenant_id=TENANT, idempotency_key="add", account_id=AccountId("acme"), amount=Money("USD", 10))
    )
    holds = [reserve(books, amount) for amount in (1, 2, 3)]
    for hold in holds:
        books.do(ops.Extend(tenant_id=TENANT, idempotency_key="use", reservation_id=hold, used=units(1)))
    books.now += timedelta(seconds=60)
    books.do(ops.FreezeAccount(tenant_id=TENANT, idempotency_key="f", account_id=AccountId("acme")))
    book, most = books.ledger.books[TENANT, AccountId("acme")], 2**62 * 10**9
    assert (book.wallet, book.held, book.balances[LedgerAccountCode.PROVIDER_COST]) == (7, 0, MAX_NANOS)
    expired = [books.ledger.reservations[TENANT, hold] for hold in holds]
    assert [(hold.captured, hold.captured_cost) for hold in expired] == [(1, most), (1, MAX_NANOS - most), (1, 0)]
