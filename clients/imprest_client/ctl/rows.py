"""What the fields of each thing are called, and how they look: one description per thing for all formats.

Names are those of the API; amounts are in the `currency_code` beside them.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Generic, TypeVar

from imprest_client.ctl.output import Column, Look, Row
from imprest_client.ctl.stories.flows import receivable_change, wallet_change
from imprest_client.model import (
    Account,
    AccountReceipt,
    Balance,
    PastBalance,
    RefundAllocation,
    RefundReceipt,
    Reservation,
    Transaction,
    TransferReceipt,
    TrialBalance,
    TrueUpReceipt,
    VoidReceipt,
)

T = TypeVar("T")

# ── resources ────────────────────────────────────────────────────────────────────────────────────────

ACCOUNT: Final = Row[Account](
    (
        Column("account_id", lambda a: a.account_id, "account"),
        Column("state", lambda a: a.state, "state", Look.STATE),
        Column("display_name", lambda a: a.display_name, "name"),
        Column("customer_id", lambda a: a.customer_id, "customer"),
        Column("currency_code", lambda a: a.currency_code, "currency"),
        Column("parent_account_id", lambda a: a.parent_account_id, "parent"),
        Column("credit_limit", lambda a: a.credit_limit, "credit limit", Look.MONEY),
        Column("overrun_policy", lambda a: a.overrun_policy, "overrun policy"),
        Column("max_overrun", lambda a: a.max_overrun, "max overrun", Look.MONEY),
        Column("max_concurrent_calls", lambda a: a.max_concurrent_calls, "max calls"),
        Column("low_balance_threshold", lambda a: a.low_balance_threshold, "low balance below", Look.MONEY),
        Column("time_zone", lambda a: a.time_zone, "time zone"),
        Column("labels", lambda a: a.labels, "labels"),
        Column("create_time", lambda a: a.create_time, "created"),
        Column("update_time", lambda a: a.update_time, "updated"),
    ),
    lambda a: a.currency_code,
)

ACCOUNT_LIST: Final = ACCOUNT.titled(
    account_id="account",
    state="state",
    display_name="name",
    customer_id="customer",
    credit_limit="credit limit",
    overrun_policy="overrun",
    create_time="created",
)

BALANCE: Final = Row[Balance](
    (
        Column("account_id", lambda b: b.account_id, "account"),
        Column("currency_code", lambda b: b.currency_code),
        Column("wallet", lambda b: b.wallet, "wallet", Look.MONEY),
        Column("held", lambda b: b.held, "held", Look.MONEY),
        Column("available", lambda b: b.available, "available", Look.MONEY),
        Column("receivable", lambda b: b.receivable, "receivable", Look.MONEY),
        Column("credit_limit", lambda b: b.credit_limit, "credit limit", Look.MONEY),
        Column("as_of", lambda b: b.as_of, "as of"),
    ),
    lambda b: b.currency_code,
)

PAST_BALANCE: Final = Row[PastBalance](
    (
        Column("account_id", lambda b: b.account_id, "account"),
        Column("currency_code", lambda b: b.currency_code),
        Column("wallet", lambda b: b.wallet, "wallet", Look.MONEY),
        Column("receivable", lambda b: b.receivable, "receivable", Look.MONEY),
        Column("as_of", lambda b: b.as_of, "as of"),
    ),
    lambda b: b.currency_code,
)

RESERVATION: Final = Row[Reservation](
    (
        Column("reservation_id", lambda r: r.reservation_id, "reservation", Look.ID),
        Column("account_id", lambda r: r.account_id, "account"),
        Column("call_id", lambda r: r.call_id, "call"),
        Column("state", lambda r: r.state, "state", Look.STATE),
        Column("currency_code", lambda r: r.currency_code),
        Column("amount", lambda r: r.amount, "amount", Look.MONEY),
        Column("captured", lambda r: r.captured, "captured", Look.MONEY),
        Column("absorbed", lambda r: r.absorbed, "absorbed", Look.MONEY),
        Column("used_so_far", lambda r: r.used_so_far, "used so far", Look.MONEY),
        Column("on_expiry", lambda r: r.on_expiry, "on expiry"),
        Column("labels", lambda r: r.labels, "labels"),
        Column("create_time", lambda r: r.create_time, "created"),
        Column("expire_time", lambda r: r.expire_time, "due"),
        Column("end_time", lambda r: r.end_time, "ended"),
        Column("late", lambda r: r.late, "late"),
    ),
    lambda r: r.currency_code,
)

RESERVATION_LIST: Final = RESERVATION.titled(
    reservation_id="reservation",
    account_id="account",
    call_id="call",
    state="state",
    amount="amount",
    captured="captured",
    create_time="created",
    expire_time="due",
)

TRANSACTION: Final = Row[Transaction](
    (
        Column("seq", lambda t: t.seq, "seq", Look.NUMBER),
        Column("create_time", lambda t: t.create_time, "time"),
        Column("kind", lambda t: t.kind, "kind"),
        Column("account_id", lambda t: t.account_id),
        Column("currency_code", lambda t: t.currency_code),
        Column("wallet_change", wallet_change, "change", Look.MONEY),
        Column("wallet_after", lambda t: t.wallet_after, "wallet", Look.MONEY),
        Column("receivable_change", receivable_change, "owed ±", Look.MONEY),
        Column("call_id", lambda t: t.call_id, "call"),
        Column("reason", lambda t: t.reason, "reason"),
        Column("external_reference", lambda t: t.external_reference, "reference"),
        Column("transaction_id", lambda t: t.transaction_id, "transaction", Look.ID),
        Column("reservation_id", lambda t: t.reservation_id),
        Column("labels", lambda t: t.labels),
        Column("effective_time", lambda t: t.effective_time),
        Column("postings", lambda t: [{"debit": p.debit, "credit": p.credit, "amount": p.amount} for p in t.postings]),
        Column("chain_hash", lambda t: t.chain_hash),
    ),
    lambda t: t.currency_code,
)


ALLOCATION: Final = Row[tuple[RefundAllocation, str]](
    (
        Column("captured_transaction_id", lambda a: a[0].captured_transaction_id, "captured", Look.ID),
        Column("refund_transaction_id", lambda a: a[0].refund_transaction_id, "refund", Look.ID),
        Column("currency_code", lambda a: a[1]),
        Column("amount", lambda a: a[0].amount, "amount", Look.MONEY),
        Column("provider_cost", lambda a: a[0].provider_cost, "provider cost", Look.MONEY),
    ),
    lambda a: a[1],
)


# ── lines of postings and of balances ────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class PostingLine:
    """A posting with its transaction; `is_last` when it is the transaction's last one."""

    transaction: Transaction
    debit: str
    credit: str
    amount: Decimal
    is_last: bool


POSTING: Final = Row[PostingLine](
    (
        Column("seq", lambda p: p.transaction.seq, "seq", Look.NUMBER),
        Column("create_time", lambda p: p.transaction.create_time, "time"),
        Column("kind", lambda p: p.transaction.kind, "kind"),
        Column("debit", lambda p: p.debit, "debit"),
        Column("credit", lambda p: p.credit, "credit"),
        Column("currency_code", lambda p: p.transaction.currency_code),
        Column("amount", lambda p: p.amount, "amount", Look.MONEY),
        Column("wallet_after", lambda p: p.transaction.wallet_after if p.is_last else None, "wallet after", Look.MONEY),
        Column("account_id", lambda p: p.transaction.account_id),
        Column("transaction_id", lambda p: p.transaction.transaction_id, "transaction", Look.ID),
    ),
    lambda p: p.transaction.currency_code,
)


def posting_lines(transaction: Transaction) -> list[PostingLine]:
    """The transaction's postings, in their order."""
    last = len(transaction.postings) - 1
    return [
        PostingLine(transaction, p.debit, p.credit, p.amount, number == last)
        for number, p in enumerate(transaction.postings)
    ]


@dataclass(frozen=True, slots=True)
class TrialLine:
    """A line of one currency's trial balance, or its total."""

    sheet: TrialBalance
    code: str
    debit_balance: Decimal | None
    credit_balance: Decimal | None


TRIAL_LINE: Final = Row[TrialLine](
    (
        Column("code", lambda line: line.code, "account code"),
        Column("currency_code", lambda line: line.sheet.currency_code),
        Column("debit_balance", lambda line: line.debit_balance, "debit", Look.MONEY),
        Column("credit_balance", lambda line: line.credit_balance, "credit", Look.MONEY),
        Column("as_of", lambda line: line.sheet.as_of),
    ),
    lambda line: line.sheet.currency_code,
)


def trial_lines(sheet: TrialBalance) -> list[TrialLine]:
    """The lines of the chart, in its order."""
    return [TrialLine(sheet, line.code, line.debit_balance, line.credit_balance) for line in sheet.lines]


def total_of(sheet: TrialBalance) -> TrialLine:
    """What stands below them."""
    return TrialLine(sheet, "TOTAL", sheet.total_debits, sheet.total_credits)


# ── receipts: what a command that changed something answers ──────────────────────────────────────────


@dataclass(frozen=True)
class Receipt(Generic[T]):
    """The server's answer, and the key that repeats the request."""

    idempotency_key: str
    answer: T


def _key(receipt: Receipt[T]) -> str:
    return receipt.idempotency_key


_BALANCE: Final = BALANCE.titled(wallet="wallet", held="held", available="available", receivable="receivable")

ACCOUNT_RECEIPT: Final = Row[Receipt[AccountReceipt]](
    (
        *ACCOUNT.titled(account_id="account", state="state").nested("account", lambda r: r.answer.account),
        *_BALANCE.nested("balance", lambda r: r.answer.balance),
        Column("transaction_id", lambda r: r.answer.transaction_id, "transaction", Look.ID),
        Column("replayed", lambda r: r.answer.replayed),
        Column("idempotency_key", _key, "key", Look.ID),
    ),
    lambda r: r.answer.account.currency_code,
)

TRANSFER_RECEIPT: Final = Row[Receipt[TransferReceipt]](
    (
        *ACCOUNT.titled().nested("account", lambda r: r.answer.account),
        *BALANCE.titled(wallet="sender's wallet").nested("balance", lambda r: r.answer.balance),
        *BALANCE.titled(wallet="receiver's wallet").nested("to_balance", lambda r: r.answer.to_balance),
        Column("transaction_id", lambda r: r.answer.transaction_id, "sender's transaction", Look.ID),
        Column("to_transaction_id", lambda r: r.answer.to_transaction_id, "receiver's transaction", Look.ID),
        Column("replayed", lambda r: r.answer.replayed),
        Column("idempotency_key", _key, "key", Look.ID),
    ),
    lambda r: r.answer.balance.currency_code,
)

VOID_RECEIPT: Final = Row[Receipt[VoidReceipt]](
    (
        *RESERVATION.titled(reservation_id="reservation", state="state").nested(
            "reservation", lambda r: r.answer.reservation
        ),
        *_BALANCE.nested("balance", lambda r: r.answer.balance),
        Column("replayed", lambda r: r.answer.replayed),
        Column("idempotency_key", _key, "key", Look.ID),
    ),
    lambda r: r.answer.balance.currency_code,
)

REFUND_RECEIPT: Final = Row[Receipt[RefundReceipt]](
    (
        Column("refunded_total", lambda r: r.answer.refunded_total, "refunded so far", Look.MONEY),
        *_BALANCE.nested("balance", lambda r: r.answer.balance),
        *TRANSACTION.titled(transaction_id="transaction").nested("transaction", lambda r: r.answer.transaction),
        Column("replayed", lambda r: r.answer.replayed),
        Column("idempotency_key", _key, "key", Look.ID),
    ),
    lambda r: r.answer.balance.currency_code,
)

TRUE_UP_RECEIPT: Final = Row[Receipt[TrueUpReceipt]](
    (
        Column("difference", lambda r: r.answer.difference, "difference", Look.MONEY),
        *_BALANCE.titled().nested("balance", lambda r: r.answer.balance),
        Column(
            "transaction_id",
            lambda r: r.answer.transaction.transaction_id if r.answer.transaction else "",
            "transaction",
            Look.ID,
        ),
        Column("replayed", lambda r: r.answer.replayed),
        Column("idempotency_key", _key, "key", Look.ID),
    ),
    lambda r: r.answer.balance.currency_code,
)
