"""`imprestctl trial-balance`: the balances of every line of the chart."""

from __future__ import annotations

from typing import Annotated

import typer

from imprest_client.ctl.command import command
from imprest_client.ctl.output import Format
from imprest_client.ctl.rows import TRIAL_LINE, total_of, trial_lines
from imprest_client.ctl.session import Session
from imprest_client.ctl.values import when

app = typer.Typer()


@command(app, "trial-balance")
def trial_balance(
    session: Session,
    account: Annotated[str, typer.Argument(metavar="[ACCOUNT]", help="Only its book. Default: all, added up.")] = "",
) -> None:
    """Show the balances of every line of the chart: per currency, debits and credits add up to the same."""
    sheets = session.client.get_trial_balance(account or None)
    if session.out.form is not Format.TABLE:
        session.out.many(TRIAL_LINE, [line for sheet in sheets for line in trial_lines(sheet)])
        return
    for number, sheet in enumerate(sheets):
        session.out.say(("\n" if number else "") + f"{sheet.currency_code} at {when(sheet.as_of, session.out.zone)}")
        session.out.many(TRIAL_LINE, [*trial_lines(sheet), total_of(sheet)], limit=0)
    if not sheets:
        session.out.say("(no accounts)")
