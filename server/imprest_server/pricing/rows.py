"""Rows of the database as model values, and prices as rows to write, in the column order of sql/store.sql."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from imprest_server.core.ids import TenantId
from imprest_server.core.usage import UsageLine
from imprest_server.db.arrays import decimal, text, uuid
from imprest_server.pricing.model import (
    Assignment,
    BookSide,
    ChargeModel,
    ExchangeRate,
    Plan,
    Price,
    PriceBook,
    PriceVersion,
    PriceVersionId,
    Subscription,
    SubscriptionEnd,
    Tier,
)

#: A row to write: elements of array literals.
Row = tuple[str, ...]

# Thousands of prices share these: one object for each saves most of their memory.
_COMMON = {value: value for value in (Decimal(0), Decimal(1), Decimal(60), Decimal(1000), Decimal(1_000_000))}


def book_of(row: Sequence[Any]) -> PriceBook:
    """A row of load_books."""
    tenant_id, price_book_id, side, currency_code, display_name, account_id, create_time = row
    return PriceBook(
        tenant_id=tenant_id,
        price_book_id=price_book_id,
        side=BookSide(side),
        currency_code=currency_code,
        display_name=display_name,
        account_id=account_id,
        create_time=create_time,
    )


def version_of(row: Sequence[Any]) -> PriceVersion:
    """A row of load_versions."""
    price_book_id, version_id, number, epoch, effective_time, create_time = row
    return PriceVersion(
        price_book_id=price_book_id,
        version_id=version_id,
        number=number,
        epoch=epoch,
        effective_time=effective_time,
        create_time=create_time,
    )


def assignment_of(row: Sequence[Any]) -> Assignment:
    """A row of load_assignments."""
    side, currency_code, account_id, price_book_id, epoch, effective_time = row
    return Assignment(
        side=BookSide(side),
        currency_code=currency_code,
        account_id=account_id,
        price_book_id=price_book_id,
        epoch=epoch,
        effective_time=effective_time,
    )


def exchange_rate_of(row: Sequence[Any]) -> ExchangeRate:
    """A row of load_exchange_rates."""
    price_book_id, currency_code, rate, epoch, effective_time = row
    return ExchangeRate(
        price_book_id=price_book_id,
        currency_code=currency_code,
        rate=rate,
        epoch=epoch,
        effective_time=effective_time,
    )


def plan_of(row: Sequence[Any]) -> Plan:
    """A row of find_plan."""
    plan_id, display_name, currency_code, price_book_id, lines, create_time = row
    return Plan(
        plan_id=plan_id,
        display_name=display_name,
        currency_code=currency_code,
        price_book_id=price_book_id,
        lines=lines_of(lines),
        create_time=create_time,
    )


def subscription_of(row: Sequence[Any]) -> Subscription:
    """A row of load_subscriptions, or with its end after that."""
    subscription_id, account_id, plan_id, price_book_id, lines, start_time, epoch, create_time, *end = row
    return Subscription(
        subscription_id=subscription_id,
        account_id=account_id,
        plan_id=plan_id,
        price_book_id=price_book_id,
        lines=lines_of(lines),
        start_time=start_time,
        epoch=epoch,
        create_time=create_time,
        end_time=end[0] if end else None,
    )


def subscription_end_of(row: Sequence[Any]) -> SubscriptionEnd:
    """A row of load_subscription_ends."""
    subscription_id, end_time, epoch = row
    return SubscriptionEnd(subscription_id=subscription_id, end_time=end_time, epoch=epoch)


def lines_text(lines: Iterable[UsageLine]) -> str:
    """Usage lines as JSON."""
    return json.dumps([{**asdict(line), "quantity": str(line.quantity)} for line in lines])


def lines_of(items: Sequence[Any]) -> tuple[UsageLine, ...]:
    """The usage lines in JSON made by `lines_text`."""
    return tuple(UsageLine(**{**item, "quantity": Decimal(item["quantity"])}) for item in items)


def price_of(row: Sequence[Any]) -> Price:
    """A row of load_prices without its version."""
    meter, provider, model, destination_prefix, charge_model, unit_price, per_quantity, tiers = row[:8]
    first, following, minimum, connect_fee, minimum_charge, maximum_charge, free, margin, markup, source = row[8:]
    return Price(
        meter=meter,
        provider=provider,
        model=model,
        destination_prefix=destination_prefix,
        charge_model=ChargeModel(charge_model),
        unit_price=_COMMON.get(unit_price, unit_price),
        per_quantity=_COMMON.get(per_quantity, per_quantity),
        tiers=tuple(_tier_of(tier) for tier in tiers),
        increment_first=_COMMON.get(first, first),
        increment_next=_COMMON.get(following, following),
        minimum_quantity=_COMMON.get(minimum, minimum),
        connect_fee=_COMMON.get(connect_fee, connect_fee),
        minimum_charge=minimum_charge,
        maximum_charge=maximum_charge,
        free_quantity=_COMMON.get(free, free),
        margin_percent=margin,
        markup=markup,
        source=source,
    )


def price_row(tenant_id: TenantId, version_id: PriceVersionId, p: Price) -> Row:
    """A price to insert."""
    return (
        text(tenant_id),
        uuid(version_id),
        text(p.meter),
        text(p.provider),
        text(p.model),
        text(p.destination_prefix),
        p.charge_model,
        decimal(p.unit_price),
        decimal(p.per_quantity),
        _tiers_text(p.tiers),
        decimal(p.increment_first),
        decimal(p.increment_next),
        decimal(p.minimum_quantity),
        decimal(p.connect_fee),
        decimal(p.minimum_charge),
        decimal(p.maximum_charge),
        decimal(p.free_quantity),
        decimal(p.margin_percent),
        decimal(p.markup),
        text(p.source),
    )


def _tiers_text(tiers: Sequence[Tier]) -> str:
    """Tiers as JSON: [up_to or null, unit_price, flat_fee] each, decimals as texts."""
    if not tiers:
        return _NO_TIERS
    return text(
        json.dumps([[None if t.up_to is None else str(t.up_to), str(t.unit_price), str(t.flat_fee)] for t in tiers])
    )


_NO_TIERS = text("[]")


def _tier_of(item: Sequence[Any]) -> Tier:
    up_to, unit_price, flat_fee = item
    return Tier(
        up_to=None if up_to is None else Decimal(up_to), unit_price=Decimal(unit_price), flat_fee=Decimal(flat_fee)
    )
