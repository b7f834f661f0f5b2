"""What callers may read of a tenant's prices. SQL in sql/queries.sql; quotes are in `quotes`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from psycopg.rows import TupleRow, tuple_row

from imprest_server.core.errors import NotFound
from imprest_server.core.ids import AccountId, TenantId, format_price_version_id
from imprest_server.core.paging import Scope, cut_page, decode_token, page_limit
from imprest_server.db.pool import ReadPool
from imprest_server.db.sqlfile import load_sql
from imprest_server.pricing.meters import METERS, Meter
from imprest_server.pricing.model import (
    Assignment,
    BookSide,
    Price,
    PriceBook,
    PriceBookId,
    PriceVersion,
    PriceVersionId,
)
from imprest_server.pricing.rows import assignment_of, book_of, price_of, version_of
from imprest_server.pricing.store import transaction

SQL = load_sql("imprest_server.pricing", "sql/queries.sql")

# Bytes that the message of a book, version, price or meter, and of one tier, takes at most.
_THING_BYTES = 4096
_TIER_BYTES = 160
_NO_NUMBER_BEFORE = 2**31 - 1
_NO_EPOCH_BEFORE = 2**63 - 1


class PriceQueries:
    """The reads of prices, each limited to one tenant.

    All may raise Unavailable. What does not exist, or belongs to another tenant, is NotFound. Lists raise
    InvalidArgument for a bad page size or token, take None or "" for a filter that is not set, and return the token of
    the next page, "" on the last.
    """

    def __init__(self, pool: ReadPool) -> None:
        self._pool = pool

    async def list_books(
        self,
        tenant_id: TenantId,
        *,
        side: BookSide | None = None,
        currency_code: str = "",
        account_id: AccountId | None = None,
        page_size: int = 0,
        page_token: str = "",
    ) -> tuple[list[PriceBook], str]:
        """Books in the order of their ids: the overrides of one account, or all that are no overrides."""
        limit = page_limit(page_size)
        scope = ("list_price_books", tenant_id, side, currency_code or None, account_id)
        after = decode_token(page_token, scope, str)
        text = _filtered(
            "list_books",
            books_of_account=account_id,
            books_of_nobody=account_id is None,
            books_of_side=side,
            books_of_currency=currency_code,
            books_of_page=after,
        )
        parameters = {"side": side, "currency": currency_code, "account": account_id, "after": after}
        rows = await self._rows(tenant_id, text, {**parameters, "limit": limit + 1})
        books = [book_of(row) for row in rows]
        return cut_page(books, limit, scope, lambda book: book.price_book_id, lambda _: _THING_BYTES)

    async def get_book(self, tenant_id: TenantId, price_book_id: PriceBookId) -> PriceBook:
        """The book."""
        rows = await self._rows(tenant_id, SQL["get_book"], {"book": price_book_id})
        if not rows:
            raise NotFound(resource="price book", id=price_book_id)
        return book_of(rows[0])

    async def list_versions(
        self, tenant_id: TenantId, price_book_id: PriceBookId, *, page_size: int = 0, page_token: str = ""
    ) -> tuple[list[PriceVersion], str]:
        """The book's versions, newest first."""
        limit = page_limit(page_size)
        scope = ("list_price_versions", tenant_id, price_book_id)
        before = decode_token(page_token, scope, int)
        await self.get_book(tenant_id, price_book_id)
        rows = await self._rows(
            tenant_id,
            SQL["list_versions"],
            {"book": price_book_id, "before": before or _NO_NUMBER_BEFORE, "limit": limit + 1},
        )
        versions = [version_of(row) for row in rows]
        return cut_page(versions, limit, scope, lambda version: str(version.number), lambda _: _THING_BYTES)

    async def version_in_force(
        self, tenant_id: TenantId, price_book_id: PriceBookId, at: datetime | None = None
    ) -> PriceVersion | None:
        """The book's version in force at an instant (None: now), of all that is published."""
        rows = await self._rows(tenant_id, SQL["version_in_force"], {"book": price_book_id, "at": at})
        return version_of(rows[0]) if rows else None

    async def list_assignments(
        self,
        tenant_id: TenantId,
        *,
        account_id: AccountId | None = None,
        tenant_default: bool = False,
        price_book_id: PriceBookId | None = None,
        at: datetime | None = None,
        page_size: int = 0,
        page_token: str = "",
    ) -> tuple[list[Assignment], str]:
        """Assignments in force at an instant (None: now) and later ones, newest first: of an account, of the tenant,
        or of both and all accounts."""
        limit = page_limit(page_size)
        asked = None if at is None else at.isoformat()
        scope = ("list_price_assignments", tenant_id, account_id, str(tenant_default), price_book_id, asked)
        before = decode_token(page_token, scope, int)
        text = _filtered("list_assignments", assignments_of_account=account_id, assignments_of_tenant=tenant_default)
        parameters = {"account": account_id, "book": price_book_id, "at": at, "before": before or _NO_EPOCH_BEFORE}
        rows = await self._rows(tenant_id, text, {**parameters, "limit": limit + 1})
        found = [assignment_of(row) for row in rows]
        return cut_page(found, limit, scope, lambda assignment: str(assignment.epoch), lambda _: _THING_BYTES)

    async def list_prices(
        self,
        tenant_id: TenantId,
        price_book_id: PriceBookId,
        *,
        which: PriceVersionId | datetime | None = None,
        meter: str = "",
        provider: str = "",
        model: str = "",
        page_size: int = 0,
        page_token: str = "",
    ) -> tuple[list[Price], PriceVersion | None, str]:
        """The prices of a version (of the one in force at an instant, now) in the order of their keys.

        Also the version. A token stays with its version: a page does not mix it with one published meanwhile.
        """
        limit = page_limit(page_size)
        asked = None if which is None else str(which)
        scope: Scope = ("list_prices", tenant_id, price_book_id, asked, meter, provider, model)
        place = decode_token(page_token, scope, _place)
        if place is not None:
            which = place[0]
        await self.get_book(tenant_id, price_book_id)
        if isinstance(which, UUID):
            version = await self._version(tenant_id, price_book_id, which)
        else:
            found = await self.version_in_force(tenant_id, price_book_id, which)
            if found is None:
                return [], None, ""
            version = found
        text = _filtered("list_prices", prices_of_meter=meter, prices_of_provider=provider, prices_of_model=model)
        offset = 0 if place is None else place[1]
        parameters = {"version": version.version_id, "meter": meter, "provider": provider, "model": model}
        rows = await self._rows(tenant_id, text, {**parameters, "offset": offset, "limit": limit + 1})
        placed, token = cut_page(
            [(place, price_of(row)) for place, row in enumerate(rows, start=offset + 1)],
            limit,
            scope,
            lambda item: f"{version.version_id.hex}:{item[0]}",
            lambda item: _THING_BYTES + 4 * len(item[1].source) + _TIER_BYTES * len(item[1].tiers),
        )
        return [price for _, price in placed], version, token

    async def _version(
        self, tenant_id: TenantId, price_book_id: PriceBookId, version_id: PriceVersionId
    ) -> PriceVersion:
        rows = await self._rows(tenant_id, SQL["get_version"], {"book": price_book_id, "version": version_id})
        if not rows:
            raise NotFound(resource="price version", id=format_price_version_id(version_id))
        return version_of(rows[0])

    async def _rows(self, tenant_id: TenantId, text: LiteralString, parameters: Mapping[str, Any]) -> list[TupleRow]:
        async with (
            transaction(self._pool, tenant_id) as connection,
            connection.cursor(row_factory=tuple_row) as cursor,
        ):
            await cursor.execute(text, {**parameters, "tenant": tenant_id})
            return await cursor.fetchall()


def list_meters(category: str = "", page_size: int = 0, page_token: str = "") -> tuple[list[Meter], str]:
    """The meters by name, of one category or all, and the token of the next page."""
    limit = page_limit(page_size)
    scope = ("list_meters", category)
    after = decode_token(page_token, scope, str) or ""
    meters = [meter for name, meter in sorted(METERS.items()) if name > after and category in ("", meter.category)]
    return cut_page(meters[: limit + 1], limit, scope, lambda meter: meter.name, lambda _: _THING_BYTES)


def _place(key: str) -> tuple[PriceVersionId, int]:
    """Where a page of prices begins: its version, and how many prices come before."""
    version_hex, offset = key.split(":")
    return PriceVersionId(UUID(hex=version_hex)), int(offset)


def _filtered(list_name: LiteralString, **filters: object) -> LiteralString:
    """The list's statement with the blocks of the filters whose value is set."""
    return SQL[list_name].replace("{filters}", " ".join(SQL[name] for name, value in filters.items() if value))
