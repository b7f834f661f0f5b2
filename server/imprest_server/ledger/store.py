"""Loads what a batch works on, under its locks, and writes what the batch decided. SQL in sql/store.sql.

Both send separate statements down one pipeline: a round trip each, and one more when captures are needed, which are
rare. The order of the loading statements matters: a statement sees what was committed before it began, so everything
that is read after `lock_books` has returned is current, and stays so until the batch ends.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from psycopg import AsyncConnection, AsyncCursor

from imprest_server.core.ids import AccountId, AccountKey, TenantId, TransactionId, uuid7
from imprest_server.core.money import nanos_of
from imprest_server.db.arrays import array, optional_numeric, text, uuid
from imprest_server.db.pool import tenants_setting
from imprest_server.db.sqlfile import load_sql
from imprest_server.ledger.columns import rows_to_write
from imprest_server.ledger.model import Capture, Reservation, TransactionKind
from imprest_server.ledger.operations import OperationKind, StoredOperation
from imprest_server.ledger.rows import RESERVATION_WIDTH, account_of, book_of, reservation_of
from imprest_server.ledger.working_set import (
    Ledger,
    OperationScope,
    ReferenceScope,
    ReservationKey,
    Terms,
    TransactionKey,
)

Connection = AsyncConnection[tuple[Any, ...]]
Cursor = AsyncCursor[tuple[Any, ...]]

_BLOCKS = load_sql("imprest_server.ledger", "sql/store.sql")
SQL: dict[str, LiteralString] = {
    name: block.replace("{wanted_books}", _BLOCKS["wanted_books"]) for name, block in _BLOCKS.items()
}


@dataclass(slots=True)
class Wanted:
    """The keys of all that a batch names, without duplicates: what to lock and load.

    `captures_of` and `captures` are the reservations and transactions whose captures a refund may give back,
    `expiries_of` the reservations of whose expiry's capture a late commit may; their accounts are locked like those
    of `reservations`. With each of `captures_of` stands how many nanos are to be refunded, None for all.
    """

    tenants: set[TenantId] = field(default_factory=set[TenantId])
    accounts: set[AccountKey] = field(default_factory=set[AccountKey])
    reservations: set[ReservationKey] = field(default_factory=set[ReservationKey])
    captures_of: dict[ReservationKey, int | None] = field(default_factory=dict[ReservationKey, int | None])
    expiries_of: set[ReservationKey] = field(default_factory=set[ReservationKey])
    captures: set[TransactionKey] = field(default_factory=set[TransactionKey])
    operations: set[OperationScope] = field(default_factory=set[OperationScope])
    external_references: set[ReferenceScope] = field(default_factory=set[ReferenceScope])


@dataclass(frozen=True, slots=True)
class Loaded:
    """A batch's working set: the ledger, the clock after the locks, and the holds that may be due.

    `crowded` are the accounts with more due holds than one batch expires; `lock_wait_s` is how long the locks
    took to be granted, a round trip included.
    """

    ledger: Ledger
    now: datetime
    due: list[tuple[Reservation, TransactionId]]
    crowded: set[AccountKey]
    lock_wait_s: float = 0.0


async def load(
    conn: Connection, wanted: Wanted, terms: Terms, due_limit: int, lock_timeout_ms: int | None = None
) -> Loaded:
    """Begin the transaction, lock the books that are named, and load all that `wanted` names.

    Locks `books` rows in order of (tenant, account), FOR NO KEY UPDATE. Leaves the transaction open. The connection is
    in a pipeline.
    """

    async def run(block: str, parameters: dict[str, Any] | None = None) -> Cursor:
        return await conn.execute(SQL[block], parameters)

    books = {
        **_columns(wanted.accounts, "account_tenants", "accounts"),
        **_columns(wanted.reservations, "reservation_tenants", "reservations"),
        **_columns(wanted.captures, "transaction_tenants", "transactions"),
    }
    sent = time.monotonic()
    await run("begin")
    await run("set_tenants", {"tenants": tenants_setting(sorted(wanted.tenants))})
    if lock_timeout_ms is not None:
        await run("set_lock_timeout", {"milliseconds": str(lock_timeout_ms)})
    locks = await run("lock_books", books)
    clock = await run("clock")
    accounts = await run("load_accounts", books)
    due = await run("load_due_holds", {**books, "due_limit": due_limit})
    operations = reservations = references = None
    if wanted.operations:
        operations = await run("load_operations", _columns(wanted.operations, "tenants", "kinds", "keys"))
    if wanted.reservations:
        reservations = await run("load_reservations", _columns(wanted.reservations, "tenants", "reservations"))
    if wanted.external_references:
        references = await run(
            "load_external_references",
            _columns(wanted.external_references, "tenants", "kinds", "external_references"),
        )

    locked_rows = await locks.fetchall()
    lock_wait_s = time.monotonic() - sent
    ledger = Ledger(terms)
    for row in locked_rows:
        book = book_of(row)
        ledger.books[book.tenant_id, book.account_id] = book
    # Only what was locked may be looked at: an account that another process creates meanwhile is in the snapshots
    # of the later statements, but not in that of the first. It does not exist yet for this batch.
    locked = ledger.books.keys()
    for row in await accounts.fetchall():
        account = account_of(row)
        if account.key in locked:
            ledger.accounts[account.key] = account
    if operations is not None:
        for tenant, kind, key, fingerprint, denial_reason, payload in await operations.fetchall():
            stored = StoredOperation(fingerprint, denial_reason, payload)
            ledger.operations[tenant, OperationKind(kind), key] = stored
    if reservations is not None:
        for row in await reservations.fetchall():
            if (row[0], row[2]) in locked:
                _add_reservation(ledger, row)
    if references is not None:
        for tenant, kind, reference in await references.fetchall():
            ledger.external_references.add((tenant, TransactionKind(kind), reference))
    due_holds = [reservation_of(row) for row in await due.fetchall() if (row[0], row[2]) in locked]
    for reservation in due_holds:
        ledger.reservations[reservation.tenant_id, reservation.reservation_id] = reservation
    captures = to_refund = None
    if by_id := wanted.captures | _captures_of_expiries(ledger, wanted.expiries_of):
        captures = await run("load_captures", _columns(by_id, "transaction_tenants", "transactions"))
    if wanted.captures_of:
        to_refund = await run(
            "load_captures_to_refund",
            {
                "tenants": array(text(tenant) for tenant, _ in wanted.captures_of),
                "reservations": array(uuid(reservation) for _, reservation in wanted.captures_of),
                "amounts": array(optional_numeric(amount) for amount in wanted.captures_of.values()),
                "transactions": books["transactions"],
            },
        )
    if captures is not None:
        for row in await captures.fetchall():
            if (row[0], row[2]) in locked:
                _add_capture(ledger, row)
    if to_refund is not None:
        _add_captures_to_refund(ledger, [row for row in await to_refund.fetchall() if (row[0], row[2]) in locked])
    ((now,),) = await clock.fetchall()
    return Loaded(
        ledger=ledger,
        now=now,
        due=[(reservation, TransactionId(uuid7())) for reservation in due_holds],
        crowded=_crowded(due_holds, due_limit),
        lock_wait_s=lock_wait_s,
    )


async def write(conn: Connection, loaded: Loaded) -> None:
    """Write what the fold changed and commit: COMMIT has returned when the pipeline has ended without error.

    An update that does not find every row it was given aborts the transaction.
    """
    async with conn.cursor() as cursor:
        for block, rows in rows_to_write(loaded.ledger, loaded.now):
            if rows:
                columns: list[str | int] = [array(column) for column in zip(*rows, strict=True)]
                if block in _UPDATES:
                    await cursor.execute(_UPDATES[block], [*columns, len(rows)])
                else:
                    await cursor.execute(SQL[block], columns)
        await cursor.execute(SQL["commit"])


def _all_found(update: LiteralString) -> LiteralString:
    """The update, failing with a division by zero unless it touched as many rows as its last parameter says."""
    return f"WITH touched AS ({update} RETURNING 1) SELECT 1 / (count(*) = %s)::int FROM touched"


_UPDATES: dict[str, LiteralString] = {
    block: _all_found(SQL[block])
    for block in ("update_accounts", "update_books", "update_reservations", "update_extends")
}


def _columns(keys: Iterable[tuple[str | UUID, ...]], *names: str) -> dict[str, str]:
    """Keys as one array per part, sorted by their text."""
    rows = sorted([uuid(part) if isinstance(part, UUID) else text(part) for part in key] for key in keys)
    return {name: array(row[n] for row in rows) for n, name in enumerate(names)}


def _add_reservation(ledger: Ledger, row: tuple[Any, ...]) -> None:
    reservation = reservation_of(row)
    key = (reservation.tenant_id, reservation.reservation_id)
    ledger.reservations[key] = reservation
    extend_key, fingerprint, denial_reason, payload = row[RESERVATION_WIDTH:]
    if extend_key is not None:
        ledger.last_extends[key] = (extend_key, StoredOperation(fingerprint, denial_reason, payload))


def _add_capture(ledger: Ledger, row: tuple[Any, ...]) -> None:
    tenant, transaction_id, account_id, seq, reservation_id, call_id, charged, cost, returned, refunded, reversed_ = row
    ledger.transaction_accounts[tenant, transaction_id] = AccountId(account_id)
    if charged:  # also when all of it was returned or refunded
        ledger.add_capture(
            tenant,
            Capture(
                account_id=account_id,
                transaction_id=transaction_id,
                seq=seq,
                reservation_id=reservation_id,
                call_id=call_id,
                charged=nanos_of(charged) - nanos_of(returned),
                refunded=nanos_of(refunded),
                cost=nanos_of(cost),
                cost_reversed=nanos_of(reversed_),
            ),
        )


def _add_captures_to_refund(ledger: Ledger, rows: list[tuple[Any, ...]]) -> None:
    for row in rows:
        _add_capture(ledger, row[:-1])
    for key, refunded in {(row[0], row[4]): nanos_of(row[-1]) for row in rows}.items():
        loaded = sum(capture.refunded for capture in ledger.reservation_captures(key))
        ledger.refunded_of_others[key] = refunded - loaded


def _captures_of_expiries(ledger: Ledger, keys: Iterable[ReservationKey]) -> set[TransactionKey]:
    """The transactions that the expiries of these reservations wrote: few have one."""
    found: set[TransactionKey] = set()
    for key in keys:
        reservation = ledger.reservations.get(key)
        provisional = reservation.provisional if reservation else None
        if provisional is not None and provisional.transaction_id is not None:
            found.add((key[0], provisional.transaction_id))
    return found


def _crowded(due: list[Reservation], due_limit: int) -> set[AccountKey]:
    counts = Counter(reservation.account_key for reservation in due)
    return {key for key, count in counts.items() if count >= due_limit}
