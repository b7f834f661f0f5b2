"""Denials that several operations share. Each function returns quietly or raises the denial."""

from __future__ import annotations

from datetime import datetime, timedelta

from imprest_server.core.errors import (
    AccountClosed,
    AccountFrozen,
    CurrencyMismatch,
    ExternalReferenceUsed,
    InsufficientFunds,
    InvalidArgument,
    ReceivableOpen,
)
from imprest_server.core.money import Money, format_nanos
from imprest_server.core.usage import UsageReport
from imprest_server.ledger.model import Account, AccountState, TransactionKind
from imprest_server.ledger.rules.draft import Draft
from imprest_server.ledger.working_set import Ledger

MAX_BACKDATING = timedelta(days=35)


def require_currency(account: Account, *amounts: Money | None) -> None:
    """The amounts, where given, are in the account's currency."""
    for amount in amounts:
        if amount is not None:
            require_same_currency(account, amount.currency_code)


def require_same_currency(account: Account, currency_code: str) -> None:
    """An amount's, or another account's, currency is the account's own."""
    if currency_code != account.currency_code:
        raise CurrencyMismatch(
            account_id=account.account_id,
            account_currency_code=account.currency_code,
            currency_code=currency_code,
        )


def require_open(account: Account) -> None:
    """The account is not CLOSED."""
    if account.state is AccountState.CLOSED:
        raise AccountClosed(account_id=account.account_id)


def require_active(account: Account) -> None:
    """The account is neither FROZEN nor CLOSED."""
    require_open(account)
    if account.state is AccountState.FROZEN:
        raise AccountFrozen(account_id=account.account_id)


def require_no_receivable(draft: Draft) -> None:
    """Nothing is owed from earlier usage."""
    if draft.book.receivable:
        raise ReceivableOpen(
            account_id=draft.account.account_id,
            currency_code=draft.account.currency_code,
            receivable=format_nanos(draft.book.receivable),
        )


def require_funds(draft: Draft, required: int, spendable: int) -> None:
    """`required` nanos are there to spend."""
    if required > spendable:
        raise InsufficientFunds(
            account_id=draft.account.account_id,
            currency_code=draft.account.currency_code,
            available=format_nanos(spendable),
            required=format_nanos(required),
        )


def require_unused_reference(
    ledger: Ledger, account: Account, kind: TransactionKind, external_reference: str | None
) -> None:
    """The external reference, when given, was not used by this kind of operation of this tenant."""
    if external_reference and (account.tenant_id, kind, external_reference) in ledger.external_references:
        raise ExternalReferenceUsed(external_reference=external_reference)


def require_recent_usage(usage: UsageReport | None, now: datetime, field: str = "usage") -> None:
    """The start of usage, when given, is not in the future and at most 35 days ago."""
    if usage is not None:
        require_recent(usage.start_time, now, f"{field}.start_time")


def require_recent(instant: datetime | None, now: datetime, field: str = "effective_time") -> None:
    """An instant that a caller gives is not in the future and at most 35 days old."""
    if instant is None:
        return
    if instant > now:
        raise InvalidArgument(field=field, problem="must not be in the future")
    if instant < now - MAX_BACKDATING:
        raise InvalidArgument(field=field, problem=f"must be at most {MAX_BACKDATING.days} days old")
