"""The model as rows to write: the elements of array literals, in the column order of the statements in sql/write.sql.

The other direction is `rows.py`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from imprest_server.core.money import format_nanos
from imprest_server.core.usage import MeterAmount, format_decimal
from imprest_server.db.arrays import (
    NULL,
    binary,
    boolean,
    decimal,
    integer,
    numeric,
    optional_numeric,
    optional_text,
    text,
    timestamp,
    uuid,
)
from imprest_server.ledger.chart import LedgerAccountCode
from imprest_server.ledger.model import (
    Account,
    Book,
    CostAdjustment,
    Labels,
    RefundAllocation,
    Reservation,
    Transaction,
)
from imprest_server.ledger.operations import StoredOperation
from imprest_server.ledger.rating import Count, CounterKey, RecordedLine, ReratedLine
from imprest_server.ledger.working_set import Ledger, OperationScope, ReservationKey

#: A row to write: elements of array literals.
Row = tuple[str, ...]

_NO_LABELS = text("{}")


def rows_to_write(ledger: Ledger, now: datetime) -> list[tuple[str, list[Row]]]:
    """Statement and rows, in the order they are written; sorted by whatever key other batches may insert meanwhile."""
    changes = ledger.changes
    new_books = sorted(changes.books & changes.new_accounts)
    old_books = sorted(changes.books - changes.new_accounts)
    new_reservations = sorted(changes.new_reservations, key=_by_id)
    reservations = sorted(changes.reservations, key=_by_id)
    transactions = sorted(changes.transactions, key=_by_reference)
    return [
        ("insert_accounts", [_account_row(ledger.accounts[key]) for key in sorted(changes.new_accounts)]),
        ("update_accounts", [_account_row(ledger.accounts[key]) for key in sorted(changes.accounts)]),
        ("insert_books", [_book_row(ledger.books[key]) for key in new_books]),
        ("update_books", [_book_row(ledger.books[key]) for key in old_books]),
        ("insert_reservations", [_reservation_row(ledger.reservations[key]) for key in new_reservations]),
        ("update_reservations", [_reservation_row(ledger.reservations[key]) for key in reservations]),
        ("update_extends", [_extend_row(key, *changes.extends[key]) for key in sorted(changes.extends, key=_by_id)]),
        ("insert_transactions", [_transaction_row(transaction) for transaction in transactions]),
        ("insert_postings", [row for transaction in transactions for row in _posting_rows(transaction)]),
        ("insert_refunds", [_refund_row(allocation) for allocation in changes.refunds]),
        ("insert_cost_adjustments", [_cost_adjustment_row(adjustment) for adjustment in changes.cost_adjustments]),
        ("insert_usage_lines", [_usage_row(line) for line in changes.usage_lines]),
        ("insert_rerated_lines", [_rerated_row(line) for line in changes.rerated_lines]),
        (
            "upsert_usage_counters",
            [_counter_row(key, ledger.counters[key[:2]][key]) for key in sorted(changes.counters)],
        ),
        (
            "insert_operations",
            [_operation_row(scope, changes.operations[scope], now) for scope in sorted(changes.operations)],
        ),
    ]


def _by_id(key: ReservationKey) -> tuple[str, int]:
    """Sorts like the key itself; comparing integers is quicker than comparing UUIDs."""
    return key[0], key[1].int


def _by_reference(transaction: Transaction) -> tuple[str, str, str]:
    """The only key of a transaction, posting or refund that a batch on other books may be inserting, too."""
    return transaction.tenant_id, transaction.kind, transaction.external_reference


def _labels(labels: Labels) -> str:
    return text(json.dumps(dict(labels))) if labels else _NO_LABELS


def _account_row(a: Account) -> Row:
    return (
        text(a.tenant_id),
        text(a.account_id),
        text(a.customer_id),
        text(a.display_name),
        text(a.currency_code),
        optional_text(a.parent_account_id),
        numeric(a.credit_limit),
        a.overrun_policy,
        optional_numeric(a.max_overrun),
        integer(a.max_concurrent_calls),
        optional_numeric(a.low_balance_threshold),
        text(a.time_zone),
        _labels(a.labels),
        a.state,
        timestamp(a.create_time),
        timestamp(a.update_time),
    )


def _book_row(b: Book) -> Row:
    return (
        text(b.tenant_id),
        text(b.account_id),
        *[numeric(b.balances[code]) for code in LedgerAccountCode],
        numeric(b.held),
        integer(b.open_count),
        integer(b.seq),
        binary(b.chain_hash),
        timestamp(b.last_time),
        boolean(b.low_balance),
        timestamp(b.low_balance_time),
    )


def _reservation_row(r: Reservation) -> Row:
    provisional = r.provisional
    return (
        text(r.tenant_id),
        uuid(r.reservation_id),
        text(r.account_id),
        text(r.call_id),
        r.state,
        numeric(r.amount),
        numeric(r.captured),
        numeric(r.absorbed),
        numeric(r.used_so_far),
        r.on_expiry,
        _labels(r.labels),
        timestamp(r.create_time),
        timestamp(r.expire_time),
        timestamp(r.end_time),
        r.ended_by or NULL,
        boolean(r.late),
        optional_numeric(provisional.hold if provisional else None),
        optional_numeric(provisional.charged if provisional else None),
        optional_numeric(provisional.absorbed if provisional else None),
        uuid(provisional.transaction_id if provisional else None),
        integer(r.price_epoch),
        numeric(r.used_cost),
        numeric(r.captured_cost),
        optional_numeric(provisional.cost if provisional else None),
        _estimate(r.estimate),
    )


def _estimate(estimate: Sequence[MeterAmount]) -> str:
    """As JSON, with amounts as decimal numbers (`store.py` reads it, and budgets' store.sql sums it)."""
    if not estimate:
        return NULL
    return text(json.dumps([[part.meter, format_nanos(part.price), format_nanos(part.cost)] for part in estimate]))


def _extend_row(key: ReservationKey, idempotency_key: str, stored: StoredOperation) -> Row:
    return (
        text(key[0]),
        uuid(key[1]),
        text(idempotency_key),
        binary(stored.fingerprint),
        stored.denial_reason or NULL,
        text(stored.payload),
    )


def _transaction_row(t: Transaction) -> Row:
    return (
        text(t.tenant_id),
        uuid(t.transaction_id),
        text(t.account_id),
        integer(t.seq),
        t.kind,
        numeric(t.wallet_after),
        numeric(t.receivable_after),
        uuid(t.reservation_id),
        text(t.call_id),
        text(t.reason),
        optional_text(t.external_reference or None),
        _labels(t.labels),
        timestamp(t.effective_time),
        timestamp(t.create_time),
        binary(t.chain_hash),
    )


def _posting_rows(t: Transaction) -> list[Row]:
    tenant_id, account_id, seq = text(t.tenant_id), text(t.account_id), integer(t.seq)
    return [
        (tenant_id, account_id, seq, integer(line), p.debit, p.credit, numeric(p.amount))
        for line, p in enumerate(t.postings, start=1)
    ]


def _refund_row(r: RefundAllocation) -> Row:
    return (
        text(r.tenant_id),
        uuid(r.captured_transaction_id),
        uuid(r.refund_transaction_id),
        text(r.account_id),
        r.kind,
        numeric(r.amount),
        numeric(r.cost),
    )


def _cost_adjustment_row(c: CostAdjustment) -> Row:
    return (
        text(c.tenant_id),
        uuid(c.captured_transaction_id),
        uuid(c.adjusting_transaction_id),
        text(c.account_id),
        numeric(c.cost),
        boolean(c.stated),
    )


def _usage_row(u: RecordedLine) -> Row:
    rated = u.priced.rated
    line = rated.line
    return (
        text(u.tenant_id),
        text(u.account_id),
        text(u.call_id),
        text(line.line_id),
        integer(u.seq),
        uuid(u.reservation_id),
        text(line.meter),
        text(line.provider),
        text(line.model),
        decimal(line.quantity),
        text(line.destination),
        text(line.operation),
        _labels(line.labels),
        numeric(rated.price),
        numeric(rated.cost),
        decimal(rated.exact_price),
        decimal(rated.exact_cost),
        uuid(rated.price_version),
        uuid(rated.cost_version),
        text(rated.match),
        _counts(u.priced.counts),
        timestamp(u.start_time),
        timestamp(u.end_time),
        timestamp(u.create_time),
    )


def _rerated_row(r: ReratedLine) -> Row:
    return (
        text(r.tenant_id),
        text(r.account_id),
        text(r.call_id),
        text(r.rated.line.line_id),
        integer(r.before.number + 1),
        integer(r.captured_seq),
        integer(r.seq),
        numeric(r.before.price),
        numeric(r.before.cost),
        numeric(r.rated.price),
        numeric(r.rated.cost),
        decimal(r.rated.exact_price),
        decimal(r.rated.exact_cost),
        uuid(r.rated.price_version),
        uuid(r.rated.cost_version),
        text(r.rated.match),
        timestamp(r.create_time),
        boolean(r.stated),
    )


def _counts(counts: Sequence[Count]) -> str:
    """What a line has counted, as JSON (`store.py` reads it): the key without the account, before, quantity."""
    if not counts:
        return NULL
    rows = [[c.key.month.isoformat(), *c.key[3:], format_decimal(c.before), format_decimal(c.quantity)] for c in counts]
    return text(json.dumps(rows))


def _counter_row(key: CounterKey, quantity: Decimal) -> Row:
    return (
        text(key.tenant_id),
        text(key.account_id),
        key.month.isoformat(),
        key.side,
        text(key.meter),
        text(key.provider),
        text(key.model),
        text(key.destination_prefix),
        decimal(quantity),
    )


def _operation_row(scope: OperationScope, stored: StoredOperation, now: datetime) -> Row:
    return (
        text(scope[0]),
        scope[1],
        text(scope[2]),
        binary(stored.fingerprint),
        stored.denial_reason or NULL,
        text(stored.payload),
        timestamp(now),
    )
