"""Charge and RecordUsage: usage that no hold was made for."""

from __future__ import annotations

from datetime import datetime

from imprest_server.core.errors import InvalidArgument, PriceNotFound
from imprest_server.core.ids import TransactionId
from imprest_server.ledger.limits import EventKind
from imprest_server.ledger.model import ChargeBreakdown, OverrunPolicy, TransactionKind
from imprest_server.ledger.operations import Charge, ChargeSubscription, RecordUsage, Reply, Request
from imprest_server.ledger.rules.draft import Details, Draft
from imprest_server.ledger.rules.guards import (
    require_active,
    require_currency,
    require_funds,
    require_no_receivable,
    require_open,
    require_recent,
    require_recent_usage,
)
from imprest_server.ledger.rules.limits import count_charge, note, require_room_to_charge
from imprest_server.ledger.rules.overrun import post_charge, split_usage
from imprest_server.ledger.rules.usage import Captured, capture_usage, itemised, record
from imprest_server.ledger.working_set import Ledger


def charge(ledger: Ledger, request: Request, op: Charge, now: datetime) -> Reply:
    """Reserve and final commit in one step: denied like Reserve, without its call cap; never overruns."""
    require_recent(op.effective_time, now)
    require_recent_usage(op.usage, now)
    draft = Draft(ledger, (op.tenant_id, op.account_id), now)
    require_currency(draft.account, op.amount)
    require_active(draft.account)
    require_no_receivable(draft)
    amount, used = _amount(ledger, draft, request, op)
    require_room_to_charge(ledger, draft.account, op.labels, amount, used)
    require_funds(draft, amount, draft.spendable)
    charged = ChargeBreakdown(from_available=amount)
    return _write(ledger, draft, request, _details(op), TransactionKind.CHARGE, charged, used)


def record_usage(ledger: Ledger, request: Request, op: RecordUsage, now: datetime) -> Reply:
    """Charge what has happened: collected whatever the account's policy, never denied for funds.

    What is not available is owed, up to the account's `max_overrun`; the rest is absorbed.
    """
    require_recent(op.effective_time, now)
    require_recent_usage(op.usage, now)
    draft = Draft(ledger, (op.tenant_id, op.account_id), now)
    account = draft.account
    require_currency(account, op.amount)
    require_open(account)
    amount, used = _amount(ledger, draft, request, op)
    return _write(ledger, draft, request, _details(op), TransactionKind.USAGE, _collected(draft, amount), used)


def charge_subscription(ledger: Ledger, request: Request, op: ChargeSubscription, now: datetime) -> Reply:
    """Charge a month's lines like recorded usage. A missing price is not kept as the answer: it may yet come.

    The lines are the transaction's own: by the subscription's name callers could report lines, too. Its key makes the
    month happen once.
    """
    draft = Draft(ledger, (op.tenant_id, op.account_id), now)
    require_open(draft.account)
    try:
        used = capture_usage(
            ledger,
            draft.account,
            op.usage,
            TransactionId(request.first_id),
            effective_time=None,
            now=now,
        )
    except PriceNotFound as missing:
        raise InvalidArgument(field="usage", problem=str(missing)) from missing
    charged, details = _collected(draft, used.price), Details(call_id=op.call_id)
    return _write(ledger, draft, request, details, TransactionKind.USAGE, charged, used)


def _details(op: Charge | RecordUsage) -> Details:
    return Details(call_id=op.call_id, labels=op.labels, effective_time=op.effective_time)


def _collected(draft: Draft, amount: int) -> ChargeBreakdown:
    """Taken from what is available, then owed, then absorbed, whatever the account's policy."""
    return split_usage(
        OverrunPolicy.COLLECT, amount, 0, draft.spendable, draft.book.receivable, draft.account.max_overrun
    )


def _amount(ledger: Ledger, draft: Draft, request: Request, op: Charge | RecordUsage) -> tuple[int, Captured | None]:
    """The amount asked for, or the price of the usage, with the usage."""
    if op.usage is None:
        assert op.amount is not None, "validation requires one of the two"
        return op.amount.nanos, None
    used = capture_usage(
        ledger,
        draft.account,
        op.usage,
        TransactionId(request.first_id),
        call_id=op.call_id,
        effective_time=op.effective_time,
        now=draft.now,
    )
    return used.price, used


def _write(
    ledger: Ledger,
    draft: Draft,
    request: Request,
    details: Details,
    kind: TransactionKind,
    charged: ChargeBreakdown,
    used: Captured | None,
) -> Reply:
    charged = itemised(charged, used)
    post_charge(draft, charged)
    transaction = draft.write(kind, TransactionId(request.first_id), details)
    record(ledger, used, draft.account, transaction, draft.now)
    note(ledger, draft, EventKind.OVERRUN, charged.absorbed)
    count_charge(ledger, draft.account, details.labels, charged, used)
    return Reply(
        balance=draft.balance(),
        charge=charged,
        transaction_id=transaction.transaction_id if transaction else None,
    )
