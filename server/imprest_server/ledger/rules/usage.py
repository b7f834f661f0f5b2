"""Usage in place of an amount: what it costs by the account's prices, and the record that is kept of it.

A report gives what a capture adds, or what a whole call uses from its start (estimates, use so far). Only what a
capture adds is recorded, counted in the month, and found again under its line's id.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from imprest_server.core.errors import UsageLineReused
from imprest_server.core.ids import TransactionId, format_reservation_id, format_transaction_id
from imprest_server.core.money import check_range
from imprest_server.core.usage import RatedLine, UsageLine, UsageReport
from imprest_server.ledger.model import Account, ChargeBreakdown, Reservation, Transaction
from imprest_server.ledger.rating import Basis, Counted, Priced, PricedLine, Rating, RecordedLine
from imprest_server.ledger.rules.guards import require_recent
from imprest_server.ledger.working_set import Ledger

_NONE = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
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
    require_recent(usage.start_time, now, "usage.start_time")
    usage_time = usage.start_time or effective_time or now
    call = reservation.call_id or format_reservation_id(reservation.reservation_id) if reservation else call_id
    call = call or format_transaction_id(transaction_id)
    lines = [_named(line, usage, transaction_id, n) for n, line in enumerate(usage.lines, start=1)]
    known = [ledger.usage_lines.get((account.tenant_id, account.account_id, call, line.line_id)) for line in lines]
    for line, stored in zip(lines, known, strict=True):
        if stored is not None and stored.line != line:
            raise UsageLineReused(account_id=account.account_id, call_id=call, line_id=line.line_id)
    fresh = [line for line, stored in zip(lines, known, strict=True) if stored is None]
    basis = _basis(reservation, usage_time)
    priced = _checked(_rating(ledger).rate(account, fresh, basis, _counted(ledger, None), estimate=False))
    answers = iter(priced.lines)
    return Captured(
        price=priced.price,
        cost=priced.cost,
        lines=tuple(next(answers).rated if stored is None else _duplicate(stored) for stored in known),
        new=priced.lines,
        call_id=call,
        start_time=usage_time,
        end_time=usage.end_time,
    )


def record(
    ledger: Ledger,
    captured: Captured | None,
    account: Account,
    transaction: Transaction | None,
    now: datetime,
    reservation: Reservation | None = None,
) -> None:
    """Keep the new lines of a capture that was granted, and count them in the month."""
    for line in captured.new if captured else ():
        assert captured is not None
        ledger.put_usage_line(
            RecordedLine(
                tenant_id=account.tenant_id,
                account_id=account.account_id,
                call_id=captured.call_id,
                priced=line,
                reservation_id=reservation.reservation_id if reservation else None,
                seq=transaction.seq if transaction else None,
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

    An estimate is rounded up. Without a reservation it is the estimate of one that is about to be made.
    """

    def __init__(
        self,
        ledger: Ledger,
        account: Account,
        usage: UsageReport,
        reservation: Reservation | None,
        now: datetime,
        *,
        estimate: bool,
        field: str,
    ) -> None:
        self._rating = _rating(ledger)
        self._account = account
        self._lines = usage.lines
        if reservation is None:
            self._basis = Basis(epoch=None, price_time=now, usage_time=now)
        else:
            require_recent(usage.start_time, now, f"{field}.start_time")
            self._basis = _basis(reservation, usage.start_time or now)
        # What earlier captures of the call have counted is part of the whole: it is counted again from before them.
        self._counted = _counted(ledger, reservation)
        self.priced = _checked(self._rating.rate(account, usage.lines, self._basis, self._counted, estimate=estimate))

    def affordable_duration(self, amount: int) -> timedelta | None:
        """How long `amount` nanos last; None when the report measures no time."""
        return self._rating.affordable_duration(self._account, self._lines, self._basis, self._counted, amount)


def _basis(reservation: Reservation | None, usage_time: datetime) -> Basis:
    """The prices of a hold that was priced; else those known now, of when it was used."""
    if reservation is not None and reservation.price_epoch is not None:
        return Basis(epoch=reservation.price_epoch, price_time=reservation.create_time, usage_time=usage_time)
    return Basis(epoch=None, price_time=usage_time, usage_time=usage_time)


def _counted(ledger: Ledger, without: Reservation | None) -> Counted:
    """The month's counts, less what the captures of a reservation have added."""
    counters = ledger.counters
    own = ledger.counted_by.get((without.tenant_id, without.reservation_id)) if without else None
    if not own:
        return lambda key: counters.get(key, _NONE)
    return lambda key: counters.get(key, _NONE) - own.get(key, _NONE)


def _rating(ledger: Ledger) -> Rating:
    assert ledger.rating is not None, "whoever decides over usage has loaded the prices"
    return ledger.rating


def _checked(priced: Priced) -> Priced:
    check_range(priced.price, "the price of the usage")
    check_range(priced.cost, "the cost of the usage")
    return priced


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
    return replace(stored, price=0, cost=0, exact_price=_NONE, exact_cost=_NONE, duplicate=True)
