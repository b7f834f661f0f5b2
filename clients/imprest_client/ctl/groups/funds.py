"""`imprestctl adjust`, `withdraw` and `transfer`: credit corrected, paid out, moved."""

from __future__ import annotations

from typing import Annotated

import typer

from imprest_client.ctl.command import AccountId, AmountText, Key, Label, Reason, Reference, Yes, command
from imprest_client.ctl.rows import ACCOUNT_RECEIPT, TRANSFER_RECEIPT
from imprest_client.ctl.session import Session
from imprest_client.ctl.values import money, parse_labels

app = typer.Typer()


@command(app, "adjust", signed_arguments=True)
def adjust(
    session: Session,
    account: AccountId,
    amount: Annotated[str, typer.Argument(metavar="AMOUNT", help="10 adds credit, -10 takes it away.")],
    reason: Annotated[str, typer.Option(help="Why, for the record.")],
    reference: Reference = "",
    label: Label = None,
    key: Key = None,
    yes: Yes = False,
) -> None:
    """Correct the credit, up or down (by at most what is available). Up also writes off what is owed."""
    value, code = session.amount(account, amount, signed=True)
    change = f"{'Take' if value < 0 else 'Add'} {money(abs(value), code)} {'from' if value < 0 else 'to'} {account}"
    session.confirm(f"{change} as a correction?", yes)
    answer = session.client.adjust(
        account,
        value,
        reason=reason,
        external_reference=reference,
        labels=parse_labels(label or []),
        currency=code,
        idempotency_key=session.new_key(key),
    )
    done = f"Corrected {account} by {'+' if value > 0 else ''}{money(value, code)}."
    session.receipt(ACCOUNT_RECEIPT, answer, done, replayed=answer.replayed)


@command(app, "withdraw")
def withdraw(
    session: Session,
    account: AccountId,
    amount: AmountText,
    reference: Reference = "",
    label: Label = None,
    key: Key = None,
    yes: Yes = False,
) -> None:
    """Pay credit out to the customer: at most what the wallet has beside its holds."""
    value, code = session.amount(account, amount)
    session.confirm(f"Pay {money(value, code)} out of {account}?", yes)
    answer = session.client.withdraw(
        account,
        value,
        external_reference=reference,
        labels=parse_labels(label or []),
        currency=code,
        idempotency_key=session.new_key(key),
    )
    done = f"Paid {money(value, code)} out of {account}."
    session.receipt(ACCOUNT_RECEIPT, answer, done, replayed=answer.replayed)


@command(app, "transfer")
def transfer(
    session: Session,
    sender: Annotated[str, typer.Argument(metavar="FROM", help="The account that gives.")],
    receiver: Annotated[str, typer.Argument(metavar="TO", help="The account that receives.")],
    amount: AmountText,
    reason: Reason = "",
    key: Key = None,
    yes: Yes = False,
) -> None:
    """Move credit between two accounts of one currency."""
    value, code = session.amount(sender, amount)
    session.confirm(f"Move {money(value, code)} from {sender} to {receiver}?", yes)
    answer = session.client.transfer(
        sender, receiver, value, reason=reason, currency=code, idempotency_key=session.new_key(key)
    )
    done = f"Moved {money(value, code)} from {sender} to {receiver}."
    session.receipt(TRANSFER_RECEIPT, answer, done, replayed=answer.replayed)
