"""The monthly charge of a subscription, against the pure rules."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from imprest_server.core.ids import AccountId, format_transaction_id
from imprest_server.core.money import Money
from imprest_server.core.usage import UsageLine, UsageReport
from imprest_server.ledger import operations as ops
from tests.scenarios.contract import UNIT_METER
from tests.scenarios.rules_adapter import TENANT, RulesAdapter

ANN, NAME = AccountId("ann"), "sub_01a1f8eda0ac712ba1b491134c9c4d37"


def line(quantity: int, line_id: str = "2026-12.1") -> UsageReport:
    return UsageReport(lines=(UsageLine(meter=UNIT_METER, quantity=Decimal(quantity), line_id=line_id),))


class Books(RulesAdapter):
    """An account with 100."""

    def __init__(self) -> None:
        super().__init__()
        self.post(ops.CreateAccount, key="a", account_id=ANN, currency_code="USD", settings={})
        self.post(ops.AddCredit, key="a", account_id=ANN, amount=Money("USD", 100 * 10**9))

    def post(self, kind: type[ops.Operation], *, key: str, **fields: Any) -> Any:
        """Post one operation. Raises its denial."""
        (result,) = self._post([kind(tenant_id=TENANT, idempotency_key=key, **fields)])
        if isinstance(result, Exception):
            raise result
        return result.reply

    def charge_month(self, key: str = "2026-12") -> ops.Reply:
        reply: ops.Reply = self.post(
            ops.ChargeSubscription, key=f"{NAME}:{key}", account_id=ANN, usage=line(1), call_id=NAME
        )
        return reply


@pytest.mark.parametrize("quantity", [1, 2])
def test_a_month_is_charged_whatever_callers_have_reported_by_its_name(quantity: int) -> None:
    books = Books()
    books.post(ops.Charge, key="c", account_id=ANN, usage=line(quantity), call_id=NAME)
    charge = books.charge_month().charge
    assert charge is not None and charge.charged == 10**9
    assert books.ledger.books[TENANT, ANN].wallet == (99 - quantity) * 10**9


def test_a_month_is_charged_once() -> None:
    books = Books()
    assert books.charge_month() == books.charge_month()
    assert books.ledger.books[TENANT, ANN].wallet == 99 * 10**9


def test_its_transaction_has_the_subscriptions_name_and_its_lines_the_transactions() -> None:
    books = Books()
    transaction_id = books.charge_month().transaction_id
    assert transaction_id is not None
    assert books.transactions[-1].call_id == NAME
    assert list(books.ledger.usage_lines) == [
        (TENANT, ANN, format_transaction_id(transaction_id), "2026-12.1"),
    ]
