"""What can be wrong with single values of prices and usage: each function answers the problem, or None."""

from __future__ import annotations

import re
from decimal import Decimal

#: The path of a field in the request, and what is wrong with it.
Problem = tuple[str, str]

#: Numbers are at most 10**15: a million calls of thirty years, and NUMERIC(38,18) holds every one of them.
MAX_DIGITS = 15
MAX_NUMBER = 10**MAX_DIGITS

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def number_problem(value: Decimal, decimals: int) -> str | None:
    """A number that is finite, not negative, at most 10**15 and has at most so many decimals.

    It looks at the digits, never at the value of an exponent: 1E+999999999 is refused without being worked out.
    """
    if not value.is_finite():
        return "must be a finite number"
    if value.is_signed() and value:
        return "must not be negative"
    if value.adjusted() > MAX_DIGITS or (value.adjusted() == MAX_DIGITS and value > MAX_NUMBER):
        return f"must be at most 10^{MAX_DIGITS}"
    if _too_fine(value, decimals):
        return f"must have at most {decimals} decimals"
    return None


def _too_fine(value: Decimal, decimals: int) -> bool:
    """Whether it has more decimals, not counting trailing zeros, or is a zero written with more."""
    _, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    beyond = -exponent - decimals
    return beyond > 0 and (not value or beyond > len(digits) or any(digits[-beyond:]))


def text_problem(text: str, limit: int) -> str | None:
    """A text of at most so many characters, without control characters."""
    if len(text) > limit:
        return f"must be at most {limit} characters, not {len(text)}"
    if not text.isprintable() and _CONTROL.search(text):
        return "must not hold control characters"
    return None
