"""The pricing client: price books, their versions, who is priced by them, plans, re-rates and quotes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from datetime import datetime
from decimal import Decimal

from google.protobuf.timestamp_pb2 import Timestamp

from imprest.v1 import pricing_service_pb2 as pb
from imprest.v1.plan_pb2 import Plan as PlanMessage
from imprest.v1.price_pb2 import PriceBook as PriceBookMessage
from imprest_client import pricing_wire as wire
from imprest_client.client import PAGE_SIZE, LedgerClient, key_or_new
from imprest_client.pricing_model import (
    AssignmentReceipt,
    BookReceipt,
    BookSide,
    BookState,
    ImportReceipt,
    Meter,
    Plan,
    PlanReceipt,
    Price,
    PriceAssignment,
    PriceBook,
    PriceVersion,
    PublishReceipt,
    Quote,
    RateReceipt,
    RerateItem,
    Subscription,
    SubscriptionReceipt,
    Usage,
    UsageLine,
)
from imprest_client.times import to_time
from imprest_client.usage_wire import to_number, to_report, to_usage_line


class PricingClient(LedgerClient):
    """Prices, beside everything that `LedgerClient` has.

    An `effective_time` of None is now, by the server's clock. With `validate_only` a request is only checked, and the
    receipt says what it would change.
    """

    # ── meters and books ─────────────────────────────────────────────────────────────────────────────

    async def list_meters(self, *, category: str = "", page_size: int = PAGE_SIZE) -> AsyncIterator[Meter]:
        """The meters there are, in the order of their names; pages are fetched as they are needed."""
        request = pb.ListMetersRequest(category=category, page_size=page_size)
        while True:
            page = await self._call(wire.LIST_METERS, request)
            for message in page.meters:
                yield wire.meter(message)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def create_price_book(
        self,
        price_book_id: str = "",
        *,
        side: BookSide,
        currency: str | None = None,
        display_name: str = "",
        idempotency_key: str | None = None,
    ) -> BookReceipt:
        """Create a book without prices; its side and currency are for ever.

        Args:
            price_book_id: Your choice, unique in the tenant; without one the server makes one.
            side: Whose prices it will hold.
            currency: Currency of its prices; by default the client's.
            display_name: A name for people.
            idempotency_key: Makes the request repeatable.
        """
        request = pb.CreatePriceBookRequest(
            price_book=PriceBookMessage(
                price_book_id=price_book_id,
                side=f"BOOK_SIDE_{side}",
                currency_code=self._code(currency),
                display_name=display_name,
            ),
            idempotency_key=key_or_new(idempotency_key),
        )
        reply = await self._call(wire.CREATE_PRICE_BOOK, request)
        return BookReceipt(wire.book(reply.price_book), reply.replayed)

    async def get_price_book(self, price_book_id: str) -> BookState:
        """Return a book with its version in force and its newest one."""
        request = pb.GetPriceBookRequest(price_book_id=price_book_id)
        return wire.book_state(await self._call(wire.GET_PRICE_BOOK, request))

    async def list_price_books(
        self,
        *,
        side: BookSide | None = None,
        currency_code: str = "",
        account_id: str = "",
        page_size: int = PAGE_SIZE,
    ) -> AsyncIterator[PriceBook]:
        """All books that match, in the order of their ids; with `account_id` those of that account's overrides."""
        request = pb.ListPriceBooksRequest(
            side=side and f"BOOK_SIDE_{side}",
            currency_code=currency_code,
            account_id=account_id,
            page_size=page_size,
        )
        while True:
            page = await self._call(wire.LIST_PRICE_BOOKS, request)
            for message in page.price_books:
                yield wire.book(message)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def list_price_versions(
        self, price_book_id: str, *, page_size: int = PAGE_SIZE
    ) -> AsyncIterator[PriceVersion]:
        """The versions of a book, the newest first."""
        request = pb.ListPriceVersionsRequest(price_book_id=price_book_id, page_size=page_size)
        while True:
            page = await self._call(wire.LIST_PRICE_VERSIONS, request)
            for message in page.versions:
                yield wire.version(message)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def list_prices(
        self,
        price_book_id: str,
        *,
        version_id: str | None = None,
        at: datetime | None = None,
        meter: str = "",
        provider: str = "",
        model: str = "",
        page_size: int = PAGE_SIZE,
    ) -> AsyncIterator[Price]:
        """The prices of a version that match, ordered by meter, provider, model and destination prefix.

        Args:
            price_book_id: The book.
            version_id: Which version; give this or `at`. Default: the one in force now.
            at: The version in force then.
            meter: Only those of this meter.
            provider: Only those of this provider.
            model: Only those of this model.
            page_size: How many to fetch at a time.
        """
        request = pb.ListPricesRequest(
            price_book_id=price_book_id,
            version_id=version_id,
            at=_time(at),
            meter=meter,
            provider=provider,
            model=model,
            page_size=page_size,
        )
        while True:
            page = await self._call(wire.LIST_PRICES, request)
            for message in page.prices:
                yield wire.price(message)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    # ── publishing ───────────────────────────────────────────────────────────────────────────────────

    async def publish_prices(
        self,
        price_book_id: str,
        prices: Iterable[Price],
        *,
        effective_time: datetime | None = None,
        replace: bool = False,
        validate_only: bool = False,
        idempotency_key: str | None = None,
    ) -> PublishReceipt:
        """Publish a version of a book: exactly these prices with `replace`, else these over those in force then."""
        request = pb.PublishPricesRequest(
            price_book_id=price_book_id,
            effective_time=_time(effective_time),
            prices=[wire.to_price(price) for price in prices],
            replace=replace,
            validate_only=validate_only,
            idempotency_key=key_or_new(idempotency_key),
        )
        return wire.publish_receipt(await self._call(wire.PUBLISH_PRICES, request))

    async def import_prices(
        self,
        price_book_id: str,
        *,
        litellm_json: bytes | None = None,
        csv: str | None = None,
        effective_time: datetime | None = None,
        replace: bool = False,
        validate_only: bool = False,
        idempotency_key: str | None = None,
    ) -> ImportReceipt:
        """As `publish_prices`, with the prices of a file: LiteLLM's model price file, or CSV (docs/PRICES.md)."""
        request = pb.ImportPricesRequest(
            price_book_id=price_book_id,
            litellm_json=litellm_json,
            csv=csv,
            effective_time=_time(effective_time),
            replace=replace,
            validate_only=validate_only,
            idempotency_key=key_or_new(idempotency_key),
        )
        return wire.import_receipt(await self._call(wire.IMPORT_PRICES, request))

    async def set_override(
        self,
        account_id: str,
        prices: Iterable[Price],
        *,
        side: BookSide,
        currency_code: str = "",
        effective_time: datetime | None = None,
        replace: bool = False,
        validate_only: bool = False,
        idempotency_key: str | None = None,
    ) -> PublishReceipt:
        """Publish prices of one account alone, which go before those of every book; none: all of them end."""
        request = pb.SetOverrideRequest(
            account_id=account_id,
            side=f"BOOK_SIDE_{side}",
            currency_code=currency_code,
            effective_time=_time(effective_time),
            prices=[wire.to_price(price) for price in prices],
            replace=replace,
            validate_only=validate_only,
            idempotency_key=key_or_new(idempotency_key),
        )
        return wire.publish_receipt(await self._call(wire.SET_OVERRIDE, request))

    # ── who is priced by what ────────────────────────────────────────────────────────────────────────

    async def assign_price_book(
        self,
        price_book_id: str,
        *,
        account_id: str | None = None,
        effective_time: datetime | None = None,
        idempotency_key: str | None = None,
    ) -> AssignmentReceipt:
        """Have an account priced by a book; without an account all of the tenant that have no book of their own."""
        request = pb.AssignPriceBookRequest(
            price_book_id=price_book_id,
            effective_time=_time(effective_time),
            idempotency_key=key_or_new(idempotency_key),
        )
        return await self._assign(request, account_id)

    async def end_assignment(
        self,
        *,
        account_id: str | None = None,
        side: BookSide,
        currency_code: str = "",
        effective_time: datetime | None = None,
        idempotency_key: str | None = None,
    ) -> AssignmentReceipt:
        """End what `assign_price_book` began, for a side and a currency (default: the account's)."""
        request = pb.AssignPriceBookRequest(
            side=f"BOOK_SIDE_{side}",
            currency_code=currency_code,
            effective_time=_time(effective_time),
            idempotency_key=key_or_new(idempotency_key),
        )
        return await self._assign(request, account_id)

    async def _assign(self, request: pb.AssignPriceBookRequest, account_id: str | None) -> AssignmentReceipt:
        if account_id is None:
            request.tenant_default = True
        else:
            request.account_id = account_id
        reply = await self._call(wire.ASSIGN_PRICE_BOOK, request)
        return AssignmentReceipt(wire.assignment(reply.assignment), reply.replayed)

    async def list_price_assignments(
        self,
        *,
        account_id: str | None = None,
        tenant_default: bool = False,
        price_book_id: str = "",
        at: datetime | None = None,
        page_size: int = PAGE_SIZE,
    ) -> AsyncIterator[PriceAssignment]:
        """Who is priced by which book, newest first: the assignments in force, and those to come.

        Args:
            account_id: Only those of this account itself, not its parent's; give this or `tenant_default`.
            tenant_default: Only those for accounts that have no book otherwise.
            price_book_id: Only those to this book.
            at: In force then, or to come after it. Default: now.
            page_size: How many to fetch at a time.
        """
        request = pb.ListPriceAssignmentsRequest(
            account_id=account_id,
            price_book_id=price_book_id,
            at=_time(at),
            page_size=page_size,
        )
        if tenant_default:
            request.tenant_default = True
        while True:
            page = await self._call(wire.LIST_PRICE_ASSIGNMENTS, request)
            for message in page.assignments:
                yield wire.assignment(message)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def set_exchange_rate(
        self,
        price_book_id: str,
        currency_code: str,
        rate: Decimal | int | str,
        *,
        effective_time: datetime | None = None,
        idempotency_key: str | None = None,
    ) -> RateReceipt:
        """Set how many units of `currency_code` one unit of a COST book's currency costs."""
        request = pb.SetExchangeRateRequest(
            price_book_id=price_book_id,
            currency_code=currency_code,
            rate=to_number(rate),
            effective_time=_time(effective_time),
            idempotency_key=key_or_new(idempotency_key),
        )
        return wire.rate_receipt(await self._call(wire.SET_EXCHANGE_RATE, request))

    # ── re-rating ────────────────────────────────────────────────────────────────────────────────────

    async def rerate(
        self,
        start_time: datetime,
        end_time: datetime,
        *,
        account_id: str = "",
        version_id: str = "",
        validate_only: bool = False,
        reason: str = "",
        page_size: int = PAGE_SIZE,
        idempotency_key: str | None = None,
    ) -> AsyncIterator[RerateItem]:
        """Have posted usage of a period cost what other prices say; a page is posted whenever more is asked for.

        So it is done when the iterator has ended. After a failure begin again with the same key: what is done stays
        done, by the prices that the first request began with.

        Args:
            start_time: From when on usage is re-rated, by when it began.
            end_time: Up to when, exclusive.
            account_id: Only usage of this account.
            version_id: By the prices of this version, of its side only. Default: by all that is published now.
            validate_only: Only say what would change.
            reason: Why, for the record.
            page_size: How many transactions to look at in a request.
            idempotency_key: Makes the request repeatable.
        """
        request = pb.RerateRequest(
            start_time=to_time(start_time),
            end_time=to_time(end_time),
            account_id=account_id,
            version_id=version_id,
            validate_only=validate_only,
            reason=reason,
            page_size=page_size,
            idempotency_key=key_or_new(idempotency_key),
        )
        while True:
            page = await self._call(wire.RERATE, request)
            for message in page.items:
                yield wire.rerate_item(message)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    # ── plans and subscriptions ──────────────────────────────────────────────────────────────────────

    async def create_plan(
        self,
        plan_id: str,
        price_book_id: str,
        *,
        currency: str | None = None,
        lines: Iterable[UsageLine] = (),
        display_name: str = "",
        idempotency_key: str | None = None,
    ) -> PlanReceipt:
        """Create a plan that accounts can subscribe to; it never changes.

        Args:
            plan_id: Your choice, unique in the tenant.
            price_book_id: The SALE book that prices its subscribers before their own.
            currency: The book's currency; by default the client's.
            lines: What is charged every month. Default: one `plan.months` with the plan's id as model.
            display_name: A name for people.
            idempotency_key: Makes the request repeatable.
        """
        request = pb.CreatePlanRequest(
            plan=PlanMessage(
                plan_id=plan_id,
                display_name=display_name,
                currency_code=self._code(currency),
                price_book_id=price_book_id,
                lines=map(to_usage_line, lines),
            ),
            idempotency_key=key_or_new(idempotency_key),
        )
        reply = await self._call(wire.CREATE_PLAN, request)
        return PlanReceipt(wire.plan(reply.plan), reply.replayed)

    async def list_plans(self, *, page_size: int = PAGE_SIZE) -> AsyncIterator[Plan]:
        """The plans there are, in the order of their ids."""
        request = pb.ListPlansRequest(page_size=page_size)
        while True:
            page = await self._call(wire.LIST_PLANS, request)
            for message in page.plans:
                yield wire.plan(message)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def subscribe(
        self,
        account_id: str,
        plan_id: str = "",
        *,
        lines: Iterable[UsageLine] = (),
        start_time: datetime | None = None,
        idempotency_key: str | None = None,
    ) -> SubscriptionReceipt:
        """Subscribe an account to a plan, to monthly lines of its own, or both.

        Args:
            account_id: Who is charged, every calendar month of its time zone; the month of the start at once, in full.
            plan_id: The plan; without one `lines` are needed.
            lines: What is charged every month besides the plan's lines.
            start_time: When it begins: at most 35 days ago. Default: now.
            idempotency_key: Makes the request repeatable.
        """
        request = pb.SubscribeRequest(
            account_id=account_id,
            plan_id=plan_id,
            lines=map(to_usage_line, lines),
            start_time=_time(start_time),
            idempotency_key=key_or_new(idempotency_key),
        )
        reply = await self._call(wire.SUBSCRIBE, request)
        return SubscriptionReceipt(wire.subscription(reply.subscription), reply.replayed)

    async def unsubscribe(
        self, subscription_id: str, *, end_time: datetime | None = None, idempotency_key: str | None = None
    ) -> SubscriptionReceipt:
        """End a subscription: months that begin at `end_time` (default: now) or later are not charged."""
        request = pb.UnsubscribeRequest(
            subscription_id=subscription_id,
            end_time=_time(end_time),
            idempotency_key=key_or_new(idempotency_key),
        )
        reply = await self._call(wire.UNSUBSCRIBE, request)
        return SubscriptionReceipt(wire.subscription(reply.subscription), reply.replayed)

    async def list_subscriptions(
        self, *, account_id: str = "", page_size: int = PAGE_SIZE
    ) -> AsyncIterator[Subscription]:
        """Subscriptions of an account or of all, oldest first; ended ones, too."""
        request = pb.ListSubscriptionsRequest(account_id=account_id, page_size=page_size)
        while True:
            page = await self._call(wire.LIST_SUBSCRIPTIONS, request)
            for message in page.subscriptions:
                yield wire.subscription(message)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    # ── quotes ───────────────────────────────────────────────────────────────────────────────────────

    async def quote(
        self,
        lines: Usage,
        *,
        account_id: str | None = None,
        price_book_id: str | None = None,
        at: datetime | None = None,
    ) -> Quote:
        """Price usage without posting anything; amounts are rounded up.

        Args:
            lines: The usage, as lines or a report.
            account_id: Whose prices, and whose month counts; give this or `price_book_id`.
            price_book_id: A SALE book, for an account that has used nothing this month.
            at: The instant whose prices count. Default: now.
        """
        request = pb.QuoteRequest(
            account_id=account_id,
            price_book_id=price_book_id,
            usage=to_report(lines),
            at=_time(at),
        )
        return wire.quote(await self._call(wire.QUOTE, request))


def _time(instant: datetime | None) -> Timestamp | None:
    return None if instant is None else to_time(instant)
