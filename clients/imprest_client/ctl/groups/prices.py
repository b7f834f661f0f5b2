"""`imprestctl prices`: what prices there are, and which one applies. `price_changes.py` has those that change them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Annotated, Any

import typer

from imprest_client.ctl.command import AccountId, Limit, command
from imprest_client.ctl.failures import UsageError
from imprest_client.ctl.output import Format, as_object
from imprest_client.ctl.price_rows import (
    ASSIGNMENT,
    BOOK,
    BOOK_STATE,
    DIFFERENCE,
    METER,
    PRICE,
    PRICE_FILE,
    QUOTE_LINE,
    VERSION,
    quote_lines,
)
from imprest_client.ctl.session import Session
from imprest_client.ctl.usage import line_of
from imprest_client.ctl.values import money, parse_choice, parse_instant, plain
from imprest_client.pricing_model import BookSide, Price, PriceAssignment, PriceDifference, PriceVersion

app = typer.Typer(name="prices", help="Prices: what is charged and what it costs, in books and their versions.")

BookId = Annotated[str, typer.Argument(metavar="BOOK", help="The price book's id.")]
At = Annotated[str, typer.Option(help="As of this time: a date, a time, tomorrow. Default: now.", metavar="TIME")]
Provider = Annotated[str, typer.Option(help="Of this provider, such as openai.", metavar="NAME")]
Model = Annotated[str, typer.Option(help="Of this model, such as gpt-4o.", metavar="NAME")]


@command(app, "meters")
def meters(
    session: Session,
    category: Annotated[str, typer.Option(help="Only those of this category, such as llm.", metavar="NAME")] = "",
) -> None:
    """List what can be measured, and so have a price."""
    session.out.many(METER, session.pricing.list_meters(category=category, page_size=1000), limit=0)


@command(app, "books")
def books(
    session: Session,
    side: Annotated[str, typer.Option(help="Only those of this side: cost or sale.")] = "",
    currency: Annotated[str, typer.Option(help="Only those in this currency.", metavar="CODE")] = "",
    account: Annotated[str, typer.Option(help="The overrides of this account instead.", metavar="ACCOUNT")] = "",
    limit: Limit = None,
) -> None:
    """List price books."""
    found = session.pricing.list_price_books(
        side=parse_choice(BookSide, side, "side") if side else None,
        currency_code=currency.upper(),
        account_id=account,
        page_size=1000,
    )
    session.out.many(BOOK, found, limit=limit, nothing="no price books")


@command(app, "show")
def show(session: Session, book: BookId, limit: Limit = None) -> None:
    """Show a price book and its versions, the newest first."""
    state = session.pricing.get_price_book(book)
    versions = session.pricing.list_price_versions(book)
    if session.out.form is Format.JSON:
        listed = [as_object(VERSION, version) for version in islice(versions, limit or None)]
        session.out.document({**as_object(BOOK_STATE, state), "versions": listed})
        return
    if session.out.form is Format.CSV:
        session.out.one(BOOK_STATE, state)
        return
    session.out.one(BOOK, state.book)
    current = f"version {state.current.number} is in force" if state.current else "nothing is in force"
    session.out.say(f"\n{current}")
    session.out.many(VERSION, versions, limit=limit, nothing="no versions")


@command(app, "list")
def list_(
    session: Session,
    book: BookId,
    version: Annotated[
        int | None, typer.Option(help="Of this version. Default: the one in force.", metavar="NUMBER", min=1)
    ] = None,
    at: At = "",
    meter: Annotated[str, typer.Option(help="Only those of this meter.", metavar="NAME")] = "",
    provider: Provider = "",
    model: Model = "",
    limit: Limit = None,
) -> None:
    """List the prices of a book. With --csv they are a price file: edit it and `prices publish` it again."""
    if version is not None and at:
        raise UsageError("--version and --at both name a version: give one of them")
    prices = session.pricing.list_prices(
        book,
        version_id=numbered(session, book, version).version_id if version else None,
        at=parse_instant(at, session.settings.zone, session.now()) if at else None,
        meter=meter,
        provider=provider,
        model=model,
        page_size=1000,
    )
    row = PRICE_FILE if session.out.form is Format.CSV else PRICE
    session.out.many(row, prices, limit=limit, nothing="no prices")


@command(app, "diff")
def diff(
    session: Session,
    book: BookId,
    old: Annotated[
        int | None,
        typer.Argument(metavar="[FROM]", help="A version's number; 0 is none. Default: the one before TO.", min=0),
    ] = None,
    new: Annotated[
        int | None, typer.Argument(metavar="[TO]", help="A version's number. Default: the newest.", min=1)
    ] = None,
    limit: Limit = None,
) -> None:
    """Show how the prices of two versions of a book differ."""
    if new is None:
        latest = session.pricing.get_price_book(book).latest
        if latest is None:
            raise UsageError(f"{book} has no versions yet")
        new = latest.number
    before = _prices(session, book, new - 1 if old is None else old)
    after = _prices(session, book, new)
    found = [
        PriceDifference(before.get(key), after.get(key))
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    ]
    session.out.many(DIFFERENCE, found, limit=limit, nothing="the same prices")


@command(app, "assignments")
def assignments(
    session: Session,
    account: Annotated[
        str,
        typer.Option(help="All that may price this account: its own, its parent's, the default.", metavar="ACCOUNT"),
    ] = "",
    book: Annotated[str, typer.Option(help="Only those to this book.", metavar="BOOK")] = "",
    at: At = "",
    limit: Limit = None,
) -> None:
    """List who is priced by which book: now, and from later times on.

    With --account in the order in which they count; its overrides and plans go before them (`prices books --account`,
    `subscriptions list --account`).
    """
    moment = parse_instant(at, session.settings.zone, session.now()) if at else None

    def listed(**of: Any) -> Iterator[PriceAssignment]:
        return session.pricing.list_price_assignments(price_book_id=book, at=moment, page_size=1000, **of)

    found = listed()
    if account:
        chain = [account, session.client.get_account(account).parent_account_id]
        own = [one for account_id in filter(None, chain) for one in listed(account_id=account_id)]
        found = iter([*own, *listed(tenant_default=True)])
    session.out.many(ASSIGNMENT, found, limit=limit, nothing="no assignments")


@command(app, "explain")
def explain(
    session: Session,
    account: AccountId,
    meter: Annotated[str, typer.Argument(metavar="METER", help="Such as llm.input_tokens.")],
    quantity: Annotated[str, typer.Argument(metavar="[QUANTITY]", help="How much, in the meter's unit.")] = "1",
    provider: Provider = "",
    model: Model = "",
    to: Annotated[str, typer.Option(help="The number called or written to.", metavar="NUMBER")] = "",
    at: At = "",
) -> None:
    """Tell which price an account pays for usage, which cost stands against it, and why it is these."""
    line = line_of(meter, quantity, provider=provider, model=model, to=to)
    moment = parse_instant(at, session.settings.zone, session.now()) if at else None
    quote = session.pricing.quote([line], account_id=account, at=moment)
    lines = quote_lines(quote)
    if session.out.form is not Format.TABLE:
        session.out.many(QUOTE_LINE, lines[:1], limit=0)
        return
    rated, code = quote.lines[0], quote.currency_code
    session.out.say(f"{plain(line.quantity)} on {meter} for {account}: {money(rated.price, code)}")
    if rated.cost is None or rated.margin is None or rated.exact_cost is None:
        session.out.say("cost unknown, and so is the margin: no COST book has a price for it")
        session.out.say(f"exactly {plain(rated.exact_price)}")
    else:
        session.out.say(f"cost {money(rated.cost, code)}, margin {money(rated.margin, code)}")
        session.out.say(f"exactly {plain(rated.exact_price)}, cost {plain(rated.exact_cost)}")
    session.out.say("")
    for part in rated.match.split("; "):
        session.out.say(part)


def numbered(session: Session, book: str, number: int) -> PriceVersion:
    """A version of a book by its number. Raises UsageError when there is none."""
    for version in session.pricing.list_price_versions(book, page_size=1000):
        if version.number == number:
            return version
    raise UsageError(f"{book} has no version {number}", hint=f"`imprestctl prices show {book}` lists its versions")


def _prices(session: Session, book: str, number: int) -> dict[tuple[str, str, str, str], Price]:
    """The prices of a version by their key; of version 0, before the first, none."""
    if not number:
        return {}
    version = numbered(session, book, number)
    prices = session.pricing.list_prices(book, version_id=version.version_id, page_size=1000)
    return {price.key: price for price in prices}
