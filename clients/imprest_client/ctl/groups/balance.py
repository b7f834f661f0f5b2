"""`imprestctl balance`: what an account has, holds and owes."""

from __future__ import annotations

from typing import Annotated

import typer

from imprest_client.ctl.command import AccountId, command
from imprest_client.ctl.failures import UsageError
from imprest_client.ctl.rows import BALANCE, PAST_BALANCE
from imprest_client.ctl.session import Session
from imprest_client.ctl.values import parse_instant

app = typer.Typer()


@command(app, "balance")
def balance(
    session: Session,
    account: AccountId,
    at: Annotated[
        str,
        typer.Option(
            help="At this past time instead: a date (its end), a time, today, yesterday, 7d, 12h. Holds have no "
            "history, so only wallet and receivable are known.",
            metavar="TIME",
        ),
    ] = "",
) -> None:
    """Show what an account has, holds and owes: now, or at a past time."""
    if not at:
        session.out.one(BALANCE, session.client.get_balance(account))
        return
    zone, now = session.zone_of(account), session.now()
    if parse_instant(at, zone, now) > now:
        raise UsageError(f"{at} is in the future")
    as_of = parse_instant(at, zone, now, end_of_day=True)
    if as_of > now:  # today: it has not ended yet
        session.out.one(BALANCE, session.client.get_balance(account))
        return
    session.out.one(PAST_BALANCE, session.client.get_balance(account, as_of=as_of))
