"""The checker: content with an honest ledger, and shown to catch what it is for."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from imprest_server.budgets.model import BudgetKey, Counter
from imprest_server.budgets.store import Connection, update_counters
from tests.conftest import Database
from tests.crash.checker import check
from tests.crash.cluster import CrashCluster
from tests.crash.expected import expected_of
from tests.crash.journal import Journal
from tests.crash.load import Load, Scale
from tests.crash.ports import DirectPort
from tests.crash.storm import storm
from tests.crash.usage_books import compare_usage, read_usage
from tests.support.lanes import running_lanes


@pytest.fixture
async def load(crash_database: Database) -> AsyncIterator[Load]:
    """Callers after a little undisturbed work."""
    async with running_lanes(crash_database, engines=2) as lanes:
        load = Load(Journal("calm"), DirectPort(lanes.engines), "calm")
        report = await storm(load, [], crash_database.owner_dsn, between=60)
        assert report.ok, report
        assert report.operations > 60
        assert report.replays > 60
        yield load


@pytest.fixture
async def rated(crash_database: Database) -> AsyncIterator[Load]:
    """The same where half of the calls are rated, under budgets."""
    async with running_lanes(crash_database, engines=2) as lanes:
        scale = Scale(hot=1, cold=2, cap=10)
        load = Load(Journal("rated"), DirectPort(lanes.engines), "rated", scale, furnished=crash_database)
        report = await storm(load, [], crash_database.owner_dsn, between=150)
        assert report.ok, report
        denials = {entry.answer.denial for entry in load.journal.entries if entry.answer is not None}
        assert "BUDGET_EXCEEDED" in denials
        yield load


async def replays_itself(load: Load, method: str, key: str) -> None:
    """Post the first granted operation of a kind again, with another key and behind the callers' backs."""
    entry = next(e for e in load.journal.entries if e.method == method and e.answer is not None and e.answer.granted)
    request = type(entry.request)()
    request.CopyFrom(entry.request)
    request.idempotency_key = key
    await load.port.send(method, request)


@pytest.mark.parametrize("method", ["AddCredit", "Reserve", "Transfer"])
async def test_it_catches_a_double(load: Load, crash_database: Database, method: str) -> None:
    await replays_itself(load, method, "again")
    report = await check(load.journal, crash_database.owner_dsn)
    assert report.count("doubled") == {"AddCredit": 2, "Reserve": 2, "Transfer": 3}[method], report
    assert report.count("differs") == {"AddCredit": 1, "Reserve": 1, "Transfer": 2}[method], report
    assert not report.count("lost"), report
    assert not report.count("verify"), "such a double is nothing that verify could see"


FORGET_KEY = "DELETE FROM operations WHERE kind = 'ADD_CREDIT' AND idempotency_key = %(key)s"
#: Everything that the last credit of 1 nano wrote, so that the book is consistent without it.
FORGET_ALL = f"""
{FORGET_KEY};
DELETE FROM postings WHERE account_id = 'cold-0' AND seq = (SELECT max(seq) FROM books WHERE account_id = 'cold-0');
DELETE FROM transactions WHERE account_id = 'cold-0' AND seq = (SELECT max(seq) FROM books WHERE account_id = 'cold-0');
UPDATE books SET
    seq = seq - 1, cash = cash - 1e-9, wallet = wallet - 1e-9,
    (chain_hash, last_time) = (
        SELECT t.chain_hash, t.create_time FROM transactions AS t
        WHERE t.account_id = books.account_id AND t.seq = books.seq - 1
    )
WHERE account_id = 'cold-0';
"""


@pytest.mark.parametrize(("damage", "lost"), [(FORGET_KEY, 1), (FORGET_ALL, 2)], ids=["key", "everything"])
async def test_it_catches_a_lost_one(load: Load, crash_database: Database, damage: str, lost: int) -> None:
    """The owner deletes it, so cleanly that the books are consistent: only the callers know."""
    await load.credit("cold-0", 1)
    with psycopg.connect(crash_database.owner_dsn) as owner:
        psycopg.ClientCursor(owner).execute(damage, {"key": load.journal.entries[-1].request.idempotency_key})
    report = await check(load.journal, crash_database.owner_dsn)
    assert report.count("lost") == lost, report
    assert not report.count("doubled") + report.count("verify"), report


async def test_it_catches_money_that_moved_without_a_transaction(load: Load, crash_database: Database) -> None:
    with psycopg.connect(crash_database.owner_dsn) as owner:
        owner.execute("UPDATE books SET wallet = wallet + 1, cash = cash + 1 WHERE account_id = 'hot-0'")
    report = await check(load.journal, crash_database.owner_dsn)
    assert {finding.what for finding in report.findings} == {"differs", "verify"}, report


ONE_LINE = "(account_id, call_id, line_id) = (SELECT account_id, call_id, min(line_id) FROM usage_lines"
ONE_LINE += " WHERE counts IS NOT NULL GROUP BY account_id, call_id LIMIT 1)"
ONE_ALERT = "(SELECT min(sequence) FROM alerts WHERE kind = 'BUDGET' AND budget_id = 'all')"
#: What has happened, as the callers know it, and is not kept, or kept twice.
DAMAGES = {
    "spent": ("differs", "UPDATE budget_counters SET spent = spent + 0.01 WHERE budget_id = 'all'"),
    "cost": ("differs", "UPDATE budget_counters SET spent = spent - 0.0001 WHERE budget_id = 'cost'"),
    "spent on tokens": ("differs", "UPDATE budget_counters SET spent = 0 WHERE budget_id = 'tokens'"),
    "held": ("differs", "UPDATE budget_counters SET held = held + 1 WHERE budget_id = 'capped'"),
    "month": ("differs", "UPDATE usage_counters SET quantity = quantity + 1"),
    "price": ("differs", f"UPDATE usage_lines SET exact_price = exact_price + 0.001 WHERE {ONE_LINE}"),
    "line": ("lost", f"DELETE FROM usage_lines WHERE {ONE_LINE}"),
    "alert": ("lost", f"DELETE FROM alerts WHERE sequence = {ONE_ALERT}"),
    "overrun": ("lost", "DELETE FROM alerts WHERE kind = 'OVERRUN'"),
    "alert again": (
        "doubled",
        f"""
        WITH head AS (UPDATE alert_heads SET last_sequence = last_sequence + 1 RETURNING last_sequence)
        INSERT INTO alerts SELECT (jsonb_populate_record(a, jsonb_build_object(
            'sequence', last_sequence, 'alert_id', gen_random_uuid(), 'revision', a.revision + 1
        ))).* FROM alerts AS a, head WHERE sequence = {ONE_ALERT}
        """,
    ),
}


async def test_it_catches_wrong_counts_lines_and_alerts(rated: Load, crash_database: Database) -> None:
    """Each in a transaction that is undone before the next one."""
    for name, (what, damage) in DAMAGES.items():
        expected = expected_of(rated.journal.entries, datetime.now(UTC))
        with psycopg.connect(crash_database.owner_dsn) as owner:
            assert not list(compare_usage(expected, read_usage(owner)))
            assert owner.execute(damage).rowcount, name
            found = list(compare_usage(expected, read_usage(owner)))
            owner.rollback()
        assert what in {kind for kind, _ in found}, (name, found)


async def test_it_catches_a_budget_that_counts_too_little(
    crash_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a nano, in one batch of five."""
    turns = itertools.count(1)

    async def forgets(conn: Connection, changed: Mapping[BudgetKey, Counter]) -> None:
        less = 0 if next(turns) % 5 else 1
        await update_counters(conn, {key: replace(now, spent=max(0, now.spent - less)) for key, now in changed.items()})

    monkeypatch.setattr("imprest_server.posting.limits.update_counters", forgets)
    async with running_lanes(crash_database, engines=2) as lanes:
        load = Load(Journal("rated"), DirectPort(lanes.engines), "rated", furnished=crash_database)
        report = await storm(load, [], crash_database.owner_dsn, between=60)
    assert {finding.what for finding in report.findings} == {"differs", "verify"}, report
    assert all("budget" in finding.text for finding in report.findings), report


async def test_it_catches_an_answer_that_changes(load: Load, crash_database: Database) -> None:
    with psycopg.connect(crash_database.owner_dsn) as owner:
        owner.execute(
            "UPDATE operations SET payload = replace(payload, '\"held\":', '\"held\":1')"
            " WHERE (kind, idempotency_key) = (SELECT kind, max(idempotency_key) FROM operations"
            " WHERE kind = 'RESERVE' AND denial_reason IS NULL GROUP BY kind)"
        )
    report = await check(load.journal, crash_database.owner_dsn, load.port)
    assert [finding.what for finding in report.findings] == ["replay"], report


async def test_it_catches_synchronous_commit_off(scratch_dir: Path) -> None:
    """Commits that are answered before they are flushed do not outlive Postgres, and the checker must say so.

    The engines are built past the safety check that refuses such a database. Nothing in this cluster flushes by chance.
    The same kill -9 takes nothing from a database with the setting on.
    """
    late = {"wal_writer_delay": "10s", "wal_writer_flush_after": "1GB", "bgwriter_lru_maxpages": "0"}
    cluster = CrashCluster(scratch_dir / "lazy", settings={**late, "autovacuum": "off"})
    await asyncio.to_thread(cluster.start)
    try:
        databases = {setting: await asyncio.to_thread(cluster.database) for setting in ("on", "off")}
        # The eager one first: its flushes would take the other's commits along.
        journals = {setting: await some_load(cluster, databases[setting], setting) for setting in ("on", "off")}
        await asyncio.to_thread(cluster.kill)
        await asyncio.to_thread(cluster.restart)
        safe, unsafe = [await check(journals[setting], databases[setting].owner_dsn) for setting in ("on", "off")]
    finally:
        await asyncio.to_thread(cluster.stop)
    print(safe, unsafe, sep="\n")
    assert safe.ok, safe
    assert unsafe.count("lost") > 10, unsafe
    assert not unsafe.count("doubled"), unsafe


async def some_load(cluster: CrashCluster, database: Database, synchronous_commit: str) -> Journal:
    """Callers on sessions with that setting, until all are answered."""
    setting = f"ALTER DATABASE {database.name} SET synchronous_commit = {synchronous_commit}"
    await asyncio.to_thread(cluster.admin, setting)
    async with running_lanes(database) as lanes:
        load = Load(Journal("lazy", impatient=0), DirectPort(lanes.engines), "lazy")
        await load.open()
        callers = asyncio.create_task(load.run())
        await load.journal.more(60)
        load.stop()
        await callers
        await load.settle()
    return load.journal
