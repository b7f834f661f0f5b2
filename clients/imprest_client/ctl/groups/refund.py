"""`imprestctl refund`: posted money given back."""

from __future__ import annotations

from typing import Annotated

import typer

from imprest_client.ctl.command import Key, Reason, Yes, command
from imprest_client.ctl.failures import UsageError
from imprest_client.ctl.rows import REFUND_RECEIPT
from imprest_client.ctl.session import Session
from imprest_client.ctl.stories.flows import flows_of
from imprest_client.ctl.values import money, parse_amount

app = typer.Typer()


@command(app, "refund")
def refund(
    session: Session,
    target: Annotated[
        str, typer.Argument(metavar="ID", help="A transaction that charged something, txn_…, or a whole call, rsv_…")
    ],
    amount: Annotated[str, typer.Argument(metavar="[AMOUNT]", help="How much. Default: all that is left.")] = "",
    reason: Reason = "",
    reverse_cost: Annotated[
        bool, typer.Option("--reverse-cost", help="The providers give their part back, too.")
    ] = False,
    key: Key = None,
    yes: Yes = False,
) -> None:
    """Give posted money back: of one transaction, or of all captures of a reservation, newest first."""
    account_id, code = account_and_currency(session, target)
    is_reservation = is_reservation_id(target)
    given = parse_amount(amount) if amount else None
    currency = given.currency_code or code if given else code
    what = money(given.value, currency) if given else "all that is left"
    session.confirm(f"Refund {what} of {target} to {account_id}?", yes)
    answer = session.client.refund(
        reservation_id=target if is_reservation else None,
        transaction_id=None if is_reservation else target,
        amount=given.value if given else None,
        reason=reason,
        reverse_cost=reverse_cost,
        currency=currency,
        idempotency_key=session.new_key(key),
    )
    refunded = money(flows_of(answer.transaction).given_back, answer.transaction.currency_code)
    done = f"Refunded {refunded} to {answer.transaction.account_id}."
    session.receipt(REFUND_RECEIPT, answer, done)


def is_reservation_id(text: str) -> bool:
    """Whether it is a reservation's id; else it is a transaction's. Raises UsageError when it is neither."""
    if not text.startswith(("rsv_", "txn_")):
        raise UsageError(f"{text!r} is neither a reservation (rsv_…) nor a transaction (txn_…)")
    return text.startswith("rsv_")


def account_and_currency(session: Session, target: str) -> tuple[str, str]:
    """Of a reservation or a transaction, by its id: the account and its currency. Raises UsageError."""
    if is_reservation_id(target):
        reservation = session.client.get_reservation(target)
        return reservation.account_id, reservation.currency_code
    transaction = session.client.get_transaction(target)
    return transaction.account_id, transaction.currency_code
