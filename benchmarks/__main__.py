"""`make bench`: run the rows and print one table."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmarks import report
from benchmarks.harness import Sample, Timing, open_bench, run_rounds
from benchmarks.machine import describe_machine
from benchmarks.profiling import profile_row
from benchmarks.report import Line
from benchmarks.rows import ROWS, chosen


def main(arguments: Sequence[str] | None = None) -> list[Line]:
    """Do what the command line says; returns the lines of the table."""
    options = _parser().parse_args(arguments)
    timing = Timing(warmup_s=options.warmup, seconds=options.seconds)
    console = Console(width=options.width, highlight=False)
    try:
        rows = chosen(options.only or ([options.profile] if options.profile else []))
    except ValueError as error:
        sys.exit(f"bench: {error}")
    if options.profile:
        (row,) = (row for row in ROWS if row.name == options.profile)
        profile_row(row, timing, console)
        return []

    skipped = {row.name: why for row in rows if (why := row.missing()) is not None}
    progress = Console(stderr=True, highlight=False)

    def tell(sample: Sample) -> None:
        progress.print(f"round {sample.round + 1}: {sample.row:22} {sample.per_s:10,.0f} ops/s")

    with open_bench() as bench:
        machine = describe_machine(bench.cluster.version)
        todo = [row for row in rows if row.name not in skipped]
        samples = run_rounds(bench, todo, timing, options.repeat, tell)
    lines = report.lines_of(rows, samples, skipped)
    notes = report.notes_of(lines, samples, timing, options.repeat)
    console.print(report.terminal_table(lines))
    for note in notes:
        console.print(note)
    if options.json:
        Path(options.json).write_text(json.dumps(report.results(lines, samples, machine, notes), indent=1) + "\n")
    if options.write:
        report.write_markdown(Path(options.write), report.markdown(lines, notes, machine))
    return lines


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make bench ARGS=…",
        description="Measure Imprest against its floor and against what one would write instead. Rows: "
        + ", ".join(row.name for row in ROWS),
    )
    parser.add_argument("--only", nargs="+", metavar="ROW", help="these rows and the floor (unary: all of them)")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each sample counts (default 3)")
    parser.add_argument("--warmup", type=float, default=1.0, help="how long it runs before (default 1)")
    parser.add_argument("--repeat", type=int, default=3, help="rounds of all rows (default 3)")
    parser.add_argument("--json", metavar="FILE", help="write all samples there")
    parser.add_argument("--write", metavar="FILE", help="put the table into this page, as docs/PERFORMANCE.md")
    parser.add_argument("--profile", metavar="ROW", help="instead: where one row's time goes, in Python and in SQL")
    parser.add_argument("--width", type=int, default=200, help="columns of the terminal (default 200)")
    return parser


if __name__ == "__main__":
    main()
