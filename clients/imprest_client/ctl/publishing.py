"""How prices are published from a terminal or by cron: compare, show, ask, publish."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from imprest_client.ctl.output import Format, as_object
from imprest_client.ctl.price_rows import DIFFERENCE, SKIPPED, VERSION, SkippedReason
from imprest_client.ctl.session import Session
from imprest_client.ctl.values import parse_instant, when
from imprest_client.pricing_model import DifferenceCount, ImportReceipt, PublishReceipt, SkippedEntry

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


def publish(
    session: Session,
    where: str,
    ask: Ask,
    *,
    at: datetime | None,
    key: str | None,
    limit: int | None,
    dry_run: bool,
    yes: bool,
) -> None:
    """Show what would change and, unless that is nothing or all that was asked, ask and publish it.

    `where` names what is changed, for people: `book llm-cost`.
    """
    preview = ask(True, session.new_key(key))
    _show(session, preview, limit)
    count = preview.count
    if dry_run or not count.total:
        done = (
            "Nothing was published: this was a dry run." if count.total else f"There is nothing to publish in {where}."
        )
        _tell(session, preview, done, published=False)
        return
    begin = "now" if at is None else when(at, session.out.zone)
    session.confirm(f"Publish this in {where}, in force from {begin}?", yes)
    answer = ask(False, session.new_key(key))
    version = answer.version
    what = f"version {version.number}" if version else "a version"
    again = "This was done before with the same key; nothing happened again. " if answer.replayed else ""
    _tell(session, answer, f"{again}Published {what} of {where}, in force from {begin}.", published=True)


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


def _tell(session: Session, receipt: PublishReceipt, done: str, *, published: bool) -> None:
    match session.out.form:
        case Format.TABLE:
            session.out.say(done)
            if published:
                session.out.say(f"key {session.key}")
        case Format.CSV:
            session.out.many(DIFFERENCE, receipt.differences, limit=0)
        case Format.JSON:
            session.out.document(_document(session, receipt, published))


def _document(session: Session, receipt: PublishReceipt, published: bool) -> dict[str, Any]:
    count = receipt.count
    content: dict[str, Any] = {
        "published": published,
        "version": as_object(VERSION, receipt.version) if receipt.version else None,
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
