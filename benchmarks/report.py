"""Samples as a table: for the terminal, for docs/PERFORMANCE.md, and as data."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks.harness import Sample, Timing
from benchmarks.rows import FLOOR, Row

_BEGIN, _END = "<!-- make bench: begin -->", "<!-- make bench: end -->"
_NOTHING = "–"

HEADINGS = (
    "what",
    "ops/s",
    "min–max",
    "× floor",
    "× other row",
    "p50 ms",
    "p99 ms",
    "CPU µs/op",
    "client",
    "server",
    "Postgres",
    "WAL B/op",
    "tables B/op",
    "ops/commit",
)


@dataclass(frozen=True)
class Line:
    """A row's cells, in the order of HEADINGS; `skipped` says why there are none."""

    row: Row
    cells: tuple[str, ...]
    skipped: str | None = None


def lines_of(rows: Iterable[Row], samples: Sequence[Sample], skipped: Mapping[str, str]) -> list[Line]:
    """The table's lines. A ratio is the median over rounds, each round against the same round of the other row."""
    by_row: defaultdict[str, dict[int, Sample]] = defaultdict(dict)
    for sample in samples:
        by_row[sample.row][sample.round] = sample
    lines = []
    for row in rows:
        if row.name in skipped:
            lines.append(Line(row, (row.title, *[_NOTHING] * (len(HEADINGS) - 1)), skipped[row.name]))
        else:
            lines.append(Line(row, _cells(row, by_row)))
    return lines


def _cells(row: Row, by_row: Mapping[str, Mapping[int, Sample]]) -> tuple[str, ...]:
    rounds = by_row[row.name]
    samples = list(rounds.values())
    rates = [sample.per_s for sample in samples]
    cpu = {role: _median(samples, lambda s, role=role: _cpu_us(s, role)) for role in ("client", "server", "postgres")}
    known = [us for us in cpu.values() if us is not None]
    other = _ratio(rounds, by_row.get(row.against or "", {}))
    return (
        row.title,
        f"{statistics.median(rates):,.0f}",
        f"{min(rates):,.0f}–{max(rates):,.0f}",
        _ratio(rounds, by_row.get(FLOOR, {})) or _NOTHING,
        f"{other} {row.against}" if other else _NOTHING,
        _number(_median(samples, lambda s: s.p50_ms), 1),
        _number(_median(samples, lambda s: s.p99_ms), 1),
        _number(sum(known), 0) if known else _NOTHING,
        *(_number(us, 0) for us in cpu.values()),
        _number(_median(samples, lambda s: _per_operation(s, s.spent.wal_bytes)), 0),
        _number(_median(samples, lambda s: _per_operation(s, s.spent.table_bytes)), 0),
        _number(_median(samples, _per_commit), 0),
    )


def _ratio(rounds: Mapping[int, Sample], others: Mapping[int, Sample]) -> str | None:
    ratios = [rounds[n].per_s / others[n].per_s for n in rounds if n in others and others[n].operations]
    return f"{statistics.median(ratios):.2f}" if ratios else None


def _median(samples: Sequence[Sample], of: Callable[[Sample], float | None]) -> float | None:
    values = [value for sample in samples if (value := of(sample)) is not None]
    return statistics.median(values) if values else None


def _cpu_us(sample: Sample, role: str) -> float | None:
    if sample.spent.cpu_s is None or role not in sample.spent.cpu_s:
        return None
    return _per_operation(sample, sample.spent.cpu_s[role] * 1e6)


def _per_commit(sample: Sample) -> float | None:
    """None for a load that writes nothing (a sweeper or an autovacuum may have)."""
    return sample.operations / sample.spent.transactions if sample.spent.transactions > 5 else None


def _per_operation(sample: Sample, amount: float) -> float | None:
    return amount / sample.operations if sample.operations else None


def _number(value: float | None, digits: int) -> str:
    return _NOTHING if value is None else f"{value:,.{digits}f}"


def notes_of(lines: Sequence[Line], samples: Sequence[Sample], timing: Timing, rounds: int) -> list[str]:
    """What stands below the table: how it was measured, what is missing, how busy the machine was otherwise."""
    how = (
        f"Median of {rounds} rounds of all rows, {timing.seconds:g} s each after {timing.warmup_s:g} s to warm up; "
        "a ratio is the median over rounds. A Reserve and its Commit are two operations. Without gRPC the caller "
        "counts as the server."
    )
    notes = [how]
    others = [s.spent.others_cpu_s / s.elapsed_s for s in samples if s.spent.others_cpu_s is not None]
    if others:
        usual, most = statistics.median(others), max(others)
        notes.append(f"Other processes used {usual:.2f} cores while this ran (median; at most {most:.2f}).")
    notes += [f"Left out: {line.row.title} ({line.skipped})." for line in lines if line.skipped]
    return notes


def terminal_table(lines: Sequence[Line]) -> Table:
    """The table for a terminal."""
    table = Table(header_style="bold", pad_edge=False)
    for number, heading in enumerate(HEADINGS):
        table.add_column(heading, justify="right" if number else "left", no_wrap=not number)
    for line in lines:
        table.add_row(*line.cells)
    return table


def markdown(lines: Sequence[Line], notes: Sequence[str], machine: Mapping[str, str]) -> str:
    """The block of docs/PERFORMANCE.md between its marks."""
    header = f"| {' | '.join(HEADINGS)} |\n|---|{'---:|' * (len(HEADINGS) - 1)}"
    body = "\n".join(f"| {' | '.join(line.cells)} |" for line in lines)
    about = "\n".join(f"- {name}: {value}" for name, value in machine.items())
    return (
        f"Measured on {_today()} with `make bench` on\n\n{about}\n\n{header}\n{body}\n\n"
        + "\n".join(f"{note}  " for note in notes).rstrip()
    )


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


def write_markdown(path: Path, block: str) -> None:
    """Put the block between the marks of the file; a file without marks gets them at its end."""
    text = path.read_text() if path.exists() else "# Performance\n"
    marked = f"{_BEGIN}\n\n{block}\n\n{_END}"
    before, begin, rest = text.partition(_BEGIN)
    if begin:
        _, _, after = rest.partition(_END)
        path.write_text(before + marked + after)
    else:
        path.write_text(f"{text.rstrip()}\n\n{marked}\n")


def results(
    lines: Sequence[Line], samples: Sequence[Sample], machine: Mapping[str, str], notes: Sequence[str]
) -> dict[str, Any]:
    """Everything, for a results file."""
    return {
        "date": _today(),
        "machine": dict(machine),
        "notes": list(notes),
        "headings": HEADINGS,
        "rows": [{"name": line.row.name, "cells": line.cells, "skipped": line.skipped} for line in lines],
        "samples": [sample.to_dict() for sample in samples],
    }
