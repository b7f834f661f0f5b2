"""`imprestctl prices rerate`: posted usage by other prices. The last command of `prices`: its `app` has all of them."""

from __future__ import annotations

from typing import Annotated

import typer

from imprest_client.ctl.command import Key, Limit, Reason, Yes, command
from imprest_client.ctl.failures import UsageError
from imprest_client.ctl.groups.price_changes import DryRun, app
from imprest_client.ctl.groups.prices import numbered
from imprest_client.ctl.output import Format, as_object
from imprest_client.ctl.rerate_rows import RERATE_ITEM, RERATE_SUM, sum_text, sums
from imprest_client.ctl.session import Session
from imprest_client.ctl.values import parse_instant, when
from imprest_client.pricing_model import RerateItem

__all__ = ["app"]

# A page of transactions is posted in one request.
_PAGE_TIMEOUT_S = 60.0
_PAGE_SIZE = 200


@command(app, "rerate")
def rerate(
    session: Session,
    *,
    since: Annotated[
        str, typer.Option("--from", help="Usage that began at this date or time, or later.", metavar="TIME")
    ],
    until: Annotated[str, typer.Option("--to", help="And before this time; a date includes that day.", metavar="TIME")],
    account: Annotated[str, typer.Option(help="Only usage of this account.", metavar="ACCOUNT")] = "",
    book: Annotated[str, typer.Option(help="Only by the prices of this book; see --version.", metavar="BOOK")] = "",
    version: Annotated[int | None, typer.Option(help="The version of --book.", metavar="NUMBER", min=1)] = None,
    reason: Reason = "",
    dry_run: DryRun = False,
    limit: Limit = None,
    key: Key = None,
    yes: Yes = False,
) -> None:
    """Have posted usage of a period cost what prices say that were published later.

    Shows what would change, asks, and then charges or gives back each difference by a transaction of its own. Without
    --book each line is priced by the prices in force when it was used, as they are published now; with it only the
    prices (or the costs) of that one version count. Interrupted, it is finished by the same command with its --key.
    """
    if bool(book) != (version is not None):
        raise UsageError("--book and --version name a version together: give both or none of them")
    for text in (since, until):
        if not text[:1].isdecimal() or text.endswith(("d", "h")):
            raise UsageError(
                f"{text!r} is another time tomorrow", hint="write dates, so that the command can be repeated"
            )
    zone, now = session.settings.zone, session.now()
    start, end = parse_instant(since, zone, now), parse_instant(until, zone, now, end_of_day=True)
    if end <= start:
        raise UsageError(f"the period ends ({when(end, zone)}) before it begins ({when(start, zone)})")
    version_id = numbered(session, book, version).version_id if version is not None else ""
    pricing = session.pricing.with_timeout(max(_PAGE_TIMEOUT_S, session.settings.timeout_s))

    def ask(validate_only: bool) -> list[RerateItem]:
        items = pricing.rerate(
            start,
            end,
            account_id=account,
            version_id=version_id,
            validate_only=validate_only,
            reason=reason,
            page_size=_PAGE_SIZE,
            idempotency_key=session.new_key(session.key or key),
        )
        return list(items)

    preview = ask(True)
    if session.out.form is Format.TABLE:
        session.out.many(RERATE_ITEM, preview, limit=limit, nothing="nothing would cost something else")
        for total in sums(preview):
            session.out.say(sum_text(total))
    if dry_run or all(item.skipped for item in preview):
        _tell(session, preview, "Nothing was posted: this was a dry run." if dry_run else "There is nothing to post.")
        return
    session.confirm(f"Post this for usage from {when(start, zone)} to {when(end, zone)}?", yes)
    done = [item for item in ask(False) if item.rerate_transaction_id or item.skipped]
    posted = "\n".join(f"Posted {sum_text(total)}." for total in sums(done))
    _tell(session, done, posted or "Nothing was left to post.", posted=True)


def _tell(session: Session, items: list[RerateItem], done: str, *, posted: bool = False) -> None:
    match session.out.form:
        case Format.TABLE:
            session.out.say(done)
            if posted:
                session.out.say(f"key {session.key}")
        case Format.CSV:
            session.out.many(RERATE_ITEM, items, limit=0)
        case Format.JSON:
            session.out.document(
                {
                    "posted": posted,
                    "items": [as_object(RERATE_ITEM, item) for item in items],
                    "sums": [as_object(RERATE_SUM, total) for total in sums(items)],
                    "idempotency_key": session.key,
                }
            )
