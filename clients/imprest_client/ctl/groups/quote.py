"""`imprestctl quote`: what usage would cost."""

from __future__ import annotations

from typing import Annotated

import typer

from imprest_client.ctl.command import command
from imprest_client.ctl.failures import UsageError
from imprest_client.ctl.output import Format, as_object
from imprest_client.ctl.price_rows import QUOTE, QUOTE_LINE, quote_lines, unknown_costs
from imprest_client.ctl.session import Session
from imprest_client.ctl.usage import parse_line
from imprest_client.ctl.values import parse_instant

app = typer.Typer()


@command(app, "quote")
def quote(
    session: Session,
    lines: Annotated[
        list[str],
        typer.Argument(metavar="USAGE…", help="METER=QUANTITY[,provider=NAME][,model=NAME][,to=NUMBER], one or more."),
    ],
    account: Annotated[str, typer.Option(help="For this account.", metavar="ACCOUNT")] = "",
    book: Annotated[str, typer.Option(help="By this SALE book instead, for a new account.", metavar="BOOK")] = "",
    at: Annotated[str, typer.Option(help="As of this time: a date, a time, tomorrow.", metavar="TIME")] = "",
) -> None:
    """Tell what usage would cost, line by line; nothing is posted. Amounts are rounded up, as for a hold."""
    if bool(account) == bool(book):
        raise UsageError("give --account or --book: whose prices?")
    answer = session.pricing.quote(
        [parse_line(text) for text in lines],
        account_id=account or None,
        price_book_id=book or None,
        at=parse_instant(at, session.settings.zone, session.now()) if at else None,
    )
    listed = quote_lines(answer)
    if session.out.form is Format.JSON:
        session.out.document(as_object(QUOTE, answer) | {"lines": [as_object(QUOTE_LINE, line) for line in listed]})
        return
    session.out.many(QUOTE_LINE, listed, limit=0)
    if session.out.form is Format.TABLE:
        session.out.say("")
        session.out.one(QUOTE, answer)
        if unknown := unknown_costs(answer.lines):
            session.out.say(f"\n{unknown}")
