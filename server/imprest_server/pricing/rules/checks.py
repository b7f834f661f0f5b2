"""What can be wrong with prices and with usage by themselves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from imprest_server.core.usage import UsageReport
from imprest_server.pricing.model import BookSide, Difference, Price


def check_prices(prices: Sequence[Price], side: BookSide, field: str = "prices") -> None:
    """The prices may be published in a book of this side; raises InvalidArgument with every problem found."""
    raise NotImplementedError


def check_usage(usage: UsageReport, field: str = "usage") -> None:
    """The report can be rated; raises InvalidArgument with every problem found."""
    raise NotImplementedError


def differences(before: Iterable[Price], after: Iterable[Price]) -> list[Difference]:
    """What publishing `after` in place of `before` adds, removes and changes, ordered by key."""
    old = {price.key: price for price in before}
    new = {price.key: price for price in after}
    return [
        Difference(key, old.get(key), new.get(key))
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    ]
