"""The examples as a newcomer runs them: real processes, real gRPC, a database of their own."""

import subprocess
import sys
from pathlib import Path

import pytest

from examples.callcenter.server import own_server
from tests.support.patience import PATIENCE_S

_EXAMPLES = Path(__file__).parents[2] / "examples"


def _run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(_EXAMPLES / program), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=2 * PATIENCE_S, check=False)


@pytest.fixture(scope="module")
def data_dir(scratch_dir: Path) -> Path:
    return scratch_dir / "examples"


def test_the_demo_ends_with_books_that_are_right() -> None:
    demo = _run("demo.py", "--limit", "150")
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert demo.stdout.splitlines()[-1] == "verify: OK"
    assert "150 calls" in demo.stdout
    assert "books of 12 accounts agree" in demo.stdout
    alerts = [line for line in demo.stdout.splitlines() if line.startswith("alert ")]
    assert [line.partition(" has reached ")[2].partition(" of ")[0] for line in alerts] == ["80 %", "95 %", "100 %"]
    assert demo.stderr == ""


def test_the_demo_refuses_a_useless_call_file(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("start,account\n")
    demo = _run("demo.py", "--calls", str(tmp_path / "mine.csv"))
    assert demo.returncode == 1
    assert "mine.csv lacks the column agent" in demo.stderr
    assert "Traceback" not in demo.stderr


def test_a_first_call_prints_what_the_readme_says_and_can_be_repeated(data_dir: Path) -> None:
    with own_server(data_dir) as target:
        first, second = _run("first_call.py", target), _run("first_call.py", target)
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout == (_EXAMPLES / "first_call.txt").read_text()
    # The account and its credit are there already: only the second call is charged.
    assert second.stdout.splitlines()[-1] == "charged 0.35 USD, 24.3 left, 0 held"


def test_the_demo_uses_a_running_server_beside_its_other_customers(data_dir: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.csv"
    header = (_EXAMPLES / "calls.csv").read_text().splitlines()[0]
    row = "2026-03-02T09:15:00Z,acme,bot,+1 212-555-0100,+1 415-555-0111,inbound,{},1000,100,250,90"
    own.write_text("\n".join([header, *(row.format(seconds) for seconds in (90, -1, 0, 400))]))
    with own_server(data_dir) as target:
        for _ in range(2):
            demo = _run("demo.py", "--calls", str(own), "--target", target, "--data-dir", str(data_dir))
            assert demo.returncode == 0, demo.stdout + demo.stderr
            assert "line 3, column duration_s: '-1' is negative" in demo.stdout
            assert demo.stdout.splitlines()[-1] == "verify: OK"
