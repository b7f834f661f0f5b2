"""Which versions price an account: books, versions, assignments and exchange rates, without the prices themselves.

The chain of books, asked in this order; the first that has any price for a line wins:

1. the account's own override book,
2. the SALE books of the plans it is subscribed to, what began last first,
3. the book assigned to the account,
4. the book assigned to its parent account (one level),
5. the tenant's default book (the assignment without an account).

SALE books count in the account's currency only. COST books may be in any, one for each currency at every level: the
account's currency first, then by code. A book without a version in force is left out.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Generic, TypeVar
from uuid import UUID

from imprest_server.core.ids import AccountId, TenantId
from imprest_server.core.values import value
from imprest_server.pricing.model import (
    Assignment,
    BookSide,
    ExchangeRate,
    PriceBook,
    PriceBookId,
    PriceVersion,
    PriceVersionId,
    Subscription,
    SubscriptionEnd,
)

T = TypeVar("T")
ONE = Decimal(1)


@value
class Payer:
    """The account that is priced, as far as prices care."""

    tenant_id: TenantId
    account_id: AccountId
    parent_account_id: AccountId | None
    currency_code: str
    time_zone: str


@dataclass(frozen=True, slots=True, eq=False)
class InForce:
    """A version in force with its book and the exchange rate from the book's currency to the payer's.

    `rate` is 1 within one currency and None when none is in force. A catalog makes one object for each version and
    rate, so they are compared by identity.
    """

    book: PriceBook
    version: PriceVersion
    currency_code: str
    rate: Decimal | None


@value
class Chains:
    """The versions that price one payer at one instant, first choice first. Hashable and cheap to compare.

    `otherwise` are those of another instant, for lines that these have no price for.
    """

    sale: tuple[InForce, ...]
    cost: tuple[InForce, ...]
    otherwise: Chains | None = None

    def or_else(self, later: Chains) -> Chains:
        """These chains, and the later ones for lines that these have no price for."""
        return self if later == self else replace(self, otherwise=later)

    @property
    def version_ids(self) -> Iterator[PriceVersionId]:
        """The versions whose prices are needed."""
        yield from (link.version.version_id for link in (*self.sale, *self.cost))
        if self.otherwise is not None:
            yield from self.otherwise.version_ids


class History(Generic[T]):
    """Values that hold from an instant on, each known from an epoch on.

    In force at (epoch, instant) is, of those known by the epoch, the one that took effect last; of several that took
    effect at the same instant the one that became known last.
    """

    __slots__ = ("_entries",)

    def __init__(self) -> None:
        # The running number keeps equal instants of one epoch in the order they were added, and T out of comparisons.
        self._entries: list[tuple[datetime, int, int, T]] = []

    def add(self, effective_time: datetime, epoch: int, value: T) -> None:
        """Add one; in any order."""
        insort(self._entries, (effective_time, epoch, len(self._entries), value))

    def at(self, epoch: int, at: datetime) -> T | None:
        """What is in force, or None when nothing is yet."""
        entries = self._entries
        index = bisect_right(entries, at, key=_effective_time)
        while index:
            index -= 1
            if entries[index][1] <= epoch:
                return entries[index][3]
        return None


def _effective_time(entry: tuple[datetime, int, int, object]) -> datetime:
    return entry[0]


_AssignmentKey = tuple[BookSide, str, AccountId | None]


@dataclass(slots=True)
class Catalog:
    """One tenant's books, versions, assignments and exchange rates up to and including `epoch`. It only ever grows."""

    epoch: int = 0
    books: dict[PriceBookId, PriceBook] = field(default_factory=dict[PriceBookId, PriceBook])
    _books_of_versions: dict[PriceVersionId, PriceBookId] = field(default_factory=dict[PriceVersionId, PriceBookId])
    _versions: dict[PriceBookId, History[PriceVersion]] = field(
        default_factory=dict[PriceBookId, History[PriceVersion]]
    )
    _assigned: dict[_AssignmentKey, History[PriceBookId | None]] = field(
        default_factory=dict[_AssignmentKey, History[PriceBookId | None]]
    )
    _overrides: dict[tuple[BookSide, AccountId], list[PriceBook]] = field(
        default_factory=dict[tuple[BookSide, AccountId], list[PriceBook]]
    )
    _subscribed: dict[AccountId, list[Subscription]] = field(default_factory=dict[AccountId, list[Subscription]])
    _ends: dict[str, list[SubscriptionEnd]] = field(default_factory=dict[str, list[SubscriptionEnd]])
    _cost_currencies: set[str] = field(default_factory=set[str])
    _rates: dict[tuple[PriceBookId, str], History[Decimal]] = field(
        default_factory=dict[tuple[PriceBookId, str], History[Decimal]]
    )
    _links: dict[tuple[PriceVersionId, str, Decimal | None], InForce] = field(
        default_factory=dict[tuple[PriceVersionId, str, Decimal | None], InForce]
    )

    def add(
        self,
        books: Iterable[PriceBook] = (),
        versions: Iterable[PriceVersion] = (),
        assignments: Iterable[Assignment] = (),
        rates: Iterable[ExchangeRate] = (),
        epoch: int = 0,
        *,
        subscriptions: Iterable[Subscription] = (),
        ends: Iterable[SubscriptionEnd] = (),
    ) -> None:
        """Add what became known after `self.epoch` up to `epoch`: every row once, in any order."""
        for book in books:
            self.books[book.price_book_id] = book
            if book.account_id is not None:
                self._overrides.setdefault((book.side, book.account_id), []).append(book)
            if book.side is BookSide.COST:
                self._cost_currencies.add(book.currency_code)
        for version in versions:
            history = self._versions.setdefault(version.price_book_id, History())
            history.add(version.effective_time, version.epoch, version)
            self._books_of_versions[version.version_id] = version.price_book_id
        for assignment in assignments:
            key = (assignment.side, assignment.currency_code, assignment.account_id)
            self._assigned.setdefault(key, History()).add(
                assignment.effective_time, assignment.epoch, assignment.price_book_id
            )
        for rate in rates:
            history_of_rate = self._rates.setdefault((rate.price_book_id, rate.currency_code), History())
            history_of_rate.add(rate.effective_time, rate.epoch, rate.rate)
        for subscription in subscriptions:
            if subscription.price_book_id is not None:
                self._subscribed.setdefault(subscription.account_id, []).append(subscription)
        for end in ends:
            self._ends.setdefault(end.subscription_id, []).append(end)
        self.epoch = max(self.epoch, epoch)

    def version(self, price_book_id: PriceBookId, epoch: int, at: datetime) -> PriceVersion | None:
        """The version of a book in force at `at`, as known at `epoch`."""
        history = self._versions.get(price_book_id)
        return None if history is None else history.at(epoch, at)

    def is_of_book(self, version_id: UUID, price_book_id: PriceBookId) -> bool:
        """Whether it is a version of this book."""
        return self._books_of_versions.get(PriceVersionId(version_id)) == price_book_id

    def exchange_rate(self, book: PriceBook, currency_code: str, epoch: int, at: datetime) -> Decimal | None:
        """What one unit of the book's currency costs in `currency_code`; 1 within one currency, None: not known."""
        if book.currency_code == currency_code:
            return ONE
        history = self._rates.get((book.price_book_id, currency_code))
        return None if history is None else history.at(epoch, at)

    def chains(self, payer: Payer, epoch: int, at: datetime) -> Chains:
        """The versions that price this payer at `at`, as known at `epoch`."""
        own = payer.currency_code
        others = sorted(self._cost_currencies - {own}) if self._cost_currencies else []
        return Chains(
            sale=self._chain(BookSide.SALE, payer, [own], epoch, at),
            cost=self._chain(BookSide.COST, payer, [own, *others], epoch, at),
        )

    def chain_of(self, price_book_id: PriceBookId, currency_code: str, epoch: int, at: datetime) -> tuple[InForce, ...]:
        """The chain of one book alone, for a quote by book; empty when it has no version in force."""
        return tuple(self._link([price_book_id], currency_code, epoch, at))

    def _chain(
        self, side: BookSide, payer: Payer, currencies: list[str], epoch: int, at: datetime
    ) -> tuple[InForce, ...]:
        ids: dict[PriceBookId, None] = {}
        overrides = self._overrides.get((side, payer.account_id), ())
        for currency in currencies if overrides else ():
            ids.update((book.price_book_id, None) for book in overrides if book.currency_code == currency)
        if side is BookSide.SALE and payer.account_id in self._subscribed:
            ids.update((book_id, None) for book_id in self._plan_books(payer.account_id, epoch, at))
        levels = [payer.account_id, None]
        if payer.parent_account_id is not None:
            levels.insert(1, payer.parent_account_id)
        for account_id in levels:
            for currency in currencies:
                history = self._assigned.get((side, currency, account_id))
                if history is not None and (assigned := history.at(epoch, at)) is not None:
                    ids[assigned] = None
        return tuple(self._link(ids, payer.currency_code, epoch, at))

    def _plan_books(self, account_id: AccountId, epoch: int, at: datetime) -> Iterator[PriceBookId]:
        """The books of the plans that the account is subscribed to, what began last first."""
        known = (
            subscription
            for subscription in self._subscribed[account_id]
            if subscription.epoch <= epoch and subscription.start_time <= at
        )
        for subscription in sorted(known, key=lambda s: (s.start_time, s.epoch), reverse=True):
            ends = [end for end in self._ends.get(subscription.subscription_id, ()) if end.epoch <= epoch]
            last = max(ends, key=lambda end: end.epoch, default=None)
            if subscription.price_book_id is not None and (last is None or at < last.end_time):
                yield subscription.price_book_id

    def _link(self, ids: Iterable[PriceBookId], currency_code: str, epoch: int, at: datetime) -> Iterator[InForce]:
        for price_book_id in ids:
            version = self.version(price_book_id, epoch, at)
            if version is None:
                continue
            book = self.books[price_book_id]
            rate = self.exchange_rate(book, currency_code, epoch, at)
            key = (version.version_id, currency_code, rate)
            link = self._links.get(key)
            if link is None:
                link = self._links[key] = InForce(book, version, currency_code, rate)
            yield link
