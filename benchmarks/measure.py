"""What a stretch of time cost: CPU by role, write-ahead log, bytes of tables and indexes, transactions.

CPU is read from /proc, so it is known on Linux only; elsewhere these columns stay empty.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg

_PROC = Path("/proc")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")

_SIZES_SQL = """
SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint
FROM pg_class
WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
"""
_JOURNAL_SQL = """
SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint, pg_snapshot_xmax(pg_current_snapshot())::text::bigint
"""


@dataclass(frozen=True)
class Reading:
    """Counters at one instant; `cpu_s` by role, `machine_s` of all processes together, both None without /proc."""

    cpu_s: Mapping[str, float] | None
    machine_s: float | None
    wal_bytes: int
    transactions: int
    table_bytes: int


@dataclass(frozen=True)
class Spent:
    """The difference of two readings."""

    cpu_s: Mapping[str, float] | None
    others_cpu_s: float | None
    wal_bytes: int
    transactions: int
    table_bytes: int


class Gauge:
    """Reads the counters of one database and of the process trees that work on it."""

    def __init__(self, connection: psycopg.Connection, roots: Mapping[str, int]) -> None:
        """`connection` is a superuser's; `roots` is the first process of each role."""
        self._connection = connection
        self._roots = roots

    def begin(self) -> Reading:
        """Read what changes slowly first: the load begins right after."""
        table_bytes = self._table_bytes()
        wal_bytes, transactions = self._journal()
        return Reading(self._cpu(), _machine_s(), wal_bytes, transactions, table_bytes)

    def end(self) -> Reading:
        """The other way round: the load has just ended."""
        cpu, machine_s = self._cpu(), _machine_s()
        wal_bytes, transactions = self._journal()
        return Reading(cpu, machine_s, wal_bytes, transactions, self._table_bytes())

    def _cpu(self) -> dict[str, float] | None:
        if not _PROC.joinpath("self/stat").exists():
            return None
        trees = _trees()
        return {role: _tree_s(root, trees) for role, root in self._roots.items()}

    def _journal(self) -> tuple[int, int]:
        row = self._connection.execute(_JOURNAL_SQL).fetchone()
        assert row is not None
        return row[0], row[1]

    def _table_bytes(self) -> int:
        row = self._connection.execute(_SIZES_SQL).fetchone()
        assert row is not None
        return int(row[0])


def spent(before: Reading, after: Reading) -> Spent:
    """What happened between two readings."""
    cpu = others = None
    if before.cpu_s is not None and after.cpu_s is not None:
        cpu = {role: after.cpu_s[role] - before.cpu_s[role] for role in before.cpu_s}
        if before.machine_s is not None and after.machine_s is not None:
            others = max(0.0, after.machine_s - before.machine_s - sum(cpu.values()))
    return Spent(
        cpu,
        others,
        after.wal_bytes - before.wal_bytes,
        after.transactions - before.transactions,
        after.table_bytes - before.table_bytes,
    )


def _machine_s() -> float | None:
    """CPU seconds that anything on this machine has used: user, nice, system, irq, softirq."""
    try:
        first, *_ = _PROC.joinpath("stat").read_text().splitlines()
    except OSError:
        return None
    ticks = [int(field) for field in first.split()[1:]]
    return sum(ticks[i] for i in (0, 1, 2, 5, 6)) / _TICKS_PER_S


def _trees() -> Mapping[int, list[int]]:
    """Children by parent, of all processes."""
    children: defaultdict[int, list[int]] = defaultdict(list)
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children[int(fields[1])].append(int(entry.name))
    return children


def _tree_s(pid: int, children: Mapping[int, list[int]]) -> float:
    """CPU seconds of a process, of its children that ended, and of those that live."""
    fields = _stat(pid)
    own = sum(int(ticks) for ticks in fields[11:15]) / _TICKS_PER_S if fields else 0.0
    return own + sum(_tree_s(child, children) for child in children.get(pid, ()))


def _stat(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat from the state on; none when the process is gone."""
    try:
        text = _PROC.joinpath(str(pid), "stat").read_text()
    except OSError:
        return []
    return text.rpartition(")")[2].split()
