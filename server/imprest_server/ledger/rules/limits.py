"""Limits on spending, as the rules use them: without any, nothing is asked and nothing is counted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime

from imprest_server.core.errors import ImprestError
from imprest_server.core.usage import MeterAmount
from imprest_server.ledger.limits import Event, EventKind, Movement
from imprest_server.ledger.model import (
    Account,
    Capture,
    ChargeBreakdown,
    CostAdjustment,
    Labels,
    RefundAllocation,
    Reservation,
)
from imprest_server.ledger.rating import PricedLine
from imprest_server.ledger.rules.draft import Draft
from imprest_server.ledger.rules.usage import Captured
from imprest_server.ledger.working_set import Ledger


def grantable(ledger: Ledger, account: Account, wanted: Reservation, least: int) -> int:
    """How much of a hold's amount its limits leave, at least `least`. Raises BudgetExceeded, CallsStopped."""
    return wanted.amount if ledger.limits is None else ledger.limits.grant(account, wanted, least)


def require_room_to_extend(ledger: Ledger, account: Account, before: Reservation, after: Reservation) -> None:
    """A hold may grow to what it is asked to be. Raises BudgetExceeded, CallsStopped."""
    if ledger.limits is not None:
        ledger.limits.require(Movement(account=account, labels=before.labels, before=before, after=after))


def require_room_to_charge(
    ledger: Ledger, account: Account, labels: Labels | None, amount: int, used: Captured | None
) -> None:
    """What no hold was made for may be charged. Raises BudgetExceeded, CallsStopped."""
    if ledger.limits is not None:
        cost = used.cost if used else 0
        ledger.limits.require(
            Movement(account=account, labels=labels or {}, charged=amount, cost=cost, usage=_usage(used))
        )


def stop_of(ledger: Ledger, account: Account, reservation: Reservation) -> ImprestError | None:
    """Why the call of a reservation has to end, or None."""
    return None if ledger.limits is None else ledger.limits.stop(account, reservation)


def count_hold(ledger: Ledger, account: Account, before: Reservation | None, after: Reservation) -> None:
    """Count that a hold was made, changed or ended, without a charge."""
    if ledger.limits is not None:
        _count(ledger, Movement(account=account, labels=after.labels, before=before, after=after))


def count_charge(
    ledger: Ledger,
    account: Account,
    labels: Labels | None,
    charge: ChargeBreakdown,
    used: Captured | None,
    before: Reservation | None = None,
    after: Reservation | None = None,
    charged_time: datetime | None = None,
) -> None:
    """Count what was charged and cost, and what became of the hold it was charged to. What was given back counts by its
    allocations. `charged_time` is that of usage whose charge was counted before."""
    if ledger.limits is not None:
        _count(
            ledger,
            Movement(
                account=account,
                labels=labels or {},
                charged=max(0, charge.charged),
                cost=max(0, charge.provider_cost),
                usage=_usage(used),
                before=before,
                after=after,
                charged_time=charged_time,
            ),
        )


def count_given_back(ledger: Ledger, account: Account, allocations: Iterable[RefundAllocation]) -> None:
    """Count what was given back, where it was charged: under the labels of that transaction, and in its period."""
    for allocation in allocations:
        capture = ledger.captures[allocation.tenant_id, allocation.captured_transaction_id]
        _count_less(ledger, account, capture, allocation.amount, allocation.cost)


def count_cost_adjustments(ledger: Ledger, account: Account, adjustments: Iterable[CostAdjustment]) -> None:
    """Count corrections of cost: what costs more now, what cost less where it was charged."""
    for adjustment in adjustments:
        capture = ledger.captures[adjustment.tenant_id, adjustment.captured_transaction_id]
        if adjustment.cost < 0:
            _count_less(ledger, account, capture, 0, -adjustment.cost)
        elif adjustment.cost and ledger.limits is not None:
            _count(ledger, Movement(account=account, labels=capture.labels, cost=adjustment.cost))


def note(ledger: Ledger, draft: Draft, kind: EventKind, amount: int, reservation: Reservation | None = None) -> None:
    """Tell those who watch; of a late commit always, of all else when there is an amount."""
    if amount or kind is EventKind.LATE_COMMIT:
        ledger.changes.happenings.append(
            Event(kind=kind, account=draft.account, available=draft.available, amount=amount, reservation=reservation)
        )


def estimate_of(lines: Iterable[PricedLine]) -> tuple[MeterAmount, ...]:
    """What usage comes to by meter, in the order of their names."""
    prices: defaultdict[str, int] = defaultdict(int)
    costs: defaultdict[str, int] = defaultdict(int)
    for line in lines:
        prices[line.rated.line.meter] += line.rated.price
        costs[line.rated.line.meter] += line.rated.cost
    return tuple(MeterAmount(meter, prices[meter], costs[meter]) for meter in sorted(prices))


def _usage(used: Captured | None) -> tuple[MeterAmount, ...]:
    return estimate_of(used.new) if used else ()


def _count_less(ledger: Ledger, account: Account, capture: Capture, charged: int, cost: int) -> None:
    if ledger.limits is not None:
        _count(
            ledger,
            Movement(
                account=account,
                labels=capture.labels,
                charged=-charged,
                cost=-cost,
                charged_time=capture.create_time,
            ),
        )


def _count(ledger: Ledger, movement: Movement) -> None:
    assert ledger.limits is not None
    ledger.changes.happenings.extend(ledger.limits.count(movement))
