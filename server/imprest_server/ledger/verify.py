"""`imprest verify`: recompute every book from its journal and report what differs. SQL in sql/verify.sql.

Runs beside a live server. Accounts are read in chunks, each in one short REPEATABLE READ READ ONLY snapshot (a long one
slows hot rows), and checked after it has ended. A journal longer than a chunk is read in parts, up to where the book
was when it was read first: what has been written once never changes. Memory is bounded by the size of a chunk.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from itertools import accumulate, compress
from typing import Any

import psycopg
from psycopg import AsyncConnection, IsolationLevel
from psycopg.rows import TupleRow

from imprest_server.core.ids import AccountId, AccountKey, TenantId
from imprest_server.core.money import format_nanos, nanos_of
from imprest_server.core.usage import format_decimal
from imprest_server.db.errors import DatabaseUnreachableError, StartupError
from imprest_server.ledger.audit import BookAudit, Difference, Hold, VerifyReport
from imprest_server.ledger.rows import entry_of
from imprest_server.ledger.verify_rows import SQL, Books, Journal, Plan, Range, books_of, journal_of

#: Most accounts, and most transactions or reservations, that one snapshot reads.
CHUNK_ACCOUNTS = 500
CHUNK_ROWS = 5_000
#: Most differences that are collected; a ledger with more is checked no further.
MAX_DIFFERENCES = 1_000

_PROGRESS_INTERVAL_S = 2.0

Progress = Callable[[VerifyReport], None]
#: Checks what is kept beside the books, of one tenant or of all, on a connection that reads in snapshots.
Beside = Callable[[AsyncConnection[TupleRow], TenantId | None], AsyncGenerator[Difference, None]]


async def verify(
    dsn: str,
    *,
    tenant_id: TenantId | None = None,
    account_id: AccountId | None = None,
    after: str = "",
    all_differences: bool = False,
    on_progress: Progress | None = None,
    beside: Beside | None = None,
    chunk_accounts: int = CHUNK_ACCOUNTS,
    chunk_rows: int = CHUNK_ROWS,
) -> VerifyReport:
    """Verify everything, one tenant, or one account of it, from the checkpoint `after` on; changes nothing.

    Stops at the first difference unless `all_differences`. `dsn` is a login that row-level security does not limit,
    such as the tables' owner. CLEARING is summed over all accounts of a tenant, also when resuming, but not when only
    one account is verified; so is `beside` checked.

    Raises:
        StartupError: no database, a login that cannot see everything, an account without a tenant, or a text that is
            not a checkpoint.
    """
    if account_id is not None and tenant_id is None:
        raise StartupError("to verify one account, name its tenant as well")
    scope = Range()
    if tenant_id is not None:
        scope = scope.narrowed("range_tenant", tenant=tenant_id)
    if account_id is not None:
        scope = scope.narrowed("range_account", account=account_id)
    verifier = _Verifier(scope, MAX_DIFFERENCES if all_differences else 1, on_progress, chunk_accounts, chunk_rows)
    async with _connected(dsn) as verifier.connection:
        await verifier.run(_checkpoint(after))
        if beside is not None and account_id is None:
            async with aclosing(beside(verifier.connection, tenant_id)) as differences:
                await verifier.note_all(differences)
    return verifier.report


def run_verify(
    dsn: str,
    echo: Callable[[str], None],
    *,
    tenant_id: str | None = None,
    account_id: str | None = None,
    after: str = "",
    all_differences: bool = False,
    beside: Beside | None = None,
) -> int:
    """The command: verify, say how far it is every few seconds, and end with `verify: OK` or `verify: FAILED`.

    Returns the exit status, 0 or 1. Raises what `verify` raises.
    """
    said = time.monotonic()

    def on_progress(report: VerifyReport) -> None:
        nonlocal said
        if time.monotonic() - said >= _PROGRESS_INTERVAL_S:
            said = time.monotonic()
            echo(f"{report}" + (f"; to go on from here: --after {report.checkpoint}" if report.checkpoint else ""))

    report = asyncio.run(
        verify(
            dsn,
            tenant_id=None if tenant_id is None else TenantId(tenant_id),
            account_id=None if account_id is None else AccountId(account_id),
            after=after,
            all_differences=all_differences,
            on_progress=on_progress,
            beside=beside,
        )
    )
    echo(f"checked {report}")
    for difference in report.differences:
        echo(str(difference))
    if not report.accounts and not after:
        echo("there is nothing to verify here: is this the right database?")
    echo("verify: OK" if report.ok else "verify: FAILED")
    return 0 if report.ok else 1


class _Verifier:
    connection: AsyncConnection[TupleRow]

    def __init__(
        self, scope: Range, enough: int, on_progress: Progress | None, chunk_accounts: int, chunk_rows: int
    ) -> None:
        self.report = VerifyReport()
        self._scope = scope
        self._enough = enough
        self._on_progress = on_progress or (lambda _: None)
        self._chunk_accounts = chunk_accounts
        self._chunk_rows = chunk_rows

    async def run(self, after: AccountKey | None) -> None:
        """All accounts in scope, in the order of their keys, then what only the whole of them can show."""
        await self._check_scope()
        async with aclosing(self._plans(after)) as plans:
            async for plan in plans:
                await self._check_books(plan)
                await self._check_reservations(plan.rows)
                await self._check_counters(plan.rows)
                await self._check_rerates(plan.rows)
                if self._has_enough:
                    break
                if plan.last is not None:
                    self.report.checkpoint = "/".join(plan.last)
        if "range_account" not in self._scope.names and not self._has_enough:
            await self._check_clearing()
        self._on_progress(self.report)

    @property
    def _has_enough(self) -> bool:
        return len(self.report.differences) >= self._enough

    def _note(self, differences: Sequence[Difference]) -> None:
        self.report.differences += differences[: self._enough - len(self.report.differences)]

    async def note_all(self, differences: AsyncIterator[Difference]) -> None:
        """Note what else there is, up to what is enough."""
        async for difference in differences:
            self._note([difference])
            if self._has_enough:
                break

    async def _check_scope(self) -> None:
        """A tenant or account that is named but does not exist must not pass as verified."""
        tenant, account = (self._scope.parameters.get(name) for name in ("tenant", "account"))
        what = "tenant" if account is None else "account"
        if tenant is not None and not await self._rows(self._scope, f"{what}_exists"):
            self._note([Difference(tenant, account, None, what, "one of this name", "none")])

    async def _plans(self, after: AccountKey | None) -> AsyncGenerator[Plan, None]:
        """All accounts in scope, cut into what a snapshot can show. Rows without an account lie between them, too."""
        while True:
            rows = self._scope
            if after is not None:
                rows = rows.narrowed("range_after", after_tenant=after[0], after_account=after[1])
            found = await self._rows(rows, "plan", limit=self._chunk_accounts)
            lengths = accumulate(seq for *_, seq in found)
            fitting = [key for *key, _ in compress(found, (length <= self._chunk_rows for length in lengths))]
            if len(fitting) == len(found) < self._chunk_accounts:
                yield Plan(rows, 0, None)
                return
            if fitting:
                tenant, account = fitting[-1]
                upto = rows.narrowed("range_upto", upto_tenant=tenant, upto_account=account)
                yield Plan(upto, 0, (tenant, account))
            else:
                tenant, account, length = found[0]
                yield Plan(rows.narrowed("range_before", before_tenant=tenant, before_account=account), 0, None)
                one = Range().narrowed("range_tenant", tenant=tenant).narrowed("range_account", account=account)
                yield Plan(one, length, (tenant, account))
            after = (tenant, account)

    async def _check_books(self, plan: Plan) -> None:
        """Replay the journals and compare the books."""
        audits: dict[AccountKey, BookAudit] = {}
        rest = plan.rows.narrowed("range_after_seq", after_seq=plan.length) if plan.length else plan.rows
        async with self.connection.transaction():
            books = await self._read_books(plan.rows)
            newest = await self._read_journal(rest)
        for start in range(0, plan.length, self._chunk_rows):
            end = min(start + self._chunk_rows, plan.length)
            part = plan.rows.narrowed("range_after_seq", after_seq=start).narrowed("range_upto_seq", upto_seq=end)
            async with self.connection.transaction():
                journal = await self._read_journal(part)
            self._replay(journal, audits)
        self._replay(newest, audits)
        for account, book in books.accounts:
            audit = audits.pop(account.key, None) or BookAudit(*account.key)
            audit.compare(account, book, *books.holds.get(account.key, (0, 0)))
            self._note(audit.differences)
            self.report.accounts += 1
        for audit in audits.values():
            audit.compare(None, None, 0, 0)
            self._note(audit.differences)
        self._on_progress(self.report)

    def _replay(self, journal: Journal, audits: dict[AccountKey, BookAudit]) -> None:
        for tenant, account, seq, reservation_account, *entry in journal.rows:
            key = (tenant, account)
            if key not in audits:
                audits[key] = BookAudit(*key)
            if entry[0] is None:
                audits[key].note_stray_postings(seq)
                continue
            transaction = entry_of(entry)
            audits[key].apply(
                transaction,
                reservation_account,
                journal.allocations.get((tenant, account, seq), ()),
                journal.corrections.get((tenant, account, seq), ()),
                journal.usage.get((tenant, account, seq)),
                journal.rerated.get((tenant, account, seq)),
            )
            self.report.transactions += 1
            self.report.postings += len(transaction.postings)
        self._on_progress(self.report)

    async def _check_reservations(self, rows: Range) -> None:
        """Each reservation against its transactions, a chunk at a time, each from one snapshot."""
        part = rows
        while not self._has_enough:
            found = await self._rows(part, "reservations", limit=self._chunk_rows)
            for tenant, account, reservation, *amounts in found:
                self._note(Hold(tenant, account, reservation, *map(nanos_of, amounts)).differences())
            self.report.reservations += len(found)
            self._on_progress(self.report)
            if len(found) < self._chunk_rows:
                break
            names = ("done_tenant", "done_account", "done_reservation")
            part = rows.narrowed("range_after_reservation", **dict(zip(names, found[-1], strict=False)))

    async def _check_counters(self, rows: Range) -> None:
        """The months' counts are what the usage lines have added."""
        for tenant, account, month, side, meter, expected, found in await self._rows(rows, "counters"):
            what = f"counter of {side} {meter} in {month:%Y-%m}"
            self._note([Difference(tenant, account, None, what, format_decimal(expected), format_decimal(found))])

    async def _check_rerates(self, rows: Range) -> None:
        """Each re-rate of a line goes on from the one before, or from what was posted."""
        for tenant, account, seq, line, expected, found in await self._rows(rows, "rerated_chains"):
            what = f"what line {line} cost before it was re-rated"
            self._note([Difference(tenant, account, seq, what, str(expected), str(found))])

    async def _check_clearing(self) -> None:
        """What left one book of a tenant by CLEARING has reached another."""
        for tenant, currency_code, total in await self._rows(self._scope, "clearing"):
            found = format_nanos(nanos_of(total))
            self._note([Difference(tenant, None, None, f"sum of CLEARING in {currency_code}", "0", found)])

    async def _read_books(self, rows: Range) -> Books:
        return books_of(await self._rows(rows, "accounts"), await self._rows(rows, "holds"))

    async def _read_journal(self, rows: Range) -> Journal:
        return journal_of(
            await self._rows(rows, "journal"),
            await self._rows(rows, "allocations"),
            await self._rows(rows, "corrections"),
            await self._rows(rows, "usage"),
            await self._rows(rows, "rerated"),
        )

    async def _rows(self, rows: Range, block: str, **parameters: Any) -> list[TupleRow]:
        cursor = await self.connection.execute(rows.text(block), {**rows.parameters, **parameters})
        return await cursor.fetchall()


def _checkpoint(text: str) -> AccountKey | None:
    """`tenant/account`, as a report names it; account ids have no slash."""
    if not text:
        return None
    tenant, slash, account = text.rpartition("/")
    if not slash or not tenant or not account:
        raise StartupError(f"{text!r} is not a checkpoint: it reads <tenant>/<account>")
    return TenantId(tenant), AccountId(account)


@asynccontextmanager
async def _connected(dsn: str) -> AsyncIterator[AsyncConnection[TupleRow]]:
    """A connection that only reads, and may read everything."""
    try:
        async with await AsyncConnection.connect(
            dsn, autocommit=True, fallback_application_name="imprest verify"
        ) as connection:
            await connection.execute("SET default_transaction_read_only = on; SET TimeZone = 'UTC'")
            await connection.set_isolation_level(IsolationLevel.REPEATABLE_READ)
            ((is_limited,),) = await (await connection.execute(SQL["is_limited"])).fetchall()
            if is_limited:
                raise StartupError("this login sees only part of the rows: verify as the owner of the tables")
            yield connection
    except psycopg.errors.UndefinedTable as error:
        raise StartupError("the database has no tables of Imprest: run `imprest migrate`") from error
    except psycopg.OperationalError as error:
        raise DatabaseUnreachableError(f"the connection to the database failed: {error}") from error
