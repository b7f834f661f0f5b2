"""Loads what a batch works on, under its locks (sql/load.sql), and writes what the batch decided (sql/write.sql).

Both send separate statements down one pipeline: a round trip each, and one more when captures are needed, which are
rare. The order of the loading statements matters: a statement sees what was committed before it began, so everything
that is read after `lock_books` has returned is current, and stays so until the batch ends.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any, LiteralString
from uuid import UUID

from psycopg import AsyncConnection, AsyncCursor

from imprest_server.core.ids import AccountId, AccountKey, ReservationId, TenantId, TransactionId, uuid7
from imprest_server.core.money import nanos_of
from imprest_server.core.usage import MeterAmount, UsageLine
from imprest_server.db.arrays import array, integer, optional_numeric, text, timestamp, uuid
from imprest_server.db.pool import tenants_setting
from imprest_server.db.sqlfile import load_sql
from imprest_server.ledger.columns import rows_to_write
from imprest_server.ledger.model import CAPTURES, Capture, Reservation, TransactionKind
from imprest_server.ledger.operations import OperationKind, StoredOperation
from imprest_server.ledger.rating import CostedLine, CounterKey, LineAmounts
from imprest_server.ledger.rows import (
    ACCOUNT_WIDTH,
    RESERVATION_WIDTH,
    account_of,
    book_of,
    reservation_of,
    usage_line_of,
)
from imprest_server.ledger.working_set import (
    Ledger,
    LineKey,
    OperationScope,
    ReferenceScope,
    ReservationKey,
    Terms,
    TransactionKey,
)

Connection = AsyncConnection[tuple[Any, ...]]
Cursor = AsyncCursor[tuple[Any, ...]]

_BLOCKS = load_sql("imprest_server.ledger", "sql/load.sql") | load_sql("imprest_server.ledger", "sql/write.sql")
_CAPTURE_AMOUNTS = _BLOCKS.pop("capture_amounts")  # no statement by itself
SQL: dict[str, LiteralString] = {
    name: block.replace("{wanted_books}", _BLOCKS["wanted_books"]).replace("{capture_amounts}", _CAPTURE_AMOUNTS)
    for name, block in _BLOCKS.items()
}


@dataclass(slots=True)
class Wanted:
    """The keys of all that a batch names, without duplicates: what to lock and load.

    `captures_of` and `captures` are the reservations and transactions whose captures a refund may give back,
    `expiries_of` the reservations of whose expiry's capture a late commit may, `costs_of` those whose captures' cost is
    corrected; their accounts are locked like those of `reservations`. With each of `captures_of` stands how many nanos
    are to be refunded, None for all.

    Usage: `lines` and `lines_of` are lines with ids of their own, of calls and of reservations; `counters` and
    `counters_of` are the accounts, named or of reservations, whose months are looked at, with an instant in the month
    (None: now); `counts_of` are the reservations whose own part of that matters. `rerated` are the transactions whose
    lines are re-rated, `costed_lines` and `costed_lines_of` the lines, of transactions and of reservations, whose costs
    are stated.
    """

    tenants: set[TenantId] = field(default_factory=set[TenantId])
    accounts: set[AccountKey] = field(default_factory=set[AccountKey])
    reservations: set[ReservationKey] = field(default_factory=set[ReservationKey])
    captures_of: dict[ReservationKey, int | None] = field(default_factory=dict[ReservationKey, int | None])
    expiries_of: set[ReservationKey] = field(default_factory=set[ReservationKey])
    costs_of: set[ReservationKey] = field(default_factory=set[ReservationKey])
    captures: set[TransactionKey] = field(default_factory=set[TransactionKey])
    operations: set[OperationScope] = field(default_factory=set[OperationScope])
    external_references: set[ReferenceScope] = field(default_factory=set[ReferenceScope])
    lines: set[LineKey] = field(default_factory=set[LineKey])
    lines_of: set[tuple[TenantId, ReservationId, str]] = field(default_factory=set[tuple[TenantId, ReservationId, str]])
    counters: set[tuple[TenantId, AccountId, datetime | None]] = field(
        default_factory=set[tuple[TenantId, AccountId, datetime | None]]
    )
    counters_of: set[tuple[TenantId, ReservationId, datetime | None]] = field(
        default_factory=set[tuple[TenantId, ReservationId, datetime | None]]
    )
    counts_of: set[ReservationKey] = field(default_factory=set[ReservationKey])
    rerated: set[tuple[TenantId, AccountId, int, TransactionId]] = field(
        default_factory=set[tuple[TenantId, AccountId, int, TransactionId]]
    )
    costed_lines: set[tuple[TenantId, TransactionId, str]] = field(
        default_factory=set[tuple[TenantId, TransactionId, str]]
    )
    costed_lines_of: set[tuple[TenantId, ReservationId, str]] = field(
        default_factory=set[tuple[TenantId, ReservationId, str]]
    )


@dataclass(frozen=True, slots=True)
class Loaded:
    """A batch's working set: the ledger, the clock after the locks, and the holds that may be due.

    `crowded` are the accounts with more due holds than one batch expires; `price_epochs` and `budget_epochs` tell
    up to where the tenants' prices and budgets are known, `lock_wait_s` how long the locks took to be granted, a round
    trip included.
    """

    ledger: Ledger
    now: datetime
    due: list[tuple[Reservation, TransactionId]]
    crowded: set[AccountKey]
    price_epochs: Mapping[TenantId, int] = field(default_factory=dict[TenantId, int])
    budget_epochs: Mapping[TenantId, int] = field(default_factory=dict[TenantId, int])
    lock_wait_s: float = 0.0


async def load(
    conn: Connection, wanted: Wanted, terms: Terms, due_limit: int, lock_timeout_ms: int | None = None
) -> Loaded:
    """Begin the transaction, lock the books that are named, and load all that `wanted` names.

    Locks `tenants` rows in order, FOR KEY SHARE, then `books` rows in order of (tenant, account), FOR NO KEY UPDATE.
    Leaves the transaction open. The connection is in a pipeline.
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
    if lock_timeout_ms is not None:
        await run("set_lock_timeout", {"milliseconds": str(lock_timeout_ms)})
    visible = tenants_setting(sorted(wanted.tenants))
    tenants = await run("lock_tenants", {"tenants": array(sorted(map(text, wanted.tenants))), "visible": visible})
    locks = await run("lock_books", books)
    accounts = await run("load_accounts", {**books, "due_limit": due_limit})
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

    lines = counters = counts = None
    if wanted.lines or wanted.lines_of:
        lines = await run(
            "load_usage_lines",
            {
                **_columns(wanted.lines, "tenants", "accounts", "calls", "lines"),
                **_columns(wanted.lines_of, "reservation_tenants", "reservations", "reservation_lines"),
            },
        )
    if wanted.counters or wanted.counters_of:
        counters = await run(
            "load_usage_counters",
            {
                **_columns(wanted.counters, "tenants", "accounts", "instants"),
                **_columns(wanted.counters_of, "reservation_tenants", "reservations", "reservation_instants"),
            },
        )
    if wanted.counts_of:
        counts = await run("load_usage_counts", _columns(wanted.counts_of, "tenants", "reservations"))

    amounts = rerates = None
    if wanted.rerated:
        rerated = {
            "tenants": array(text(tenant) for tenant, *_ in wanted.rerated),
            "accounts": array(text(account) for _, account, *_ in wanted.rerated),
            "seqs": array(integer(seq) for _, _, seq, _ in wanted.rerated),
        }
        amounts = await run("load_line_amounts", rerated)
        rerates = await run(
            "load_rerates", {**rerated, "transactions": array(uuid(captured) for *_, captured in wanted.rerated)}
        )

    costed = None
    if wanted.costed_lines or wanted.costed_lines_of:
        costed = await run(
            "load_costed_lines",
            {
                **_columns(wanted.costed_lines, "transaction_tenants", "transactions", "transaction_lines"),
                **_columns(wanted.costed_lines_of, "reservation_tenants", "reservations", "reservation_lines"),
            },
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
    account_rows = await accounts.fetchall()
    due_holds: list[Reservation] = []
    for row in account_rows:
        account_key = (row[0], row[1])
        if account_key not in locked:
            continue
        if account_key not in ledger.accounts:
            ledger.accounts[account_key] = account_of(row)
        if row[ACCOUNT_WIDTH] is not None:
            due_holds.append(_with_estimate(row[ACCOUNT_WIDTH:], row[-2]))
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
    if lines is not None:
        for row in await lines.fetchall():
            ledger.usage_lines[row[0], row[1], row[2], row[3]] = usage_line_of(row)
    if counters is not None:
        for *key, quantity in await counters.fetchall():
            counter = CounterKey(*key)
            ledger.counters[counter[:2]][counter] = quantity
    if counts is not None:
        for tenant, reservation_id, account_id, counted in await counts.fetchall():
            for month, *key, _before, quantity in counted:
                counter = CounterKey(tenant, account_id, date.fromisoformat(month), *key)
                ledger.add_counted(tenant, reservation_id, counter, Decimal(quantity))
    for reservation in due_holds:
        ledger.reservations[reservation.tenant_id, reservation.reservation_id] = reservation
    if amounts is not None:
        for tenant, account_id, call_id, line_id, number, price, cost, *exact in await amounts.fetchall():
            now_costs = LineAmounts(number, nanos_of(price), nanos_of(cost), *exact)
            ledger.line_amounts[tenant, account_id, call_id, line_id] = now_costs
    if rerates is not None:
        for tenant, captured, rerate in await rerates.fetchall():
            ledger.rerates_of[tenant, captured].append(rerate)
    if costed is not None:
        for row in await costed.fetchall():
            _add_costed_line(ledger, row)
    captures = to_refund = None
    by_id = wanted.captures | _captures_of_expiries(ledger, wanted.expiries_of)
    by_id |= {(key[0], rerate) for key, found in ledger.rerates_of.items() for rerate in found}
    if by_id or wanted.costs_of:
        captures = await run(
            "load_captures",
            {
                **_columns(by_id, "transaction_tenants", "transactions"),
                **_columns(wanted.costs_of, "costed_tenants", "costed"),
            },
        )
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
    tenant_rows = await tenants.fetchall()
    return Loaded(
        ledger=ledger,
        now=account_rows[0][-1],
        due=[(reservation, TransactionId(uuid7())) for reservation in due_holds],
        crowded=_crowded(due_holds, due_limit),
        price_epochs={tenant: price_epoch for tenant, price_epoch, _ in tenant_rows},
        budget_epochs={tenant: budget_epoch for tenant, _, budget_epoch in tenant_rows},
        lock_wait_s=lock_wait_s,
    )


async def write(conn: Connection, loaded: Loaded) -> None:
    """Write what the fold changed.

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


async def commit(conn: Connection) -> None:
    """Commit: that has happened when the pipeline has ended without error."""
    await conn.execute(SQL["commit"])


def _all_found(update: LiteralString) -> LiteralString:
    """The update, failing with a division by zero unless it touched as many rows as its last parameter says."""
    return f"WITH touched AS ({update} RETURNING 1) SELECT 1 / (count(*) = %s)::int FROM touched"


_UPDATES: dict[str, LiteralString] = {
    block: _all_found(SQL[block])
    for block in ("update_accounts", "update_books", "update_reservations", "update_extends")
}


def _columns(keys: Iterable[tuple[str | UUID | datetime | None, ...]], *names: str) -> dict[str, str]:
    """Keys as one array per part, sorted by their text."""
    rows = sorted([_element(part) for part in key] for key in keys)
    return {name: array(row[n] for row in rows) for n, name in enumerate(names)}


def _element(part: str | UUID | datetime | None) -> str:
    if isinstance(part, str):
        return text(part)
    return uuid(part) if isinstance(part, UUID) else timestamp(part)


def _add_reservation(ledger: Ledger, row: tuple[Any, ...]) -> None:
    extend_key, fingerprint, denial_reason, payload, estimate = row[RESERVATION_WIDTH:]
    reservation = _with_estimate(row, estimate)
    key = (reservation.tenant_id, reservation.reservation_id)
    ledger.reservations[key] = reservation
    if extend_key is not None:
        ledger.last_extends[key] = (extend_key, StoredOperation(fingerprint, denial_reason, payload))


def _with_estimate(row: tuple[Any, ...], estimate: list[list[str]] | None) -> Reservation:
    reservation = reservation_of(row)
    if estimate is None:
        return reservation
    amounts = (MeterAmount(meter, nanos_of(Decimal(price)), nanos_of(Decimal(cost))) for meter, price, cost in estimate)
    return replace(reservation, estimate=tuple(amounts))


def _add_capture(ledger: Ledger, row: tuple[Any, ...]) -> None:
    tenant, transaction_id, account_id, seq, reservation_id, call_id, kind, charged, cost, *more = row
    *later, stated, create_time, labels = more
    returned, refunded, cost_returned, cost_reversed, cost_corrected = map(nanos_of, later)
    ledger.transaction_accounts[tenant, transaction_id] = AccountId(account_id)
    if kind in CAPTURES:
        ledger.add_capture(
            tenant,
            Capture(
                account_id=account_id,
                transaction_id=transaction_id,
                seq=seq,
                reservation_id=reservation_id,
                call_id=call_id,
                charged=nanos_of(charged) - returned,
                refunded=refunded,
                create_time=create_time,
                labels=labels,
                cost=nanos_of(cost) - cost_returned + cost_corrected,
                cost_reversed=cost_reversed,
                stated=stated,
            ),
        )


def _add_costed_line(ledger: Ledger, row: tuple[Any, ...]) -> None:
    tenant, target, account_id, call_id, line_id, seq, meter, quantity, match, number, price, cost, *exact = row
    now_costs = LineAmounts(number, nanos_of(price), nanos_of(cost), *exact)
    line = UsageLine(line_id=line_id, meter=meter, quantity=quantity)
    ledger.costed_lines[tenant, target, line_id] = CostedLine(call_id, seq, line, match)
    ledger.line_amounts[tenant, account_id, call_id, line_id] = now_costs


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
