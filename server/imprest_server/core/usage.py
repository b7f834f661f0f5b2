"""Measured usage and its price: the words that ledger, pricing and transport share.

Quantities, unit prices and exact amounts are `Decimal`; posted amounts are `int` nanos of the account's currency.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from imprest_server.core.values import named_value, value


@named_value
class UsageLine:
    """A quantity measured on one meter.

    `quantity` ≥ 0 is in the meter's unit. `line_id` is unique in its call; an empty one is made up by the server.
    `destination` is the number called (digits, E.164 without the plus) and serves prefix prices. `operation` and
    `labels` are kept for reports.
    """

    meter: str
    quantity: Decimal
    line_id: str = ""
    provider: str = ""
    model: str = ""
    destination: str = ""
    operation: str = ""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])


@named_value
class UsageReport:
    """What a call used, or is expected to use. `start_time` ≤ `end_time`; both may be absent."""

    lines: tuple[UsageLine, ...]
    start_time: datetime | None = None
    end_time: datetime | None = None
    labels: Mapping[str, str] = field(default_factory=dict[str, str])


@named_value
class RatedLine:
    """A usage line with its price and its cost, as posted or quoted.

    `price` and `cost` are nanos, each rounded once from `exact_price` and `exact_cost` (18 decimals, for people and
    for re-rating). The versions name the price book versions used; `cost_version` is None when no COST book knows the
    line: its cost is 0 then. `match` says in plain words which price won and why. A `duplicate` is a line that its
    call had already: price and cost are 0.
    """

    line: UsageLine
    price: int
    cost: int
    exact_price: Decimal
    exact_cost: Decimal
    price_version: UUID
    cost_version: UUID | None
    match: str
    duplicate: bool = False


@value
class MeterAmount:
    """What the usage lines of one meter cost the customer and us, in nanos."""

    meter: str
    price: int
    cost: int


def format_decimal(value: Decimal) -> str:
    """Plain notation without zeros at the end, the same for equal numbers; exact."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
