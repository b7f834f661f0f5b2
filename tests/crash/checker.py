"""Compares the books with what the callers know, both ways: nothing lost, nothing that nobody asked for."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

import psycopg
from psycopg import IsolationLevel

from imprest_server.core.money import nanos_of
from imprest_server.ledger.operations import OperationKind
from imprest_server.ledger.verify import verify
from imprest_server.posting.audit import differences
from tests.crash.expected import Expected, Hold, Posted, Standing, expected_of
from tests.crash.journal import Entry, InDoubt, Journal, Port
from tests.crash.usage_books import UsageBooks, compare_usage, read_usage

# A transaction moves what it posts; settlement only moves it on within the book.
_TRANSACTIONS_SQL = """
SELECT
    t.transaction_id, t.reservation_id, t.account_id, t.kind,
    coalesce(sum(p.amount) FILTER (WHERE NOT (p.debit = 'WALLET' AND p.credit = 'RECEIVABLE')), 0)
FROM transactions AS t
LEFT JOIN postings AS p USING (tenant_id, account_id, seq)
GROUP BY t.tenant_id, t.transaction_id
"""
_HOLDS_SQL = """
SELECT
    reservation_id, account_id, amount, expire_time, captured, absorbed, used_so_far, used_cost, captured_cost, state,
    ended_by, extend_key
FROM reservations
"""


@dataclass(frozen=True)
class Finding:
    """Something is wrong: "lost", "doubled", "differs", "replay", "verify" or "puzzle", and what."""

    what: str
    text: str


@dataclass
class Report:
    """What was checked, and what was found."""

    operations: int = 0
    in_doubt: int = 0
    transactions: int = 0
    replays: int = 0
    findings: list[Finding] = field(default_factory=list[Finding])

    @property
    def ok(self) -> bool:
        return not self.findings

    def count(self, what: str) -> int:
        """How many findings of one kind."""
        return Counter(finding.what for finding in self.findings)[what]

    def __str__(self) -> str:
        head = (
            f"{self.operations:,} operations ({self.in_doubt:,} were in doubt), {self.transactions:,} transactions, "
            f"{self.replays:,} replays: {self.count('lost')} lost, {self.count('doubled')} doubled, "
            f"{len(self.findings)} findings"
        )
        return "\n".join([head, *(f"  {finding.what}: {finding.text}" for finding in self.findings[:20])])


@dataclass
class Books:
    """What the database says, in one snapshot, in the shapes that the callers' answers are brought to."""

    now: datetime
    standings: dict[str, Standing]
    transactions: dict[str, tuple[str, Posted]]
    holds: dict[str, Hold]
    operations: dict[tuple[str, str], str]
    usage: UsageBooks


def read_books(owner_dsn: str) -> Books:
    """Read everything that there is."""
    with psycopg.connect(owner_dsn) as connection:
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        (now,) = connection.execute("SELECT clock_timestamp()").fetchone() or ()
        standings = {
            account_id: Standing(nanos_of(wallet), nanos_of(held), nanos_of(receivable), open_count)
            for account_id, wallet, held, receivable, open_count in connection.execute(
                "SELECT account_id, wallet, held, receivable, open_count FROM books"
            )
        }
        transactions = {
            f"txn_{transaction_id.hex}": (
                f"rsv_{reservation_id.hex}" if reservation_id else "",
                Posted(account_id, kind, nanos_of(amount)),
            )
            for transaction_id, reservation_id, account_id, kind, amount in connection.execute(_TRANSACTIONS_SQL)
        }
        holds = {f"rsv_{row[0].hex}": _hold(row[1:]) for row in connection.execute(_HOLDS_SQL)}
        operations = {
            (kind, key): denial or ""
            for kind, key, denial in connection.execute(
                "SELECT kind, idempotency_key, denial_reason FROM operations WHERE kind = ANY(%s)",
                [list(OperationKind)],
            )
        }
        usage = read_usage(connection)
    return Books(now, standings, transactions, holds, operations, usage)


def _hold(row: tuple[Any, ...]) -> Hold:
    *known, state, ended_by, extend_key = (nanos_of(value) if isinstance(value, Decimal) else value for value in row)
    return Hold(*known, state, ended_by or "", extend_key)


async def check(journal: Journal, owner_dsn: str, port: Port | None = None) -> Report:
    """Compare journal and books; when they agree and there is a `port`, replay every request and compare again.

    Call it when everything has been answered and abandoned holds have expired (`Load.settle`).
    """
    report = Report(operations=journal.answered, in_doubt=sum(entry.doubts > 0 for entry in journal.entries))
    report.findings += [Finding("replay", text) for text in journal.contradictions]
    unanswered = [entry for entry in journal.entries if entry.answer is None]
    report.findings += [Finding("puzzle", f"{entry} was never answered") for entry in unanswered]
    await _compare(journal, owner_dsn, report)
    if port is not None and report.ok:
        report.findings += [finding async for finding in _replays(journal, port, report)]
        await _compare(journal, owner_dsn, report)
    return report


async def _compare(journal: Journal, owner_dsn: str, report: Report) -> None:
    books = await asyncio.to_thread(read_books, owner_dsn)
    expected = expected_of(journal.entries, books.now)
    report.transactions = len(books.transactions)
    report.findings += [Finding("puzzle", text) for text in expected.puzzles]
    for compare in (_operations, _transactions, _holds, _standings):
        report.findings += compare(expected, books)
    report.findings += [Finding(what, text) for what, text in compare_usage(expected, books.usage)]
    verified = await verify(owner_dsn, all_differences=True, beside=differences)
    report.findings += [Finding("verify", str(difference)) for difference in verified.differences]


def _operations(expected: Expected, books: Books) -> Iterator[Finding]:
    """Every answered key is kept with its decision, and no other key is."""
    for scope, denial in expected.operations.items():
        if scope not in books.operations:
            yield Finding("lost", f"operation {scope} was answered {denial or 'OK'}")
        elif books.operations[scope] != denial:
            yield Finding("differs", f"operation {scope} was answered {denial}, kept as {books.operations[scope]}")
    for scope in books.operations.keys() - expected.operations.keys():
        yield Finding("doubled", f"operation {scope} was asked for by nobody")


def _transactions(expected: Expected, books: Books) -> Iterator[Finding]:
    """Every transaction that was answered exists as it was answered, and every one that exists has its operation."""
    silent = dict(expected.silent)
    for transaction_id, posted in expected.transactions.items():
        if transaction_id not in books.transactions:
            yield Finding("lost", f"transaction {transaction_id}, {posted}")
        elif books.transactions[transaction_id][1] != posted:
            found = books.transactions[transaction_id][1]
            yield Finding("differs", f"transaction {transaction_id}: answered {posted}, found {found}")
    for transaction_id in books.transactions.keys() - expected.transactions.keys():
        reservation_id, found = books.transactions[transaction_id]
        explained = silent.pop((reservation_id, found.kind), None)  # each explains one
        if explained != found:
            yield Finding("doubled", f"transaction {transaction_id}, {found}, of nobody; {explained} would be known")
    for (reservation_id, kind), posted in silent.items():
        if posted.amount:
            yield Finding("lost", f"{kind} of {reservation_id}, {posted}")


def _holds(expected: Expected, books: Books) -> Iterator[Finding]:
    for reservation_id, hold in expected.holds.items():
        found = books.holds.get(reservation_id)
        if found is None:
            yield Finding("lost", f"reservation {reservation_id}, {hold}")
        elif found != hold or found.extend_key not in {hold.extend_key, *hold.straggling}:
            yield Finding("differs", f"reservation {reservation_id}: answered {hold}, found {found}")
    for reservation_id in books.holds.keys() - expected.holds.keys():
        yield Finding("doubled", f"reservation {reservation_id}, {books.holds[reservation_id]}, of nobody")


def _standings(expected: Expected, books: Books) -> Iterator[Finding]:
    for account_id in expected.credit_limits.keys() | books.standings.keys():
        if account_id not in books.standings:
            yield Finding("lost", f"account {account_id}")
        elif account_id not in expected.credit_limits:
            yield Finding("doubled", f"account {account_id} was opened by nobody")
        elif books.standings[account_id] != expected.standing(account_id):
            counted, found = expected.standing(account_id), books.standings[account_id]
            yield Finding("differs", f"account {account_id}: callers count {counted}, the book says {found}")


async def _replays(journal: Journal, port: Port, report: Report) -> Any:
    """Ask everything once more: every answer must be the first one, as a replay."""
    extends = [entry for entry in journal.entries if entry.method == "Extend"]
    kept: dict[str, Entry] = {}  # the last one of each hold; a denied one only if none was granted
    for entry in extends:
        before = kept.get(entry.request.reservation_id)
        if before is None or _granted(entry) or not _granted(before):
            kept[entry.request.reservation_id] = entry
    straggling = {e.request.reservation_id for e in extends if e.sent > 1 and kept[e.request.reservation_id] is not e}
    again = [
        entry
        for entry in journal.entries
        if entry.method != "Extend"
        or (kept[entry.request.reservation_id] is entry and entry.request.reservation_id not in straggling)
    ]
    report.replays = len(again)
    for start in range(0, len(again), 200):
        part = again[start : start + 200]
        for finding in await asyncio.gather(*(_replay(entry, port) for entry in part)):
            if finding is not None:
                yield finding


def _granted(entry: Entry) -> bool:
    return entry.answer is not None and entry.answer.granted


async def _replay(entry: Entry, port: Port) -> Finding | None:
    assert entry.answer is not None
    try:
        answer = await port.send(entry.method, entry.request)
    except InDoubt as doubt:
        return Finding("replay", f"{entry}: {doubt}")
    if not answer.replayed or not answer.says_same_as(entry.answer):
        return Finding("replay", f"{entry}: was answered {entry.answer}, now {answer}")
    return None
