"""`imprestctl true-up`: what providers really charge for usage."""

from __future__ import annotations

from typing import Annotated

import typer

from imprest_client.ctl.command import Key, Reason, Yes, command
from imprest_client.ctl.groups.refund import account_and_currency, is_reservation_id
from imprest_client.ctl.rows import TRUE_UP_RECEIPT
from imprest_client.ctl.session import Session
from imprest_client.ctl.values import money, parse_amount

app = typer.Typer()


@command(app, "true-up")
def true_up(
    session: Session,
    target: Annotated[
        str, typer.Argument(metavar="ID", help="A transaction that charged for usage, txn_…, or a whole call, rsv_…")
    ],
    cost: Annotated[str, typer.Argument(metavar="COST", help="What the provider charges for it in all.")],
    reason: Reason = "",
    key: Key = None,
    yes: Yes = False,
) -> None:
    """Correct what a provider charges for usage, when its invoice says something else. Customers notice nothing."""
    account_id, code = account_and_currency(session, target)
    given = parse_amount(cost)
    currency = given.currency_code or code
    session.confirm(f"Have {target} of {account_id} cost {money(given.value, currency)} in all?", yes)
    is_reservation = is_reservation_id(target)
    answer = session.client.true_up_cost(
        given.value,
        reservation_id=target if is_reservation else None,
        transaction_id=None if is_reservation else target,
        reason=reason,
        currency=currency,
        idempotency_key=session.new_key(key),
    )
    total = money(given.value, currency)
    if answer.difference:
        change = f"{'more' if answer.difference > 0 else 'less'} than before"
        done = f"{target} costs {total}, {money(abs(answer.difference), currency)} {change}."
    else:
        done = f"{target} has cost {total} all along; nothing was posted."
    session.receipt(TRUE_UP_RECEIPT, answer, done)
