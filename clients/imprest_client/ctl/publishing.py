"""How prices are published from a terminal or by cron: compare, show, ask, publish."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from imprest_client.ctl.failures import CtlError, ExitCode
from imprest_client.ctl.output import Format, as_object
from imprest_client.ctl.price_rows import DIFFERENCE, SKIPPED, VERSION, SkippedReason
from imprest_client.ctl.session import Session
from imprest_client.ctl.values import parse_instant, rfc3339, when
from imprest_client.pricing_model import DifferenceCount, ImportReceipt, PriceVersion, PublishReceipt, SkippedEntry

#: Asks the server to publish, or with True only to say what that would change, under an idempotency key.
Ask = Callable[[bool, str], PublishReceipt]


def effective_time(session: Session, text: str) -> datetime | None:
    """From when on prices hold; None for `now`, which is the server's."""
    if text == "now":
        return None
    return parse_instant(text, session.settings.zone, session.now())


def content_key(*parts: str | bytes) -> str:
    """An idempotency key that is the same for the same content: the same file for the same day is published once."""
    digest = hashlib.sha256()
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        digest.update(len(raw).to_bytes(8) + raw)
    return f"ctl-{UUID(bytes=digest.digest()[:16])}"


_EVER = datetime.min.replace(tzinfo=UTC)


class OnlyPast(CtlError):
    """Another version has taken over already from what would be published."""

    exit_code = ExitCode.DENIED
    reason = "ONLY_PAST"


def publish(
    session: Session,
    where: str,
    ask: Ask,
    book_id: Callable[[], str | None],
    *,
    at: datetime | None,
    past: bool,
    key: str | None,
    limit: int | None,
    dry_run: bool,
    yes: bool,
) -> None:
    """Show what would change and, unless that is nothing or all that was asked, ask and publish it.

    Args:
        session: The run.
        where: What is changed, for people: `book llm-cost`.
        ask: Sends the request.
        book_id: The book's id; None when this is the first version of an account's overrides.
        at: From when on the prices hold; None: now.
        past: Whether to publish what only holds in the past, because a later version is in force already.
        key: The idempotency key, if the user has given one.
        limit: How many differences to show.
        dry_run: Whether to end with what would change.
        yes: Whether not to ask.

    Raises:
        OnlyPast: nothing of it would be in force now or later, and `past` does not say that this is meant.
    """
    preview = ask(True, session.new_key(key))
    _show(session, preview, limit)
    if not preview.count.total:
        _tell(session, preview, None, f"There is nothing to publish in {where}.", published=False)
        return
    follower, is_over = _end(session, book_id(), at)
    if follower:
        session.out.say(_end_text(session, follower, is_over))
    if dry_run:
        _tell(session, preview, follower, "Nothing was published: this was a dry run.", published=False)
        return
    begin = "now" if at is None else when(at, session.out.zone)
    if follower and is_over and not past:
        since = when(follower.effective_time, session.out.zone)
        raise OnlyPast(
            f"from {begin} on it would hold until {since} only: since then version {follower.number} is in force",
            hint="publish it with --effective now; or, for what is re-rated or recorded late, with --past",
        )
    session.confirm(f"Publish this in {where}, in force from {begin}?", yes)
    answer = ask(False, session.new_key(key))
    version = answer.version
    what = f"version {version.number}" if version else "a version"
    again = "This was done before with the same key; nothing happened again. " if answer.replayed else ""
    _tell(session, answer, follower, f"{again}Published {what} of {where}, in force from {begin}.", published=True)


def _end(session: Session, book_id: str | None, at: datetime | None) -> tuple[PriceVersion | None, bool]:
    """The version that takes over from one in force from this instant on, if there is one; and whether it has already.

    What is in force now the server says: its clock may be another one.
    """
    if book_id is None:
        return None, False
    current = session.pricing.get_price_book(book_id).current
    begin = at or (current.effective_time if current else _EVER)
    listed = session.pricing.list_price_versions(book_id, page_size=1000)
    later = [version for version in listed if version.effective_time > begin]
    follower = min(later, key=lambda version: (version.effective_time, -version.number), default=None)
    is_over = follower is not None and current is not None and follower.effective_time <= current.effective_time
    return follower, is_over


def _end_text(session: Session, follower: PriceVersion, is_over: bool) -> str:
    end = when(follower.effective_time, session.out.zone)
    if is_over:
        return (
            f"Prices of now do not change: since {end} version {follower.number} is in force. Only what was used "
            "before that, and is recorded or re-rated from now on, is priced by this."
        )
    return (
        f"It holds until {end}: then version {follower.number} takes over, which is published already and knows "
        f"nothing of this. To keep it, publish it with --effective {rfc3339(follower.effective_time)}, too."
    )


def _show(session: Session, preview: PublishReceipt, limit: int | None) -> None:
    """The differences and what was left out, for people; machines get them with the outcome."""
    if session.out.form is not Format.TABLE:
        return
    if isinstance(preview, ImportReceipt):
        skipped = f", {_counted(preview.skipped_count, 'entry', 'entries')} skipped" if preview.skipped_count else ""
        session.out.say(f"{_counted(preview.price_count, 'price', 'prices')} in the file{skipped}")
        if preview.skipped:
            session.out.many(SKIPPED, reasons(preview.skipped), limit=limit)
            session.out.say("")
    count = preview.count
    session.out.say(_count_text(count))
    if preview.differences:
        session.out.many(DIFFERENCE, preview.differences, limit=limit)
        if count.total > len(preview.differences):
            session.out.note(f"the server shows the first {len(preview.differences)} differences only")


def _tell(
    session: Session, receipt: PublishReceipt, follower: PriceVersion | None, done: str, *, published: bool
) -> None:
    match session.out.form:
        case Format.TABLE:
            session.out.say(done)
            if published:
                session.out.say(f"key {session.key}")
        case Format.CSV:
            session.out.many(DIFFERENCE, receipt.differences, limit=0)
        case Format.JSON:
            session.out.document(_document(session, receipt, follower, published))


def _document(
    session: Session, receipt: PublishReceipt, follower: PriceVersion | None, published: bool
) -> dict[str, Any]:
    count = receipt.count
    content: dict[str, Any] = {
        "published": published,
        "version": as_object(VERSION, receipt.version) if receipt.version else None,
        "followed_by": as_object(VERSION, follower) if follower else None,
        "count": {
            "added": count.added,
            "changed": count.changed,
            "removed": count.removed,
            "unchanged": count.unchanged,
        },
        "differences": [as_object(DIFFERENCE, difference) for difference in receipt.differences],
    }
    if isinstance(receipt, ImportReceipt):
        content["price_count"] = receipt.price_count
        content["skipped_count"] = receipt.skipped_count
        content["skipped"] = [as_object(SKIPPED, reason) for reason in reasons(receipt.skipped)]
    return content | {"replayed": receipt.replayed, "idempotency_key": session.key}


def reasons(skipped: Sequence[SkippedEntry]) -> list[SkippedReason]:
    """Entries that became no price, counted by why; the most frequent reason first."""
    found: dict[str, list[str]] = {}
    for entry in skipped:
        found.setdefault(entry.reason, []).append(entry.name)
    listed = [SkippedReason(reason, len(names), names[0]) for reason, names in found.items()]
    return sorted(listed, key=lambda entry: -entry.count)


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


def _count_text(count: DifferenceCount) -> str:
    return f"{count.added} added, {count.changed} changed, {count.removed} removed, {count.unchanged} unchanged"
