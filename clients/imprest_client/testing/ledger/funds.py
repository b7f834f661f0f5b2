"""Rules of the operations that bring credit in or take it out."""

from imprest_client.testing.ledger.accounts import (
    answer,
    refuse_closed,
    refuse_closed_or_frozen,
    refuse_debtor,
    refuse_unaffordable,
)
from imprest_client.testing.ledger.book import inflow, write
from imprest_client.testing.ledger.model import Account, Balance, Denied, Details, Outcome, Posting, Request
from imprest_client.testing.ledger.tenant import Tenant, check_currency
from imprest_client.testing.ledger.validation import amount_of, required_amount


def add_credit(tenant: Tenant, request: Request, now: int) -> Outcome:
    """A purchase. On a closed account only what repays its debt is taken."""
    account = tenant.account(request["account_id"])
    check_currency(request, account)
    amount = required_amount(request)
    if account.state == "CLOSED" and amount > account.receivable:
        raise Denied("ACCOUNT_CLOSED", account_id=account.account_id)
    tenant.use_reference(request)
    fee = Posting("FEE_COST", "FEE_PAYABLE", amount_of(request, "payment_fee") or 0)
    return answer(
        account, write(account, "ADD_CREDIT", [*inflow(account, "CASH", amount), fee], now, Details.of(request))
    )


def reverse_credit(tenant: Tenant, request: Request, now: int) -> Outcome:
    """A chargeback or failed payment: taken from what is available, owed for the rest, in every state."""
    account = tenant.account(request["account_id"])
    check_currency(request, account)
    tenant.use_reference(request)
    amount = required_amount(request)
    taken = min(amount, account.spendable)
    postings = [Posting("WALLET", "CASH", taken), Posting("RECEIVABLE", "CASH", amount - taken)]
    return answer(account, write(account, "REVERSE_CREDIT", postings, now, Details.of(request)))


def grant_credit(tenant: Tenant, request: Request, now: int) -> Outcome:
    """A promotion."""
    account = tenant.account(request["account_id"])
    check_currency(request, account)
    refuse_closed(account)
    tenant.use_reference(request)
    postings = inflow(account, "PROMOTION_COST", required_amount(request))
    return answer(account, write(account, "GRANT_CREDIT", postings, now, Details.of(request)))


def adjust(tenant: Tenant, request: Request, now: int) -> Outcome:
    """A signed correction; a negative one takes at most what is available."""
    account = tenant.account(request["account_id"])
    check_currency(request, account)
    refuse_closed(account)
    tenant.use_reference(request)
    amount = required_amount(request)
    if amount > 0:
        postings = inflow(account, "ADJUSTMENTS", amount)
    else:
        refuse_unaffordable(account, account.spendable, -amount)
        postings = [Posting("WALLET", "ADJUSTMENTS", -amount)]
    return answer(account, write(account, "ADJUST", postings, now, Details.of(request)))


def _refuse_outflow(account: Account, amount: int) -> None:
    """Neither a credit line nor held credit can leave, and nothing at all while a debt is open."""
    refuse_debtor(account)
    refuse_unaffordable(account, account.wallet - account.held, amount)


def withdraw(tenant: Tenant, request: Request, now: int) -> Outcome:
    """Pays unused credit out."""
    account = tenant.account(request["account_id"])
    check_currency(request, account)
    refuse_closed_or_frozen(account)
    tenant.use_reference(request)
    amount = required_amount(request)
    _refuse_outflow(account, amount)
    return answer(account, write(account, "WITHDRAW", [Posting("WALLET", "CASH", amount)], now, Details.of(request)))


def transfer(tenant: Tenant, request: Request, now: int) -> Outcome:
    """Moves credit to another account: one transaction in each book."""
    sender = tenant.account(request["from_account_id"])
    receiver = tenant.account(request["to_account_id"])
    check_currency(request, sender, receiver)
    refuse_closed_or_frozen(sender)
    refuse_closed(receiver)
    amount = required_amount(request)
    _refuse_outflow(sender, amount)
    sent = [Posting("WALLET", "CLEARING", amount)]
    transaction_id = write(sender, "TRANSFER_OUT", sent, now, Details.of(request))
    received = inflow(receiver, "CLEARING", amount)
    to_transaction_id = write(receiver, "TRANSFER_IN", received, now, Details.of(request))
    return Outcome(
        account_id=sender.account_id,
        account_state=sender.state,
        balance=Balance.of(sender),
        to_account_id=receiver.account_id,
        to_balance=Balance.of(receiver),
        transaction_id=transaction_id,
        to_transaction_id=to_transaction_id,
    )
