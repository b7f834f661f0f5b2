"""The life of an account: created, changed, frozen, closed."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from imprest_server.core.errors import AccountExists, AccountNotEmpty, InvalidArgument
from imprest_server.core.ids import ACCOUNT_PREFIX, AccountId, TransactionId
from imprest_server.core.money import Money, format_nanos
from imprest_server.ledger.chart import LedgerAccountCode as Code
from imprest_server.ledger.model import Account, AccountState, Book, TransactionKind
from imprest_server.ledger.operations import (
    AccountSettings,
    CloseAccount,
    CreateAccount,
    FreezeAccount,
    Reply,
    Request,
    UnfreezeAccount,
    UpdateAccount,
)
from imprest_server.ledger.rules.draft import Draft, balance_of
from imprest_server.ledger.rules.guards import require_currency, require_open
from imprest_server.ledger.working_set import Ledger


def create_account(ledger: Ledger, request: Request, op: CreateAccount, now: datetime) -> Reply:
    """Open an account with an empty book."""
    account_id = op.account_id or AccountId(ACCOUNT_PREFIX + request.first_id.hex)
    if op.parent_account_id is not None:
        ledger.account((op.tenant_id, op.parent_account_id))
    blank = Account(
        tenant_id=op.tenant_id,
        account_id=account_id,
        currency_code=op.currency_code,
        parent_account_id=op.parent_account_id,
        create_time=now,
        update_time=now,
    )
    require_currency(blank, *_amounts(op.settings))
    if blank.key in ledger.accounts:
        raise AccountExists(account_id=account_id)
    account = _with_settings(blank, op.settings, now)
    book = Book(op.tenant_id, account_id)
    ledger.put_account(account, new=True)
    ledger.put_book(book)
    return Reply(account=account, balance=balance_of(account, book, now))


def update_account(ledger: Ledger, request: Request, op: UpdateAccount, now: datetime) -> Reply:
    """Change settings; a raised credit limit may settle a receivable at once."""
    draft = Draft(ledger, (op.tenant_id, op.account_id), now)
    _require_unchanged("currency_code", op.currency_code, draft.account.currency_code)
    _require_unchanged("parent_account_id", op.parent_account_id, draft.account.parent_account_id)
    require_currency(draft.account, *_amounts(op.settings))
    require_open(draft.account)
    threshold = draft.account.low_balance_threshold
    draft.account = _with_settings(draft.account, op.settings, now)
    if draft.account.low_balance_threshold != threshold:
        draft.arm_low_balance()
    transaction = draft.write(TransactionKind.UPDATE_ACCOUNT, TransactionId(request.first_id))
    ledger.put_account(draft.account)
    return Reply(
        account=draft.account,
        balance=draft.balance(),
        transaction_id=transaction.transaction_id if transaction else None,
    )


def freeze_account(ledger: Ledger, request: Request, op: FreezeAccount, now: datetime) -> Reply:
    """Deny new calls and outgoing money. Of a frozen account: the same answer."""
    return _change_state(ledger, Draft(ledger, (op.tenant_id, op.account_id), now), AccountState.FROZEN)


def unfreeze_account(ledger: Ledger, request: Request, op: UnfreezeAccount, now: datetime) -> Reply:
    """Undo a freeze. Of an active account: the same answer."""
    return _change_state(ledger, Draft(ledger, (op.tenant_id, op.account_id), now), AccountState.ACTIVE)


def close_account(ledger: Ledger, request: Request, op: CloseAccount, now: datetime) -> Reply:
    """End an empty account; with `forfeit` a positive wallet becomes breakage. Again: the same answer.

    Its credit line ends with it: a chargeback that still comes is owed, and can be repaid, instead of being
    taken from a line that nobody could fill again.
    """
    draft = Draft(ledger, (op.tenant_id, op.account_id), now)
    account, book = draft.account, draft.book
    if account.state is AccountState.CLOSED:
        return Reply(account=account, balance=draft.balance())
    wallet_left = book.wallet < 0 or (book.wallet > 0 and not op.forfeit)
    if book.open_count or book.held or book.receivable or wallet_left:
        raise AccountNotEmpty(
            account_id=account.account_id,
            currency_code=account.currency_code,
            wallet=format_nanos(book.wallet),
            held=format_nanos(book.held),
            receivable=format_nanos(book.receivable),
            open_reservations=str(book.open_count),
        )
    draft.post(Code.WALLET, Code.BREAKAGE, book.wallet)
    transaction = draft.write(TransactionKind.CLOSE, TransactionId(request.first_id))
    draft.account = replace(account, state=AccountState.CLOSED, credit_limit=0, update_time=now)
    ledger.put_account(draft.account)
    return Reply(
        account=draft.account,
        balance=draft.balance(),
        transaction_id=transaction.transaction_id if transaction else None,
    )


def _change_state(ledger: Ledger, draft: Draft, state: AccountState) -> Reply:
    require_open(draft.account)
    if draft.account.state is not state:
        draft.account = replace(draft.account, state=state, update_time=draft.now)
        ledger.put_account(draft.account)
    return Reply(account=draft.account, balance=draft.balance())


def _require_unchanged(field: str, given: str | None, present: str | None) -> None:
    if given is not None and given != present:
        raise InvalidArgument(field=f"account.{field}", problem="never changes")


def _amounts(settings: AccountSettings) -> list[Money]:
    return [value for value in settings.values() if isinstance(value, Money)]


def _with_settings(account: Account, settings: AccountSettings, now: datetime) -> Account:
    """The account with the given settings, their amounts as nanos; `update_time` moves when one changed."""
    changes: dict[str, Any] = {
        name: value.nanos if isinstance(value, Money) else value for name, value in settings.items()
    }
    if "credit_limit" in changes and changes["credit_limit"] is None:
        changes["credit_limit"] = 0
    changed = replace(account, **changes)
    return account if changed == account else replace(changed, update_time=now)
