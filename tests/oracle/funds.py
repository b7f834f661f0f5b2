"""Rules of the operations that bring credit in or take it out."""

from tests.oracle.accounts import answer, refuse_closed, refuse_closed_or_frozen
from tests.oracle.book import inflow, write
from tests.oracle.model import Account, Balance, Denied, Outcome, Posting, Request
from tests.oracle.tenant import Tenant, check_currency
from tests.oracle.validation import amount_of, required_amount


def add_credit(tenant: Tenant, request: Request, now: int) -> Outcome:
    """A purchase. On a closed account only what repays its debt is taken."""
    account = tenant.account(request["account_id"])
    check_currency(request, account)
    amount = required_amount(request)
    if account.state == "CLOSED" and amount > account.receivable:
        raise Denied("ACCOUNT_CLOSED")
    tenant.use_reference(request)
    fee = Posting("FEE_COST", "FEE_PAYABLE", amount_of(request, "payment_fee") or 0)
    return answer(account, write(account, "ADD_CREDIT", [*inflow(account, "CASH", amount), fee], now))


def reverse_credit(tenant: Tenant, request: Request, now: int) -> Outcome:
    """A chargeback or failed payment: taken from what is available, owed for the rest, in every state."""
    account = tenant.account(request["account_id"])
    check_currency(request, account)
    tenant.use_reference(request)
    amount = required_amount(request)
    taken = min(amount, account.spendable)
    postings = [Posting("WALLET", "CASH", taken), Posting("RECEIVABLE", "CASH", amount - taken)]
    return answer(account, write(account, "REVERSE_CREDIT", postings, now))


def grant_credit(tenant: Tenant, request: Request, now: int) -> Outcome:
    """A promotion."""
    account = tenant.account(request["account_id"])
    check_currency(request, account)
    refuse_closed(account)
    tenant.use_reference(request)
    postings = inflow(account, "PROMOTION_COST", required_amount(request))
    return answer(account, write(account, "GRANT_CREDIT", postings, now))


def adjust(tenant: Tenant, request: Request, now: int) -> Outcome:
    """A signed correction; a negative one takes at most what is available."""
    account = tenant.account(request["account_id"])
    check_currency(request, account)
    refuse_closed(account)
    tenant.use_reference(request)
    amount = required_amount(request)
    if amount > 0:
        return answer(account, write(account, "ADJUST", inflow(account, "ADJUSTMENTS", amount), now))
    if -amount > account.spendable:
        raise Denied("INSUFFICIENT_FUNDS")
    return answer(account, write(account, "ADJUST", [Posting("WALLET", "ADJUSTMENTS", -amount)], now))


def _refuse_outflow(account: Account, amount: int) -> None:
    """Neither a credit line nor held credit can leave, and nothing at all while a debt is open."""
    if account.receivable > 0:
        raise Denied("RECEIVABLE_OPEN")
    if amount > account.wallet - account.held:
        raise Denied("INSUFFICIENT_FUNDS")


def withdraw(tenant: Tenant, request: Request, now: int) -> Outcome:
    """Pays unused credit out."""
    account = tenant.account(request["account_id"])
    check_currency(request, account)
    refuse_closed_or_frozen(account)
    tenant.use_reference(request)
    amount = required_amount(request)
    _refuse_outflow(account, amount)
    return answer(account, write(account, "WITHDRAW", [Posting("WALLET", "CASH", amount)], now))


def transfer(tenant: Tenant, request: Request, now: int) -> Outcome:
    """Moves credit to another account: one transaction in each book."""
    sender = tenant.account(request["from_account_id"])
    receiver = tenant.account(request["to_account_id"])
    check_currency(request, sender, receiver)
    refuse_closed_or_frozen(sender)
    refuse_closed(receiver)
    amount = required_amount(request)
    _refuse_outflow(sender, amount)
    transaction_id = write(sender, "TRANSFER", [Posting("WALLET", "CLEARING", amount)], now)
    write(receiver, "TRANSFER", inflow(receiver, "CLEARING", amount), now)
    return Outcome(
        account_id=sender.account_id,
        account_state=sender.state,
        balance=Balance.of(sender),
        to_balance=Balance.of(receiver),
        transaction_id=transaction_id,
    )
