"""What comes out of a price file, and how its numbers are read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from imprest_server.pricing.model import Price

#: Prices and quantities have at most this many decimals, and as many digits as NUMERIC(38,18) holds before them.
MAX_DECIMALS = 18
MAX_WHOLE_DIGITS = 20

_NUMBER = re.compile(r"-?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Skipped:
    """An entry of the file, or one of its numbers, that did not become a price, and why.

    `reason` is the same text for all that is skipped for the same reason, so that a report can count by it.
    """

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Imported:
    """All that was read: prices, each key once, and what was left out."""

    prices: tuple[Price, ...]
    skipped: tuple[Skipped, ...] = ()


def number(text: str) -> Decimal:
    """The exact value of a plain or scientific decimal number; raises ValueError saying what is wrong with it."""
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{text!r} is not a number")
    value = Decimal(text)
    if not fits(value):
        raise ValueError(f"{text} has more than {MAX_DECIMALS} decimals or {MAX_WHOLE_DIGITS} digits before the point")
    return value


def fits(value: Decimal) -> bool:
    """Whether a NUMERIC(38,18) holds this value exactly."""
    return not value or (value.adjusted() < MAX_WHOLE_DIGITS and decimals(value) <= MAX_DECIMALS)


def decimals(value: Decimal) -> int:
    """How many decimals a value needs, without trailing zeros."""
    _, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int), "neither NaN nor infinite"
    zeros = len(digits) - len("".join(map(str, digits)).rstrip("0"))
    return max(0, -(exponent + zeros)) if any(digits) else 0


def plain(value: Decimal) -> str:
    """A value as people write it: no exponent, no trailing zeros."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
