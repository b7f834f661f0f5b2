"""`imprestctl statement`: the transactions of an account in a period."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from imprest_client.ctl.command import AccountId, Limit, command
from imprest_client.ctl.failures import UsageError
from imprest_client.ctl.rows import TRANSACTION
from imprest_client.ctl.session import Session
from imprest_client.ctl.values import money, parse_choice, parse_instant, start_of_month, when
from imprest_client.model import TransactionKind

app = typer.Typer()

_TIMES = "a date, a time, today, yesterday, or how long ago: 7d, 12h"


@command(app, "statement")
def statement(
    session: Session,
    account: AccountId,
    since: Annotated[
        str, typer.Option("--from", help=f"From this time: {_TIMES}. Default: this month.", metavar="TIME")
    ] = "",
    until: Annotated[
        str, typer.Option("--to", help="Up to this time; a date includes that day. Default: now.", metavar="TIME")
    ] = "",
    kind: Annotated[
        list[str] | None, typer.Option(help="Only this kind, such as commit or add-credit; several times.")
    ] = None,
    limit: Limit = None,
) -> None:
    """List an account's transactions in a period, oldest first, with the wallet after each.

    Dates are days of the account's time zone, or of --zone.
    """
    zone, now = session.zone_of(account), session.now()
    start = parse_instant(since, zone, now) if since else start_of_month(zone, now)
    end = parse_instant(until, zone, now, end_of_day=True) if until else None
    if start > now:
        raise UsageError(f"{since} is in the future")
    if end is not None and end <= start:
        raise UsageError(f"the period ends ({when(end, zone)}) before it begins ({when(start, zone)})")
    kinds = [parse_choice(TransactionKind, name, "kind of transaction") for name in kind or ()]
    before = session.client.get_balance(account, as_of=start - timedelta(microseconds=1))
    upto = when(end, zone) if end else "now"
    opening = money(before.wallet, before.currency_code)
    session.out.say(f"{account} from {when(start, zone)} to {upto}; wallet before: {opening}")
    transactions = session.client.list_transactions(
        account, start_time=start, end_time=end, kinds=kinds, page_size=1000
    )
    session.out.many(TRANSACTION, transactions, limit=limit, nothing="no transactions")
