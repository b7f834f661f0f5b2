"""The floor: the same durable rows as 125 Reserves and 125 Commits, by the least SQL, decided by nobody.

No key is looked up, no balance is read, no hash is made: what is left is what Postgres must do in any case. One
connection, one pipelined round trip per batch.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from datetime import UTC, datetime, timedelta

import psycopg

from benchmarks.control import Control, Order
from benchmarks.seed import TENANT, account_id
from imprest_server.core.ids import uuid7
from imprest_server.db.data_dir import APP_ROLE

_HOLD, _ACTUAL = "1", "0.75"
#: As long as the replies that the engine stores.
_REPLIES = {"RESERVE": "x" * 460, "COMMIT": "x" * 628}
_FINGERPRINT = '"\\\\x' + "5a" * 32 + '"'

_RESERVATIONS = """
INSERT INTO reservations (
    tenant_id, reservation_id, account_id, call_id, state, amount, captured, absorbed, used_so_far, on_expiry, labels,
    create_time, expire_time, late
)
SELECT
    %(tenant)s, id, account, call, 'ACTIVE', %(hold)s::numeric, 0, 0, 0, 'CAPTURE_USED', '{}', %(now)s, %(due)s, false
FROM unnest(%(ids)s::uuid[], %(accounts)s::text[], %(calls)s::text[]) AS new (id, account, call)
"""
_COMMITTED = """
UPDATE reservations
SET state = 'COMMITTED', captured = %(actual)s::numeric, end_time = %(now)s, ended_by = 'COMMIT'
FROM unnest(%(ids)s::uuid[]) AS done (id)
WHERE tenant_id = %(tenant)s AND reservation_id = id
"""
_TRANSACTIONS = """
INSERT INTO transactions (
    tenant_id, transaction_id, account_id, seq, kind, wallet_after, receivable_after, reservation_id, call_id, reason,
    labels, effective_time, create_time, chain_hash
)
SELECT
    %(tenant)s, id, account, seq, 'COMMIT', 1000000, 0, reservation, call, '', '{}', %(now)s, %(now)s, %(hash)s
FROM
    unnest(%(ids)s::uuid[], %(accounts)s::text[], %(seqs)s::bigint[], %(reservations)s::uuid[], %(calls)s::text[])
    AS new (id, account, seq, reservation, call)
"""
_POSTINGS = """
INSERT INTO postings (tenant_id, account_id, seq, line, debit, credit, amount)
SELECT %(tenant)s, account, seq, 1, 'WALLET', 'REVENUE', %(actual)s::numeric
FROM unnest(%(accounts)s::text[], %(seqs)s::bigint[]) AS new (account, seq)
"""
_BOOKS = """
UPDATE books
SET
    held = held + holds * %(hold)s::numeric,
    open_count = open_count + holds,
    wallet = wallet - commits * %(actual)s::numeric,
    revenue = revenue + commits * %(actual)s::numeric,
    seq = seq + commits,
    chain_hash = %(hash)s,
    last_time = %(now)s
FROM unnest(%(accounts)s::text[], %(holds)s::int[], %(commits)s::int[]) AS new (account, holds, commits)
WHERE tenant_id = %(tenant)s AND account_id = account
"""
_OPERATIONS = """
INSERT INTO operations (tenant_id, kind, idempotency_key, fingerprint, payload, create_time)
SELECT %(tenant)s, kind, key, fingerprint, payload, %(now)s
FROM unnest(%(kinds)s::text[], %(keys)s::text[], %(fingerprints)s::bytea[], %(payloads)s::text[])
    AS new (kind, key, fingerprint, payload)
"""


class _Batches:
    """Makes batches: which accounts, ids and keys."""

    def __init__(self, order: Order) -> None:
        self._half = order.batch // 2
        self._accounts = [account_id(number) for number in range(order.accounts)]
        self._seqs = Counter(dict.fromkeys(self._accounts, 1))  # each was credited once
        self._open: list[tuple[str, str, str]] = []
        self._calls = 0

    def next(self) -> list[tuple[str, dict[str, object]]]:
        """The statements of the next batch: it reserves anew, and commits what the last one reserved."""
        new = []
        for _ in range(self._half):
            self._calls += 1
            new.append((uuid7().hex, random.choice(self._accounts), f"call-{self._calls:08d}"))
        done, self._open = self._open, new
        seqs = []
        for _, account, _ in done:
            self._seqs[account] += 1
            seqs.append(str(self._seqs[account]))
        holds, commits = Counter(account for _, account, _ in new), Counter(account for _, account, _ in done)
        books = sorted(holds | commits)
        kinds = ["COMMIT"] * len(done) + ["RESERVE"] * len(new)
        now = datetime.now(UTC)
        same: dict[str, object] = {
            "tenant": TENANT,
            "now": now,
            "due": now + timedelta(minutes=15),
            "hold": _HOLD,
            "actual": _ACTUAL,
            "hash": bytes(32),
        }
        return [
            (
                _BOOKS,
                same
                | {
                    "accounts": _array(books),
                    "holds": _array(str(holds[account] - commits[account]) for account in books),
                    "commits": _array(str(commits[account]) for account in books),
                },
            ),
            (_RESERVATIONS, same | _columns(new, "ids", "accounts", "calls")),
            (_COMMITTED, same | _columns(done, "ids", "accounts", "calls")),
            (
                _TRANSACTIONS,
                same
                | _columns(done, "reservations", "accounts", "calls")
                | {"ids": _array(uuid7().hex for _ in done), "seqs": _array(seqs)},
            ),
            (_POSTINGS, same | _columns(done, "ids", "accounts", "calls") | {"seqs": _array(seqs)}),
            (
                _OPERATIONS,
                same
                | {
                    "kinds": _array(kinds),
                    "keys": _array(call for _, _, call in (*done, *new)),
                    "fingerprints": _array(_FINGERPRINT for _ in kinds),
                    "payloads": _array(_REPLIES[kind] for kind in kinds),
                },
            ),
        ]


def run(order: Order, control: Control) -> None:
    """Write batch after batch."""
    batches = _Batches(order)
    with psycopg.connect(order.dsn, autocommit=True) as connection:
        connection.execute("SELECT set_config('role', %s, false)", [APP_ROLE])
        connection.execute("SELECT set_config('imprest.tenants', %s, false)", [TENANT])
        for setting in ("enable_seqscan", "enable_hashjoin", "enable_mergejoin"):  # as the engine's connections
            connection.execute("SELECT set_config(%s, 'off', false)", [setting])
        control.ready()
        while not control.stopping:
            statements = batches.next()
            started = time.perf_counter()
            with connection.pipeline():
                connection.execute("BEGIN")
                for sql, parameters in statements:
                    connection.execute(sql, parameters)
                connection.execute("COMMIT")
            control.note(time.perf_counter() - started, order.batch)


def _array(elements: object) -> str:
    return "{" + ",".join(elements) + "}"  # type: ignore[arg-type]


def _columns(rows: list[tuple[str, str, str]], *names: str) -> dict[str, object]:
    columns = zip(*rows, strict=True) if rows else [()] * len(names)
    return {name: _array(column) for name, column in zip(names, columns, strict=True)}
