"""Reads a call file: our `calls.csv` or the export of your own telephone system.

Every row stands on a line of its own, so a broken row never drags others along: each problem is reported with its line
and column, and the good rows are used. Nothing useful left, or a required column missing: CallFileError.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from pathlib import Path
from typing import BinaryIO, cast

from .calls import Call, Direction, Usage

REQUIRED = ("start", "account", "agent", "from", "to", "direction", "duration_s")
USAGE = ("llm_input_tokens", "llm_output_tokens", "tts_characters", "stt_seconds")

MAX_CALLS = 200_000
MAX_LINE_BYTES = 16_384
MAX_DURATION_S = 24 * 3600
MAX_QUANTITY = 10**9
#: Problems kept with their text; further ones are counted.
MAX_PROBLEMS = 1_000

_ACCOUNT = re.compile(r"[A-Za-z0-9._:-]{1,40}")
_TEXT_MAX = 100


class CallFileError(Exception):
    """The file cannot be used at all."""


class _BadCell(Exception):
    """A cell that makes its row useless."""

    def __init__(self, column: str, text: str) -> None:
        super().__init__(text)
        self.column = column


@dataclass(frozen=True)
class Problem:
    """Why a row was left out. `column` is empty when the whole line is to blame."""

    line: int
    column: str
    text: str

    def __str__(self) -> str:
        """`line 7, column duration_s: '-5' is negative`."""
        column = f", column {self.column}" if self.column else ""
        return f"line {self.line}{column}: {self.text}"


@dataclass
class CallFile:
    """What a file held: calls in the order of their start, and what was wrong with the rest."""

    calls: list[Call] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    bad_row_count: int = 0
    ignored_columns: list[str] = field(default_factory=list)
    truncated: bool = False

    def add_problem(self, problem: Problem) -> None:
        """Count a bad row; remember its problem when there are not too many yet."""
        self.bad_row_count += 1
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(problem)


def read_calls(path: Path) -> CallFile:
    """Read a call file. Memory is bounded, however long the file or a line in it is.

    Raises:
        CallFileError: the file cannot be read, has no header, lacks a required column, or has no good row.
    """
    try:
        with path.open("rb") as stream:
            return _read(stream, path.name)
    except OSError as error:
        raise CallFileError(f"{path}: {error.strerror}") from None


def _read(stream: BinaryIO, name: str) -> CallFile:
    lines = _lines(stream)
    header_line, header = next(((number, text) for number, text in lines if text is None or text.strip()), (0, ""))
    if not header:
        raise CallFileError(f"{name} is empty" if not header_line else f"{name} is not a text file in UTF-8")
    delimiter = max(",;\t", key=header.count)
    columns = _columns(header, delimiter, name)
    found = CallFile(ignored_columns=[column for column in columns if column not in REQUIRED + USAGE])
    for number, text in lines:
        if text is not None and not text.strip():
            continue
        if len(found.calls) == MAX_CALLS:
            found.truncated = True
            break
        try:
            found.calls.append(_call(number, _cells(text, columns, delimiter)))
        except _BadCell as error:
            found.add_problem(Problem(number, error.column, str(error)))
    if not found.calls:
        problems = "".join(f"\n  {problem}" for problem in found.problems[:5])
        raise CallFileError(f"{name} has no usable row{':' if problems else ''}{problems}")
    found.calls.sort(key=lambda call: call.start)
    return found


def _lines(stream: BinaryIO) -> Iterator[tuple[int, str | None]]:
    """Number and text of every line; None for a line that is too long or not UTF-8."""
    number = 0
    while raw := stream.readline(MAX_LINE_BYTES):
        number += 1
        too_long = len(raw) == MAX_LINE_BYTES and not raw.endswith(b"\n")
        while len(raw) == MAX_LINE_BYTES and not raw.endswith(b"\n"):
            raw = stream.readline(MAX_LINE_BYTES)
        try:
            text = None if too_long else raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            text = None
        yield number, None if text is None or "\0" in text else text


def _columns(header: str, delimiter: str, name: str) -> list[str]:
    try:
        columns = [cell.strip().lower() for cell in next(csv.reader([header], delimiter=delimiter, strict=True))]
    except csv.Error as error:
        raise CallFileError(f"{name}: the header cannot be read: {error}") from None
    if "duration_s" not in columns:  # seconds, as most exports have them, whatever they call the column
        columns = ["duration_s" if column == "duration" else column for column in columns]
    missing = [column for column in REQUIRED if column not in columns]
    if missing:
        shown = ", ".join(column[:40] for column in columns[:20])
        raise CallFileError(f"{name} lacks the column {', '.join(missing)}; it has {shown}")
    doubled = [column for column in REQUIRED + USAGE if columns.count(column) > 1]
    if doubled:
        raise CallFileError(f"{name} has the column {', '.join(doubled)} more than once")
    return columns


def _cells(text: str | None, columns: list[str], delimiter: str) -> dict[str, str]:
    if text is None:
        raise _BadCell("", f"longer than {MAX_LINE_BYTES} bytes, or not UTF-8")
    try:
        cells = next(csv.reader([text], delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise _BadCell("", f"not CSV ({error}); is a quote left open?") from None
    if len(cells) != len(columns):
        raise _BadCell("", f"{len(cells)} cells, but the header has {len(columns)}")
    return {column: cell.strip() for column, cell in zip(columns, cells, strict=True)}


def _call(number: int, row: dict[str, str]) -> Call:
    if not _ACCOUNT.fullmatch(row["account"]):
        raise _BadCell("account", f"{_shown(row['account'])} is not 1–40 characters of A-Z a-z 0-9 . _ : -")
    return Call(
        call_id=f"call-{number}",
        start=_time(row, "start"),
        account=row["account"],
        agent=_text(row, "agent"),
        from_number=_text(row, "from"),
        to_number=_text(row, "to"),
        direction=_direction(row),
        usage=Usage(_whole(row, "duration_s", MAX_DURATION_S), *(_whole(row, column) for column in USAGE)),
    )


def _time(row: dict[str, str], column: str) -> datetime:
    try:
        moment = datetime.fromisoformat(row[column])
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise _BadCell(column, f"{_shown(row[column])} is not a time such as 2026-03-02T09:15:00Z") from None


def _text(row: dict[str, str], column: str) -> str:
    text = row[column]
    if not text or len(text) > _TEXT_MAX or not text.isprintable():
        raise _BadCell(column, "is empty" if not text else f"{_shown(text)} is too long or not plain text")
    return text


def _direction(row: dict[str, str]) -> Direction:
    direction = row["direction"].lower()
    if direction not in ("inbound", "outbound"):
        raise _BadCell("direction", f"{_shown(row['direction'])} is neither inbound nor outbound")
    return cast(Direction, direction)


def _whole(row: dict[str, str], column: str, largest: int = MAX_QUANTITY) -> int:
    """A quantity; fractions are rounded up, an absent column or an empty usage cell is zero."""
    text = row.get(column, "")
    if not text and column in USAGE:
        return 0
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise _BadCell(column, f"{_shown(text)} is not a number" if text else "is empty") from None
    if not value.is_finite() or value > largest:
        raise _BadCell(column, f"{_shown(text)} is not a number up to {largest}")
    if value < 0:
        raise _BadCell(column, f"{_shown(text)} is negative")
    return int(value.to_integral_value(ROUND_CEILING))


def _shown(text: str) -> str:
    """The text quoted, without control characters, and not too long."""
    return repr(text if len(text) <= 40 else text[:39] + "…")
