"""Exact amounts of the model: integers of nanos, and their decimal text.

The text is canonical (no exponent, no trailing zeros, no "-0"), so that two amounts are equal exactly when
their texts are. Scenario tables, adapters and reports all compare that text.
"""

import re

NANOS_PER_UNIT = 10**9

MONEY_MAX_NANOS = (2**63 - 1) * NANOS_PER_UNIT + 999_999_999
"""The largest amount that google.type.Money can carry."""

MONEY_MIN_NANOS = -(2**63) * NANOS_PER_UNIT - 999_999_999
"""The smallest amount that google.type.Money can carry."""

_DECIMAL = re.compile(r"(-?)(\d+)(?:\.(\d{1,9}))?")


def nanos_from_text(text: str) -> int:
    """Reads a decimal of the currency's major unit ("1.25", "-2").

    Raises ValueError for anything that is not a plain decimal with at most nine decimals.
    """
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise ValueError(f"not an amount: {text!r}")
    sign, units, fraction = match.groups()
    nanos = int(units) * NANOS_PER_UNIT + int((fraction or "").ljust(9, "0"))
    return -nanos if sign else nanos


def text_from_nanos(nanos: int) -> str:
    """Writes nanos as canonical decimal text: "8.75", "0", "-0.000000001"."""
    units, fraction = divmod(abs(nanos), NANOS_PER_UNIT)
    text = f"{units}.{fraction:09d}".rstrip("0").rstrip(".")
    return f"-{text}" if nanos < 0 else text


def text_from_money(units: int, nanos: int) -> str:
    """Writes the two integers of a google.type.Money as canonical decimal text."""
    return text_from_nanos(units * NANOS_PER_UNIT + nanos)
