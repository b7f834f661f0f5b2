"""What people type, as values: amounts, instants, labels; and money and times as people read them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from imprest_client.ctl.failures import UsageError

_AMOUNT: Final = re.compile(r"([+\-\u2212]?)([0-9]+(?:\.[0-9]{1,9})?)\s*([A-Za-z]{3})?")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_AGO: Final = re.compile(r"([0-9]{1,5})([dh])")
_TOO_LARGE: Final = Decimal(2**63)  # google.type.Money counts units in an int64
_EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
# ISO 4217's currencies without minor units, and with three digits of them; all others have two.
_NO_DIGITS: Final = frozenset(
    [
        "BIF",
        "CLP",
        "DJF",
        "GNF",
        "ISK",
        "JPY",
        "KMF",
        "KRW",
        "PYG",
        "RWF",
        "UGX",
        "UYI",
        "VND",
        "VUV",
        "XAF",
        "XOF",
        "XPF",
    ]
)
_THREE_DIGITS: Final = frozenset(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"])


# ── amounts ──────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Amount:
    """An amount as it was typed; without a currency it is in the account's."""

    value: Decimal
    currency_code: str | None


def parse_amount(text: str, *, signed: bool = False) -> Amount:
    """`25`, `25.50`, `25.50USD` or `"25.50 USD"`, exactly.

    Raises:
        UsageError: it is none, has more than nine decimals, or is negative although it must not be.
    """
    match = _AMOUNT.fullmatch(text.strip())
    if match is None:
        raise UsageError(
            f"{text!r} is not an amount",
            hint="write it like 25, 25.50 or 25.50USD: digits with at most nine decimals, no thousands separators",
        )
    sign, digits, currency = match.groups()
    if sign and not signed:
        raise UsageError(f"{text!r} has a sign", hint="the command says which way the money goes: write it without")
    value = Decimal(digits)
    if value >= _TOO_LARGE:
        raise UsageError(f"{text!r} is more than an amount can be")
    return Amount(-value if sign in ("-", "\u2212") else value, currency.upper() if currency else None)


def plain(value: Decimal) -> str:
    """All digits, no exponent: the form for machines."""
    return format(value, "f")


def money(value: Decimal, currency_code: str) -> str:
    """`12.50 USD`: at least as many decimals as the currency has, and as many more as the exact amount needs."""
    digits = 0 if currency_code in _NO_DIGITS else 3 if currency_code in _THREE_DIGITS else 2
    exponent = value.normalize().as_tuple().exponent
    assert isinstance(exponent, int), "amounts are finite"
    return f"{value:.{max(digits, -exponent)}f} {currency_code}"


# ── instants ─────────────────────────────────────────────────────────────────────────────────────────


def parse_zone(name: str) -> ZoneInfo:
    """An IANA zone by its name. Raises UsageError when there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UsageError(
            f"there is no time zone {name!r}", hint="use an IANA name such as UTC or Europe/Berlin"
        ) from None


def parse_instant(text: str, zone: ZoneInfo, now: datetime, *, end_of_day: bool = False) -> datetime:
    """An instant in UTC, from a date, a date and time, `today`, `yesterday`, `tomorrow`, or how long ago (`7d`, `12h`).

    A date is the start of that day in `zone`; with `end_of_day` the start of the next one, so that a period includes
    its last day. A time without an offset is read in `zone`, too.

    Raises:
        UsageError: it is none of these.
    """
    try:
        instant = _instant(text, zone, now, end_of_day).astimezone(UTC)
        if instant < _EARLIEST:
            raise ValueError("nothing has happened here before 1970")
        return instant
    except (ValueError, OverflowError):
        raise UsageError(
            f"{text!r} is not a time",
            hint="write a date (2026-10-31), a time (2026-10-31T14:30, with Z or an offset if you like), today, "
            "yesterday, tomorrow, or how long ago: 7d, 12h",
        ) from None


def _instant(text: str, zone: ZoneInfo, now: datetime, end_of_day: bool) -> datetime:
    ago = _AGO.fullmatch(text)
    if ago is not None:
        return now - (timedelta(days=int(ago[1])) if ago[2] == "d" else timedelta(hours=int(ago[1])))
    today = now.astimezone(zone).date()
    named = {"today": today, "yesterday": today - timedelta(days=1), "tomorrow": today + timedelta(days=1)}
    if text in named or _DATE.fullmatch(text):
        day = named[text] if text in named else date.fromisoformat(text)
        return _start_of(day + timedelta(days=1) if end_of_day else day, zone)
    instant = datetime.fromisoformat(text)
    return instant if instant.tzinfo else instant.replace(tzinfo=zone)


def start_of_month(zone: ZoneInfo, now: datetime) -> datetime:
    """When the month of `now` began in the zone, in UTC."""
    return _start_of(now.astimezone(zone).date().replace(day=1), zone)


def _start_of(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)


def rfc3339(instant: datetime) -> str:
    """In UTC with all digits that matter: the form for machines."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def when(instant: datetime, zone: ZoneInfo) -> str:
    """To the second, in the zone, with its offset: the form for people."""
    text = instant.astimezone(zone).isoformat(" ", "seconds")
    return text.replace("+00:00", "Z")


# ── labels ───────────────────────────────────────────────────────────────────────────────────────────


def parse_labels(pairs: Iterable[str]) -> dict[str, str]:
    """`key=value` each. Raises UsageError for one without a key or `=`, or a key that comes twice."""
    labels: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not key or not equals:
            raise UsageError(f"{pair!r} is not a label", hint="write --label key=value")
        if key in labels:
            raise UsageError(f"the label {key!r} is given twice")
        labels[key] = value
    return labels


def labels_text(labels: Mapping[str, str]) -> str:
    """`key=value, key=value`, in the order of the keys."""
    return ", ".join(f"{key}={labels[key]}" for key in sorted(labels))


# ── choices ──────────────────────────────────────────────────────────────────────────────────────────

E = TypeVar("E", bound=StrEnum)


def parse_choice(kind: type[E], text: str, what: str) -> E:
    """A member of an enum by its name in any case, with - for _. Raises UsageError for another name."""
    chosen = text.lower().replace("_", "-")
    if chosen not in choices(kind):
        raise UsageError(f"{text!r} is no {what}", hint=f"choose from {', '.join(choices(kind))}")
    return next(member for member in kind if _choice(member) == chosen)


def choices(kind: type[E]) -> list[str]:
    """The names that `parse_choice` takes, as they are best typed."""
    return [_choice(member) for member in kind if member != "UNKNOWN"]


def _choice(member: StrEnum) -> str:
    return member.lower().replace("_", "-")
