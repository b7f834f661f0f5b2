"""The month's quantities, as they stand before a report and move while it is rated."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from imprest_server.core.usage import UsageReport
from imprest_server.pricing.model import BookSide, CounterKey
from imprest_server.pricing.rules.catalog import Payer
from imprest_server.pricing.rules.formula import Formula, scaled
from imprest_server.pricing.rules.matching import Entry
from imprest_server.pricing.rules.tariff import Tariff


def month_of(at: datetime, time_zone: str) -> date:
    """The first day of the calendar month that an instant falls into, in an IANA zone."""
    local = at.astimezone(ZoneInfo(time_zone))
    return date(local.year, local.month, 1)


class MonthCounters:
    """Positions as integers of 10**-18 / `factor`. Lines that share a counter move it one after the other."""

    __slots__ = ("_at", "_factor", "_keys", "_month", "_payer", "_stored", "moved")

    def __init__(self, stored: Mapping[CounterKey, Decimal], payer: Payer, at: datetime, factor: int = 1) -> None:
        self._stored = stored
        self._payer = payer
        self._at = at
        self._factor = factor
        self._month: date | None = None
        self._keys: dict[tuple[BookSide, Entry], tuple[CounterKey, int]] = {}
        self.moved: dict[CounterKey, int] = {}

    def amount(self, side: BookSide, entry: Entry, formula: Formula, billed: int, up_to: bool) -> int:
        """The formula's amount of the line, or the most up to it; moves the counter of a price that has one."""
        if not formula.counted:
            return formula.amount(billed, 0)
        key, stored = self.position(side, entry)
        before = stored + self.moved.get(key, 0)
        self.moved[key] = before - stored + billed
        return formula.most(billed, stored, before) if up_to else formula.amount(billed, before)

    def position(self, side: BookSide, entry: Entry) -> tuple[CounterKey, int]:
        """The counter of a price, and where it stood before the report."""
        known = self._keys.get((side, entry))
        if known is None:
            if self._month is None:
                self._month = month_of(self._at, self._payer.time_zone)
            key = CounterKey(self._payer.tenant_id, self._payer.account_id, self._month, side, entry.price.key)
            quantity = self._stored.get(key)
            known = self._keys[side, entry] = (key, 0 if quantity is None else scaled(quantity) * self._factor)
        return known


def counter_keys(usage: UsageReport, tariff: Tariff, payer: Payer, at: datetime) -> tuple[CounterKey, ...]:
    """The counters that rating this report reads, each once. Raises PriceNotFound."""
    counters = MonthCounters({}, payer, at)
    keys: dict[CounterKey, None] = {}
    for line in usage.lines:
        match = tariff.match(line)
        for side, entry in ((BookSide.SALE, match.sale), (BookSide.COST, match.cost)):
            if entry is not None and entry.price.counted:
                keys[counters.position(side, entry)[0]] = None
    return tuple(keys)
