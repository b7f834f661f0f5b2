"""The spool: a durable queue in a file, used by several processes, and killed at any time."""

import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from imprest_client.spool import LONGEST_WAIT_S, Spool, SpoolError, SpoolState


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool.db"


@pytest.fixture
def spool(path: Path) -> Iterator[Spool]:
    with Spool(path) as opened:
        yield opened


def add(spool: Spool, subject: str, key: str, wait_s: float = 0) -> int:
    return spool.add(subject, "/m", key, key.encode(), wait_s)[0]


def keys(entries: object) -> list[str]:
    return [entry.idempotency_key for entry in entries]  # type: ignore[attr-defined]


def test_an_entry_keeps_everything(path: Path) -> None:
    before = datetime.now(UTC)
    with Spool(path) as spool:
        entry_id, is_first = spool.add("rsv_1", "/imprest.v1.LedgerService/Commit", "k", b"\x00\xff", 0)
    with Spool(path) as spool:
        (entry,) = spool.entries()
    assert is_first
    assert (entry.entry_id, entry.subject, entry.idempotency_key) == (entry_id, "rsv_1", "k")
    assert (entry.method, entry.request) == ("/imprest.v1.LedgerService/Commit", b"\x00\xff")
    assert (entry.state, entry.attempt_count, entry.error) == (SpoolState.PENDING, 0, "")
    assert before <= entry.created_at <= datetime.now(UTC)


def test_entries_are_claimed_in_order_and_one_of_each_subject(spool: Spool) -> None:
    first = add(spool, "a", "1")
    assert spool.add("a", "/m", "2", b"", 0)[1] is False
    for number in "345":
        add(spool, number, number)
    assert keys(spool.claim(3, 60)) == ["1", "3", "4"]
    assert keys(spool.claim(3, 60)) == ["5"], "what is claimed is nobody else's"
    assert spool.claim(3, 60) == []
    spool.discard(first)
    assert keys(spool.claim(3, 60)) == ["2"], "its predecessor is delivered"


def test_a_refused_entry_lets_the_next_pass_and_stays(spool: Spool) -> None:
    first, second = add(spool, "a", "1"), add(spool, "a", "2")
    spool.refuse(first, "RESERVATION_VOIDED: it is voided")
    assert keys(spool.claim(9, 60)) == ["2"]
    assert keys(spool.entries(SpoolState.REFUSED)) == ["1"]
    assert spool.entries(SpoolState.REFUSED)[0].error == "RESERVATION_VOIDED: it is voided"
    assert (spool.count(SpoolState.PENDING), spool.count(SpoolState.REFUSED)) == (1, 1)
    spool.discard(second)
    assert spool.resend(first)
    assert keys(spool.claim(9, 60)) == ["1"]
    assert spool.discard(first)
    assert spool.entries() == []
    assert not spool.resend(first)
    assert not spool.discard(first)


def test_nobody_else_sends_what_its_owner_is_sending(spool: Spool) -> None:
    add(spool, "a", "1", wait_s=60)
    assert spool.claim(9, 60) == []
    due_s = spool.next_due_s()
    assert due_s is not None
    assert 0 < due_s <= 60
    spool.hurry()
    assert spool.next_due_s() == 0
    assert keys(spool.claim(9, 60)) == ["1"]


def test_a_failed_attempt_is_noted_and_postponed(spool: Spool) -> None:
    entry_id = add(spool, "a", "1")
    spool.postpone(entry_id, 30, "UNAVAILABLE: gone")
    (entry,) = spool.entries()
    assert (entry.attempt_count, entry.error, entry.state) == (1, "UNAVAILABLE: gone", SpoolState.PENDING)
    assert spool.claim(9, 60) == []


def test_a_clock_that_was_wrong_does_not_hold_entries_back(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("imprest_client.spool.time.time", lambda: 4e9)
        add(spool, "a", "1", wait_s=30)
    assert keys(spool.claim(9, 60)) == ["1"]
    assert (spool.next_due_s() or 0) <= LONGEST_WAIT_S


def test_writes_are_on_the_disk_before_they_return(spool: Spool) -> None:
    settings = {
        name: spool._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")
    }
    assert settings == {"journal_mode": "wal", "synchronous": 2}


def test_another_file_is_refused_and_unharmed(path: Path) -> None:
    path.write_text("a diary, not a database; " * 100)
    with pytest.raises(SpoolError, match="is not a spool"):
        Spool(path)
    assert path.read_text().startswith("a diary")


def test_the_database_of_another_program_is_refused_and_unharmed(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE diary (day TEXT)")
    with pytest.raises(SpoolError, match="another program's"):
        Spool(path)
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("diary",)]


def test_what_fails_again_and_again_holds_nothing_up(spool: Spool) -> None:
    for number in "12":
        spool.postpone(add(spool, number, number), 0, "a fault of the server")
    add(spool, "3", "3")
    assert keys(spool.claim(2, 0)) == ["1", "2"]
    assert keys(spool.claim(1, 0)) == ["3"], "the others have had their turn"


def test_a_file_of_a_later_release_is_refused(path: Path) -> None:
    Spool(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 9")
    with pytest.raises(SpoolError, match="version 9"):
        Spool(path)


def test_many_threads_and_connections_lose_and_double_nothing(path: Path) -> None:
    with Spool(path) as one, Spool(path) as two, Spool(path) as three, ThreadPoolExecutor(6) as pool:

        def work(number: int) -> list[str]:
            mine = (one, two, three)[number % 3]
            add(mine, str(number), str(number))
            return keys(mine.claim(2, 60))

        claimed = [key for found in pool.map(work, range(60)) for key in found]
        while left := keys(one.claim(9, 60)):
            claimed += left
    assert sorted(claimed, key=int) == [str(number) for number in range(60)]


def test_a_killed_process_leaves_all_it_has_reported(path: Path) -> None:
    writer = textwrap.dedent("""
        import sys, time
        from imprest_client.spool import Spool
        spool = Spool(sys.argv[1])
        for number in range(10**6):
            spool.add(str(number), "/m", str(number), b"", 0)
            print(number, flush=True)
            time.sleep(0.01)  # the other one has its turn, too
    """)

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen([sys.executable, "-c", writer, str(path)], stdout=subprocess.PIPE, text=True)

    reported = []
    with start() as one, start() as two:
        for process in (one, two):
            assert process.stdout is not None
            while (number := int(process.stdout.readline())) < 20:
                pass
            process.send_signal(signal.SIGKILL)
            whole_lines = process.stdout.read().split("\n")[:-1]
            reported.append(max([number, *map(int, whole_lines)]))
    with Spool(path) as spool:
        kept = [int(entry.idempotency_key) for entry in spool.entries()]
    for last in reported:
        assert set(range(last + 1)) <= set(kept)
    assert len(kept) >= sum(reported) + 2
