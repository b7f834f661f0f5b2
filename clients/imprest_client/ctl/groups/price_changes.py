"""`imprestctl prices`: the commands that change prices or who is priced by them."""

from __future__ import annotations

import re
import sys
from datetime import datetime
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, TypedDict

import typer

from imprest_client.ctl.command import AccountId, Key, Limit, Yes, command
from imprest_client.ctl.failures import UsageError
from imprest_client.ctl.groups.prices import BookId, Model, Provider, app
from imprest_client.ctl.price_rows import ASSIGNMENT_RECEIPT, BOOK_RECEIPT, RATE_RECEIPT
from imprest_client.ctl.publishing import content_key, effective_time, publish
from imprest_client.ctl.session import Session
from imprest_client.ctl.values import parse_choice
from imprest_client.pricing_model import BookSide, Price

__all__ = ["app"]

# A whole price file is checked and compared: longer than a single posting takes.
_IMPORT_TIMEOUT_S = 60.0
_PACKAGE_FILE = "model_prices_and_context_window_backup.json"
_NUMBER = re.compile(r"\d{1,15}(\.\d{1,18})?", re.ASCII)


class _Content(TypedDict, total=False):
    """A price file, in one of its formats."""

    litellm_json: bytes
    csv: str


From = Annotated[
    str, typer.Option("--effective", help="From when on: now, tomorrow, a date or a time, in --zone.", metavar="TIME")
]
Past = Annotated[
    bool,
    typer.Option("--past", help="Publish also what only holds in the past, for what is re-rated or recorded late."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")]
Replace = Annotated[
    bool, typer.Option("--replace", help="The book then has exactly these prices. Default: they are added to it.")
]
Account = Annotated[str, typer.Option(help="This account.", metavar="ACCOUNT")]
TenantDefault = Annotated[bool, typer.Option("--default", help="Every account that has no book of its own.")]
Side = Annotated[str, typer.Option(help="Whose prices: cost or sale.")]
Currency = Annotated[str, typer.Option(help="Three letters, such as USD.", metavar="CODE")]


@command(app, "create")
def create(
    session: Session,
    book: Annotated[str, typer.Argument(metavar="[BOOK]", help="Its id. Default: the server makes one.")] = "",
    *,
    side: Side,
    currency: Currency,
    name: Annotated[str, typer.Option(help="A name for people.")] = "",
    key: Key = None,
) -> None:
    """Create a price book without prices. Its side and currency never change."""
    answer = session.pricing.create_price_book(
        book,
        side=parse_choice(BookSide, side, "side"),
        currency=currency.upper(),
        display_name=name,
        idempotency_key=session.new_key(key),
    )
    session.receipt(BOOK_RECEIPT, answer, f"Book {answer.book.price_book_id} is there.")


@command(app, "publish")
def publish_(
    session: Session,
    book: BookId,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="Prices as CSV (docs/PRICES.md); - reads standard input.")
    ],
    effective: From = "now",
    replace: Replace = False,
    past: Past = False,
    dry_run: DryRun = False,
    limit: Limit = None,
    key: Key = None,
    yes: Yes = False,
) -> None:
    """Publish prices of your own, after showing what changes."""
    at = effective_time(session, effective)
    _import(session, book, {"csv": _text(file)}, at, replace, past, dry_run, limit, key, yes)


@command(app, "import")
def import_(
    session: Session,
    file: Annotated[str, typer.Argument(metavar="[FILE]", help="The price file; - reads standard input.")] = "",
    *,
    book: Annotated[str, typer.Option(help="Into this price book.", metavar="BOOK")],
    form: Annotated[str, typer.Option("--format", help="litellm (model prices as JSON) or csv.")] = "litellm",
    from_package: Annotated[
        bool, typer.Option("--from-package", help="Read the file that the installed package litellm has.")
    ] = False,
    effective: From = "now",
    replace: Replace = False,
    past: Past = False,
    dry_run: DryRun = False,
    limit: Limit = None,
    key: Key = None,
    yes: Yes = False,
) -> None:
    """Publish the prices of a price file, after showing what changes and what is skipped.

    From cron: `imprestctl prices import --from-package --book llm-cost --effective tomorrow --yes`. Run again on the
    same day it publishes nothing new.
    """
    if bool(file) == from_package:
        raise UsageError("give a FILE or --from-package")
    content: _Content
    match form:
        case "litellm" if file.lower().endswith(".csv"):
            raise UsageError(f"{file} is not in LiteLLM's format", hint="add --format csv")
        case "litellm":
            content = {"litellm_json": _package_file().read_bytes() if from_package else _bytes(file)}
        case "csv" if not from_package:
            content = {"csv": _text(file)}
        case "csv":
            raise UsageError("--from-package is a litellm file, not csv")
        case _:
            raise UsageError(f"{form!r} is no format of prices", hint="choose from litellm, csv")
    at = effective_time(session, effective)
    if key is None and at is not None:
        # The same file for the same day is one request: prices published over it meanwhile stay, however often cron
        # sends it.
        raw = content["csv"] if "csv" in content else content["litellm_json"]
        key = content_key(book, at.isoformat(), str(replace), raw)
    _import(session, book, content, at, replace, past, dry_run, limit, key, yes)


@command(app, "override")
def override(
    session: Session,
    account: AccountId,
    meter: Annotated[str, typer.Argument(metavar="[METER]", help="The meter, a category such as llm.*, or *.")] = "",
    *,
    side: Side = "sale",
    provider: Provider = "",
    model: Model = "",
    prefix: Annotated[str, typer.Option(help="Only numbers that begin like this.", metavar="DIGITS")] = "",
    unit_price: Annotated[str, typer.Option(help="The price.", metavar="NUMBER")] = "",
    per: Annotated[str, typer.Option(help="Units that it is for, such as 60 or 1000000.", metavar="NUMBER")] = "1",
    margin: Annotated[str, typer.Option(help="Cost and so many percent of it instead.", metavar="PERCENT")] = "",
    markup: Annotated[str, typer.Option(help="Cost and so much per --per units instead.", metavar="NUMBER")] = "",
    increments: Annotated[str, typer.Option(help="Rounded up to steps, such as 30/6.", metavar="FIRST/NEXT")] = "",
    end: Annotated[bool, typer.Option("--end", help="End all overrides of this side.")] = False,
    currency: Annotated[str, typer.Option(help="Of COST prices. Default: the account's.", metavar="CODE")] = "",
    effective: From = "now",
    past: Past = False,
    dry_run: DryRun = False,
    limit: Limit = None,
    key: Key = None,
    yes: Yes = False,
) -> None:
    """Set a price for one account alone, beside its other overrides; it goes before every book."""
    prices: list[Price] = []
    if bool(meter) == end:
        raise UsageError("give a METER and its price, or --end")
    if meter:
        if sum(map(bool, (unit_price, margin, markup))) != 1:
            raise UsageError("give one of --unit-price, --margin and --markup")
        first, slash, following = increments.partition("/")
        if increments and not slash:
            raise UsageError(f"{increments!r} are no increments", hint="write two numbers, such as 30/6")
        price = Price(
            meter=meter,
            provider=provider,
            model=model,
            destination_prefix=prefix.removeprefix("+"),
            unit_price=_number(unit_price) or Decimal(0),
            per_quantity=_number(per) or Decimal(0),
            margin_percent=_number(margin),
            markup=_number(markup),
            increment_first=_number(first),
            increment_next=_number(following),
            source="imprestctl",
        )
        prices.append(price)
    chosen, at = parse_choice(BookSide, side, "side"), effective_time(session, effective)
    publish(
        session,
        f"the overrides of {account}",
        lambda validate_only, chosen_key: session.pricing.set_override(
            account,
            prices,
            side=chosen,
            currency_code=currency.upper(),
            effective_time=at,
            validate_only=validate_only,
            idempotency_key=chosen_key,
        ),
        lambda: _override_book(session, account, chosen, currency.upper()),
        at=at,
        past=past,
        key=key,
        limit=limit,
        dry_run=dry_run,
        yes=yes,
    )


@command(app, "assign")
def assign(
    session: Session,
    book: BookId,
    account: Account = "",
    default: TenantDefault = False,
    effective: From = "now",
    key: Key = None,
    yes: Yes = False,
) -> None:
    """Have an account, or every account without a book of its own, priced by a book."""
    who = _who(account, default)
    session.confirm(f"Price {who} by {book} from {effective} on?", yes)
    answer = session.pricing.assign_price_book(
        book,
        account_id=account or None,
        effective_time=effective_time(session, effective),
        idempotency_key=session.new_key(key),
    )
    session.receipt(ASSIGNMENT_RECEIPT, answer, f"From {effective} on {book} prices {who}.")


@command(app, "unassign")
def unassign(
    session: Session,
    account: Account = "",
    default: TenantDefault = False,
    side: Side = "sale",
    currency: Annotated[str, typer.Option(help="Default: the account's.", metavar="CODE")] = "",
    effective: From = "now",
    key: Key = None,
    yes: Yes = False,
) -> None:
    """End what `assign` began: what comes next in the chain prices then."""
    who = _who(account, default)
    chosen = parse_choice(BookSide, side, "side")
    session.confirm(f"End the {chosen} book of {who} from {effective} on?", yes)
    answer = session.pricing.end_assignment(
        account_id=account or None,
        side=chosen,
        currency_code=currency.upper(),
        effective_time=effective_time(session, effective),
        idempotency_key=session.new_key(key),
    )
    session.receipt(
        ASSIGNMENT_RECEIPT,
        answer,
        f"From {effective} on {who} has no {chosen} book assigned.",
    )


@command(app, "rate")
def rate(
    session: Session,
    book: BookId,
    currency: Annotated[str, typer.Argument(metavar="CODE", help="The currency of the accounts, such as EUR.")],
    value: Annotated[str, typer.Argument(metavar="RATE", help="What one unit of the book's currency costs in it.")],
    effective: From = "now",
    key: Key = None,
) -> None:
    """Set the exchange rate by which a COST book serves accounts in another currency."""
    answer = session.pricing.set_exchange_rate(
        book,
        currency.upper(),
        _number(value) or Decimal(0),
        effective_time=effective_time(session, effective),
        idempotency_key=session.new_key(key),
    )
    session.receipt(RATE_RECEIPT, answer, "The rate is set.")


def _import(
    session: Session,
    book: str,
    content: _Content,
    at: datetime | None,
    replace: bool,
    past: bool,
    dry_run: bool,
    limit: int | None,
    key: str | None,
    yes: bool,
) -> None:
    pricing = session.pricing.with_timeout(max(_IMPORT_TIMEOUT_S, session.settings.timeout_s))
    publish(
        session,
        f"book {book}",
        lambda validate_only, chosen: pricing.import_prices(
            book,
            **content,
            effective_time=at,
            replace=replace,
            validate_only=validate_only,
            idempotency_key=chosen,
        ),
        lambda: book,
        at=at,
        past=past,
        key=key,
        limit=limit,
        dry_run=dry_run,
        yes=yes,
    )


def _override_book(session: Session, account: str, side: BookSide, currency: str) -> str | None:
    """The book of an account's overrides of one side and currency (empty: the account's); None when there is none."""
    code = currency or session.client.get_account(account).currency_code
    books = session.pricing.list_price_books(side=side, currency_code=code, account_id=account)
    return next((book.price_book_id for book in books), None)


def _who(account: str, default: bool) -> str:
    if bool(account) == default:
        raise UsageError("give --account or --default: who is priced?")
    return account or "every account without a book of its own"


def _number(text: str) -> Decimal | None:
    if not text:
        return None
    if not _NUMBER.fullmatch(text):
        raise UsageError(f"{text!r} is not a number", hint="write it like 0.05: at most 18 decimals, no sign")
    return Decimal(text)


def _bytes(file: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from error


def _text(file: str) -> str:
    try:
        return _bytes(file).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} is not UTF-8 text", hint="save it as CSV UTF-8") from error


def _package_file() -> Path:
    # Found without importing it: it is large, and only its price file is of interest.
    spec = find_spec("litellm")
    for place in (spec.submodule_search_locations or []) if spec else []:
        file = Path(place) / _PACKAGE_FILE
        if file.is_file():
            return file
    raise UsageError("the package litellm is not installed here", hint="pip install litellm, or give a FILE")
