"""Requests that must not be lost, in a SQLite file until the server has answered them.

Several processes of one machine may use the same file at the same time: what one leaves behind, another delivers. The
file belongs to one server and tenant, because entries do not say where they are to be sent.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Final, Self

#: How long another process may keep the file locked before it counts as broken.
_BUSY_S: Final = 10.0
#: No entry waits longer than this for its next attempt, whatever clocks were set to in between.
LONGEST_WAIT_S: Final = 60.0

#: Clocks are set by a little all the time.
_CLOCK_SLACK_S: Final = 5.0

_VERSION: Final = 1
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS entries (
    entry_id INTEGER PRIMARY KEY AUTOINCREMENT,
    subject TEXT NOT NULL,
    method TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    request BLOB NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('PENDING', 'REFUSED')),
    created_s REAL NOT NULL,
    not_before_s REAL NOT NULL,
    attempt_count INTEGER NOT NULL,
    error TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS ix_entries_state ON entries (state, subject, entry_id);
"""
_COLUMNS: Final = "entry_id, subject, method, idempotency_key, request, state, created_s, attempt_count, error"


class SpoolState(StrEnum):
    """What is to become of an entry. Delivered ones are deleted."""

    PENDING = "PENDING"
    """Will be sent until the server answers."""
    REFUSED = "REFUSED"
    """The server has said no for good; kept with the error until somebody decides."""


@dataclass(frozen=True, slots=True)
class SpoolEntry:
    """A request in the spool. `subject` is what it is about: entries on one subject are sent in their order."""

    entry_id: int
    subject: str
    method: str
    idempotency_key: str
    request: bytes
    state: SpoolState
    created_at: datetime
    attempt_count: int
    error: str


class SpoolError(Exception):
    """The file cannot be used as a spool."""


class Spool:
    """A durable queue of requests. Every change is on the disk when its method returns; methods may be called from
    any thread and wait for each other."""

    def __init__(self, path: str | Path) -> None:
        """Open the file, or create it (its directory must exist).

        Raises:
            SpoolError: it is something else, or of a later release.
            sqlite3.Error: it cannot be opened.
        """
        self.path = Path(path)
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(self.path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            self._open()
        except BaseException:
            self._connection.close()
            raise

    def _open(self) -> None:
        deadline = time.monotonic() + _BUSY_S
        while True:
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
                break
            except sqlite3.OperationalError as error:
                # Two that open a new file at once are told so without waiting for each other.
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
            except sqlite3.DatabaseError as error:
                raise SpoolError(f"{self.path} is not a spool") from error
        # The default in WAL mode may lose what was acknowledged when the power goes.
        self._connection.execute("PRAGMA synchronous = FULL")
        with self._transaction() as cursor:
            (version,) = cursor.execute("PRAGMA user_version").fetchone()
            if version == 0 and cursor.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
                raise SpoolError(f"{self.path} is another program's database, not a spool")
            if version not in (0, _VERSION):
                raise SpoolError(f"{self.path} is of version {version}, this release reads {_VERSION}")
            for statement in _SCHEMA.split(";"):
                cursor.execute(statement)
            cursor.execute(f"PRAGMA user_version = {_VERSION}")

    def __enter__(self) -> Self:
        """Nothing to do: it is open."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    # ── for those who look after it ──────────────────────────────────────────────────────────────────

    def entries(self, state: SpoolState | None = None) -> list[SpoolEntry]:
        """All entries, or those in a state, the oldest first."""
        with self._transaction() as cursor:
            rows = cursor.execute(
                f"SELECT {_COLUMNS} FROM entries WHERE state = coalesce(?, state) ORDER BY entry_id", (state,)
            )
            return [_entry(row) for row in rows]

    def count(self, state: SpoolState) -> int:
        """How many entries are in a state."""
        with self._transaction() as cursor:
            (count,) = cursor.execute("SELECT count(*) FROM entries WHERE state = ?", (state,)).fetchone()
            return int(count)

    def resend(self, entry_id: int) -> bool:
        """Have an entry sent again, with the same key, as soon as possible. False: there is no such entry."""
        with self._transaction() as cursor:
            cursor.execute("UPDATE entries SET state = 'PENDING', not_before_s = 0 WHERE entry_id = ?", (entry_id,))
            return cursor.rowcount == 1

    def renew(self, entry_id: int, idempotency_key: str, request: bytes) -> bool:
        """Have a refused entry sent again as a new request. False: there is no such entry, or it is not refused."""
        with self._transaction() as cursor:
            cursor.execute(
                "UPDATE entries SET state = 'PENDING', not_before_s = 0, idempotency_key = ?, request = ?"
                " WHERE entry_id = ? AND state = 'REFUSED'",
                (idempotency_key, request, entry_id),
            )
            return cursor.rowcount == 1

    def discard(self, entry_id: int) -> bool:
        """Delete an entry: it was delivered, or is given up for good. False: there is no such entry."""
        with self._transaction() as cursor:
            cursor.execute("DELETE FROM entries WHERE entry_id = ?", (entry_id,))
            return cursor.rowcount == 1

    # ── for those who deliver ────────────────────────────────────────────────────────────────────────

    def add(self, subject: str, method: str, idempotency_key: str, request: bytes, wait_s: float) -> tuple[int, bool]:
        """Keep a request; return its id, and whether no earlier one on its subject is pending.

        For `wait_s` nobody else sends it: the caller does. If the caller dies, others deliver it afterwards.
        """
        with self._transaction() as cursor:
            now_s = time.time()
            earlier = cursor.execute(
                "SELECT 1 FROM entries WHERE state = 'PENDING' AND subject = ? LIMIT 1", (subject,)
            ).fetchone()
            cursor.execute(
                "INSERT INTO entries (subject, method, idempotency_key, request, state, created_s, not_before_s,"
                " attempt_count, error) VALUES (?, ?, ?, ?, 'PENDING', ?, ?, 0, '')",
                (subject, method, idempotency_key, request, now_s, now_s + min(wait_s, LONGEST_WAIT_S)),
            )
            assert cursor.lastrowid is not None, "an insert has a row id"
            return cursor.lastrowid, earlier is None

    def claim(self, limit: int, wait_s: float) -> list[SpoolEntry]:
        """Entries to be sent now, at most one of each subject: for `wait_s` they are the caller's.

        Those that have waited longest for an attempt come first, so that none that fail again and again hold up the
        others.
        """
        with self._transaction() as cursor:
            now_s = time.time()
            rows = cursor.execute(
                f"SELECT {_COLUMNS} FROM entries WHERE entry_id IN"
                " (SELECT min(entry_id) FROM entries WHERE state = 'PENDING' GROUP BY subject)"
                " AND (not_before_s <= ? OR not_before_s > ?) ORDER BY not_before_s, entry_id LIMIT ?",
                (now_s, now_s + LONGEST_WAIT_S + _CLOCK_SLACK_S, limit),
            ).fetchall()
            found = [_entry(row) for row in rows]
            self._postpone(cursor, [entry.entry_id for entry in found], now_s + min(wait_s, LONGEST_WAIT_S))
            return found

    def next_due_s(self) -> float | None:
        """In how many seconds an entry can be claimed; None: none is pending."""
        with self._transaction() as cursor:
            (due_s,) = cursor.execute(
                "SELECT min(not_before_s) FROM entries WHERE entry_id IN"
                " (SELECT min(entry_id) FROM entries WHERE state = 'PENDING' GROUP BY subject)"
            ).fetchone()
        return None if due_s is None else min(LONGEST_WAIT_S, max(0.0, due_s - time.time()))

    def hurry(self) -> None:
        """Let all that is pending be claimed at once, also what somebody is sending: the key makes that harmless."""
        with self._transaction() as cursor:
            cursor.execute("UPDATE entries SET not_before_s = 0 WHERE state = 'PENDING'")

    def postpone(self, entry_id: int, wait_s: float, error: str) -> None:
        """Note that an attempt had no answer, and when the next may be made."""
        with self._transaction() as cursor:
            self._postpone(cursor, [entry_id], time.time() + min(wait_s, LONGEST_WAIT_S))
            cursor.execute(
                "UPDATE entries SET attempt_count = attempt_count + 1, error = ? WHERE entry_id = ?", (error, entry_id)
            )

    def refuse(self, entry_id: int, error: str) -> None:
        """Note that the server has said no for good."""
        with self._transaction() as cursor:
            cursor.execute(
                "UPDATE entries SET state = 'REFUSED', attempt_count = attempt_count + 1, error = ? WHERE entry_id = ?",
                (error, entry_id),
            )

    @staticmethod
    def _postpone(cursor: sqlite3.Cursor, entry_ids: Sequence[int], not_before_s: float) -> None:
        cursor.executemany(
            "UPDATE entries SET not_before_s = ? WHERE entry_id = ?", [(not_before_s, one) for one in entry_ids]
        )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Cursor]:
        """A write transaction from its start: one that became one later could fail with BUSY at once."""
        with self._lock:
            cursor = self._connection.cursor()
            cursor.execute("BEGIN IMMEDIATE")
            try:
                yield cursor
            except BaseException:
                self._connection.rollback()
                raise
            self._connection.commit()


def _entry(row: tuple[int, str, str, str, bytes, str, float, int, str]) -> SpoolEntry:
    entry_id, subject, method, key, request, state, created_s, attempt_count, error = row
    created_at = datetime.fromtimestamp(created_s, UTC)
    return SpoolEntry(entry_id, subject, method, key, request, SpoolState(state), created_at, attempt_count, error)
