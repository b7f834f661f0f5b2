"""The prices of one payer at one instant: chains of versions with their tables, ready to rate lines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TypeVar

from imprest_server.core.errors import PriceNotFound
from imprest_server.core.usage import UsageLine
from imprest_server.pricing.model import BookSide, Price, PriceVersionId
from imprest_server.pricing.rules.catalog import ONE, Chains, InForce
from imprest_server.pricing.rules.formula import Formula
from imprest_server.pricing.rules.matching import Entry, PriceTable, explain

#: Where price and cost are nothing but quantity × unit price: the price's unit price and denominator, the cost's.
Straight = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Match:
    """What prices a line: the SALE price, the COST price if there is one, and the exchange rate of the cost."""

    sale: Entry
    sale_formula: Formula
    price_version: PriceVersionId
    cost: Entry | None
    cost_formula: Formula | None
    cost_version: PriceVersionId | None
    rate_numerator: int
    rate_denominator: int
    words: str
    straight: Straight | None

    def refined(self, factor: int) -> Match:
        """The same for quantities that are integers of 10**-18 / `factor`, and no longer as a straight line."""
        cost = self.cost_formula
        return replace(
            self,
            sale_formula=self.sale_formula.refined(factor),
            cost_formula=None if cost is None else cost.refined(factor),
            straight=None,
        )


@dataclass(frozen=True, slots=True)
class Cost:
    """A COST price alone, with the exchange rate from its book's currency to the payer's."""

    price: Price
    version_id: PriceVersionId
    rate: Decimal
    words: str


#: How many matches a tariff keeps of each kind: more lines than an account has, fewer prefixes than a rate deck.
_MAX_KEPT = 1_000

_K = TypeVar("_K")
_Step = tuple[InForce, PriceTable]
_Found = tuple[InForce, Entry]


class Tariff:
    """Chains with the tables of all their versions. Immutable to its users; it remembers matches it has found."""

    __slots__ = ("_by_line", "_by_pair", "_cost", "_otherwise", "_sale", "chains")

    def __init__(self, chains: Chains, tables: Mapping[PriceVersionId, PriceTable]) -> None:
        """`tables` holds at least the versions of the chains; KeyError otherwise."""
        self.chains = chains
        self._sale: tuple[_Step, ...] = tuple((link, tables[link.version.version_id]) for link in chains.sale)
        self._cost: tuple[_Step, ...] = tuple((link, tables[link.version.version_id]) for link in chains.cost)
        self._otherwise = None if chains.otherwise is None else Tariff(chains.otherwise, tables)
        self._by_line: dict[tuple[str, str, str], Match] = {}
        # Of lines that are told apart by their destination. Meter and whether there is one are part of the words.
        self._by_pair: dict[tuple[Entry, Entry | None, str, bool], Match] = {}

    def match(self, line: UsageLine) -> Match:
        """What prices a line. Raises PriceNotFound when nothing does."""
        key = (line.meter, line.provider, line.model)
        match = self._by_line.get(key)
        if match is not None:
            return match
        try:
            match = self._find(line)
        except PriceNotFound:
            if self._otherwise is None:
                raise
            return self._find_later(line, self._otherwise)
        if not any(table.by_destination(line.meter) for _, table in (*self._sale, *self._cost)):
            _keep(self._by_line, key, match)
        return match

    def cost(self, line: UsageLine) -> Cost | None:
        """The COST price of a line alone. Raises PriceNotFound when it has no exchange rate."""
        found = self._cost_of(line)
        if found is None:
            return None
        link, entry = found
        return Cost(entry.price, link.version.version_id, _rate(found), f"cost: {_words(line, link, entry)}")

    def _cost_of(self, line: UsageLine) -> _Found | None:
        found = _first(self._cost, line)
        if found is not None and found[0].rate is None:
            raise _no_rate(found[0], line)
        return found

    def _find(self, line: UsageLine) -> Match:
        sale = _first(self._sale, line)
        if sale is None:
            raise _not_found(line, BookSide.SALE, "price")
        cost = self._cost_of(line)
        if cost is None and sale[1].price.derived:
            raise _not_found(line, BookSide.COST, "price")
        pair = (sale[1], None if cost is None else cost[1], line.meter, bool(line.destination))
        match = self._by_pair.get(pair)
        if match is None:
            match = _match(line, sale, cost)
            _keep(self._by_pair, pair, match)
        return match

    def _find_later(self, line: UsageLine, later: Tariff) -> Match:
        """The match by later prices; a price of its own that only lacks the cost's exchange rate stays."""
        sale = _first(self._sale, line)
        if sale is not None and not sale[1].price.derived:
            return _match(line, sale, later._cost_of(line), "by later prices: ")
        match = later.match(line)
        return replace(match, words=f"by later prices: {match.words}")


def _keep(kept: dict[_K, Match], key: _K, match: Match) -> None:
    if len(kept) >= _MAX_KEPT:
        kept.clear()
    kept[key] = match


def _first(chain: tuple[_Step, ...], line: UsageLine) -> _Found | None:
    for link, table in chain:
        entry = table.entry(line)
        if entry is not None:
            return link, entry
    return None


def _match(line: UsageLine, sale: _Found, cost: _Found | None, whose_cost: str = "") -> Match:
    words = f"price: {_words(line, *sale)}; cost: {whose_cost}{_words(line, *cost) if cost else 'in no book'}"
    link, entry = sale
    cost_link, cost_entry = cost or (None, None)
    numerator, denominator = (ONE if cost is None else _rate(cost)).as_integer_ratio()
    return Match(
        sale=entry,
        sale_formula=entry.formula,
        price_version=link.version.version_id,
        cost=cost_entry,
        cost_formula=None if cost_entry is None else cost_entry.formula,
        cost_version=None if cost_link is None else cost_link.version.version_id,
        rate_numerator=numerator,
        rate_denominator=denominator,
        words=words,
        straight=_straight(entry, cost_entry, numerator, denominator),
    )


def _straight(sale: Entry, cost: Entry | None, numerator: int, denominator: int) -> Straight | None:
    price = sale.formula
    if price.per_unit is None:
        return None
    if cost is None:
        return price.per_unit, price.denominator, 0, 1
    if cost.formula.per_unit is None:
        return None
    cost_unit, cost_denominator = cost.formula.per_unit * numerator, cost.formula.denominator * denominator
    return price.per_unit, price.denominator, cost_unit, cost_denominator


def _rate(cost: _Found) -> Decimal:
    rate = cost[0].rate
    assert rate is not None  # _cost_of has seen to it
    return rate


def _words(line: UsageLine, link: InForce, entry: Entry) -> str:
    words = f"book {link.book.price_book_id} version {link.version.number}, {explain(entry.price, line)}"
    if link.book.currency_code != link.currency_code:
        words += f", {link.book.currency_code} to {link.currency_code} at {link.rate:f}"
    return words


def _not_found(line: UsageLine, side: BookSide, missing: str) -> PriceNotFound:
    return PriceNotFound(
        side=side.value,
        missing=missing,
        meter=line.meter,
        provider=line.provider,
        model=line.model,
        destination=line.destination,
    )


def _no_rate(link: InForce, line: UsageLine) -> PriceNotFound:
    return _not_found(line, BookSide.COST, f"exchange rate from {link.book.currency_code} to {link.currency_code}")
