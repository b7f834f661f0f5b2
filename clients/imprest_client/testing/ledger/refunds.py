"""Rule of refunds: giving posted charges back, never more than was charged."""

from dataclasses import replace

from imprest_client.testing.ledger.accounts import refuse_closed
from imprest_client.testing.ledger.book import inflow, write
from imprest_client.testing.ledger.model import Account, Balance, Denied, Outcome, Posting, Request, Transaction
from imprest_client.testing.ledger.money import text_from_nanos
from imprest_client.testing.ledger.tenant import Tenant, check_currency
from imprest_client.testing.ledger.validation import amount_of, quotient


def refund(tenant: Tenant, request: Request, now: int) -> Outcome:
    """Gives back an amount, or all that is left, of a transaction or of a reservation's captures."""
    account, charges = _what_was_charged(tenant, request)
    check_currency(request, account)
    refuse_closed(account)
    left = sum(tenant.left_to_refund(transaction) for transaction in charges)
    amount = amount_of(request, "amount")
    if amount is None:
        amount = left
    if amount == 0 or amount > left:
        raise Denied(
            "REFUND_EXCEEDS_CAPTURE",
            target=request.get("transaction_id") or request["reservation_id"],
            currency_code=account.currency,
            refundable=text_from_nanos(left),
        )
    rest, cost, parts = amount, 0, []
    for transaction in charges:
        part = min(rest, tenant.left_to_refund(transaction))
        tenant.refunded[transaction.transaction_id] = tenant.refunded.get(transaction.transaction_id, 0) + part
        rest -= part
        part_cost = _reverse_cost(tenant, transaction) if part > 0 and request.get("reverse_cost") else 0
        cost += part_cost
        parts.append((transaction.transaction_id, part, part_cost))
    details = replace(charges[0].details, reason=request.get("reason", ""), labels={}, effective_time=None)
    postings = [*inflow(account, "REFUNDS", amount), Posting("PROVIDER_PAYABLE", "PROVIDER_COST", cost)]
    transaction_id = write(account, "REFUND", postings, now, details)
    assert transaction_id is not None
    tenant.allocations += [(captured, transaction_id, part, part_cost) for captured, part, part_cost in parts if part]
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
    due = quotient(tenant.cost_of(transaction) * tenant.refunded[name], charged)
    reversed_before = tenant.cost_reversed.get(name, 0)
    tenant.cost_reversed[name] = max(due, reversed_before)
    return tenant.cost_reversed[name] - reversed_before


def _what_was_charged(tenant: Tenant, request: Request) -> tuple[Account, list[Transaction]]:
    """The transactions to give back from, the newest first."""
    if "transaction_id" in request:
        account, transaction = tenant.transaction(request["transaction_id"])
        return account, [transaction]
    account, hold = tenant.reservation(request["reservation_id"])
    captures = [
        transaction
        for transaction in reversed(account.transactions)
        if transaction.reservation_id == hold.reservation_id and transaction.charged > 0
    ]
    return account, captures
