"""Rules of account operations: creating, changing, freezing, closing, and reading accounts."""

from imprest_client.testing.ledger.book import write
from imprest_client.testing.ledger.model import Account, Balance, Denied, Outcome, Posting, Request, new_id
from imprest_client.testing.ledger.money import text_from_nanos
from imprest_client.testing.ledger.tenant import Tenant, check_currency
from imprest_client.testing.ledger.validation import amount_of


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
        raise Denied("ACCOUNT_CLOSED", account_id=account.account_id)


def refuse_closed_or_frozen(account: Account) -> None:
    """Raises Denied(ACCOUNT_CLOSED or ACCOUNT_FROZEN)."""
    refuse_closed(account)
    if account.state == "FROZEN":
        raise Denied("ACCOUNT_FROZEN", account_id=account.account_id)


def refuse_debtor(account: Account) -> None:
    """Raises Denied(RECEIVABLE_OPEN)."""
    if account.receivable > 0:
        raise Denied(
            "RECEIVABLE_OPEN",
            account_id=account.account_id,
            currency_code=account.currency,
            receivable=text_from_nanos(account.receivable),
        )


def refuse_unaffordable(account: Account, available: int, required: int) -> None:
    """Raises Denied(INSUFFICIENT_FUNDS) when less is available than required."""
    if required > available:
        raise Denied(
            "INSUFFICIENT_FUNDS",
            account_id=account.account_id,
            currency_code=account.currency,
            available=text_from_nanos(available),
            required=text_from_nanos(required),
        )


def _apply_settings(account: Account, request: Request, now: int) -> None:
    if "credit_limit" in request:
        account.credit_limit = amount_of(request, "credit_limit") or 0
    if "overrun_policy" in request:
        account.overrun_policy = request["overrun_policy"]
    if "max_overrun" in request:
        account.max_overrun = amount_of(request, "max_overrun")
    if "low_balance_threshold" in request:
        account.low_balance_threshold = amount_of(request, "low_balance_threshold")
    for name in ("max_concurrent_calls", "customer_id", "display_name", "time_zone", "labels"):
        if name in request:
            setattr(account, name, request[name])
    account.update_time = now


def create_account(tenant: Tenant, request: Request, now: int) -> Outcome:
    """Opens an empty account under the id that the caller chose, or a new one."""
    parent_account_id = request.get("parent_account_id", "")
    if parent_account_id:
        tenant.account(parent_account_id)
    account = Account(request.get("account_id") or new_id("acc"), request["currency"])
    account_id = account.account_id
    check_currency(request, account)
    if account_id in tenant.accounts:
        raise Denied("ACCOUNT_EXISTS", account_id=account_id)
    account.parent_account_id, account.create_time = parent_account_id, now
    _apply_settings(account, request, now)
    tenant.accounts[account_id] = account
    return answer(account)


def update_account(tenant: Tenant, request: Request, now: int) -> Outcome:
    """Changes the settings that the request has; a null clears one. A higher limit may settle a debt."""
    account = tenant.account(request["account_id"])
    check_currency(request, account)
    refuse_closed(account)
    _apply_settings(account, request, now)
    return answer(account, write(account, "UPDATE_ACCOUNT", [], now))


def freeze(tenant: Tenant, request: Request, now: int) -> Outcome:
    """Stops new spending."""
    return _set_state(tenant.account(request["account_id"]), "FROZEN", now)


def unfreeze(tenant: Tenant, request: Request, now: int) -> Outcome:
    """Allows new spending again."""
    return _set_state(tenant.account(request["account_id"]), "ACTIVE", now)


def _set_state(account: Account, state: str, now: int) -> Outcome:
    refuse_closed(account)
    if account.state != state:
        account.state, account.update_time = state, now
    return answer(account)


def close(tenant: Tenant, request: Request, now: int) -> Outcome:
    """Ends an empty account for ever; `forfeit` gives up what is left in the wallet."""
    account = tenant.account(request["account_id"])
    if account.state == "CLOSED":
        return answer(account)
    busy = account.open_count > 0 or account.held > 0 or account.receivable > 0
    kept = account.wallet > 0 and not request.get("forfeit", False)
    if busy or account.wallet < 0 or kept:
        raise Denied(
            "ACCOUNT_NOT_EMPTY",
            account_id=account.account_id,
            currency_code=account.currency,
            wallet=text_from_nanos(account.wallet),
            held=text_from_nanos(account.held),
            receivable=text_from_nanos(account.receivable),
            open_reservations=str(account.open_count),
        )
    account.state, account.update_time = "CLOSED", now
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
