"""`imprestctl credit`: credit that was bought, given, or taken back after a chargeback."""

from __future__ import annotations

from typing import Annotated

import typer

from imprest_client.ctl.command import AccountId, AmountText, Key, Label, Reason, Reference, Yes, command
from imprest_client.ctl.failures import UsageError
from imprest_client.ctl.rows import ACCOUNT_RECEIPT
from imprest_client.ctl.session import Session
from imprest_client.ctl.values import money, parse_amount, parse_labels

app = typer.Typer(name="credit", help="Credit: add what was bought, grant a gift, reverse after a chargeback.")


@command(app, "add")
def add(
    session: Session,
    account: AccountId,
    amount: AmountText,
    fee: Annotated[
        str, typer.Option(help="What the payment cost you; does not lower the credit.", metavar="AMOUNT")
    ] = "",
    reference: Reference = "",
    label: Label = None,
    key: Key = None,
) -> None:
    """Post a purchase of credit. It repays what the customer owes first."""
    value, code = session.amount(account, amount)
    payment_fee = parse_amount(fee) if fee else None
    if payment_fee and payment_fee.currency_code not in (None, code):
        raise UsageError(f"the fee {fee!r} is not in the currency of the amount, {code}")
    answer = session.client.add_credit(
        account,
        value,
        payment_fee=payment_fee.value if payment_fee else None,
        external_reference=reference,
        labels=parse_labels(label or []),
        currency=code,
        idempotency_key=session.new_key(key),
    )
    session.receipt(ACCOUNT_RECEIPT, answer, f"Added {money(value, code)} to {account}.", replayed=answer.replayed)


@command(app, "grant")
def grant(
    session: Session,
    account: AccountId,
    amount: AmountText,
    reference: Reference = "",
    label: Label = None,
    key: Key = None,
) -> None:
    """Give credit away, as a promotion. It repays what the customer owes first."""
    value, code = session.amount(account, amount)
    answer = session.client.grant_credit(
        account,
        value,
        external_reference=reference,
        labels=parse_labels(label or []),
        currency=code,
        idempotency_key=session.new_key(key),
    )
    session.receipt(ACCOUNT_RECEIPT, answer, f"Granted {money(value, code)} to {account}.", replayed=answer.replayed)


@command(app, "reverse")
def reverse(
    session: Session,
    account: AccountId,
    amount: AmountText,
    reference: Reference = "",
    reason: Reason = "",
    key: Key = None,
    yes: Yes = False,
) -> None:
    """Take bought credit back after a chargeback or a failed payment. What is spent already the customer owes."""
    value, code = session.amount(account, amount)
    session.confirm(f"Take {money(value, code)} of bought credit back from {account}?", yes)
    answer = session.client.reverse_credit(
        account,
        value,
        external_reference=reference,
        reason=reason,
        currency=code,
        idempotency_key=session.new_key(key),
    )
    done = f"Took {money(value, code)} back from {account}."
    session.receipt(ACCOUNT_RECEIPT, answer, done, replayed=answer.replayed)
