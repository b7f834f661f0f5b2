"""Rows as Postgres returns them → the ledger's model. One column order per thing, documented here once.

Every SELECT in `sql/*.sql` that feeds these functions spells out the columns in exactly this order:

account      tenant_id, account_id, customer_id, display_name, currency_code, parent_account_id, credit_limit,
             overrun_policy, max_overrun, max_concurrent_calls, low_balance_threshold, time_zone, labels, state,
             create_time, update_time
book         tenant_id, account_id, cash, receivable, provider_cost, fee_cost, refunds, promotion_cost, adjustments,
             overrun_loss, wallet, revenue, provider_payable, fee_payable, breakage, clearing, held, open_count, seq,
             chain_hash, last_time, low_balance, low_balance_time
reservation  tenant_id, reservation_id, account_id, call_id, state, amount, captured, absorbed, used_so_far, on_expiry,
             labels, create_time, expire_time, end_time, ended_by, late, provisional_hold, provisional_charged,
             provisional_absorbed, provisional_transaction_id, price_epoch, used_cost, captured_cost, provisional_cost
transaction  tenant_id, transaction_id, account_id, seq, kind, wallet_after, receivable_after, reservation_id, call_id,
             reason, external_reference, labels, effective_time, create_time, chain_hash
posting      debit, credit, amount
usage line   tenant_id, account_id, call_id, line_id, meter, provider, model, quantity, destination, operation, labels,
             price_version_id, cost_version_id, match; of a transaction also price, cost, exact_price, exact_cost
entry        the columns of a transaction, then its postings' debits, credits and amounts as three arrays in line order
             (NULL when there is none)
allocations  captured_transaction_id, refund_transaction_id, kind, amount, cost, each as an array (NULL when there is
             none)

Rows are plain tuples with psycopg's default types: NUMERIC as Decimal, JSONB as dict, UUID as UUID. Times are as
the connection's TimeZone shows them, so connections run in UTC. These functions are on the hot path: hence lookup
tables instead of enum calls, positional arguments, and slices.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from imprest_server.core.money import nanos_of as _nanos
from imprest_server.core.usage import RatedLine, UsageLine
from imprest_server.ledger.chart import LedgerAccountCode
from imprest_server.ledger.model import (
    Account,
    AccountState,
    Book,
    EndedBy,
    OnExpiry,
    OverrunPolicy,
    Posting,
    ProvisionalCapture,
    RefundAllocation,
    Reservation,
    ReservationState,
    Transaction,
    TransactionKind,
)

Row = Sequence[Any]

#: Number of columns of each row, to slice one out of a join.
ACCOUNT_WIDTH = 16
RESERVATION_WIDTH = 24
TRANSACTION_WIDTH = 15
ENTRY_WIDTH = TRANSACTION_WIDTH + 3

# A StrEnum member equals and hashes like its text, so these find a member by the text of a column.
_CODES = {code: code for code in LedgerAccountCode}
_CODE_ORDER = tuple(LedgerAccountCode)
_ACCOUNT_STATES = {state: state for state in AccountState}
_POLICIES = {policy: policy for policy in OverrunPolicy}
_RESERVATION_STATES = {state: state for state in ReservationState}
_ON_EXPIRY = {choice: choice for choice in OnExpiry}
_ENDED_BY = {ended_by: ended_by for ended_by in EndedBy}
_KINDS = {kind: kind for kind in TransactionKind}

_ZERO = Decimal(0)


def account_of(row: Row) -> Account:
    """The account in a row of the columns above."""
    max_overrun, threshold = row[8], row[10]
    return Account(
        row[0],
        row[1],
        row[4],
        row[2],
        row[3],
        row[5],
        _nanos(row[6]),
        _POLICIES[row[7]],
        None if max_overrun is None else _nanos(max_overrun),
        row[9],
        None if threshold is None else _nanos(threshold),
        row[11],
        row[12],
        _ACCOUNT_STATES[row[13]],
        row[14],
        row[15],
    )


def book_of(row: Row) -> Book:
    """The book in a row of the columns above; its balances in chart order."""
    return Book(
        row[0],
        row[1],
        balances_of(row[2:16]),
        _nanos(row[16]),
        row[17],
        row[18],
        row[19],
        row[20],
        row[21],
        row[22],
    )


def reservation_of(row: Row) -> Reservation:
    """The reservation in a row of the columns above."""
    hold, ended_by = row[16], row[14]
    return Reservation(
        row[0],
        row[1],
        row[2],
        row[3],
        _nanos(row[5]),
        _ON_EXPIRY[row[9]],
        row[11],
        row[12],
        row[10],
        _RESERVATION_STATES[row[4]],
        _nanos(row[6]),
        _nanos(row[7]),
        _nanos(row[8]),
        row[15],
        row[13],
        None if ended_by is None else _ENDED_BY[ended_by],
        None
        if hold is None
        else ProvisionalCapture(_nanos(hold), _nanos(row[17]), _nanos(row[18]), row[19], _nanos(row[23] or _ZERO)),
        row[20],
        _nanos(row[21]),
        _nanos(row[22]),
    )


def usage_line_of(row: Row) -> RatedLine:
    """The usage line in a row of the columns above, as far as a repeated one is answered from it: without amounts."""
    return RatedLine(
        line=UsageLine(
            line_id=row[3],
            meter=row[4],
            provider=row[5],
            model=row[6],
            quantity=row[7],
            destination=row[8],
            operation=row[9],
            labels=row[10],
        ),
        price=0,
        cost=0,
        exact_price=_ZERO,
        exact_cost=_ZERO,
        price_version=row[11],
        cost_version=row[12],
        match=row[13],
    )


def charged_line_of(row: Row) -> RatedLine:
    """The usage line of a transaction in a row of the columns above, with what it was charged."""
    return replace(
        usage_line_of(row), price=_nanos(row[14]), cost=_nanos(row[15]), exact_price=row[16], exact_cost=row[17]
    )


def posting_of(row: Row) -> Posting:
    """The posting in a row of the columns above."""
    return Posting(_CODES[row[0]], _CODES[row[1]], _nanos(row[2]))


def transaction_of(row: Row, postings: Iterable[Posting]) -> Transaction:
    """The transaction in a row of the columns above, with its postings in the order of their lines."""
    return Transaction(
        row[0],
        row[1],
        row[2],
        row[3],
        _KINDS[row[4]],
        tuple(postings),
        _nanos(row[5]),
        _nanos(row[6]),
        row[7],
        row[8],
        row[9],
        row[10] or "",
        row[11],
        row[12],
        row[13],
        row[14],
    )


def entry_of(row: Row) -> Transaction:
    """The transaction and its postings in a row of the columns above."""
    debit, credit, amount = (column or () for column in row[TRANSACTION_WIDTH:ENTRY_WIDTH])
    return transaction_of(row, map(posting_of, zip(debit, credit, amount, strict=True)))


def allocations_of(transaction: Transaction, row: Row) -> list[RefundAllocation]:
    """The refunds that the transaction gave or got back, in a row of the columns above."""
    return [
        RefundAllocation(
            tenant_id=transaction.tenant_id,
            account_id=transaction.account_id,
            captured_transaction_id=captured,
            refund_transaction_id=refund,
            kind=_KINDS[kind],
            amount=_nanos(amount),
            cost=_nanos(cost),
        )
        for captured, refund, kind, amount, cost in zip(*(column or () for column in row), strict=True)
    ]


def balances_of(amounts: Sequence[Decimal]) -> dict[LedgerAccountCode, int]:
    """The 14 chart columns of a book, or sums of them, by code."""
    return dict(zip(_CODE_ORDER, map(_nanos, amounts), strict=True))
