"""Rule of true-ups: what providers charge for posted usage turns out to be something else."""

from dataclasses import replace

from imprest_client.testing.ledger.book import write
from imprest_client.testing.ledger.model import (
    Account,
    Balance,
    Charge,
    Denied,
    Outcome,
    Posting,
    Request,
    Transaction,
)
from imprest_client.testing.ledger.tenant import Tenant, check_currency
from imprest_client.testing.ledger.validation import required_amount

_CAPTURES = ("COMMIT", "LATE_COMMIT", "EXPIRE", "CHARGE", "USAGE")


def true_up_cost(tenant: Tenant, request: Request, now: int) -> Outcome:
    """States what a transaction, or a reservation's captures, cost in all; posts the difference."""
    account, captures = _what_was_used(tenant, request)
    check_currency(request, account)
    difference = required_amount(request, "cost") - sum(tenant.net_cost(transaction) for transaction in captures)
    newest = captures[0]
    transaction_id = write(
        account,
        "TRUE_UP",
        [
            Posting("PROVIDER_COST", "PROVIDER_PAYABLE", max(0, difference)),
            Posting("PROVIDER_PAYABLE", "PROVIDER_COST", max(0, -difference)),
        ],
        now,
        replace(newest.details, reason=request.get("reason", ""), effective_time=None),
        cost=max(0, difference),
    )
    # More is the newest capture's, less is taken as far as each goes.
    if difference > 0:
        tenant.cost_added[newest.transaction_id] = tenant.cost_added.get(newest.transaction_id, 0) + difference
    less = max(0, -difference)
    for transaction in captures:
        part = min(less, tenant.net_cost(transaction))
        less -= part
        tenant.cost_taken[transaction.transaction_id] = tenant.cost_taken.get(transaction.transaction_id, 0) + part
        tenant.stated.add(transaction.transaction_id)
    return Outcome(
        account_id=account.account_id,
        balance=Balance.of(account),
        charge=Charge(provider_cost=difference),
        transaction_id=transaction_id,
    )


def _what_was_used(tenant: Tenant, request: Request) -> tuple[Account, list[Transaction]]:
    """The captures whose cost is stated, the newest first."""
    if "transaction_id" in request:
        account, transaction = tenant.transaction(request["transaction_id"])
        if transaction.kind not in _CAPTURES:
            raise Denied("NOT_FOUND", resource="transaction of usage", id=transaction.transaction_id)
        return account, [transaction]
    account, hold = tenant.reservation(request["reservation_id"])
    own = [entry for entry in reversed(account.transactions) if entry.reservation_id == hold.reservation_id]
    captures = [entry for entry in own if entry.kind in _CAPTURES]
    if not captures:
        raise Denied("NOT_FOUND", resource="capture of reservation", id=hold.reservation_id)
    return account, captures
