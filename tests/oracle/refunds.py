"""Rule of refunds: giving posted charges back, never more than was charged."""

from tests.oracle.accounts import refuse_closed
from tests.oracle.book import inflow, write
from tests.oracle.model import Account, Balance, Denied, Outcome, Posting, Request, Transaction
from tests.oracle.tenant import Tenant, check_currency
from tests.oracle.validation import amount_of, quotient


def refund(tenant: Tenant, request: Request, now: int) -> Outcome:
    """Gives back an amount, or all that is left, of a transaction or of a reservation's captures."""
    account, charges, reservation_id = _what_was_charged(tenant, request)
    check_currency(request, account)
    refuse_closed(account)
    left = sum(tenant.left_to_refund(transaction) for transaction in charges)
    amount = amount_of(request, "amount")
    if amount is None:
        amount = left
    if amount == 0 or amount > left:
        raise Denied("REFUND_EXCEEDS_CAPTURE")
    rest, cost = amount, 0
    for transaction in charges:
        part = min(rest, tenant.left_to_refund(transaction))
        tenant.refunded[transaction.transaction_id] = tenant.refunded.get(transaction.transaction_id, 0) + part
        rest -= part
        if part > 0 and request.get("reverse_cost"):
            cost += _reverse_cost(tenant, transaction)
    postings = [*inflow(account, "REFUNDS", amount), Posting("PROVIDER_PAYABLE", "PROVIDER_COST", cost)]
    transaction_id = write(account, "REFUND", postings, now, reservation_id=reservation_id)
    return Outcome(
        account_id=account.account_id,
        balance=Balance.of(account),
        transaction_id=transaction_id,
        refunded_total=sum(tenant.refunded.get(transaction.transaction_id, 0) for transaction in charges),
    )


def _reverse_cost(tenant: Tenant, transaction: Transaction) -> int:
    """Reverses as much of the cost as is due by all that has been refunded of the charge; returns how much."""
    name = transaction.transaction_id
    charged = transaction.charged - tenant.returned.get(name, 0)
    cost = transaction.cost - tenant.cost_returned.get(name, 0)
    due = quotient(cost * tenant.refunded[name], charged)
    reversed_before = tenant.cost_reversed.get(name, 0)
    tenant.cost_reversed[name] = max(due, reversed_before)
    return tenant.cost_reversed[name] - reversed_before


def _what_was_charged(tenant: Tenant, request: Request) -> tuple[Account, list[Transaction], str | None]:
    """The transactions to give back from, the newest first."""
    if "transaction_id" in request:
        account, transaction = tenant.transaction(request["transaction_id"])
        return account, [transaction], transaction.reservation_id
    account, hold = tenant.reservation(request["reservation_id"])
    captures = [
        transaction
        for transaction in reversed(account.transactions)
        if transaction.reservation_id == hold.reservation_id and transaction.charged > 0
    ]
    return account, captures, hold.reservation_id
