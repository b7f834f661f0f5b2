"""The pricing client: price books, their versions, who is priced by them, and quotes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from datetime import datetime
from decimal import Decimal

from google.protobuf.timestamp_pb2 import Timestamp

from imprest.v1 import pricing_service_pb2 as pb
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
    Price,
    PriceBook,
    PriceVersion,
    PublishReceipt,
    Quote,
    RateReceipt,
    Usage,
)
from imprest_client.times import to_time
from imprest_client.usage_wire import to_number, to_report


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
        return wire.assignment_receipt(await self._call(wire.ASSIGN_PRICE_BOOK, request))

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
