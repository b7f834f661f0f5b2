"""The examples of the client library print what is committed beside them, against a live server."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.command import serving
from tests.support.patience import PATIENCE_S

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = ("admin", "controller", "agent")  # the admin publishes the prices


def run(name: str, target: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", str(EXAMPLES / f"{name}.py"), target]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=PATIENCE_S)


def test_each_role_at_work(scratch_dir: Path) -> None:
    with serving("--data-dir", str(scratch_dir / f"examples-{time.monotonic_ns()}")) as (_, target, _):
        for name in NAMES:
            for _ in range(2):  # every run has customers of its own
                example = run(name, target)
                assert (example.returncode, example.stderr) == (0, "")
                assert example.stdout == (EXAMPLES / f"{name}.txt").read_text(), name


@pytest.mark.parametrize("name", [*NAMES, "first_call"])
def test_they_are_short(name: str) -> None:
    assert len((EXAMPLES / f"{name}.py").read_text().splitlines()) < 60
