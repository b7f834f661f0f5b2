"""Calendar periods of an IANA zone as half-open intervals of UTC instants, [start, end).

A period begins at the first instant of its first local day: at midnight, or where a clock change skips midnight at the
first instant after it. A day may have 23 or 25 hours (Lord Howe: 23.5 or 24.5).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from zoneinfo import ZoneInfo


class PeriodKind(StrEnum):
    """How long a period lasts. A WEEK begins on Monday; TOTAL never ends."""

    DAY = "DAY"
    WEEK = "WEEK"
    MONTH = "MONTH"
    TOTAL = "TOTAL"


@dataclass(frozen=True, slots=True)
class Period:
    """From `start` to before `end`, in UTC; None is without bound."""

    start: datetime | None
    end: datetime | None

    def __contains__(self, instant: datetime) -> bool:
        return (self.start is None or self.start <= instant) and (self.end is None or instant < self.end)


def period_at(kind: PeriodKind, time_zone: str, instant: datetime) -> Period:
    """The period of that kind that contains `instant`. `time_zone` is the name of an IANA zone that exists."""
    if kind is PeriodKind.TOTAL:
        return Period(None, None)
    zone = _zone(time_zone)
    first, following = _days(kind, instant.astimezone(zone).date())
    end = _begin(following, zone)
    if instant < end:
        return Period(_begin(first, zone), end)
    # A clock set back over midnight repeats the evening before: the new day has begun all the same.
    return Period(end, _begin(_days(kind, following)[1], zone))


def _days(kind: PeriodKind, day: date) -> tuple[date, date]:
    """The first day of the period that `day` is in, and the first day after it."""
    match kind:
        case PeriodKind.DAY:
            return day, day + timedelta(days=1)
        case PeriodKind.WEEK:
            monday = day - timedelta(days=day.weekday())
            return monday, monday + timedelta(days=7)
        case _:
            first = day.replace(day=1)
            return first, (first + timedelta(days=31)).replace(day=1)


def _begin(day: date, zone: ZoneInfo) -> datetime:
    """The first instant of a local day, in UTC.

    Where midnight comes twice the first one counts (fold=0). Where it is skipped, its UTC value by the offset before
    the gap (fold=0) is the very instant of the change, which is the day's first.
    """
    return datetime.combine(day, time(0), zone).astimezone(UTC)


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)
