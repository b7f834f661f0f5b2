"""Balances stay within what google.type.Money can carry, or nothing happens at all."""

from __future__ import annotations

from typing import Any

import pytest

from imprest_server.core.errors import AmountOutOfRange
from imprest_server.core.ids import AccountId
from imprest_server.core.money import MAX_NANOS, Money
from imprest_server.ledger import operations as ops
from tests.scenarios.rules_adapter import TENANT, RulesAdapter

A, B = AccountId("a"), AccountId("b")


class Books(RulesAdapter):
    """The pure rules, each operation with a key of its own."""

    def do(self, kind: type[ops.Operation], **fields: Any) -> Any:
        """Post one operation; numbers are amounts. Raises its denial."""
        if isinstance(fields.get("amount"), int):
            fields["amount"] = Money("USD", fields["amount"])
        (result,) = self._post([kind(tenant_id=TENANT, idempotency_key=f"{kind.__name__} {fields}", **fields)])
        if isinstance(result, Exception):
            raise result
        return result.reply

    def open(self, account_id: AccountId, credit: int = 0, credit_limit: int = 0) -> None:
        settings = {"credit_limit": Money("USD", credit_limit)}
        self.do(ops.CreateAccount, account_id=account_id, currency_code="USD", settings=settings)
        if credit:
            self.do(ops.AddCredit, account_id=account_id, amount=credit)

    def wallet(self, account_id: AccountId) -> int:
        return self.ledger.books[TENANT, account_id].wallet


def test_a_transfer_into_a_full_account_leaves_the_sender_alone() -> None:
    books = Books()
    books.open(A, credit=10)
    books.open(B, credit=MAX_NANOS - 4)
    written = len(books.transactions)
    with pytest.raises(AmountOutOfRange):
        books.do(ops.Transfer, from_account_id=A, to_account_id=B, amount=5)
    assert (books.wallet(A), books.wallet(B), len(books.transactions)) == (10, MAX_NANOS - 4, written)
    books.do(ops.Transfer, from_account_id=A, to_account_id=B, amount=4)
    assert (books.wallet(A), books.wallet(B)) == (6, MAX_NANOS)


def test_wallet_and_credit_limit_together_fit() -> None:
    books = Books()
    books.open(A, credit_limit=7)
    with pytest.raises(AmountOutOfRange):
        books.do(ops.AddCredit, account_id=A, amount=MAX_NANOS - 6)
    books.do(ops.AddCredit, account_id=A, amount=MAX_NANOS - 7)
    with pytest.raises(AmountOutOfRange):
        books.do(ops.UpdateAccount, account_id=A, settings={"credit_limit": Money("USD", 8)})
    assert books.ledger.accounts[TENANT, A].credit_limit == 7


def test_what_a_hold_frees_fits_too() -> None:
    """Else its end, which nothing may refuse, would lead beyond the range."""
    books = Books()
    books.open(A, credit=MAX_NANOS - 7, credit_limit=7)
    books.do(ops.Reserve, account_id=A, amount=5)
    with pytest.raises(AmountOutOfRange):
        books.do(ops.AddCredit, account_id=A, amount=1)
