"""A refund with `reverse_cost` takes the provider's cost back in proportion, cumulatively.

Nothing posts a cost before usage is priced, so here the captures are made by hand.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imprest_server.core.ids import AccountId, ReservationId, TenantId, TransactionId, uuid7
from imprest_server.core.money import Money
from imprest_server.ledger import operations as ops
from imprest_server.ledger.chart import LedgerAccountCode as Code
from imprest_server.ledger.chart import apply_posting
from imprest_server.ledger.model import (
    Account,
    Book,
    Capture,
    OnExpiry,
    RefundAllocation,
    Reservation,
    ReservationState,
)
from imprest_server.ledger.operations import Request
from imprest_server.ledger.rules.refunds import refund
from imprest_server.ledger.working_set import Ledger, Terms

TENANT, ACCOUNT, HOLD = TenantId("t"), AccountId("a"), ReservationId(uuid7())
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def ledger_with(*captures: tuple[int, int]) -> Ledger:
    """One reservation with captures, oldest first: what each charged and cost."""
    ledger = Ledger(Terms())
    ledger.accounts[TENANT, ACCOUNT] = Account(TENANT, ACCOUNT, "USD")
    ledger.reservations[TENANT, HOLD] = Reservation(
        TENANT, HOLD, ACCOUNT, "", 0, OnExpiry.RELEASE, NOW, NOW, state=ReservationState.COMMITTED
    )
    book = ledger.books[TENANT, ACCOUNT] = Book(TENANT, ACCOUNT, seq=len(captures))
    apply_posting(book.balances, Code.CASH, Code.WALLET, sum(charged for charged, _ in captures))
    for seq, (charged, cost) in enumerate(captures, start=1):
        apply_posting(book.balances, Code.WALLET, Code.REVENUE, charged)
        apply_posting(book.balances, Code.PROVIDER_COST, Code.PROVIDER_PAYABLE, cost)
        capture = Capture(ACCOUNT, TransactionId(uuid7()), seq, HOLD, "", charged, 0, NOW, {}, cost=cost)
        ledger.add_capture(TENANT, capture)
    return ledger


def give_back(ledger: Ledger, amount: int | None, *, reverse_cost: bool = True) -> list[RefundAllocation]:
    """Refund by reservation; returns what was given back of which capture."""
    operation = ops.Refund(
        tenant_id=TENANT,
        idempotency_key="k",
        reservation_id=HOLD,
        amount=None if amount is None else Money("USD", amount),
        reverse_cost=reverse_cost,
    )
    known = len(ledger.changes.refunds)
    refund(ledger, Request(operation, b"", uuid7(), uuid7()), operation, NOW)
    return ledger.changes.refunds[known:]


def cost_of(ledger: Ledger) -> int:
    return ledger.books[TENANT, ACCOUNT].balances[Code.PROVIDER_COST]


def test_a_full_refund_takes_all_the_cost_back() -> None:
    ledger = ledger_with((10, 7), (5, 2))
    assert [(a.amount, a.cost) for a in give_back(ledger, None)] == [(5, 2), (10, 7)]
    assert cost_of(ledger) == 0


def test_without_reverse_cost_the_cost_stays() -> None:
    ledger = ledger_with((10, 7))
    assert [(a.amount, a.cost) for a in give_back(ledger, None, reverse_cost=False)] == [(10, 0)]
    assert cost_of(ledger) == 7


def test_the_newest_capture_first() -> None:
    ledger = ledger_with((10, 10), (10, 20))
    assert [(a.amount, a.cost) for a in give_back(ledger, 4)] == [(4, 8)]
    assert [(a.amount, a.cost) for a in give_back(ledger, 8)] == [(6, 12), (2, 2)]
    assert cost_of(ledger) == 8


def test_cost_that_was_left_behind_comes_back_with_the_rest() -> None:
    """Cumulative: what a refund without `reverse_cost` left is not lost to a later one with it."""
    ledger = ledger_with((10, 7))
    give_back(ledger, 5, reverse_cost=False)
    assert [(a.amount, a.cost) for a in give_back(ledger, 5)] == [(5, 7)]


@given(st.integers(1, 30), st.integers(0, 1000), st.data())
def test_piece_by_piece_the_cost_comes_back_to_the_nano(charged: int, cost: int, data: st.DataObject) -> None:
    ledger = ledger_with((charged, cost))
    left = charged
    while left:
        piece = data.draw(st.integers(1, left))
        left -= piece
        (allocation,) = give_back(ledger, piece)
        assert allocation.amount == piece
        reversed_so_far = cost - cost_of(ledger)
        assert abs(reversed_so_far * charged - cost * (charged - left)) * 2 <= charged  # the nearest nano
    assert cost_of(ledger) == 0


@pytest.mark.parametrize("reversed_before", [3, 7])
def test_a_cost_never_comes_back_twice(reversed_before: int) -> None:
    """More was reversed before than in proportion: nothing is posted to the provider again."""
    ledger = ledger_with((10, 7))
    (key,) = ledger.captures
    ledger.captures[key] = replace(ledger.captures[key], cost_reversed=reversed_before)
    assert [(a.amount, a.cost) for a in give_back(ledger, 1)] == [(1, 0)]
    assert [(a.amount, a.cost) for a in give_back(ledger, 9)] == [(9, 7 - reversed_before)]
