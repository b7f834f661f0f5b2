"""The budgets a batch spends under: their counters are locked before the fold, and written with what it decides.

A batch has read its tenants' budget epochs under locks that SetBudget has to wait for. So its budgets are those in
force, and none is set while the batch is under way. A tenant without budgets costs one comparison.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from imprest_server.budgets import rules
from imprest_server.budgets.cache import BudgetCache, BudgetSet
from imprest_server.budgets.model import (
    NO_HOLD,
    Alert,
    AlertId,
    AlertKind,
    AlertLevel,
    Budget,
    BudgetBasis,
    BudgetKey,
    Counter,
    Hold,
    NewAlert,
    Spending,
    Threshold,
)
from imprest_server.budgets.store import insert_alerts, lock_counters, update_counters
from imprest_server.core.errors import BudgetExceeded, CallsStopped
from imprest_server.core.ids import AccountId, TenantId, format_reservation_id, uuid7
from imprest_server.core.money import format_nanos
from imprest_server.core.usage import MeterAmount
from imprest_server.ledger import operations as ops
from imprest_server.ledger.limits import Event, EventKind, Happening, Movement
from imprest_server.ledger.model import Account, Labels, Reservation, ReservationState
from imprest_server.ledger.operations import Operation, Request
from imprest_server.ledger.store import Connection, Loaded
from imprest_server.ledger.working_set import Ledger

Wake = Callable[[TenantId], None]

_LEVELS = {
    EventKind.LOW_BALANCE: AlertLevel.WARNING,
    EventKind.OVERRUN: AlertLevel.WARNING,
    EventKind.RECEIVABLE: AlertLevel.CRITICAL,
    EventKind.LATE_COMMIT: AlertLevel.INFO,
    EventKind.RESERVATION_EXPIRED: AlertLevel.WARNING,
}


@dataclass(frozen=True, slots=True)
class Fired(Happening):
    """A budget's threshold was reached; the counter as it was then."""

    budget: Budget
    counter: Counter
    threshold: Threshold


class BatchLimits:
    """The ledger's `Limits` over budgets, for one batch. `counters` are locked; `changed` ones are to be written."""

    def __init__(
        self, budgets: Mapping[TenantId, BudgetSet], counters: dict[BudgetKey, Counter], now: datetime
    ) -> None:
        self.counters = counters
        self.changed: set[BudgetKey] = set()
        self._budgets = budgets
        self._now = now

    def grant(self, account: Account, wanted: Reservation, least: int) -> int:
        """How much may be held; see `Limits`."""
        granted = wanted.amount
        for budget, counter in self._limiting(account, wanted.labels, wanted.estimate):
            left, more = rules.room(budget, counter), rules.held_by(budget, _hold(wanted))
            if left is None or more <= left:
                continue
            # Holding less of the amount lowers what counts of it, but not what the whole call costs us.
            if budget.basis is BudgetBasis.COST or left < least:
                at_least = rules.held_by(budget, _hold(replace(wanted, amount=least)))
                raise _exceeded(budget, left, at_least)
            granted = min(granted, left)
        return granted

    def require(self, movement: Movement) -> None:
        """There is room; see `Limits`."""
        spending = _spending(movement)
        of_what = spending.after.estimate if movement.after else movement.usage
        for budget, counter in self._limiting(movement.account, movement.labels, of_what):
            more = rules.spent_by(budget, spending)
            more += rules.held_by(budget, spending.after) - rules.held_by(budget, spending.before)
            left = rules.room(budget, counter)
            if left is not None and more > left:
                raise _exceeded(budget, left, more)

    def stop(self, account: Account, reservation: Reservation) -> CallsStopped | None:
        """Why a call has to end; see `Limits`."""
        try:
            for _ in self._limiting(account, reservation.labels, reservation.estimate):
                pass
        except CallsStopped as stopped:
            return stopped
        return None

    def count(self, movement: Movement) -> Sequence[Happening]:
        """Count it in every budget that covers it; the thresholds that fire. See `Limits`."""
        spending = _spending(movement)
        happened: list[Happening] = []
        for budget in self._covering(movement.account, movement.labels):
            before = self.counters[budget.key]
            if movement.charged_time is not None:
                period = rules.rolled(budget, before, self._now).period
                if movement.charged_time not in period:
                    continue
            after, reached = rules.count(budget, before, spending, self._now)
            if after != before:
                self.counters[budget.key] = after
                self.changed.add(budget.key)
            happened.extend(Fired(budget, after, threshold) for threshold in reached)
        return happened

    def _covering(self, account: Account, labels: Labels) -> Iterator[Budget]:
        """The budgets that count what the account does under these labels, in the order of their ids."""
        budgets = self._budgets.get(account.tenant_id)
        if budgets is not None:
            for budget in budgets.matching((account.account_id,), (labels,)):
                if budget.currency_code == account.currency_code:
                    yield budget

    def _limiting(
        self, account: Account, labels: Labels, of_what: Sequence[MeterAmount]
    ) -> Iterator[tuple[Budget, Counter]]:
        """Those of them that may deny it, as they stand now. Raises CallsStopped at one that has stopped calls."""
        for budget in self._covering(account, labels):
            if rules.concerns(budget, of_what):
                counter = rules.rolled(budget, self.counters[budget.key], self._now)
                if counter.stopped:
                    raise CallsStopped(budget_id=budget.budget_id)
                yield budget, counter


class Budgets:
    """What a lane needs of budgets and alerts. `wake` is told of tenants that have new alerts, after COMMIT."""

    def __init__(self, cache: BudgetCache, wake: Wake | None = None) -> None:
        self._cache = cache
        self._wake = wake

    async def load(self, conn: Connection, loaded: Loaded, requests: Sequence[Request]) -> Loaded:
        """Lock the counters of all budgets that the batch may spend under, when its tenants have any.

        Comes after the books and holds are loaded: their labels tell which. No instant of the batch is before a period
        that has begun: another batch that waited less may have begun it.
        """
        budgets: dict[TenantId, BudgetSet] = {}
        for tenant_id, epoch in loaded.budget_epochs.items():
            if epoch:
                known = await self._cache.budgets(conn, tenant_id, epoch)
                if known.budgets:
                    budgets[tenant_id] = known
        if not budgets:
            return loaded
        spenders = _spenders(loaded.ledger, [request.operation for request in requests])
        keys = [
            budget.key
            for tenant_id, known in budgets.items()
            if tenant_id in spenders
            for budget in known.matching(spenders[tenant_id].accounts, spenders[tenant_id].labels)
        ]
        counters = await lock_counters(conn, keys) if keys else {}
        starts = [counter.period.start for counter in counters.values() if counter.period.start is not None]
        now = max(loaded.now, *starts) if starts else loaded.now
        loaded.ledger.limits = BatchLimits(budgets, counters, now)
        return replace(loaded, now=now)

    async def write(self, conn: Connection, loaded: Loaded) -> set[TenantId]:
        """Write the counters that have changed, and the alerts; the tenants that have new ones.

        The last writes of a batch: the locks that alerts take are the last ones, too.
        """
        ledger = loaded.ledger
        if isinstance(ledger.limits, BatchLimits):
            await update_counters(conn, {key: ledger.limits.counters[key] for key in ledger.limits.changed})
        alerts = [alert_of(happened, loaded.now) for happened in ledger.changes.happenings]
        await insert_alerts(conn, alerts)
        return {alert.tenant_id for alert in alerts}

    def wake(self, tenants: Iterable[TenantId]) -> None:
        """Tell that these tenants' new alerts can be read."""
        if self._wake is not None:
            for tenant_id in tenants:
                self._wake(tenant_id)


@dataclass(slots=True)
class _Spenders:
    """Whose budgets may count what a batch does to a tenant."""

    accounts: set[AccountId] = field(default_factory=set[AccountId])
    labels: list[Labels] = field(default_factory=list[Labels])


def _spenders(ledger: Ledger, operations: Iterable[Operation]) -> Mapping[TenantId, _Spenders]:
    """The accounts and labels of all that the batch may hold, charge or give back."""
    found: defaultdict[TenantId, _Spenders] = defaultdict(_Spenders)

    def add(tenant_id: TenantId, account_id: AccountId, labels: Labels | None) -> None:
        found[tenant_id].accounts.add(account_id)
        if labels:
            found[tenant_id].labels.append(labels)

    for op in operations:
        if isinstance(op, ops.Reserve | ops.Charge | ops.RecordUsage):
            add(op.tenant_id, op.account_id, op.labels)
        elif isinstance(op, ops.ChargeSubscription):
            add(op.tenant_id, op.account_id, None)
    for reservation in ledger.reservations.values():
        add(reservation.tenant_id, reservation.account_id, reservation.labels)
    for (tenant_id, _), capture in ledger.captures.items():
        add(tenant_id, capture.account_id, capture.labels)
    return found


def alert_of(happened: Happening, now: datetime) -> NewAlert:
    """What is to be written of something that has happened."""
    alert_id = AlertId(uuid7())
    if isinstance(happened, Fired):
        return rules.alert_of(happened.budget, happened.counter, happened.threshold, alert_id, now)
    assert isinstance(happened, Event), "there are no other kinds"
    account, reservation = happened.account, happened.reservation
    is_low = happened.kind is EventKind.LOW_BALANCE
    alert = Alert(
        alert_id=alert_id,
        kind=AlertKind(happened.kind.value),
        level=_LEVELS[happened.kind],
        create_time=now,
        currency_code=account.currency_code,
        account_id=account.account_id,
        reservation_id=reservation.reservation_id if reservation else None,
        call_ids=(_call_id(reservation),) if reservation else (),
        limit=happened.amount if is_low else None,
        available=happened.available,
        amount=None if is_low else happened.amount,
    )
    return NewAlert(account.tenant_id, alert)


def _call_id(reservation: Reservation) -> str:
    return reservation.call_id or format_reservation_id(reservation.reservation_id)


def _hold(reservation: Reservation | None) -> Hold:
    if reservation is None or reservation.state is not ReservationState.ACTIVE:
        return NO_HOLD
    return rules.open_hold(reservation.remaining, reservation.captured_cost, reservation.estimate)


def _spending(movement: Movement) -> Spending:
    return Spending(
        charged=movement.charged,
        cost=movement.cost,
        usage=tuple(movement.usage),
        before=_hold(movement.before),
        after=_hold(movement.after),
    )


def _exceeded(budget: Budget, left: int, required: int) -> BudgetExceeded:
    return BudgetExceeded(
        budget_id=budget.budget_id,
        currency_code=budget.currency_code,
        remaining=format_nanos(max(0, left)),
        required=format_nanos(required),
    )
