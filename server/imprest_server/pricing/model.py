"""Price books, their versions, prices, and who is priced by which book.

Everything here is immutable. Rows of the catalog are only ever added, each under the tenant's next *price epoch*, so
that (epoch, instant) names one state of all prices for ever: a hold that was priced keeps its epoch and is committed
at the prices it was reserved at, whatever has been published since.

Unit prices, tiers, quantities and rates are `Decimal` with at most 18 decimals; amounts posted are nanos.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import NewType
from uuid import UUID

from imprest_server.core.ids import AccountId, TenantId
from imprest_server.core.usage import UsageLine

PriceBookId = NewType("PriceBookId", str)
PriceVersionId = NewType("PriceVersionId", UUID)

#: Matches every provider or model that no more specific price names.
ANY = ""


class BookSide(StrEnum):
    """Whose price: COST is what the provider charges us, SALE what the customer pays."""

    COST = "COST"
    SALE = "SALE"


class ChargeModel(StrEnum):
    """How a quantity becomes an amount.

    PER_UNIT: quantity × unit price. GRADUATED: each part of the month's quantity at its own tier's price. VOLUME: the
    whole line at the price of the tier that the month, with this line, has reached. PACKAGE: begun packages of
    `per_quantity` at `unit_price` each. FLAT: `unit_price` per line whatever the quantity (none for a quantity of 0).
    PERCENTAGE: `unit_price` percent of the call's price, COST books only: an allocation of payment fees.
    """

    PER_UNIT = "PER_UNIT"
    GRADUATED = "GRADUATED"
    VOLUME = "VOLUME"
    PACKAGE = "PACKAGE"
    FLAT = "FLAT"
    PERCENTAGE = "PERCENTAGE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """The part of the month's quantity up to and including `up_to` (None: without end), above the tier before.

    `flat_fee` is charged once when the tier is entered (GRADUATED), or with every line priced at it (VOLUME).
    """

    up_to: Decimal | None
    unit_price: Decimal
    flat_fee: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """The price of one meter, for one or any provider and model, and for telephony one or any destination prefix.

    Quantities are rounded up to increments first: at least `minimum_quantity`, then `increment_first` and steps of
    `increment_next` (60/60: whole minutes). `connect_fee` is added to a line whose quantity is above 0;
    `minimum_charge` and `maximum_charge` bound the line's amount. The first `free_quantity` units of a calendar month
    cost nothing. A *derived* price (SALE books only) has `margin_percent` or `markup` instead of a unit price: the
    line's exact cost × (1 + margin_percent / 100), or the cost plus `markup` per `per_quantity` units.
    """

    meter: str
    provider: str = ANY
    model: str = ANY
    destination_prefix: str = ""
    charge_model: ChargeModel = ChargeModel.PER_UNIT
    unit_price: Decimal = Decimal(0)
    per_quantity: Decimal = Decimal(1)
    tiers: tuple[Tier, ...] = ()
    increment_first: Decimal | None = None
    increment_next: Decimal | None = None
    minimum_quantity: Decimal = Decimal(0)
    connect_fee: Decimal = Decimal(0)
    minimum_charge: Decimal | None = None
    maximum_charge: Decimal | None = None
    free_quantity: Decimal = Decimal(0)
    margin_percent: Decimal | None = None
    markup: Decimal | None = None
    #: Where the number comes from and of what date, for people.
    source: str = ""

    @property
    def key(self) -> PriceKey:
        """What it is found by; unique in its version."""
        return PriceKey(self.meter, self.provider, self.model, self.destination_prefix)

    @property
    def derived(self) -> bool:
        """Whether it is computed from the cost."""
        return self.margin_percent is not None or self.markup is not None

    @property
    def counted(self) -> bool:
        """Whether its amount depends on what the account used earlier in the month."""
        return bool(self.free_quantity) or self.charge_model in (ChargeModel.GRADUATED, ChargeModel.VOLUME)


@dataclass(frozen=True, slots=True, order=True)
class PriceKey:
    """What a price is for. A wildcard provider or model is `ANY`, no prefix is empty.

    `meter` may also be a category with a star, as in `llm.*`, for derived prices only: one margin for a whole category
    (`*` alone: for everything).
    """

    meter: str
    provider: str
    model: str
    destination_prefix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceBook:
    """A set of prices of one side in one currency.

    `account_id` is set on the book of overrides that belongs to one account alone.
    """

    tenant_id: TenantId
    price_book_id: PriceBookId
    side: BookSide
    currency_code: str
    display_name: str = ""
    account_id: AccountId | None = None
    create_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceVersion:
    """All prices of a book from one instant on; `number` counts from 1 in its book, `epoch` is when it was published.

    In force at an instant is, of the versions published by then, the one with the latest `effective_time` not after
    it; of equals the one published last.
    """

    price_book_id: PriceBookId
    version_id: PriceVersionId
    number: int
    epoch: int
    effective_time: datetime
    create_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """From `effective_time` on, this account (None: every account of the tenant without one) is priced by this book.

    `currency_code` is the book's: an account may have one COST book in every currency. A `price_book_id` of None takes
    the assignment back.
    """

    side: BookSide
    currency_code: str
    account_id: AccountId | None
    price_book_id: PriceBookId | None
    epoch: int
    effective_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeRate:
    """From `effective_time` on, one unit of the COST book's currency costs `rate` units of `currency_code`."""

    price_book_id: PriceBookId
    currency_code: str
    rate: Decimal
    epoch: int
    effective_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What customers subscribe to: a SALE book that goes before their own, and lines that are charged every month."""

    plan_id: str
    display_name: str
    currency_code: str
    price_book_id: PriceBookId
    lines: tuple[UsageLine, ...]
    create_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """From `start_time` on, an account is priced by a plan's book (None: only charged) and charged lines every month.

    `end_time` is when it ends or ended, as far as is known.
    """

    subscription_id: str
    account_id: AccountId
    plan_id: str | None
    price_book_id: PriceBookId | None
    lines: tuple[UsageLine, ...]
    start_time: datetime
    epoch: int
    create_time: datetime
    end_time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionEnd:
    """A subscription ends at `end_time`, as is known from `epoch` on; what becomes known last is right."""

    subscription_id: str
    end_time: datetime
    epoch: int


@dataclass(frozen=True, slots=True)
class CounterKey:
    """What the month's quantity is counted by: the account's calendar month, the side, and the price's key.

    The key is the price's, not the book's, so the count goes on when a version or a book follows another.
    """

    tenant_id: TenantId
    account_id: AccountId
    month: date
    side: BookSide
    price: PriceKey


@dataclass(frozen=True, slots=True)
class Difference:
    """How one price differs between two versions: added (`before` is None), removed (`after` is None) or changed."""

    key: PriceKey
    before: Price | None = field(default=None)
    after: Price | None = field(default=None)
