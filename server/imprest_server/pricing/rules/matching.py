"""Which price of a version is for a line. The most specific one, compared in this order:

1. meter: the meter itself, then its base meter, then `<category>.*`, then `*`,
2. provider: the line's own, then any,
3. model: the line's own, then any,
4. destination: the longest prefix of the line's destination, then none.

Versions are not compared: the first book of the chain with any price for the line wins (see `catalog`).
"""

from __future__ import annotations

from collections.abc import Iterable

from imprest_server.core.usage import UsageLine
from imprest_server.pricing.meters import EVERY_METER, METERS
from imprest_server.pricing.model import ANY, Price
from imprest_server.pricing.rules.formula import Formula


class Entry:
    """A price of a version with its formula, which is made when it is first needed: of thousands few ever are."""

    __slots__ = ("_formula", "price")

    def __init__(self, price: Price) -> None:
        self.price = price
        self._formula: Formula | None = None

    @property
    def formula(self) -> Formula:
        """The price as integer arithmetic."""
        if self._formula is None:
            self._formula = Formula(self.price)
        return self._formula


_Prefixes = dict[str, Entry]


class PriceTable:
    """The prices of one version, indexed for matching. Immutable."""

    __slots__ = ("_longest", "_meters", "_prefixed")

    def __init__(self, prices: Iterable[Price]) -> None:
        self._meters: dict[str, dict[tuple[str, str], _Prefixes]] = {}
        self._prefixed: set[str] = set()
        self._longest = 0
        for price in prices:
            cells = self._meters.setdefault(price.meter, {})
            cell = cells.setdefault((price.provider, price.model), {})
            cell[price.destination_prefix] = Entry(price)
            if price.destination_prefix:
                self._prefixed.add(price.meter)
                self._longest = max(self._longest, len(price.destination_prefix))

    def find(self, line: UsageLine) -> Price | None:
        """The price of a line, or None when this version has none."""
        entry = self.entry(line)
        return None if entry is None else entry.price

    def entry(self, line: UsageLine) -> Entry | None:
        """As `find`, with the formula."""
        for name in candidates(line.meter):
            cells = self._meters.get(name)
            if cells is None:
                continue
            for provider in (line.provider, ANY) if line.provider else (ANY,):
                for model in (line.model, ANY) if line.model else (ANY,):
                    cell = cells.get((provider, model))
                    if cell is not None and (entry := self._longest_prefix(cell, line.destination)) is not None:
                        return entry
        return None

    def by_destination(self, meter: str) -> bool:
        """Whether the line's destination can make a difference for this meter."""
        return bool(self._prefixed) and not self._prefixed.isdisjoint(candidates(meter))

    def _longest_prefix(self, cell: _Prefixes, destination: str) -> Entry | None:
        if len(cell) > 1 or "" not in cell:
            for length in range(min(len(destination), self._longest), 0, -1):
                entry = cell.get(destination[:length])
                if entry is not None:
                    return entry
        return cell.get("")


def _candidates(meter: str) -> tuple[str, ...]:
    known = METERS.get(meter)
    if known is None:
        return (meter, EVERY_METER)
    names = (meter, known.base, f"{known.category}.{EVERY_METER}", EVERY_METER)
    return tuple(name for name in names if name is not None)


_CANDIDATES = {meter: _candidates(meter) for meter in METERS}


def candidates(meter: str) -> tuple[str, ...]:
    """What a price for this meter may be listed under, most specific first."""
    return _CANDIDATES.get(meter) or _candidates(meter)


def explain(price: Price, line: UsageLine) -> str:
    """Why this price was taken for the line, in words."""
    if price.meter == line.meter:
        words = [f"meter {price.meter}"]
    elif price.meter.endswith(EVERY_METER):
        words = ["every meter" if price.meter == EVERY_METER else f"every meter of {price.meter.removesuffix('.*')}"]
    else:
        words = [f"meter {price.meter} as the base of {line.meter}"]
    words.append(f"provider {price.provider}" if price.provider else "any provider")
    words.append(f"model {price.model}" if price.model else "any model")
    if price.destination_prefix:
        words.append(f"destination {price.destination_prefix}…")
    elif line.destination:
        words.append("any destination")
    return ", ".join(words)
