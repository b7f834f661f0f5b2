"""Money that enters and leaves an account outside of calls: purchases, chargebacks, grants, corrections."""

from __future__ import annotations

from datetime import datetime

from imprest_server.core.errors import AccountClosed
from imprest_server.core.ids import TransactionId
from imprest_server.ledger.chart import LedgerAccountCode as Code
from imprest_server.ledger.model import AccountState, TransactionKind
from imprest_server.ledger.operations import (
    AddCredit,
    Adjust,
    CreditOperation,
    GrantCredit,
    Reply,
    Request,
    ReverseCredit,
    Transfer,
    Withdraw,
)
from imprest_server.ledger.rules.draft import Details, Draft
from imprest_server.ledger.rules.guards import (
    require_active,
    require_currency,
    require_funds,
    require_no_receivable,
    require_open,
    require_same_currency,
    require_unused_reference,
)
from imprest_server.ledger.working_set import Ledger


def add_credit(ledger: Ledger, request: Request, op: AddCredit, now: datetime) -> Reply:
    """A purchase. A CLOSED account takes it only up to its receivable."""
    draft = _draft(ledger, op, now)
    require_currency(draft.account, op.payment_fee)
    if draft.account.state is AccountState.CLOSED and op.amount.nanos > draft.book.receivable:
        raise AccountClosed(account_id=op.account_id)
    require_unused_reference(ledger, draft.account, TransactionKind.ADD_CREDIT, op.external_reference)
    draft.take_in(Code.CASH, op.amount.nanos)
    draft.post(Code.FEE_COST, Code.FEE_PAYABLE, op.payment_fee.nanos if op.payment_fee else 0)
    return _write(ledger, request, op, draft, TransactionKind.ADD_CREDIT)


def reverse_credit(ledger: Ledger, request: Request, op: ReverseCredit, now: datetime) -> Reply:
    """A chargeback: takes what is available, the rest is owed. Possible in every account state."""
    draft = _draft(ledger, op, now)
    require_unused_reference(ledger, draft.account, TransactionKind.REVERSE_CREDIT, op.external_reference)
    taken = min(op.amount.nanos, draft.spendable)
    draft.post(Code.WALLET, Code.CASH, taken)
    draft.post(Code.RECEIVABLE, Code.CASH, op.amount.nanos - taken)
    return _write(ledger, request, op, draft, TransactionKind.REVERSE_CREDIT)


def grant_credit(ledger: Ledger, request: Request, op: GrantCredit, now: datetime) -> Reply:
    """A promotion: like a purchase, paid for by the house."""
    draft = _draft(ledger, op, now)
    require_open(draft.account)
    require_unused_reference(ledger, draft.account, TransactionKind.GRANT_CREDIT, op.external_reference)
    draft.take_in(Code.PROMOTION_COST, op.amount.nanos)
    return _write(ledger, request, op, draft, TransactionKind.GRANT_CREDIT)


def adjust(ledger: Ledger, request: Request, op: Adjust, now: datetime) -> Reply:
    """A signed correction; downwards at most by what is available."""
    draft = _draft(ledger, op, now)
    require_open(draft.account)
    require_unused_reference(ledger, draft.account, TransactionKind.ADJUST, op.external_reference)
    if op.amount.nanos > 0:
        draft.take_in(Code.ADJUSTMENTS, op.amount.nanos)
    else:
        require_funds(draft, -op.amount.nanos, draft.spendable)
        draft.post(Code.WALLET, Code.ADJUSTMENTS, -op.amount.nanos)
    return _write(ledger, request, op, draft, TransactionKind.ADJUST)


def withdraw(ledger: Ledger, request: Request, op: Withdraw, now: datetime) -> Reply:
    """Pay credit back: neither held money nor a credit line can leave."""
    draft = _draft(ledger, op, now)
    require_active(draft.account)
    require_unused_reference(ledger, draft.account, TransactionKind.WITHDRAW, op.external_reference)
    _require_own_funds(draft, op.amount.nanos)
    draft.post(Code.WALLET, Code.CASH, op.amount.nanos)
    return _write(ledger, request, op, draft, TransactionKind.WITHDRAW)


def transfer(ledger: Ledger, request: Request, op: Transfer, now: datetime) -> Reply:
    """Move credit to another account: one transaction in each book, joined by CLEARING."""
    assert request.second_id is not None, "a transfer writes two transactions"
    sender = Draft(ledger, (op.tenant_id, op.from_account_id), now)
    receiver = Draft(ledger, (op.tenant_id, op.to_account_id), now)
    require_currency(sender.account, op.amount)
    require_same_currency(receiver.account, sender.account.currency_code)
    require_active(sender.account)
    require_open(receiver.account)
    _require_own_funds(sender, op.amount.nanos)
    sender.post(Code.WALLET, Code.CLEARING, op.amount.nanos)
    receiver.take_in(Code.CLEARING, op.amount.nanos)
    receiver.check()
    sent = sender.write(TransactionKind.TRANSFER_OUT, TransactionId(request.first_id), Details(reason=op.reason))
    received = receiver.write(TransactionKind.TRANSFER_IN, TransactionId(request.second_id), Details(reason=op.reason))
    return Reply(
        account=sender.account,
        balance=sender.balance(),
        to_balance=receiver.balance(),
        transaction_id=sent.transaction_id if sent else None,
        to_transaction_id=received.transaction_id if received else None,
    )


def _draft(ledger: Ledger, op: CreditOperation, now: datetime) -> Draft:
    draft = Draft(ledger, (op.tenant_id, op.account_id), now)
    require_currency(draft.account, op.amount)
    return draft


def _require_own_funds(draft: Draft, amount: int) -> None:
    """wallet − held covers the amount and nothing is owed."""
    require_no_receivable(draft)
    require_funds(draft, amount, max(0, draft.book.wallet - draft.book.held))


def _write(ledger: Ledger, request: Request, op: CreditOperation, draft: Draft, kind: TransactionKind) -> Reply:
    transaction = draft.write(
        kind,
        TransactionId(request.first_id),
        Details(reason=op.reason, external_reference=op.external_reference, labels=op.labels),
    )
    if op.external_reference:
        ledger.external_references.add((op.tenant_id, kind, op.external_reference))
    return Reply(
        account=draft.account,
        balance=draft.balance(),
        transaction_id=transaction.transaction_id if transaction else None,
    )
