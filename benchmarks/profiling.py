"""Where a row's time goes: Python functions by CPU samples, SQL statements by Postgres's own log of durations."""

from __future__ import annotations

import json
import re
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.harness import Sample, Timing, open_bench
from benchmarks.rows import Row
from imprest_server.ledger.store import SQL

#: Every statement's duration with its text, without its parameters.
_LOG_ALL = {"log_min_duration_statement": "0", "log_parameter_max_length": "0", "log_line_prefix": "%u@%d "}
_DURATION = re.compile(
    r"^imprest_app@bench_\d+ LOG:  duration: ([\d.]+) ms  (?:(parse|bind|execute) [^:]*|statement): (.*)$"
)
_SHOWN = 45


def profile_row(row: Row, timing: Timing, console: Console) -> None:
    """Run the row twice: once for the Python profile, once with a Postgres that logs every statement."""
    if (why := row.missing()) is not None:
        console.print(f"{row.title}: {why}")
        return
    with tempfile.TemporaryDirectory() as directory, open_bench() as bench:
        sample = bench.sample(row, timing, 0, profile=Path(directory))
        profiles = {path.stem: json.loads(path.read_text()) for path in sorted(Path(directory).glob("*.json"))}
    console.print(f"{row.title}: {sample.per_s:,.0f} ops/s")
    for role, cpu_s in (sample.spent.cpu_s or {}).items():
        console.print(f"  {role}: {cpu_s / sample.operations * 1e6:,.1f} µs of CPU per operation")
    for name, profile in profiles.items():
        console.print(_python_table(name, profile, sample))
    with open_bench(_LOG_ALL) as bench:
        sample = bench.sample(row, timing, 0)
        log = next(bench.cluster.data_dir.glob("*.log")).read_text(errors="replace")
    console.print(_sql_table(log))


def _python_table(name: str, profile: dict[str, object], sample: Sample) -> Table:
    samples, functions = profile["samples"], profile["functions"]
    assert isinstance(samples, int) and isinstance(functions, list)
    # The kernel may take fewer samples than it is asked for, so what one is worth comes from the process's CPU time.
    role = "server" if name == "server" or "client" not in (sample.spent.cpu_s or {}) else "client"
    cpu_s = (sample.spent.cpu_s or {}).get(role, samples * 0.001)
    us = cpu_s * 1e6 / sample.operations / max(samples, 1)
    table = Table(title=f"{name}: {samples:,} samples", title_justify="left")
    table.add_column("function")
    for heading in ("own %", "own µs/op", "with callees %", "with callees µs/op"):
        table.add_column(heading, justify="right")
    by_own = sorted(functions, key=lambda row: -row[1])[:_SHOWN]
    top = {row[0] for row in by_own} | {row[0] for row in functions[:_SHOWN]}
    for function, own, inclusive in functions:
        if function in top:
            shares = (own / samples, inclusive / samples) if samples else (0.0, 0.0)
            table.add_row(function, f"{shares[0]:.1%}", f"{own * us:.1f}", f"{shares[1]:.1%}", f"{inclusive * us:.1f}")
    return table


def _sql_table(log: str) -> Table:
    totals: defaultdict[str, float] = defaultdict(float)
    counts: defaultdict[str, int] = defaultdict(int)
    names = {_squeezed(text): name for name, text in SQL.items()}
    for ms, phase, text in _durations(log):
        name = _name_of(text, names)
        totals[name] += ms
        if phase in ("execute", ""):
            counts[name] += 1
    batches = max(counts["commit"], 1)
    whole = sum(totals.values()) or 1.0
    table = Table(title=f"Postgres: {batches:,} batches, warm-up included", title_justify="left")
    table.add_column("statement")
    for heading in ("%", "ms per batch", "ms per run", "runs"):
        table.add_column(heading, justify="right")
    for name, ms in sorted(totals.items(), key=lambda item: -item[1])[:_SHOWN]:
        runs = max(counts[name], 1)
        table.add_row(name, f"{ms / whole:.1%}", f"{ms / batches:.3f}", f"{ms / runs:.3f}", f"{counts[name]:,}")
    table.add_row("all", "", f"{whole / batches:.3f}", "", "")
    return table


def _durations(log: str) -> Iterator[tuple[float, str, str]]:
    """Milliseconds, phase and text of each statement; its further lines are indented."""
    current: tuple[float, str, list[str]] | None = None
    for line in log.splitlines():
        found = _DURATION.match(line)
        if found or not line.startswith("\t"):
            if current is not None:
                yield current[0], current[1], "\n".join(current[2])
            current = (float(found[1]), found[2] or "", [found[3]]) if found else None
        elif current is not None:
            current[2].append(line)
    if current is not None:
        yield current[0], current[1], "\n".join(current[2])


def _name_of(text: str, names: dict[str, str]) -> str:
    """The block whose text it is, or the longest that it contains: updates stand in a WITH, lists in many."""
    squeezed = _squeezed(text)
    inside = [block for block in names if block == squeezed or (len(block) > 80 and block in squeezed)]
    return names[max(inside, key=len)] if inside else squeezed[:60]


def _squeezed(text: str) -> str:
    """The text without comments, white space and the names of parameters."""
    text = re.sub(r"--[^\n]*", "", text)
    text = re.sub(r"%\(\w+\)s|%s|\$\d+", "?", text)
    return re.sub(r"\s+", " ", text).strip()
