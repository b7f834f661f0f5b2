"""What comes out of a price file, and how its numbers are read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from imprest_server.pricing.model import Price
from imprest_server.pricing.rules.checks import MAX_DECIMALS
from imprest_server.pricing.rules.values import number_problem

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
    #: Where each price stands, in a file whose lines have numbers: `csv[7]`.
    places: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()


def number(text: str) -> Decimal:
    """The exact value of a plain or scientific decimal number; raises ValueError saying what is wrong with it."""
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{text!r} is not a number")
    value = Decimal(text)
    if problem := number_problem(value, MAX_DECIMALS):
        raise ValueError(f"{text} {problem}")
    return value
