"""Rules of account operations: creating, changing, freezing, closing, and reading accounts."""

from tests.oracle.book import write
from tests.oracle.model import Account, Balance, Denied, Outcome, Posting, Request
from tests.oracle.tenant import Tenant, check_currency
from tests.oracle.validation import amount_of


def answer(account: Account, transaction_id: str | None = None) -> Outcome:
    """The reply of every account operation: the account, its balance, the transaction if there is one."""
    return Outcome(
        account_id=account.account_id,
        account_state=account.state,
        balance=Balance.of(account),
        transaction_id=transaction_id,
    )


def refuse_closed(account: Account) -> None:
    """Raises Denied(ACCOUNT_CLOSED)."""
    if account.state == "CLOSED":
        raise Denied("ACCOUNT_CLOSED")


def refuse_closed_or_frozen(account: Account) -> None:
    """Raises Denied(ACCOUNT_CLOSED or ACCOUNT_FROZEN)."""
    refuse_closed(account)
    if account.state == "FROZEN":
        raise Denied("ACCOUNT_FROZEN")


def _apply_settings(account: Account, request: Request) -> None:
    if "credit_limit" in request:
        account.credit_limit = amount_of(request, "credit_limit") or 0
    if "overrun_policy" in request:
        account.overrun_policy = request["overrun_policy"]
    if "max_overrun" in request:
        account.max_overrun = amount_of(request, "max_overrun")
    if "max_concurrent_calls" in request:
        account.max_concurrent_calls = request["max_concurrent_calls"]


def create_account(tenant: Tenant, request: Request, _now: int) -> Outcome:
    """Opens an empty account under the id that the caller chose."""
    account_id = request["account_id"]
    if account_id in tenant.accounts:
        raise Denied("ACCOUNT_EXISTS")
    account = Account(account_id, request["currency"])
    _apply_settings(account, request)
    tenant.accounts[account_id] = account
    return answer(account)


def update_account(tenant: Tenant, request: Request, now: int) -> Outcome:
    """Changes the settings that the request has; a null clears one. A higher limit may settle a debt."""
    account = tenant.account(request["account_id"])
    check_currency(request, account)
    refuse_closed(account)
    _apply_settings(account, request)
    return answer(account, write(account, "UPDATE_ACCOUNT", [], now))


def freeze(tenant: Tenant, request: Request, _now: int) -> Outcome:
    """Stops new spending."""
    account = tenant.account(request["account_id"])
    refuse_closed(account)
    account.state = "FROZEN"
    return answer(account)


def unfreeze(tenant: Tenant, request: Request, _now: int) -> Outcome:
    """Allows new spending again."""
    account = tenant.account(request["account_id"])
    refuse_closed(account)
    account.state = "ACTIVE"
    return answer(account)


def close(tenant: Tenant, request: Request, now: int) -> Outcome:
    """Ends an empty account for ever; `forfeit` gives up what is left in the wallet."""
    account = tenant.account(request["account_id"])
    if account.state == "CLOSED":
        return answer(account)
    busy = account.open_count > 0 or account.held > 0 or account.receivable > 0
    kept = account.wallet > 0 and not request.get("forfeit", False)
    if busy or account.wallet < 0 or kept:
        raise Denied("ACCOUNT_NOT_EMPTY")
    account.state = "CLOSED"
    account.credit_limit = 0  # a closed account has no credit line
    forfeited = Posting("WALLET", "BREAKAGE", account.wallet)
    return answer(account, write(account, "CLOSE", [forfeited], now))


def get_account(tenant: Tenant, request: Request, _now: int) -> Outcome:
    """Reads the account."""
    return answer(tenant.account(request["account_id"]))


def get_balance(tenant: Tenant, request: Request, _now: int) -> Outcome:
    """Reads the balance, now or `as_of` a time in the past (wallet and receivable only)."""
    account = tenant.account(request["account_id"])
    as_of = request.get("as_of")
    if as_of is None:
        return answer(account)
    past = [transaction for transaction in account.transactions if transaction.create_time <= as_of]
    wallet, receivable = (past[-1].wallet_after, past[-1].receivable_after) if past else (0, 0)
    balance = Balance(wallet, held=0, available=wallet, receivable=receivable)
    return Outcome(account_id=account.account_id, account_state=account.state, balance=balance)
