"""Between the messages of PricingService and the library's values."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from google.type.decimal_pb2 import Decimal as DecimalMessage

from imprest.v1 import plan_pb2, price_pb2, pricing_service_pb2
from imprest_client import pricing_model as model
from imprest_client.connection import Method, Reply
from imprest_client.money import to_decimal
from imprest_client.times import from_time
from imprest_client.usage_wire import from_number, rated_line, to_number, usage_line
from imprest_client.wire import member


def _rpc(name: str, reply: type[Reply]) -> Method[Reply]:
    return Method(f"/imprest.v1.PricingService/{name}", reply)


LIST_METERS: Final = _rpc("ListMeters", pricing_service_pb2.ListMetersResponse)
CREATE_PRICE_BOOK: Final = _rpc("CreatePriceBook", pricing_service_pb2.CreatePriceBookResponse)
GET_PRICE_BOOK: Final = _rpc("GetPriceBook", pricing_service_pb2.GetPriceBookResponse)
LIST_PRICE_BOOKS: Final = _rpc("ListPriceBooks", pricing_service_pb2.ListPriceBooksResponse)
LIST_PRICE_VERSIONS: Final = _rpc("ListPriceVersions", pricing_service_pb2.ListPriceVersionsResponse)
PUBLISH_PRICES: Final = _rpc("PublishPrices", pricing_service_pb2.PublishPricesResponse)
IMPORT_PRICES: Final = _rpc("ImportPrices", pricing_service_pb2.ImportPricesResponse)
LIST_PRICES: Final = _rpc("ListPrices", pricing_service_pb2.ListPricesResponse)
ASSIGN_PRICE_BOOK: Final = _rpc("AssignPriceBook", pricing_service_pb2.AssignPriceBookResponse)
LIST_PRICE_ASSIGNMENTS: Final = _rpc("ListPriceAssignments", pricing_service_pb2.ListPriceAssignmentsResponse)
SET_OVERRIDE: Final = _rpc("SetOverride", pricing_service_pb2.SetOverrideResponse)
SET_EXCHANGE_RATE: Final = _rpc("SetExchangeRate", pricing_service_pb2.SetExchangeRateResponse)
QUOTE: Final = _rpc("Quote", pricing_service_pb2.QuoteResponse)
RERATE: Final = _rpc("Rerate", pricing_service_pb2.RerateResponse)
CREATE_PLAN: Final = _rpc("CreatePlan", pricing_service_pb2.CreatePlanResponse)
LIST_PLANS: Final = _rpc("ListPlans", pricing_service_pb2.ListPlansResponse)
SUBSCRIBE: Final = _rpc("Subscribe", pricing_service_pb2.SubscribeResponse)
UNSUBSCRIBE: Final = _rpc("Unsubscribe", pricing_service_pb2.UnsubscribeResponse)
LIST_SUBSCRIPTIONS: Final = _rpc("ListSubscriptions", pricing_service_pb2.ListSubscriptionsResponse)


# ── numbers ──────────────────────────────────────────────────────────────────────────────────────────


def _optional(value: Decimal | None) -> DecimalMessage | None:
    return None if value is None else to_number(value)


def _unless_zero(value: Decimal) -> DecimalMessage | None:
    return to_number(value) if value else None


# ── prices ───────────────────────────────────────────────────────────────────────────────────────────


def to_price(price: model.Price) -> price_pb2.Price:
    """A price as a message; what is not set stays absent."""
    return price_pb2.Price(
        meter=price.meter,
        provider=price.provider,
        model=price.model,
        destination_prefix=price.destination_prefix,
        charge_model=f"CHARGE_MODEL_{price.charge_model}",
        unit_price=_unless_zero(price.unit_price),
        per_quantity=to_number(price.per_quantity),
        tiers=[
            price_pb2.PriceTier(
                up_to=_optional(tier.up_to),
                unit_price=to_number(tier.unit_price),
                flat_fee=_unless_zero(tier.flat_fee),
            )
            for tier in price.tiers
        ],
        increment_first=_optional(price.increment_first),
        increment_next=_optional(price.increment_next),
        minimum_quantity=_unless_zero(price.minimum_quantity),
        connect_fee=_unless_zero(price.connect_fee),
        minimum_charge=_optional(price.minimum_charge),
        maximum_charge=_optional(price.maximum_charge),
        free_quantity=_unless_zero(price.free_quantity),
        margin_percent=_optional(price.margin_percent),
        markup=_optional(price.markup),
        source=price.source,
    )


def price(message: price_pb2.Price) -> model.Price:
    """A price."""

    def optional(name: str) -> Decimal | None:
        return from_number(getattr(message, name)) if message.HasField(name) else None

    return model.Price(
        meter=message.meter,
        provider=message.provider,
        model=message.model,
        destination_prefix=message.destination_prefix,
        charge_model=member(model.ChargeModel, price_pb2.ChargeModel, "CHARGE_MODEL_", message.charge_model),
        unit_price=from_number(message.unit_price),
        per_quantity=from_number(message.per_quantity) if message.HasField("per_quantity") else Decimal(1),
        tiers=tuple(
            model.PriceTier(
                up_to=from_number(tier.up_to) if tier.HasField("up_to") else None,
                unit_price=from_number(tier.unit_price),
                flat_fee=from_number(tier.flat_fee),
            )
            for tier in message.tiers
        ),
        increment_first=optional("increment_first"),
        increment_next=optional("increment_next"),
        minimum_quantity=from_number(message.minimum_quantity),
        connect_fee=from_number(message.connect_fee),
        minimum_charge=optional("minimum_charge"),
        maximum_charge=optional("maximum_charge"),
        free_quantity=from_number(message.free_quantity),
        margin_percent=optional("margin_percent"),
        markup=optional("markup"),
        source=message.source,
    )


def side(number: price_pb2.BookSide) -> model.BookSide:
    """A side."""
    return member(model.BookSide, price_pb2.BookSide, "BOOK_SIDE_", number)


def book(message: price_pb2.PriceBook) -> model.PriceBook:
    """A price book."""
    return model.PriceBook(
        price_book_id=message.price_book_id,
        side=side(message.side),
        currency_code=message.currency_code,
        display_name=message.display_name,
        account_id=message.account_id,
        create_time=from_time(message.create_time),
    )


def version(message: price_pb2.PriceVersion) -> model.PriceVersion:
    """A version of a book."""
    return model.PriceVersion(
        version_id=message.version_id,
        price_book_id=message.price_book_id,
        number=message.number,
        effective_time=from_time(message.effective_time),
        create_time=from_time(message.create_time),
        epoch=message.epoch,
    )


def meter(message: price_pb2.Meter) -> model.Meter:
    """A meter."""
    return model.Meter(
        name=message.name,
        category=message.category,
        unit=message.unit,
        description=message.description,
        base=message.base,
        by_destination=message.by_destination,
    )


def book_state(reply: pricing_service_pb2.GetPriceBookResponse) -> model.BookState:
    """A book with the version in force and the newest one."""
    return model.BookState(
        book(reply.price_book),
        version(reply.current_version) if reply.HasField("current_version") else None,
        version(reply.latest_version) if reply.HasField("latest_version") else None,
    )


# ── receipts ─────────────────────────────────────────────────────────────────────────────────────────


def _difference(message: price_pb2.PriceDifference) -> model.PriceDifference:
    return model.PriceDifference(
        price(message.before) if message.HasField("before") else None,
        price(message.after) if message.HasField("after") else None,
    )


def _count(message: price_pb2.PriceDifferenceSummary) -> model.DifferenceCount:
    return model.DifferenceCount(message.added, message.changed, message.removed, message.unchanged)


def publish_receipt(
    reply: pricing_service_pb2.PublishPricesResponse | pricing_service_pb2.SetOverrideResponse,
) -> model.PublishReceipt:
    """The reply of PublishPrices and SetOverride."""
    return model.PublishReceipt(
        version(reply.version) if reply.HasField("version") else None,
        tuple(_difference(message) for message in reply.differences),
        _count(reply.summary),
        reply.replayed,
    )


def import_receipt(reply: pricing_service_pb2.ImportPricesResponse) -> model.ImportReceipt:
    """The reply of ImportPrices."""
    return model.ImportReceipt(
        version(reply.version) if reply.HasField("version") else None,
        tuple(_difference(message) for message in reply.differences),
        _count(reply.summary),
        reply.replayed,
        skipped=tuple(model.SkippedEntry(entry.name, entry.reason) for entry in reply.skipped),
        skipped_count=reply.skipped_count,
        price_count=reply.price_count,
    )


def assignment(message: price_pb2.PriceAssignment) -> model.PriceAssignment:
    """Who is priced by a book."""
    return model.PriceAssignment(
        side=side(message.side),
        currency_code=message.currency_code,
        account_id=message.account_id,
        price_book_id=message.price_book_id,
        effective_time=from_time(message.effective_time),
    )


def rate_receipt(reply: pricing_service_pb2.SetExchangeRateResponse) -> model.RateReceipt:
    """The reply of SetExchangeRate."""
    message = reply.exchange_rate
    rate = model.ExchangeRate(
        message.price_book_id, message.currency_code, from_number(message.rate), from_time(message.effective_time)
    )
    return model.RateReceipt(rate, reply.replayed)


def rerate_item(message: pricing_service_pb2.RerateItem) -> model.RerateItem:
    """A transaction that is re-rated."""
    return model.RerateItem(
        account_id=message.account_id,
        transaction_id=message.transaction_id,
        currency_code=message.price_before.currency_code,
        price_before=to_decimal(message.price_before),
        price_after=to_decimal(message.price_after),
        cost_before=to_decimal(message.cost_before),
        cost_after=to_decimal(message.cost_after),
        skipped=message.skipped,
        rerate_transaction_id=message.rerate_transaction_id,
        charged=to_decimal(message.charge.charged) if message.HasField("charge") else None,
    )


# ── plans ────────────────────────────────────────────────────────────────────────────────────────────


def plan(message: plan_pb2.Plan) -> model.Plan:
    """A plan."""
    return model.Plan(
        plan_id=message.plan_id,
        display_name=message.display_name,
        currency_code=message.currency_code,
        price_book_id=message.price_book_id,
        lines=tuple(usage_line(line) for line in message.lines),
        create_time=from_time(message.create_time),
    )


def subscription(message: plan_pb2.Subscription) -> model.Subscription:
    """A subscription."""
    return model.Subscription(
        subscription_id=message.subscription_id,
        account_id=message.account_id,
        plan_id=message.plan_id,
        lines=tuple(usage_line(line) for line in message.lines),
        start_time=from_time(message.start_time),
        end_time=from_time(message.end_time) if message.HasField("end_time") else None,
        create_time=from_time(message.create_time),
    )


# ── usage ────────────────────────────────────────────────────────────────────────────────────────────


def quote(reply: pricing_service_pb2.QuoteResponse) -> model.Quote:
    """A quote."""
    lines = tuple(rated_line(message) for message in reply.lines)
    is_known = all(line.cost is not None for line in lines)  # the server counts what it does not know as 0
    has_percent = is_known and reply.HasField("margin_percent")
    return model.Quote(
        currency_code=reply.price.currency_code,
        price=to_decimal(reply.price),
        cost=to_decimal(reply.cost) if is_known else None,
        margin=to_decimal(reply.margin) if is_known else None,
        margin_percent=from_number(reply.margin_percent) if has_percent else None,
        lines=lines,
        allocations=tuple(
            model.Allocation(
                meter=message.meter,
                cost=to_decimal(message.cost),
                exact_cost=from_number(message.exact_cost),
                cost_version=message.cost_version,
                match=message.match,
            )
            for message in reply.allocations
        ),
    )
