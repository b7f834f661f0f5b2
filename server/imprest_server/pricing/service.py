"""Writes of a tenant's prices: each in a short transaction of its own on a pooled connection.

What takes long (checking, comparing, inserting thousands of prices) comes first, without a lock. Then the tenant's row
is locked, which posting batches wait for, and only a few rows are added under the next epoch. When somebody else has
meanwhile changed what the first part looked at, all of it is rolled back and begun again.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

from imprest_server.core.errors import (
    Conflict,
    CurrencyMismatch,
    IdempotencyKeyReused,
    InvalidArgument,
    NotFound,
    PriceBookExists,
    StoredDenial,
    restore_denial,
)
from imprest_server.core.ids import uuid7
from imprest_server.core.usage import UsageLine
from imprest_server.db.pool import ReadPool
from imprest_server.pricing import plans, store
from imprest_server.pricing.cache import PriceCache, VersionKey
from imprest_server.pricing.importers.csv_prices import read_csv
from imprest_server.pricing.importers.imported import Imported
from imprest_server.pricing.importers.litellm import read_litellm
from imprest_server.pricing.model import (
    Assignment,
    BookSide,
    Difference,
    ExchangeRate,
    Plan,
    Price,
    PriceBook,
    PriceBookId,
    PriceVersion,
    PriceVersionId,
    Subscription,
    SubscriptionEnd,
)
from imprest_server.pricing.operations import (
    AssignPriceBook,
    CreatePlan,
    CreatePriceBook,
    ImportPrices,
    Operation,
    Publication,
    Published,
    PublishPrices,
    RerateUsage,
    SetExchangeRate,
    SetOverride,
    Subscribe,
    Unsubscribe,
    Written,
    fingerprint,
)
from imprest_server.pricing.rules import Catalog, check_prices, differences
from imprest_server.pricing.store import Connection, StoredOperation
from imprest_server.pricing.validation import (
    BOOK_PREFIX,
    OVERRIDE_PREFIX,
    SUBSCRIPTION_PREFIX,
    check_count,
    effective,
    validate,
)

# Each failure means that another write of the same tenant has succeeded.
_ATTEMPTS = 20

T = TypeVar("T")
Payload = dict[str, Any]


class _ChangedMeanwhileError(Exception):
    """What was looked at before the lock is not so any more: begin again."""


@dataclass(frozen=True, slots=True)
class _Locked:
    """The tenant under its lock: the epoch that this write makes, the time, and all that was known before."""

    epoch: int
    now: datetime
    catalog: Catalog

    def version(self, book: PriceBook, at: datetime) -> PriceVersion | None:
        return self.catalog.version(book.price_book_id, self.epoch - 1, at)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a publication comes to: `after` instead of the prices of `base`. A new book is one that it makes."""

    book: PriceBook
    is_new_book: bool
    base: PriceVersion | None
    after: Sequence[Price]
    differences: Sequence[Difference]

    def published(self, version: PriceVersion | None) -> Published:
        return _published(version, self.differences, len(self.after))


class PriceAdmin:
    """The writes. All may raise InvalidArgument, IdempotencyKeyReused, Conflict and Unavailable."""

    def __init__(self, pool: ReadPool, cache: PriceCache) -> None:
        self._pool = pool
        self._cache = cache

    async def create_book(self, op: CreatePriceBook) -> Written[PriceBook]:
        """Create an empty book. Raises PriceBookExists."""

        async def write(conn: Connection, digest: bytes) -> PriceBook:
            locked = await self._lock(conn, op)
            price_book_id = op.price_book_id or PriceBookId(BOOK_PREFIX + uuid7().hex)
            if price_book_id in locked.catalog.books:
                raise PriceBookExists(price_book_id=price_book_id)
            book = PriceBook(
                tenant_id=op.tenant_id,
                price_book_id=price_book_id,
                side=op.side,
                currency_code=op.currency_code,
                display_name=op.display_name,
                create_time=locked.now,
            )
            await store.insert_book(conn, book, locked.epoch)
            await self._count_up(conn, op, digest, locked)
            return book

        async def replay(conn: Connection, payload: Payload) -> PriceBook:
            return (await self._rows_of(conn, op, payload)).books[0]

        return await self._once(op, write, replay)

    async def assign(self, op: AssignPriceBook) -> Written[Assignment]:
        """Have an account or the tenant priced by a book. Raises NotFound, CurrencyMismatch."""

        async def write(conn: Connection, digest: bytes) -> Assignment:
            payer = None
            if op.account_id is not None:
                payer = await store.find_account(conn, op.tenant_id, op.account_id)
            locked = await self._lock(conn, op)
            side, currency_code = op.side, op.currency_code
            if op.price_book_id is not None:
                book = _book(locked.catalog, op.price_book_id)
                if book.account_id is not None:
                    raise InvalidArgument(field="price_book_id", problem="is a book of overrides")
                if side not in (None, book.side):
                    raise InvalidArgument(field="side", problem="must be that of the book, or left out")
                if currency_code not in (None, book.currency_code):
                    raise InvalidArgument(field="currency_code", problem="must be that of the book, or left out")
                side, currency_code = book.side, book.currency_code
            elif payer is not None:
                currency_code = currency_code or payer.currency_code
            assert side is not None and currency_code is not None, "validated"
            if payer is not None and side is BookSide.SALE and currency_code != payer.currency_code:
                raise CurrencyMismatch(
                    account_id=payer.account_id,
                    account_currency_code=payer.currency_code,
                    currency_code=currency_code,
                )
            assignment = Assignment(
                side=side,
                currency_code=currency_code,
                account_id=op.account_id,
                price_book_id=op.price_book_id,
                epoch=locked.epoch,
                effective_time=effective(op.effective_time, locked.now),
            )
            await store.insert_assignment(conn, op.tenant_id, assignment, locked.now)
            await self._count_up(conn, op, digest, locked)
            return assignment

        async def replay(conn: Connection, payload: Payload) -> Assignment:
            return (await self._rows_of(conn, op, payload)).assignments[0]

        return await self._once(op, write, replay)

    async def set_exchange_rate(self, op: SetExchangeRate) -> Written[ExchangeRate]:
        """Set what a COST book's currency costs in another one. Raises NotFound."""

        async def write(conn: Connection, digest: bytes) -> ExchangeRate:
            locked = await self._lock(conn, op)
            book = _book(locked.catalog, op.price_book_id)
            if book.side is not BookSide.COST:
                raise InvalidArgument(field="price_book_id", problem="must be a COST book")
            if book.currency_code == op.currency_code:
                raise InvalidArgument(field="currency_code", problem="must be another one than the book's")
            rate = ExchangeRate(
                price_book_id=op.price_book_id,
                currency_code=op.currency_code,
                rate=op.rate,
                epoch=locked.epoch,
                effective_time=effective(op.effective_time, locked.now),
            )
            await store.insert_exchange_rate(conn, op.tenant_id, rate, locked.now)
            await self._count_up(conn, op, digest, locked)
            return rate

        async def replay(conn: Connection, payload: Payload) -> ExchangeRate:
            return (await self._rows_of(conn, op, payload)).exchange_rates[0]

        return await self._once(op, write, replay)

    # ── plans ────────────────────────────────────────────────────────────────────────────────────────

    async def create_plan(self, op: CreatePlan) -> Written[Plan]:
        """Offer a plan. Raises NotFound, CurrencyMismatch."""

        async def write(conn: Connection, digest: bytes) -> Plan:
            locked = await self._lock(conn, op)
            book = _book(locked.catalog, op.price_book_id)
            if book.side is not BookSide.SALE or book.account_id is not None:
                raise InvalidArgument(field="plan.price_book_id", problem="must be a SALE book, and no overrides")
            if book.currency_code != op.currency_code:
                raise InvalidArgument(field="plan.currency_code", problem="must be that of the book")
            if await plans.find_plan(conn, op.tenant_id, op.plan_id) is not None:
                raise InvalidArgument(field="plan.plan_id", problem="is the id of another plan")
            plan = Plan(
                plan_id=op.plan_id,
                display_name=op.display_name,
                currency_code=op.currency_code,
                price_book_id=op.price_book_id,
                lines=op.lines or (UsageLine(meter="plan.months", model=op.plan_id, quantity=Decimal(1)),),
                create_time=locked.now,
            )
            await plans.insert_plan(conn, op.tenant_id, plan)
            await self._keep(conn, op, digest, locked.now, {})
            return plan

        async def replay(conn: Connection, _: Payload) -> Plan:
            return await plans.get_plan(conn, op.tenant_id, op.plan_id)

        return await self._once(op, write, replay)

    async def subscribe(self, op: Subscribe) -> Written[Subscription]:
        """Subscribe an account. Raises NotFound, CurrencyMismatch."""

        async def write(conn: Connection, digest: bytes) -> Subscription:
            payer = await store.find_account(conn, op.tenant_id, op.account_id)
            plan = None if op.plan_id is None else await plans.get_plan(conn, op.tenant_id, op.plan_id)
            if plan is not None and plan.currency_code != payer.currency_code:
                raise CurrencyMismatch(
                    account_id=payer.account_id,
                    account_currency_code=payer.currency_code,
                    currency_code=plan.currency_code,
                )
            locked = await self._lock(conn, op)
            subscription = Subscription(
                subscription_id=SUBSCRIPTION_PREFIX + uuid7().hex,
                account_id=op.account_id,
                plan_id=op.plan_id,
                price_book_id=None if plan is None else plan.price_book_id,
                lines=(*(plan.lines if plan else ()), *op.lines),
                start_time=effective(op.start_time, locked.now),
                epoch=locked.epoch,
                create_time=locked.now,
            )
            await plans.insert_subscription(conn, op.tenant_id, subscription)
            await self._count_up(conn, op, digest, locked)
            return subscription

        async def replay(conn: Connection, payload: Payload) -> Subscription:
            return (await self._rows_of(conn, op, payload)).subscriptions[0]

        return await self._once(op, write, replay)

    async def unsubscribe(self, op: Unsubscribe) -> Written[Subscription]:
        """End a subscription. Raises NotFound."""

        async def write(conn: Connection, digest: bytes) -> Subscription:
            locked = await self._lock(conn, op)
            subscription = await plans.get_subscription(conn, op.tenant_id, op.subscription_id)
            end_time = effective(op.end_time, locked.now)
            if end_time < subscription.start_time:
                raise InvalidArgument(field="end_time", problem="must not be before the subscription's start")
            if subscription.end_time is not None and end_time > subscription.end_time:
                raise InvalidArgument(field="end_time", problem="must not be after the end that the subscription has")
            end = SubscriptionEnd(subscription_id=op.subscription_id, end_time=end_time, epoch=locked.epoch)
            await plans.insert_end(conn, op.tenant_id, end, locked.now)
            await self._count_up(conn, op, digest, locked)
            return replace(subscription, end_time=end_time)

        async def replay(conn: Connection, payload: Payload) -> Subscription:
            subscription = await plans.get_subscription(conn, op.tenant_id, op.subscription_id)
            return replace(subscription, end_time=(await self._rows_of(conn, op, payload)).ends[0].end_time)

        return await self._once(op, write, replay)

    # ── re-rating ────────────────────────────────────────────────────────────────────────────────────

    async def begin_rerate(self, op: RerateUsage) -> Written[int]:
        """Keep that usage is re-rated under this key, and by which epoch, for when it goes on after an interruption."""

        async def write(conn: Connection, digest: bytes) -> int:
            locked = await self._lock(conn, op)
            await self._keep(conn, op, digest, locked.now, {"epoch": locked.epoch - 1})
            return locked.epoch - 1

        async def replay(_: Connection, payload: Payload) -> int:
            return int(payload["epoch"])

        return await self._once(op, write, replay)

    # ── publishing ───────────────────────────────────────────────────────────────────────────────────

    async def publish(self, op: PublishPrices) -> Written[Published]:
        """Publish a version of a book. Raises NotFound."""

        async def target(_: Connection, catalog: Catalog, __: datetime) -> tuple[PriceBook, bool]:
            book = _book(catalog, op.price_book_id)
            if book.account_id is not None:
                raise InvalidArgument(field="price_book_id", problem="is a book of overrides: use SetOverride")
            return book, False

        return await self._publish(op, target)

    async def import_prices(self, op: ImportPrices, file: bytes | str) -> tuple[Written[Published], Imported]:
        """Publish the prices of a file: bytes are LiteLLM's JSON, text is CSV. Raises NotFound."""
        async with store.transaction(self._pool, op.tenant_id) as conn:
            epoch = await store.read_epoch(conn, op.tenant_id)
            today = (await store.clock(conn, op.tenant_id, epoch)).date()
        imported = await asyncio.to_thread(_read, file, today)
        if not imported.prices:  # a file that was cut short must not empty a book
            field = "litellm_json" if isinstance(file, bytes) else "csv"
            raise InvalidArgument(field=field, problem="holds no price that can be imported")
        content = hashlib.sha256(file if isinstance(file, bytes) else file.encode()).hexdigest()
        filled = replace(op, prices=imported.prices, places=imported.places, content=content)
        return await self.publish(filled), imported

    async def set_override(self, op: SetOverride) -> Written[Published]:
        """Publish prices of one account. Raises NotFound, CurrencyMismatch."""

        async def target(conn: Connection, _: Catalog, now: datetime) -> tuple[PriceBook, bool]:
            payer = await store.find_account(conn, op.tenant_id, op.account_id)
            currency_code = op.currency_code or payer.currency_code
            if op.side is BookSide.SALE and currency_code != payer.currency_code:
                raise CurrencyMismatch(
                    account_id=op.account_id,
                    account_currency_code=payer.currency_code,
                    currency_code=currency_code,
                )
            book = await store.find_override(conn, op.tenant_id, op.account_id, op.side, currency_code)
            if book is not None:
                return book, False
            new = PriceBook(
                tenant_id=op.tenant_id,
                price_book_id=PriceBookId(OVERRIDE_PREFIX + uuid7().hex),
                side=op.side,
                currency_code=currency_code,
                account_id=op.account_id,
                create_time=now,
            )
            return new, True

        return await self._publish(op, target)

    async def _publish(
        self, op: Publication, target: Callable[[Connection, Catalog, datetime], Awaitable[tuple[PriceBook, bool]]]
    ) -> Written[Published]:
        """`target` finds the book; or makes one up, and says True, when the publication is to create it."""

        async def plan(conn: Connection) -> _Plan:
            epoch = await store.read_epoch(conn, op.tenant_id)
            catalog = await self._cache.catalog(conn, op.tenant_id, epoch)
            now = await store.clock(conn, op.tenant_id, epoch)
            book, is_new = await target(conn, catalog, now)
            at = effective(op.effective_time, now)
            base = catalog.version(book.price_book_id, epoch, at)
            before = await self._prices_of(conn, op, base)
            after, changes = await asyncio.to_thread(_compare, op, book.side, before)
            return _Plan(book, is_new, base, after, changes)

        async def write(conn: Connection, digest: bytes) -> Published:
            planned = await plan(conn)
            version_id = PriceVersionId(uuid7())
            if planned.differences:
                await store.insert_prices(conn, op.tenant_id, version_id, planned.after)
            locked = await self._lock(conn, op)
            book, base = planned.book, planned.base
            at = effective(op.effective_time, locked.now)
            if locked.version(book, at) != base:
                raise _ChangedMeanwhileError
            if not planned.differences:
                stays = None if base is None else base.version_id.hex
                await self._keep(conn, op, digest, locked.now, {"version": stays})
                return planned.published(base)
            if planned.is_new_book:
                _, still_new = await target(conn, locked.catalog, locked.now)
                if not still_new:
                    raise _ChangedMeanwhileError
                await store.insert_book(conn, replace(book, create_time=locked.now), locked.epoch)
            version = PriceVersion(
                price_book_id=book.price_book_id,
                version_id=version_id,
                number=1 + await store.last_number(conn, op.tenant_id, book.price_book_id),
                epoch=locked.epoch,
                effective_time=at,
                create_time=locked.now,
            )
            await store.insert_version(conn, op.tenant_id, version)
            more = {} if base is None else {"base": base.version_id.hex}
            await self._count_up(conn, op, digest, locked, more)
            added[:] = [((op.tenant_id, version_id), planned.after)]
            return planned.published(version)

        async def replay(conn: Connection, payload: Payload) -> Published:
            if "epoch" not in payload:
                version = await self._version(conn, op, payload["version"])
                return Published(version=version, unchanged=len(await self._prices_of(conn, op, version)))
            version = (await self._rows_of(conn, op, payload)).versions[0]
            base = await self._version(conn, op, payload.get("base"))
            before, after = await self._prices_of(conn, op, base), await self._prices_of(conn, op, version)
            changes = await asyncio.to_thread(differences, before, after)
            return _published(version, changes, len(after))

        if op.validate_only:
            validate(op)
            async with store.transaction(self._pool, op.tenant_id) as conn:
                return Written((await plan(conn)).published(None))
        added: list[tuple[VersionKey, Sequence[Price]]] = []
        written = await self._once(op, write, replay)
        for key, prices in added:  # the first call that needs them need not load them
            await self._cache.keep(key, prices)
        return written

    async def _prices_of(self, conn: Connection, op: Operation, version: PriceVersion | None) -> list[Price]:
        if version is None:
            return []
        key = (op.tenant_id, version.version_id)
        return (await store.load_prices(conn, [key]))[version.version_id]

    async def _version(self, conn: Connection, op: Operation, version_hex: str | None) -> PriceVersion | None:
        if version_hex is None:
            return None
        return await store.find_version(conn, op.tenant_id, PriceVersionId(UUID(hex=version_hex)))

    # ── once per key ─────────────────────────────────────────────────────────────────────────────────

    async def _once(
        self,
        op: Operation,
        write: Callable[[Connection, bytes], Awaitable[T]],
        replay: Callable[[Connection, Payload], Awaitable[T]],
    ) -> Written[T]:
        """Write, or give the answer of an earlier request with this key; a denial of kinds that are stored is kept."""
        validate(op)
        digest = await asyncio.to_thread(fingerprint, op)
        for _ in range(_ATTEMPTS):
            try:
                async with store.transaction(self._pool, op.tenant_id) as conn:
                    stored = await store.find_operation(conn, op.tenant_id, op.kind, op.idempotency_key)
                    if stored is not None:
                        return Written(await replay(conn, _granted(stored, digest)), replayed=True)
                    return Written(await write(conn, digest))
            except _ChangedMeanwhileError:
                continue
            except StoredDenial as denial:
                if not denial.replayed:
                    await self._keep_denial(op, digest, denial)
                raise
        raise Conflict

    async def _lock(self, conn: Connection, op: Operation) -> _Locked:
        """Lock the tenant; what is looked at after this stays so until the end of the transaction."""
        epoch, now = await store.lock_tenant(conn, op.tenant_id)
        if await store.find_operation(conn, op.tenant_id, op.kind, op.idempotency_key) is not None:
            raise _ChangedMeanwhileError  # a twin was quicker
        return _Locked(epoch + 1, now, await self._cache.catalog(conn, op.tenant_id, epoch))

    async def _count_up(
        self, conn: Connection, op: Operation, digest: bytes, locked: _Locked, more: Payload | None = None
    ) -> None:
        """Make the rows that were added known under their epoch, and keep the key."""
        await store.set_epoch(conn, op.tenant_id, locked.epoch)
        await self._keep(conn, op, digest, locked.now, {"epoch": locked.epoch, **(more or {})})

    async def _keep(self, conn: Connection, op: Operation, digest: bytes, now: datetime, payload: Payload) -> None:
        stored = StoredOperation(digest, None, json.dumps(payload))
        await store.insert_operation(conn, op.tenant_id, op.kind, op.idempotency_key, stored, now)

    async def _keep_denial(self, op: Operation, digest: bytes, denial: StoredDenial) -> None:
        async with store.transaction(self._pool, op.tenant_id) as conn:
            _, now = await store.lock_tenant(conn, op.tenant_id)
            if await store.find_operation(conn, op.tenant_id, op.kind, op.idempotency_key) is None:
                stored = StoredOperation(digest, denial.reason, json.dumps(denial.values))
                await store.insert_operation(conn, op.tenant_id, op.kind, op.idempotency_key, stored, now)

    async def _rows_of(self, conn: Connection, op: Operation, payload: Payload) -> store.CatalogRows:
        """What a write has added: the rows of its epoch."""
        return await store.load_catalog(conn, op.tenant_id, payload["epoch"] - 1, payload["epoch"])


def _granted(stored: StoredOperation, digest: bytes) -> Payload:
    """What was kept of an earlier request; raises its denial, or IdempotencyKeyReused when it was another one."""
    if stored.fingerprint != digest:
        raise IdempotencyKeyReused
    values = json.loads(stored.payload)
    if stored.denial_reason is not None:
        raise restore_denial(stored.denial_reason, values)
    payload: Payload = values
    return payload


def _published(version: PriceVersion | None, changes: Sequence[Difference], count: int) -> Published:
    """The answer about a version with so many prices."""
    touched = sum(1 for difference in changes if difference.after is not None)
    return Published(version=version, differences=tuple(changes), unchanged=count - touched)


def _book(catalog: Catalog, price_book_id: PriceBookId) -> PriceBook:
    book = catalog.books.get(price_book_id)
    if book is None:
        raise NotFound(resource="price book", id=price_book_id)
    return book


def _compare(op: Publication, side: BookSide, before: Sequence[Price]) -> tuple[Sequence[Price], list[Difference]]:
    """The prices that the publication leads to, and how they differ from those before."""
    check_prices(op.prices, side, op.places if isinstance(op, ImportPrices) else ())
    after = op.prices
    if not op.replace and (op.prices or not isinstance(op, SetOverride)):
        after = tuple(({price.key: price for price in before} | {price.key: price for price in op.prices}).values())
    check_count(len(after))
    return after, differences(before, after)


def _read(file: bytes | str, today: date) -> Imported:
    return read_litellm(file, today) if isinstance(file, bytes) else read_csv(file)
