"""What an admin asks of a tenant's prices, and what is answered.

One frozen dataclass per mutating request. An `effective_time` of None is the instant of the write.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, Generic, TypeVar
from uuid import UUID

from imprest_server.core.ids import AccountId, TenantId
from imprest_server.core.usage import UsageLine, format_decimal
from imprest_server.pricing.model import BookSide, Difference, Price, PriceBookId, PriceVersion, PriceVersionId

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A mutating request. `kind` and key name it among the tenant's operations, beside those of the ledger."""

    kind: ClassVar[str]
    tenant_id: TenantId
    idempotency_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatePriceBook(Operation):
    """Create an empty book; without an id of the caller's choice one is made."""

    kind = "CREATE_PRICE_BOOK"
    price_book_id: PriceBookId | None
    side: BookSide
    currency_code: str
    display_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication(Operation):
    """What the requests that publish prices share.

    `replace`: exactly these prices; else they are merged over those in force at `effective_time`. A `validate_only`
    request only asks what would change.
    """

    prices: Sequence[Price]
    replace: bool = False
    effective_time: datetime | None = None
    validate_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishPrices(Publication):
    """Publish a version of a book."""

    kind = "PUBLISH_PRICES"
    price_book_id: PriceBookId


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportPrices(PublishPrices):
    """Publish what a price file says. The service fills in its prices, where they stand in it, and its digest."""

    kind = "IMPORT_PRICES"
    places: Sequence[str] = ()
    content: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetOverride(Publication):
    """Publish prices of one account; without any its overrides end. `currency_code` None: the account's."""

    kind = "SET_OVERRIDE"
    account_id: AccountId
    side: BookSide
    currency_code: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignPriceBook(Operation):
    """Have an account (None: the tenant's accounts) priced by a book, or end that (`price_book_id` None)."""

    kind = "ASSIGN_PRICE_BOOK"
    account_id: AccountId | None
    price_book_id: PriceBookId | None
    side: BookSide | None = None
    currency_code: str | None = None
    effective_time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SetExchangeRate(Operation):
    """Set what one unit of a COST book's currency costs in another one."""

    kind = "SET_EXCHANGE_RATE"
    price_book_id: PriceBookId
    currency_code: str
    rate: Decimal
    effective_time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RerateUsage(Operation):
    """Have usage of a period (start_time ≤ its start < end_time) cost what a version says; None: what is published now.

    Of one account, or of all of the tenant (None).
    """

    kind = "RERATE_USAGE"
    start_time: datetime
    end_time: datetime
    account_id: AccountId | None
    version_id: PriceVersionId | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatePlan(Operation):
    """Offer a plan. Without lines it has one: a month of the plan itself."""

    kind = "CREATE_PLAN"
    plan_id: str
    display_name: str
    currency_code: str
    price_book_id: PriceBookId
    lines: tuple[UsageLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribe(Operation):
    """Subscribe an account to a plan, to lines of its own, or both."""

    kind = "SUBSCRIBE"
    account_id: AccountId
    plan_id: str | None
    lines: tuple[UsageLine, ...]
    start_time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsubscribe(Operation):
    """End a subscription: months that have begun by then have been charged, and stay so."""

    kind = "UNSUBSCRIBE"
    subscription_id: str
    end_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Written(Generic[T]):
    """What a request has added, and whether an earlier one with the same key had."""

    value: T
    replayed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What a publication changes, or would change.

    `version` is the one published, or the one that stays because nothing differs; None when only asked, or when there
    was nothing before and is nothing now. `unchanged` counts the prices that stay as they are.
    """

    version: PriceVersion | None
    differences: tuple[Difference, ...] = ()
    unchanged: int = 0


#: Fields that do not make a request another one; an import's prices follow from its content and the day.
_NOT_CONTENT = {"tenant_id", "idempotency_key", "validate_only"}


def fingerprint(operation: Operation) -> bytes:
    """SHA-256 over the fields that were set, without tenant and key: equal content, equal fingerprint."""
    left_out = _NOT_CONTENT | ({"prices", "places"} if isinstance(operation, ImportPrices) else set())
    content = {
        f.name: _plain(value)
        for f in fields(operation)
        if f.name not in left_out and (value := getattr(operation, f.name)) is not None
    }
    return hashlib.sha256(_to_json([operation.kind, content]).encode()).digest()


_to_json = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def _plain(value: Any) -> Any:
    """A value as JSON has it, the same for equal values in every version."""
    if isinstance(value, Decimal):
        return format_decimal(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, UUID):
        return value.hex
    if is_dataclass(value) and not isinstance(value, type):
        # Fields that have their default are left out, so that a later field changes no fingerprint.
        return {f.name: _plain(item) for f in fields(value) if (item := getattr(value, f.name)) != f.default}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
