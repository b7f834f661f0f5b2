"""`imprestctl plans`: what customers can subscribe to."""

from __future__ import annotations

from typing import Annotated

import typer

from imprest_client.ctl.command import Key, Limit, command
from imprest_client.ctl.failures import CtlError, ExitCode
from imprest_client.ctl.plan_rows import PLAN, PLAN_RECEIPT
from imprest_client.ctl.session import Session
from imprest_client.ctl.usage import parse_line

app = typer.Typer(name="plans", help="Plans, what customers subscribe to: a price book and a monthly fee.")

Lines = Annotated[
    list[str] | None,
    typer.Option(
        "--line",
        help="Charged every month: METER=QUANTITY[,provider=NAME][,model=NAME]; can be given several times.",
        metavar="USAGE",
    ),
]


class NoSuchThing(CtlError):
    """What was asked for is not there."""

    exit_code = ExitCode.NOT_FOUND
    reason = "NOT_FOUND"


@command(app, "list")
def list_(session: Session, limit: Limit = None) -> None:
    """List plans in the order of their ids."""
    session.out.many(PLAN, session.pricing.list_plans(page_size=1000), limit=limit, nothing="no plans")


@command(app, "show")
def show(session: Session, plan: Annotated[str, typer.Argument(metavar="PLAN", help="The plan's id.")]) -> None:
    """Show a plan; `imprestctl prices list BOOK` shows what its book includes, and what the rest costs."""
    found = next((one for one in session.pricing.list_plans(page_size=1000) if one.plan_id == plan), None)
    if found is None:
        raise NoSuchThing(f"there is no plan {plan}", hint="`imprestctl plans list` lists them")
    session.out.one(PLAN, found)


@command(app, "create")
def create(
    session: Session,
    plan: Annotated[str, typer.Argument(metavar="PLAN", help="Its id, your choice.")],
    *,
    book: Annotated[
        str, typer.Option(help="The SALE book that prices its subscribers, before their own.", metavar="BOOK")
    ],
    line: Lines = None,
    name: Annotated[str, typer.Option(help="A name for people.")] = "",
    key: Key = None,
) -> None:
    """Create a plan; it never changes. Without --line its fee is the book's price of plan.months, model PLAN."""
    currency = session.pricing.get_price_book(book).book.currency_code
    answer = session.pricing.create_plan(
        plan,
        book,
        currency=currency,
        lines=[parse_line(text) for text in line or ()],
        display_name=name,
        idempotency_key=session.new_key(key),
    )
    session.receipt(PLAN_RECEIPT, answer, f"Accounts can subscribe to {plan}.")
