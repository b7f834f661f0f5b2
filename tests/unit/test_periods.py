"""Calendar periods: every instant is in exactly one, in every zone, also where clocks or calendars jump."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imprest_server.core.periods import Period, PeriodKind, period_at

ZONES = sorted(available_timezones() | {"UTC"})
MICROSECOND = timedelta(microseconds=1)
BOUNDED = [kind for kind in PeriodKind if kind is not PeriodKind.TOTAL]

instants = st.datetimes(datetime(1950, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def days_from(zone: str, start: str, count: int) -> list[Period]:
    """Consecutive days, from the one that contains an instant of UTC."""
    found = [period_at(PeriodKind.DAY, zone, at(start))]
    while len(found) < count:
        assert found[-1].end is not None
        found.append(period_at(PeriodKind.DAY, zone, found[-1].end))
    return found


def hours(period: Period) -> float:
    assert period.start is not None and period.end is not None
    return (period.end - period.start) / timedelta(hours=1)


# ── every zone ───────────────────────────────────────────────────────────────────────────────────────


def check(kind: PeriodKind, zone: str, instant: datetime) -> None:
    period = period_at(kind, zone, instant)
    assert instant in period
    start, end = period.start, period.end
    assert start is not None and end is not None and start < end
    assert period_at(kind, zone, start) == period_at(kind, zone, end - MICROSECOND) == period
    assert period_at(kind, zone, end).start == end
    assert period_at(kind, zone, start - MICROSECOND).end == start


@settings(max_examples=400)
@given(kind=st.sampled_from(BOUNDED), zone=st.sampled_from(ZONES), instant=instants)
def test_periods_cut_time_into_pieces(kind: PeriodKind, zone: str, instant: datetime) -> None:
    check(kind, zone, instant)


@pytest.mark.parametrize("kind", BOUNDED)
def test_in_every_zone_there_is(kind: PeriodKind) -> None:
    for n, zone in enumerate(ZONES):
        check(kind, zone, at("2025-01-01") + timedelta(hours=37 * n))


@settings(max_examples=200)
@given(zone=st.sampled_from(ZONES), instant=instants)
def test_weeks_and_months_are_made_of_days(zone: str, instant: datetime) -> None:
    for kind in (PeriodKind.WEEK, PeriodKind.MONTH):
        period = period_at(kind, zone, instant)
        assert period.start is not None and period.end is not None
        assert period_at(PeriodKind.DAY, zone, period.start).start == period.start
        assert period_at(PeriodKind.DAY, zone, period.end).start == period.end


def test_a_total_never_ends() -> None:
    assert period_at(PeriodKind.TOTAL, "UTC", at("2026-01-01")) == Period(None, None)
    assert at("0001-01-01") in Period(None, None)
    assert at("9999-12-31") in Period(None, None)


# ── days that are not like others ────────────────────────────────────────────────────────────────────


def test_days_of_23_and_25_hours() -> None:
    assert [hours(day) for day in days_from("Europe/Berlin", "2026-03-28T12:00", 3)] == [24, 23, 24]
    assert [hours(day) for day in days_from("Europe/Berlin", "2026-10-24T12:00", 3)] == [24, 25, 24]
    assert [hours(day) for day in days_from("Australia/Lord_Howe", "2026-04-03T14:00", 3)] == [24, 24.5, 24]
    assert [hours(day) for day in days_from("Australia/Lord_Howe", "2026-10-02T14:00", 3)] == [24, 23.5, 24]


def test_midnight_twice_begins_one_day() -> None:
    """St John's set its clocks back at 00:01: a minute of the 29th, the last hour of the 28th again, then the 29th."""
    zone, first = "America/St_Johns", at("2006-10-29T02:30")
    day = Period(first, at("2006-10-30T03:30"))
    for minutes in (0, 1, 30, 60, 61, 1499):
        assert period_at(PeriodKind.DAY, zone, first + timedelta(minutes=minutes)) == day
    assert period_at(PeriodKind.DAY, zone, first - MICROSECOND) == Period(at("2006-10-28T02:30"), first)
    assert hours(day) == 25
    # it was a Sunday: nothing happens to the week
    week = period_at(PeriodKind.WEEK, zone, first)
    assert week == Period(at("2006-10-23T02:30"), at("2006-10-30T03:30"))


def test_midnight_that_is_skipped() -> None:
    """In Sao Paulo 2018-11-04 began at 01:00."""
    first, second = days_from("America/Sao_Paulo", "2018-11-03T12:00", 2)
    assert (first.end, second.start, hours(second)) == (at("2018-11-04T03:00"), at("2018-11-04T03:00"), 23)


def test_a_day_that_never_was() -> None:
    """Samoa went from 2011-12-29 to 2011-12-31."""
    days = days_from("Pacific/Apia", "2011-12-29T00:00", 4)
    assert [day.start for day in days] == [
        at("2011-12-28T10:00"),
        at("2011-12-29T10:00"),
        at("2011-12-30T10:00"),
        at("2011-12-31T10:00"),
    ]
    month = period_at(PeriodKind.MONTH, "Pacific/Apia", at("2011-12-30T10:00"))
    assert hours(month) == 30 * 24


def test_leap_days_and_month_ends() -> None:
    february = period_at(PeriodKind.MONTH, "UTC", at("2028-02-29T23:59:59.999999"))
    assert february == Period(at("2028-02-01"), at("2028-03-01"))
    assert hours(period_at(PeriodKind.MONTH, "UTC", at("2027-02-28"))) == 28 * 24
    lengths = [hours(period_at(PeriodKind.MONTH, "UTC", at(f"2100-{month:02}-15"))) / 24 for month in range(1, 13)]
    assert lengths == [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    week = period_at(PeriodKind.WEEK, "UTC", at("2028-01-01T12:00"))  # a Saturday
    assert week == Period(at("2027-12-27"), at("2028-01-03"))


def test_a_zone_moves_the_bounds() -> None:
    instant = at("2026-03-31T23:00")
    months = [period_at(PeriodKind.MONTH, zone, instant).start for zone in ("America/New_York", "UTC", "Asia/Kolkata")]
    assert months == [at("2026-03-01T05:00"), at("2026-03-01"), at("2026-03-31T18:30")]
    assert all(one is not None and other is not None and one != other for one, other in pairwise(months))
