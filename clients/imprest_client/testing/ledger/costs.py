"""Rule of true-ups: what providers charge for posted usage turns out to be something else."""

from dataclasses import replace
from typing import NoReturn

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
from imprest_client.testing.ledger.money import nanos_from_text
from imprest_client.testing.ledger.tenant import Tenant, check_currency
from imprest_client.testing.ledger.validation import required_amount

_CAPTURES = ("COMMIT", "LATE_COMMIT", "EXPIRE", "CHARGE", "USAGE")


def true_up_cost(tenant: Tenant, request: Request, now: int) -> Outcome:
    """States what a transaction, or a reservation's captures, cost in all, or lines of theirs; posts the difference."""
    account, captures = _what_was_used(tenant, request)
    check_currency(request, account)
    if "line_costs" in request:
        moved = _by_lines(tenant, request, captures)
    else:
        moved = _in_all(tenant, required_amount(request, "cost"), captures)
        tenant.stated.update(transaction.transaction_id for transaction in captures)
    more = sum(part for part in moved.values() if part > 0)
    less = sum(-part for part in moved.values() if part < 0)
    for name, part in moved.items():
        tenant.cost_added[name] = tenant.cost_added.get(name, 0) + max(0, part)
        tenant.cost_taken[name] = tenant.cost_taken.get(name, 0) + max(0, -part)
    transaction_id = write(
        account,
        "TRUE_UP",
        [Posting("PROVIDER_COST", "PROVIDER_PAYABLE", more), Posting("PROVIDER_PAYABLE", "PROVIDER_COST", less)],
        now,
        replace(captures[0].details, reason=request.get("reason", ""), effective_time=None),
        cost=more,
    )
    return Outcome(
        account_id=account.account_id,
        balance=Balance.of(account),
        charge=Charge(provider_cost=more - less),
        transaction_id=transaction_id,
    )


def _in_all(tenant: Tenant, cost: int, captures: list[Transaction]) -> dict[str, int]:
    """By how much each capture costs more: the newest all of it; or less, as far as each goes, the newest first."""
    difference = cost - sum(tenant.net_cost(transaction) for transaction in captures)
    if difference >= 0:
        return {captures[0].transaction_id: difference}
    moved: dict[str, int] = {}
    for transaction in captures:
        part = min(-difference, tenant.net_cost(transaction))
        moved[transaction.transaction_id] = -part
        difference += part
    return moved


def _by_lines(tenant: Tenant, request: Request, captures: list[Transaction]) -> dict[str, int]:
    """By how much the captures of the lines cost more or less. Raises Denied(NOT_FOUND), Denied(INVALID_ARGUMENT)."""
    moved: dict[str, int] = {}
    stated: dict[tuple[str, str], int] = {}
    for line_id, text in request["line_costs"].items():
        posted = {
            transaction.transaction_id: line.cost
            for transaction in captures
            for line in tenant.lines_of.get(transaction.transaction_id, ())
            if line.line.line_id == line_id
        }
        if not posted:
            raise Denied("NOT_FOUND", resource="posted usage line", id=line_id)
        ((name, cost),) = posted.items()
        if name in tenant.stated:
            _refuse(f"of transaction {name}: it has been stated in all, so state all of it again")
        stated[name, line_id] = nanos_from_text(text)
        moved[name] = moved.get(name, 0) + stated[name, line_id] - tenant.line_costs.get((name, line_id), cost)
    expiries = [entry for entry in captures if entry.kind == "EXPIRE" and entry.transaction_id not in tenant.stated]
    for transaction in captures:
        name = transaction.transaction_id
        missing = -moved.get(name, 0) - tenant.net_cost(transaction)
        if missing <= 0:
            continue
        # The lines of a late commit cost what it and the expiry before it have posted together.
        expiry = expiries[0] if expiries and transaction.kind == "LATE_COMMIT" else None
        if expiry is None or tenant.net_cost(expiry) < missing:
            _refuse(f"of transaction {name}: less than nothing would be left of its cost, so state all of it again")
        moved[name] += missing
        moved[expiry.transaction_id] = -missing
    tenant.line_costs |= stated
    return moved


def _refuse(problem: str) -> NoReturn:
    raise Denied("INVALID_ARGUMENT", field="lines", problem=problem)


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
