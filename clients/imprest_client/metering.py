"""Counts what a call uses, meter by meter, while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Final, TypeAlias

from imprest_client.client import Labels
from imprest_client.money import exact, plus, to_nano
from imprest_client.pricing_model import UsageLine

MAX_LINES: Final = 200
"""What a report to the server can hold."""
_MAX_QUANTITY: Final = Decimal(10**15)

Quantity: TypeAlias = Decimal | int | str
"""How much, in the meter's unit: never a float, which has been rounded already."""
Kind: TypeAlias = tuple[str, str, str, str, str, frozenset[tuple[str, str]]]
"""What tells a line from others: meter, provider, model, destination, operation and labels."""


def kind_of(line: UsageLine) -> Kind:
    """What tells the line from others."""
    labels = frozenset(line.labels.items())
    return line.meter, line.provider, line.model, line.destination, line.operation, labels


def summed(lines: Iterable[UsageLine]) -> dict[Kind, Decimal]:
    """The quantities, those of the same kind together."""
    found: dict[Kind, Decimal] = {}
    for line in lines:
        kind = kind_of(line)
        found[kind] = plus(found.get(kind, Decimal(0)), line.quantity)
    return found


def lines_of(quantities: Mapping[Kind, Decimal]) -> tuple[UsageLine, ...]:
    """A line for each kind, in the order in which they came."""
    return tuple(
        UsageLine(
            meter=meter,
            quantity=quantity,
            provider=provider,
            model=model,
            destination=destination,
            operation=operation,
            labels=dict(labels),
        )
        for (meter, provider, model, destination, operation, labels), quantity in quantities.items()
    )


class UsageCounter:
    """What a call has used so far: `call.usage`.

    `add` neither waits nor sends anything: the call's heartbeats report the counts, and its end commits them.
    """

    def __init__(self, check: Callable[[], None], changed: Callable[[], None]) -> None:
        """Count from nothing. `check` is called before a count goes up, and may refuse by raising; `changed` after."""
        self._check = check
        self._changed = changed
        self._quantities: dict[Kind, Decimal] = {}

    def __bool__(self) -> bool:
        """Whether anything was counted."""
        return bool(self._quantities)

    @property
    def lines(self) -> tuple[UsageLine, ...]:
        """The counts as usage lines."""
        return lines_of(self._quantities)

    @property
    def quantities(self) -> Mapping[Kind, Decimal]:
        """The counts by kind."""
        return self._quantities

    def add(
        self,
        meter: str,
        quantity: Quantity,
        *,
        provider: str = "",
        model: str = "",
        destination: str = "",
        operation: str = "",
        labels: Labels | None = None,
    ) -> None:
        """Count usage: `add("llm.input_tokens", 120, provider="openai", model="gpt-4o")`.

        Args:
            meter: What was measured, one of the server's meters.
            quantity: How much since the last time, in the meter's unit; at most nine decimals.
            provider: Who provided it, as price books name it.
            model: The provider's model, voice or product, as price books name it.
            destination: The number called, digits only.
            operation: What it was used for, for reports.
            labels: Free key-value pairs, for reports.

        Raises:
            TypeError: the quantity is a float.
            ValueError: it is no quantity, or there would be more than 200 different lines.
        """
        added = UsageLine(
            meter=meter,
            quantity=exact(quantity),
            provider=provider,
            model=model,
            destination=destination,
            operation=operation,
            labels=labels or {},
        )
        kind = kind_of(added)
        total = plus(self._quantities.get(kind, Decimal(0)), added.quantity)
        if added.quantity < 0 or total > _MAX_QUANTITY or to_nano(total) != total:
            raise ValueError(f"{quantity} is not a quantity: 0 to 10^15 with at most nine decimals")
        if kind not in self._quantities and len(self._quantities) == MAX_LINES:
            raise ValueError(f"a call has at most {MAX_LINES} different usage lines")
        self._check()
        self._quantities[kind] = total
        self._changed()
