"""PricingService: price books, assignments, imports and quotes. Like `account_service`, a thin translation.

Thousands of prices are translated in a thread, so that calls need not wait for it.
"""

# ruff: noqa: N802  # the protos name the methods

from __future__ import annotations

import asyncio
from datetime import datetime

from google.protobuf.message import Message
from grpc.aio import ServicerContext

from imprest.v1 import pricing_service_pb2 as pb
from imprest.v1.pricing_service_pb2_grpc import PricingServiceServicer
from imprest_server.core.errors import InvalidArgument
from imprest_server.ledger.validation import check_text
from imprest_server.posting.rerates import Rerated, Rerates
from imprest_server.pricing import operations as ops
from imprest_server.pricing.importers.imported import Skipped
from imprest_server.pricing.model import PriceBookId
from imprest_server.pricing.plans import PlanQueries
from imprest_server.pricing.queries import PriceQueries, list_meters
from imprest_server.pricing.quotes import Quotes
from imprest_server.pricing.service import PriceAdmin
from imprest_server.pricing.validation import check_book_id
from imprest_server.transport.convert import parse_account_id, parse_decimal, parse_time, to_decimal, to_money
from imprest_server.transport.identity import TENANT
from imprest_server.transport.plans import to_plan, to_subscription
from imprest_server.transport.prices import (
    BOOK_SIDE,
    first_of,
    parse_prices,
    parse_version,
    required_side,
    to_allocation,
    to_assignment,
    to_differences,
    to_exchange_rate,
    to_meter,
    to_optional_version,
    to_price,
    to_price_book,
    to_summary,
    to_version,
)
from imprest_server.transport.replies import id_of
from imprest_server.transport.resources import to_charge
from imprest_server.transport.usage import parse_monthly, parse_usage, to_rated_line

Context = ServicerContext[Message, Message]


class PricingService(PricingServiceServicer):
    """What an admin of prices needs; the proto's comments are the contract."""

    def __init__(
        self, admin: PriceAdmin, queries: PriceQueries, quotes: Quotes, rerates: Rerates, plans: PlanQueries
    ) -> None:
        self._rerates = rerates
        self._plans = plans
        self._admin = admin
        self._queries = queries
        self._quotes = quotes

    async def ListMeters(self, request: pb.ListMetersRequest, context: Context) -> pb.ListMetersResponse:
        """List the meters by name."""
        check_text(request.category, "category")
        meters, next_page_token = list_meters(request.category, request.page_size, request.page_token)
        return pb.ListMetersResponse(meters=[to_meter(meter) for meter in meters], next_page_token=next_page_token)

    async def CreatePriceBook(self, request: pb.CreatePriceBookRequest, context: Context) -> pb.CreatePriceBookResponse:
        """Create an empty book."""
        book = request.price_book
        written = await self._admin.create_book(
            ops.CreatePriceBook(
                tenant_id=TENANT,
                idempotency_key=request.idempotency_key,
                price_book_id=PriceBookId(book.price_book_id) if book.price_book_id else None,
                side=required_side(book.side, "price_book.side"),
                currency_code=book.currency_code,
                display_name=book.display_name,
            )
        )
        return pb.CreatePriceBookResponse(price_book=to_price_book(written.value), replayed=written.replayed)

    async def GetPriceBook(self, request: pb.GetPriceBookRequest, context: Context) -> pb.GetPriceBookResponse:
        """Return a book and its versions of interest."""
        price_book_id = check_book_id(request.price_book_id)
        book = await self._queries.get_book(TENANT, price_book_id)
        latest, _ = await self._queries.list_versions(TENANT, price_book_id, page_size=1)
        return pb.GetPriceBookResponse(
            price_book=to_price_book(book),
            current_version=to_optional_version(await self._queries.version_in_force(TENANT, price_book_id)),
            latest_version=to_optional_version(latest[0] if latest else None),
        )

    async def ListPriceBooks(self, request: pb.ListPriceBooksRequest, context: Context) -> pb.ListPriceBooksResponse:
        """List books by id."""
        check_text(request.currency_code, "currency_code")
        books, next_page_token = await self._queries.list_books(
            TENANT,
            side=BOOK_SIDE.parse(request.side, "side"),
            currency_code=request.currency_code,
            account_id=parse_account_id(request.account_id) if request.account_id else None,
            page_size=request.page_size,
            page_token=request.page_token,
        )
        return pb.ListPriceBooksResponse(
            price_books=[to_price_book(book) for book in books], next_page_token=next_page_token
        )

    async def ListPriceVersions(
        self, request: pb.ListPriceVersionsRequest, context: Context
    ) -> pb.ListPriceVersionsResponse:
        """List a book's versions, newest first."""
        versions, next_page_token = await self._queries.list_versions(
            TENANT,
            check_book_id(request.price_book_id),
            page_size=request.page_size,
            page_token=request.page_token,
        )
        return pb.ListPriceVersionsResponse(
            versions=[to_version(version) for version in versions], next_page_token=next_page_token
        )

    async def PublishPrices(self, request: pb.PublishPricesRequest, context: Context) -> pb.PublishPricesResponse:
        """Publish a version."""
        written = await self._admin.publish(
            ops.PublishPrices(
                tenant_id=TENANT,
                idempotency_key=request.idempotency_key,
                price_book_id=PriceBookId(request.price_book_id),
                prices=await asyncio.to_thread(parse_prices, request.prices),
                replace=request.replace,
                effective_time=parse_time(request, "effective_time"),
                validate_only=request.validate_only,
            )
        )
        return pb.PublishPricesResponse(
            version=to_optional_version(written.value.version),
            differences=await asyncio.to_thread(to_differences, written.value.differences),
            summary=to_summary(written.value),
            replayed=written.replayed,
        )

    async def ImportPrices(self, request: pb.ImportPricesRequest, context: Context) -> pb.ImportPricesResponse:
        """Publish the prices of a file."""
        form = request.WhichOneof("content")
        if form is None:
            raise InvalidArgument(field="content", problem="is required: litellm_json or csv")
        written, imported = await self._admin.import_prices(
            ops.ImportPrices(
                tenant_id=TENANT,
                idempotency_key=request.idempotency_key,
                price_book_id=PriceBookId(request.price_book_id),
                prices=(),
                replace=request.replace,
                effective_time=parse_time(request, "effective_time"),
                validate_only=request.validate_only,
            ),
            request.litellm_json if form == "litellm_json" else request.csv,
        )
        return pb.ImportPricesResponse(
            version=to_optional_version(written.value.version),
            differences=await asyncio.to_thread(to_differences, written.value.differences),
            summary=to_summary(written.value),
            skipped=first_of(_to_skipped(skipped) for skipped in imported.skipped),
            skipped_count=len(imported.skipped),
            price_count=len(imported.prices),
            replayed=written.replayed,
        )

    async def ListPrices(self, request: pb.ListPricesRequest, context: Context) -> pb.ListPricesResponse:
        """List the prices of a version."""
        for field in ("meter", "provider", "model"):
            check_text(getattr(request, field), field)
        by_id = request.WhichOneof("which") == "version_id"
        prices, version, next_page_token = await self._queries.list_prices(
            TENANT,
            check_book_id(request.price_book_id),
            which=parse_version(request.version_id) if by_id else parse_time(request, "at"),
            meter=request.meter,
            provider=request.provider,
            model=request.model,
            page_size=request.page_size,
            page_token=request.page_token,
        )
        return pb.ListPricesResponse(
            prices=[to_price(price) for price in prices],
            next_page_token=next_page_token,
            version=to_optional_version(version),
        )

    async def AssignPriceBook(self, request: pb.AssignPriceBookRequest, context: Context) -> pb.AssignPriceBookResponse:
        """Have an account or the tenant priced by a book."""
        target = request.WhichOneof("target")
        if target is None or (target == "tenant_default" and not request.tenant_default):
            raise InvalidArgument(field="target", problem="must be an account_id, or tenant_default = true")
        written = await self._admin.assign(
            ops.AssignPriceBook(
                tenant_id=TENANT,
                idempotency_key=request.idempotency_key,
                account_id=parse_account_id(request.account_id) if target == "account_id" else None,
                price_book_id=PriceBookId(request.price_book_id) if request.price_book_id else None,
                side=BOOK_SIDE.parse(request.side, "side"),
                currency_code=request.currency_code or None,
                effective_time=parse_time(request, "effective_time"),
            )
        )
        return pb.AssignPriceBookResponse(assignment=to_assignment(written.value), replayed=written.replayed)

    async def ListPriceAssignments(
        self, request: pb.ListPriceAssignmentsRequest, context: Context
    ) -> pb.ListPriceAssignmentsResponse:
        """List who is priced by which book."""
        target = request.WhichOneof("target")
        assignments, next_page_token = await self._queries.list_assignments(
            TENANT,
            account_id=parse_account_id(request.account_id) if target == "account_id" else None,
            tenant_default=target == "tenant_default" and request.tenant_default,
            price_book_id=check_book_id(request.price_book_id) if request.price_book_id else None,
            at=parse_time(request, "at"),
            page_size=request.page_size,
            page_token=request.page_token,
        )
        return pb.ListPriceAssignmentsResponse(
            assignments=[to_assignment(assignment) for assignment in assignments], next_page_token=next_page_token
        )

    async def SetOverride(self, request: pb.SetOverrideRequest, context: Context) -> pb.SetOverrideResponse:
        """Publish prices of one account."""
        written = await self._admin.set_override(
            ops.SetOverride(
                tenant_id=TENANT,
                idempotency_key=request.idempotency_key,
                account_id=parse_account_id(request.account_id),
                side=required_side(request.side, "side"),
                currency_code=request.currency_code or None,
                prices=await asyncio.to_thread(parse_prices, request.prices),
                replace=request.replace,
                effective_time=parse_time(request, "effective_time"),
                validate_only=request.validate_only,
            )
        )
        return pb.SetOverrideResponse(
            version=to_optional_version(written.value.version),
            differences=await asyncio.to_thread(to_differences, written.value.differences),
            summary=to_summary(written.value),
            replayed=written.replayed,
        )

    async def SetExchangeRate(self, request: pb.SetExchangeRateRequest, context: Context) -> pb.SetExchangeRateResponse:
        """Set an exchange rate of a COST book."""
        rate = parse_decimal(request, "rate")
        if rate is None:
            raise InvalidArgument(field="rate", problem="is required")
        written = await self._admin.set_exchange_rate(
            ops.SetExchangeRate(
                tenant_id=TENANT,
                idempotency_key=request.idempotency_key,
                price_book_id=PriceBookId(request.price_book_id),
                currency_code=request.currency_code,
                rate=rate,
                effective_time=parse_time(request, "effective_time"),
            )
        )
        return pb.SetExchangeRateResponse(exchange_rate=to_exchange_rate(written.value), replayed=written.replayed)

    async def Rerate(self, request: pb.RerateRequest, context: Context) -> pb.RerateResponse:
        """Have usage of a period cost what other prices say."""
        items, next_page_token, replayed = await self._rerates.page(
            ops.RerateUsage(
                tenant_id=TENANT,
                idempotency_key=request.idempotency_key,
                start_time=_required_time(request, "start_time"),
                end_time=_required_time(request, "end_time"),
                account_id=parse_account_id(request.account_id) if request.account_id else None,
                version_id=parse_version(request.version_id) if request.version_id else None,
                reason=request.reason,
            ),
            validate_only=request.validate_only,
            page_size=request.page_size,
            page_token=request.page_token,
        )
        return pb.RerateResponse(
            items=[_to_rerate_item(item) for item in items], next_page_token=next_page_token, replayed=replayed
        )

    async def CreatePlan(self, request: pb.CreatePlanRequest, context: Context) -> pb.CreatePlanResponse:
        """Offer a plan."""
        plan = request.plan
        written = await self._admin.create_plan(
            ops.CreatePlan(
                tenant_id=TENANT,
                idempotency_key=request.idempotency_key,
                plan_id=plan.plan_id,
                display_name=plan.display_name,
                currency_code=plan.currency_code,
                price_book_id=PriceBookId(plan.price_book_id),
                lines=parse_monthly(plan.lines, "plan.lines"),
            )
        )
        return pb.CreatePlanResponse(plan=to_plan(written.value), replayed=written.replayed)

    async def ListPlans(self, request: pb.ListPlansRequest, context: Context) -> pb.ListPlansResponse:
        """List plans by id."""
        plans, next_page_token = await self._plans.list_plans(
            TENANT, page_size=request.page_size, page_token=request.page_token
        )
        return pb.ListPlansResponse(plans=[to_plan(plan) for plan in plans], next_page_token=next_page_token)

    async def Subscribe(self, request: pb.SubscribeRequest, context: Context) -> pb.SubscribeResponse:
        """Subscribe an account."""
        written = await self._admin.subscribe(
            ops.Subscribe(
                tenant_id=TENANT,
                idempotency_key=request.idempotency_key,
                account_id=parse_account_id(request.account_id),
                plan_id=request.plan_id or None,
                lines=parse_monthly(request.lines, "lines"),
                start_time=parse_time(request, "start_time"),
            )
        )
        return pb.SubscribeResponse(subscription=to_subscription(written.value), replayed=written.replayed)

    async def Unsubscribe(self, request: pb.UnsubscribeRequest, context: Context) -> pb.UnsubscribeResponse:
        """End a subscription."""
        written = await self._admin.unsubscribe(
            ops.Unsubscribe(
                tenant_id=TENANT,
                idempotency_key=request.idempotency_key,
                subscription_id=request.subscription_id,
                end_time=parse_time(request, "end_time"),
            )
        )
        return pb.UnsubscribeResponse(subscription=to_subscription(written.value), replayed=written.replayed)

    async def ListSubscriptions(
        self, request: pb.ListSubscriptionsRequest, context: Context
    ) -> pb.ListSubscriptionsResponse:
        """List subscriptions, oldest first."""
        found, next_page_token = await self._plans.list_subscriptions(
            TENANT,
            account_id=parse_account_id(request.account_id) if request.account_id else None,
            page_size=request.page_size,
            page_token=request.page_token,
        )
        return pb.ListSubscriptionsResponse(
            subscriptions=[to_subscription(subscription) for subscription in found], next_page_token=next_page_token
        )

    async def Quote(self, request: pb.QuoteRequest, context: Context) -> pb.QuoteResponse:
        """Price usage without posting it."""
        usage = parse_usage(request, "usage")
        if usage is None:
            raise InvalidArgument(field="usage", problem="is required")
        at = parse_time(request, "at")
        payer = request.WhichOneof("payer")
        if payer is None:
            raise InvalidArgument(field="payer", problem="must be an account_id or a price_book_id")
        if payer == "account_id":
            quoted = await self._quotes.for_account(TENANT, parse_account_id(request.account_id), usage, at)
        else:
            quoted = await self._quotes.for_book(TENANT, check_book_id(request.price_book_id), usage, at)
        currency, percent = quoted.currency_code, quoted.margin_percent
        return pb.QuoteResponse(
            price=to_money(currency, quoted.price),
            cost=to_money(currency, quoted.cost),
            margin=to_money(currency, quoted.margin),
            margin_percent=None if percent is None else to_decimal(percent),
            lines=[to_rated_line(line, currency) for line in quoted.lines],
            allocations=[to_allocation(allocation, currency) for allocation in quoted.allocations],
        )


def _to_skipped(skipped: Skipped) -> pb.SkippedEntry:
    return pb.SkippedEntry(name=skipped.name, reason=skipped.reason)


def _required_time(request: Message, field: str) -> datetime:
    instant = parse_time(request, field)
    if instant is None:
        raise InvalidArgument(field=field, problem="is required")
    return instant


def _to_rerate_item(item: Rerated) -> pb.RerateItem:
    currency = item.currency_code
    (price_before, cost_before), (price_after, cost_after) = item.before, item.after
    return pb.RerateItem(
        account_id=item.used.account_id,
        transaction_id=id_of(item.used.transaction_id),
        price_before=to_money(currency, price_before),
        price_after=to_money(currency, price_after),
        cost_before=to_money(currency, cost_before),
        cost_after=to_money(currency, cost_after),
        skipped=item.skipped,
        rerate_transaction_id=id_of(item.transaction_id),
        charge=None if item.charge is None else to_charge(item.charge, currency),
    )
