"""Re-rating of a period, a page at a time: what posted usage would cost by other prices, and the adjustments for that.

The new price of each transaction is worked out here, without a lock: lines, versions and places in the month's tiers
never change. The engine then posts the difference to what the transaction costs at that moment. So two re-rates that
overlap cannot add up, and one that is repeated, or goes on after an interruption, finds nothing left to do.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime

from imprest_server.core.errors import ImprestError, NotFound, StoredDenial
from imprest_server.core.ids import AccountId, TransactionId, format_price_version_id
from imprest_server.core.paging import cut_page, decode_token, page_limit
from imprest_server.core.usage import RatedLine
from imprest_server.db.pool import ReadPool
from imprest_server.ledger.model import ChargeBreakdown
from imprest_server.ledger.operations import Operation, Rerate
from imprest_server.ledger.queries import Queries
from imprest_server.ledger.rules import Outcome
from imprest_server.ledger.views import UsedLine, UsedTransaction
from imprest_server.pricing import store
from imprest_server.pricing.cache import PriceCache
from imprest_server.pricing.model import BookSide, PriceBook, PriceVersion
from imprest_server.pricing.operations import RerateUsage
from imprest_server.pricing.rules import Catalog, Chains, InForce, NoPositionError, Payer, Tariff, rerate
from imprest_server.pricing.service import PriceAdmin
from imprest_server.pricing.store import Connection
from imprest_server.pricing.validation import validate

Submit = Callable[[Operation], Awaitable[Outcome]]
#: Most bytes that one transaction takes in a reply.
_ITEM_BYTES = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Rerated:
    """One transaction: what its usage costs, and will by the new prices, in nanos.

    `skipped` says why it stays as it is. Once posted: what was charged or given back, and the transaction for it.
    """

    used: UsedTransaction
    currency_code: str
    lines: tuple[RatedLine, ...]
    side: BookSide | None = None
    skipped: str = ""
    charge: ChargeBreakdown | None = None
    transaction_id: TransactionId | None = None

    @property
    def before(self) -> tuple[int, int]:
        """Price and cost now."""
        return sum(line.rated.price for line in self.used.lines), sum(line.rated.cost for line in self.used.lines)

    @property
    def after(self) -> tuple[int, int]:
        """Price and cost by the new prices."""
        return sum(line.price for line in self.lines), sum(line.cost for line in self.lines)

    @property
    def differs(self) -> bool:
        """Whether any line costs something else."""
        old = [(line.rated.price, line.rated.cost) for line in self.used.lines]
        return old != [(line.price, line.cost) for line in self.lines]


@dataclass(frozen=True, slots=True)
class _Chosen:
    """By which prices: what was known at the epoch, and of one side only this version.

    A version of a book is for the lines that the book has priced: customers with prices of their own keep these. Of an
    account that is named it is for all lines.
    """

    catalog: Catalog
    epoch: int
    link: tuple[PriceBook, PriceVersion] | None
    account_id: AccountId | None

    def concerns(self, posted: RatedLine) -> bool:
        """Whether the line is to be re-rated. A cost that no book knew may come from any."""
        if self.link is None or self.account_id is not None:
            return True
        book, _ = self.link
        version_id = posted.price_version if book.side is BookSide.SALE else posted.cost_version
        return version_id is None or self.catalog.is_of_book(version_id, book.price_book_id)

    def chains(self, payer: Payer, at: datetime) -> Chains:
        """The prices of an instant; on a version's side that version alone."""
        chains = self.catalog.chains(payer, self.epoch, at)
        if self.link is None:
            return chains
        book, version = self.link
        rate = self.catalog.exchange_rate(book, payer.currency_code, self.epoch, at)
        only = (InForce(book, version, payer.currency_code, rate),)
        return Chains(only, chains.cost) if book.side is BookSide.SALE else Chains(chains.sale, only)


class Rerates:
    """Re-rates a tenant's usage. Raises InvalidArgument, NotFound, IdempotencyKeyReused, Conflict, Unavailable."""

    def __init__(self, pool: ReadPool, cache: PriceCache, admin: PriceAdmin, queries: Queries, submit: Submit) -> None:
        self._pool = pool
        self._cache = cache
        self._admin = admin
        self._queries = queries
        self._submit = submit

    async def page(
        self, op: RerateUsage, *, validate_only: bool, page_size: int = 0, page_token: str = ""
    ) -> tuple[list[Rerated], str, bool]:
        """A page of transactions whose usage costs something else, or cannot be re-rated, in the order of their
        accounts; they are posted unless `validate_only`. Also the next page's token, and whether the key was known."""
        validate(op)
        limit = page_limit(page_size)
        version = None if op.version_id is None else op.version_id.hex
        span = (op.start_time.isoformat(), op.end_time.isoformat())
        scope = ("rerate", op.tenant_id, *span, op.account_id, version, op.idempotency_key)
        after = decode_token(page_token, scope, _place) or ("", 0)
        async with store.transaction(self._pool, op.tenant_id) as conn:
            epoch = await store.read_epoch(conn, op.tenant_id)
            chosen = await self._chosen(conn, op, epoch)
        replayed = False
        if not validate_only:
            begun = await self._admin.begin_rerate(op)
            chosen, replayed = replace(chosen, epoch=begun.value), begun.replayed
        found = await self._queries.used_transactions(
            op.tenant_id,
            start_time=op.start_time,
            end_time=op.end_time,
            account_id=op.account_id,
            after=after,
            limit=limit + 1,
        )
        used, token = cut_page(found, limit, scope, lambda t: f"{t.account_id}/{t.seq}", lambda _: _ITEM_BYTES)
        async with store.transaction(self._pool, op.tenant_id) as conn:
            payers = {
                account_id: await store.find_account(conn, op.tenant_id, account_id)
                for account_id in {transaction.account_id for transaction in used}
            }
            rerated = [
                await self._rerated(conn, chosen, payers[transaction.account_id], transaction) for transaction in used
            ]
        rerated = [item for item in rerated if item.differs or item.skipped]
        if not validate_only:
            rerated = await asyncio.gather(*(self._posted(op, item) for item in rerated))
        return rerated, token, replayed

    async def _chosen(self, conn: Connection, op: RerateUsage, epoch: int) -> _Chosen:
        catalog = await self._cache.catalog(conn, op.tenant_id, epoch)
        if op.version_id is None:
            return _Chosen(catalog, epoch, None, op.account_id)
        version = await store.find_version(conn, op.tenant_id, op.version_id)
        if version is None:
            raise NotFound(resource="price version", id=format_price_version_id(op.version_id))
        return _Chosen(catalog, epoch, (catalog.books[version.price_book_id], version), op.account_id)

    async def _rerated(self, conn: Connection, chosen: _Chosen, payer: Payer, used: UsedTransaction) -> Rerated:
        chains = chosen.chains(payer, used.price_time)
        if used.else_time is not None:
            chains = chains.or_else(chosen.chains(payer, used.else_time))
        side = None
        stays = tuple(line.rated for line in used.lines)
        if chosen.link is not None:
            book, _ = chosen.link
            side = book.side
            if side is BookSide.SALE and book.currency_code != payer.currency_code:
                problem = f"the prices are in {book.currency_code}"
                return Rerated(used=used, currency_code=payer.currency_code, lines=stays, skipped=problem)
        tables = await self._cache.tables(conn, [(payer.tenant_id, version_id) for version_id in chains.version_ids])
        tariff, skipped, lines = Tariff(chains, tables), "", stays
        if side is BookSide.COST and all(line.cost_stated for line in used.lines):
            problem = "a true-up has stated what it costs"
            return Rerated(used=used, currency_code=payer.currency_code, lines=stays, skipped=problem)
        try:
            lines = tuple(
                _line(line, tariff, payer, used.usage_time, side) if chosen.concerns(line.rated) else line.rated
                for line in used.lines
            )
        except NoPositionError:
            skipped = "a new price counts what was used in the month, and the posted one did not"
        except ImprestError as problem:
            skipped = str(problem)
        return Rerated(used=used, currency_code=payer.currency_code, lines=lines, side=side, skipped=skipped)

    async def _posted(self, op: RerateUsage, item: Rerated) -> Rerated:
        if item.skipped:
            return item
        used = item.used
        # One key for each request and transaction, however long the request's own key is.
        key = f"{hashlib.sha256(op.idempotency_key.encode()).hexdigest()[:32]}:{used.transaction_id.hex}"
        try:
            outcome = await self._submit(
                Rerate(
                    tenant_id=op.tenant_id,
                    idempotency_key=key,
                    account_id=used.account_id,
                    transaction_id=used.transaction_id,
                    seq=used.seq,
                    reservation_id=used.reservation_id,
                    call_id=used.call_id,
                    lines=item.lines,
                    side=None if item.side is None else item.side.value,
                    reason=op.reason or None,
                )
            )
        except StoredDenial as denial:
            return Rerated(used=used, currency_code=item.currency_code, lines=item.lines, skipped=str(denial))
        return Rerated(
            used=used,
            currency_code=item.currency_code,
            lines=item.lines,
            charge=outcome.reply.charge,
            transaction_id=outcome.reply.transaction_id,
        )


def _line(line: UsedLine, tariff: Tariff, payer: Payer, at: datetime, side: BookSide | None) -> RatedLine:
    """The line by other prices; a cost that was stated stays."""
    rated = rerate(line.rated, line.positions, tariff, payer, at, side)
    if not line.cost_stated:
        return rated
    now = line.rated
    return replace(rated, cost=now.cost, exact_cost=now.exact_cost, cost_version=now.cost_version)


def _place(key: str) -> tuple[str, int]:
    """Where a page begins: after this account's transaction."""
    account_id, seq = key.rsplit("/", 1)
    return account_id, int(seq)
