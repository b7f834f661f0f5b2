"""`imprestctl true-up`: what providers really charge for usage."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

import typer

from imprest_client.ctl.command import Key, Reason, Yes, command
from imprest_client.ctl.failures import UsageError
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
    cost: Annotated[
        str | None,
        typer.Argument(metavar="COST", help="What the providers charge for it in all.", show_default=False),
    ] = None,
    line: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LINE=COST",
            help="What one usage line costs (`explain` shows their ids), in place of COST; can be given several times.",
        ),
    ] = None,
    reason: Reason = "",
    key: Key = None,
    yes: Yes = False,
) -> None:
    """Correct what a provider charges for usage, when its invoice says something else. Customers notice nothing."""
    if (cost is None) == (not line):
        raise UsageError("give what it costs in all, or a --line for each usage line that costs something else")
    costs = {line_id: parse_amount(text) for line_id, text in map(_line_cost, line or [])}
    if len(costs) < len(line or []):
        raise UsageError("a usage line is there twice")
    whole = None if cost is None else parse_amount(cost)
    account_id, code = account_and_currency(session, target)
    amounts = list(costs.values()) if whole is None else [whole]
    codes = {amount.currency_code or code for amount in amounts}
    if len(codes) > 1:
        raise UsageError("the costs are in several currencies")
    (currency,) = codes
    total = money(sum((amount.value for amount in amounts), Decimal(0)), currency)
    what = target if whole is not None else f"{len(costs)} usage line{'s' if len(costs) > 1 else ''} of {target}"
    session.confirm(f"Have {what}, of {account_id}, cost {total} in all?", yes)
    is_reservation = is_reservation_id(target)
    answer = session.client.true_up_cost(
        None if whole is None else whole.value,
        lines={line_id: amount.value for line_id, amount in costs.items()},
        reservation_id=target if is_reservation else None,
        transaction_id=None if is_reservation else target,
        reason=reason,
        currency=currency,
        idempotency_key=session.new_key(key),
    )
    costs_now = "cost" if len(costs) > 1 else "costs"
    if answer.difference:
        change = f"{'more' if answer.difference > 0 else 'less'} than before"
        done = f"{what} {costs_now} {total}, {money(abs(answer.difference), currency)} {change}."
    else:
        done = f"{what} {'have' if len(costs) > 1 else 'has'} cost {total} all along; nothing was posted."
    session.receipt(TRUE_UP_RECEIPT, answer, done)


def _line_cost(text: str) -> tuple[str, str]:
    """A line's id, which may have an `=` in it, and its cost."""
    line_id, _, cost = text.rpartition("=")
    if not line_id:
        raise UsageError(f"{text!r} is not a line's cost", hint="write it like --line stt-1=0.02")
    return line_id, cost
