"""Usage in place of an amount: what it costs by the account's prices, and the record that is kept of it.

A report gives what a capture adds, or what a whole call uses from its start (estimates, use so far). Only what a
capture adds is recorded, counted in the month, and found again under its line's id.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from imprest_server.core.errors import UsageLineReused
from imprest_server.core.ids import TransactionId, format_reservation_id, format_transaction_id
from imprest_server.core.usage import RatedLine, UsageLine, UsageReport
from imprest_server.core.values import named_value
from imprest_server.ledger.model import Account, Capture, ChargeBreakdown, Reservation, Transaction
from imprest_server.ledger.operations import Charge, ChargeSubscription, Commit, Extend, Operation, RecordUsage, Reserve
from imprest_server.ledger.rating import Basis, CounterKey, Priced, PricedLine, Rating, RecordedLine
from imprest_server.ledger.working_set import Ledger

_ZERO = Decimal(0)


@named_value
class Captured:
    """What a capture adds: price and cost in nanos, all its lines as answered, and those that are new."""

    price: int
    cost: int
    lines: tuple[RatedLine, ...]
    new: tuple[PricedLine, ...]
    call_id: str
    start_time: datetime
    end_time: datetime | None


def capture_usage(
    ledger: Ledger,
    account: Account,
    usage: UsageReport,
    transaction_id: TransactionId,
    *,
    reservation: Reservation | None = None,
    call_id: str | None = None,
    effective_time: datetime | None,
    now: datetime,
) -> Captured:
    """Rate what a capture adds. A line that its call has already costs nothing again.

    `transaction_id` names the call that has no name, and the lines without an id. Raises UsageLineReused,
    PriceNotFound, AmountOutOfRange.
    """
    call = reservation.call_id or format_reservation_id(reservation.reservation_id) if reservation else call_id
    call = call or format_transaction_id(transaction_id)
    lines = [_named(line, usage, transaction_id, n) for n, line in enumerate(usage.lines, start=1)]
    known = [ledger.usage_lines.get((account.tenant_id, account.account_id, call, line.line_id)) for line in lines]
    for line, stored in zip(lines, known, strict=True):
        if stored is not None and stored.line != line:
            raise UsageLineReused(account_id=account.account_id, call_id=call, line_id=line.line_id)
    fresh = tuple(line for line, stored in zip(lines, known, strict=True) if stored is None)
    basis = _basis(reservation, usage.start_time or effective_time or now, now)
    report = usage if fresh == usage.lines else replace(usage, lines=fresh)
    priced = _rating(ledger).capture(account, report, basis, ledger.counters[account.key])
    answers = iter(priced.lines)
    return Captured(
        price=priced.price,
        cost=priced.cost,
        lines=tuple(next(answers).rated if stored is None else _duplicate(stored) for stored in known),
        new=priced.lines,
        call_id=call,
        start_time=basis.usage_time,
        end_time=usage.end_time,
    )


def record(
    ledger: Ledger,
    captured: Captured | None,
    account: Account,
    charging: Transaction | Capture | None,
    now: datetime,
    reservation: Reservation | None = None,
) -> None:
    """Keep the new lines of a capture that was granted, with what has charged for them, and count them in the month."""
    if captured is None:
        return
    for line in captured.new:
        ledger.put_usage_line(
            RecordedLine(
                tenant_id=account.tenant_id,
                account_id=account.account_id,
                call_id=captured.call_id,
                priced=line,
                reservation_id=reservation.reservation_id if reservation else None,
                seq=charging.seq if charging else None,
                start_time=captured.start_time,
                end_time=captured.end_time,
                create_time=now,
            )
        )


def itemised(charge: ChargeBreakdown, captured: Captured | None) -> ChargeBreakdown:
    """The charge with the cost and the lines of what was captured."""
    return charge if captured is None else replace(charge, provider_cost=captured.cost, lines=captured.lines)


class WholeCall:
    """What a call uses from its start by one report: its price, and how long an amount lasts at its rate.

    `reservation` None: of a call that is about to be reserved, now.
    """

    def __init__(
        self, ledger: Ledger, account: Account, usage: UsageReport, reservation: Reservation | None, now: datetime
    ) -> None:
        self._rating = _rating(ledger)
        self._account = account
        self._usage = usage
        self._basis = _basis_of_whole(reservation, usage, now)
        # What earlier captures of the call have counted is part of the whole: it is counted again from before them.
        self._counters = _without(ledger, reservation, ledger.counters[account.key])

    def estimate(self) -> Priced:
        """Its price, rounded up. Raises PriceNotFound, AmountOutOfRange."""
        return self._rating.estimate(self._account, self._usage, self._basis, self._counters)

    def so_far(self) -> Priced:
        """Its price, as it would be posted. Raises PriceNotFound, AmountOutOfRange."""
        return self._rating.capture(self._account, self._usage, self._basis, self._counters)

    def affordable_duration(self, amount: int) -> timedelta | None:
        """How long `amount` nanos last; None when the report measures no time."""
        return self._rating.affordable_duration(self._account, self._usage, self._basis, self._counters, amount)


def bases(ledger: Ledger, op: Operation, now: datetime) -> Iterator[tuple[Account, Basis]]:
    """By which prices the operation's usage will be rated, if it comes to that: so they can be loaded before."""
    match op:
        case Reserve() | Charge() | RecordUsage():
            account = ledger.accounts.get((op.tenant_id, op.account_id))
            if account is None:
                return
            if not isinstance(op, Reserve):
                if op.usage is not None:
                    yield account, _basis(None, op.usage.start_time or op.effective_time or now, now)
            elif op.estimate is not None:
                yield account, _basis_of_whole(None, op.estimate, now)
        case ChargeSubscription():
            if (op.tenant_id, op.account_id) in ledger.accounts:
                yield ledger.accounts[op.tenant_id, op.account_id], _basis(None, op.usage.start_time or now, now)
        case Extend() | Commit():
            reservation = ledger.reservations.get((op.tenant_id, op.reservation_id))
            if reservation is None:
                return
            account = ledger.accounts[reservation.account_key]
            if isinstance(op, Commit):
                if op.usage is not None:
                    yield account, _basis(reservation, op.usage.start_time or op.effective_time or now, now)
                return
            for usage in (op.estimate_total, op.used):
                if usage is not None:
                    yield account, _basis_of_whole(reservation, usage, now)
        case _:
            return


def _basis(reservation: Reservation | None, usage_time: datetime, now: datetime) -> Basis:
    """The prices of a hold that was priced, and of now for what these do not know; else those of when it was used."""
    if reservation is not None and reservation.price_epoch is not None:
        return Basis(
            epoch=reservation.price_epoch, price_time=reservation.create_time, usage_time=usage_time, else_time=now
        )
    return Basis(epoch=None, price_time=usage_time, usage_time=usage_time)


def _basis_of_whole(reservation: Reservation | None, usage: UsageReport, now: datetime) -> Basis:
    return _basis(reservation, now if reservation is None else usage.start_time or now, now)


def _without(
    ledger: Ledger, reservation: Reservation | None, counters: Mapping[CounterKey, Decimal]
) -> Mapping[CounterKey, Decimal]:
    """The counts less what the captures of the reservation have added to them."""
    own = ledger.counted_by.get((reservation.tenant_id, reservation.reservation_id)) if reservation else None
    if not own:
        return counters
    return {key: quantity - own.get(key, _ZERO) for key, quantity in counters.items()}


def _rating(ledger: Ledger) -> Rating:
    assert ledger.rating is not None, "whoever decides over usage has loaded the prices"
    return ledger.rating


def _named(line: UsageLine, usage: UsageReport, transaction_id: TransactionId, number: int) -> UsageLine:
    """The line with an id, and with the labels of its report."""
    if line.line_id and not usage.labels:
        return line
    return replace(
        line,
        line_id=line.line_id or f"{format_transaction_id(transaction_id)}.{number}",
        labels={**usage.labels, **line.labels},
    )


def _duplicate(stored: RatedLine) -> RatedLine:
    """A line that was charged before, as it is answered now."""
    return replace(stored, price=0, cost=0, exact_price=_ZERO, exact_cost=_ZERO, duplicate=True)
