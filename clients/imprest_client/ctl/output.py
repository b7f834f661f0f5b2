"""How answers look: tables for people, JSON and CSV for machines, all from one description of a row."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from itertools import islice
from typing import Any, Generic, TypeAlias, TypeVar
from zoneinfo import ZoneInfo

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from imprest_client.ctl.failures import Failure
from imprest_client.ctl.stories.event import Event
from imprest_client.ctl.values import labels_text, money, plain, rfc3339, when

T = TypeVar("T")
R = TypeVar("R")

#: What a field of a row may be; an enum is a text, None is "not set".
Value: TypeAlias = "Decimal | datetime | str | int | bool | bytes | Mapping[str, Any] | Sequence[Any] | None"

#: How many rows a table shows on a terminal unless it is told.
SCREENFUL = 100


class Format(StrEnum):
    """Who reads it."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


class Look(StrEnum):
    """How a field looks in a table."""

    TEXT = "text"
    ID = "id"
    MONEY = "money"
    NUMBER = "number"
    STATE = "state"


@dataclass(frozen=True)
class Column(Generic[T]):
    """One field of a row.

    `name` is its name in CSV and JSON, where dots nest objects: `balance.wallet`. `title` is its heading in tables; one
    without is for machines only. MONEY is shown with the row's `currency`.
    """

    name: str
    value: Callable[[T], Value]
    title: str = ""
    look: Look = Look.TEXT


@dataclass(frozen=True)
class Row(Generic[T]):
    """The description of a kind of row. `currency` tells the currency code of the money in it."""

    columns: tuple[Column[T], ...]
    currency: Callable[[T], str]

    def nested(self, name: str, of: Callable[[R], T]) -> tuple[Column[R], ...]:
        """The columns of a row that stands inside another one under `name`."""
        return tuple(Column(f"{name}.{c.name}", _through(of, c.value), c.title, c.look) for c in self.columns)

    def titled(self, **titles: str) -> Row[T]:
        """The same row, but in tables only these columns show, under these titles."""
        return replace(self, columns=tuple(replace(c, title=titles.get(c.name, "")) for c in self.columns))


def _through(of: Callable[[R], T], value: Callable[[T], Value]) -> Callable[[R], Value]:
    return lambda row: value(of(row))


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """A reader that has seen enough is no failure of ours; `session.run` sees to it."""
        raise BrokenPipeError


class Output:
    """Writes answers to standard output, and remarks to standard error."""

    def __init__(self, form: Format, zone: ZoneInfo) -> None:
        self.form = form
        self.zone = zone
        self._out = _Console(highlight=False, markup=False, emoji=False)
        self._err = _Console(stderr=True, highlight=False, markup=False, emoji=False)

    def say(self, text: str) -> None:
        """A sentence for people; machines do not see it."""
        if self.form is Format.TABLE:
            self._line(Text(text))

    def note(self, text: str) -> None:
        """A remark beside the answer, for people."""
        if self.form is Format.TABLE:
            _write(self._err, Text(text, style="dim"))

    def one(self, row: Row[T], item: T) -> None:
        """A single thing: in JSON an object, in CSV a header and a line, for people a list of its fields."""
        match self.form:
            case Format.JSON:
                sys.stdout.write(json.dumps(as_object(row, item), indent=2, ensure_ascii=False) + "\n")
            case Format.CSV:
                self._csv(row, [item])
            case Format.TABLE:
                self._fields(row, item)

    def many(self, row: Row[T], items: Iterable[T], *, limit: int | None = None, nothing: str = "nothing") -> None:
        """A list: in JSON an array with an item per line, in CSV a header and lines, for people a table.

        `limit` 0 is no limit. Without one a table on a terminal ends after a screenful and says so; whatever is read
        by something else is complete.
        """
        on_screen = self.form is Format.TABLE and sys.stdout.isatty()
        most = (SCREENFUL if on_screen else 0) if limit is None else limit
        shown = _Cut(items, most)
        match self.form:
            case Format.JSON:
                self._array(row, shown)
            case Format.CSV:
                self._csv(row, shown)
            case Format.TABLE:
                self._table(row, list(shown), nothing)
        if shown.has_more:
            self.note(f"the first {most} only; --limit 0 shows all")

    def lines(self, row: Row[T]) -> Callable[[T, str], None]:
        """What writes one thing after the other, each in a line and at once, with the token to go on after it.

        In JSON an object per line, in CSV a row below a header, for people its fields in a row.
        """
        if self.form is Format.CSV:
            csv.writer(sys.stdout, lineterminator="\n").writerow([*(c.name for c in row.columns), "resume_token"])
            sys.stdout.flush()

        def write(item: T, resume_token: str) -> None:
            match self.form:
                case Format.JSON:
                    content = {**as_object(row, item), "resume_token": resume_token}
                    sys.stdout.write(json.dumps(content, ensure_ascii=False) + "\n")
                case Format.CSV:
                    cells = [_csv_cell(column.value(item)) for column in row.columns]
                    csv.writer(sys.stdout, lineterminator="\n").writerow([*cells, resume_token])
                case Format.TABLE:
                    shown = [self._cell(row, column, item) for column in row.columns if column.title]
                    self._line(Text("  ").join(shown))
            sys.stdout.flush()

        return write

    def story(self, events: Iterable[Event]) -> None:
        """The steps of a story for people, each beside its time; on a terminal long ones are wrapped."""
        if self.form is not Format.TABLE:
            return
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(no_wrap=True, style="dim")
        grid.add_column(overflow="fold")
        steps = [(when(event.time, self.zone) if event.time else "", event.text) for event in events]
        for time, text in steps:
            grid.add_row(time, Text(text))
        if sys.stdout.isatty():
            self._out.print(grid)
            return
        width = max(len(time) for time, _ in steps)
        for time, text in steps:
            self._line(Text(f"{time:{width}}  {text}"))

    def document(self, content: Mapping[str, Any]) -> None:
        """A single JSON object of any shape."""
        sys.stdout.write(json.dumps(content, indent=2, ensure_ascii=False) + "\n")

    def fail(self, failure: Failure) -> None:
        """Why the command failed, on standard error."""
        if self.form is Format.JSON:
            sys.stderr.write(json.dumps({"error": _failure_object(failure)}, ensure_ascii=False) + "\n")
            return
        _write(self._err, Text(f"imprestctl: {failure.reason}: {failure.message}", style="red"))
        if len(failure.violations) > 1:  # a single one is the message
            for where, problem in failure.violations.items():
                _write(self._err, Text(f"  {where}: {problem}"))
        if failure.hint:
            _write(self._err, Text(f"hint: {failure.hint}"))

    def _line(self, text: Text) -> None:
        _write(self._out, text)

    # ── for machines ─────────────────────────────────────────────────────────────────────────────────

    def _array(self, row: Row[T], items: Iterable[T]) -> None:
        between = "[\n"
        for item in items:
            sys.stdout.write(between + json.dumps(as_object(row, item), ensure_ascii=False))
            between = ",\n"
        sys.stdout.write("[]\n" if between == "[\n" else "\n]\n")

    def _csv(self, row: Row[T], items: Iterable[T]) -> None:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow([column.name for column in row.columns])
        writer.writerows([_csv_cell(column.value(item)) for column in row.columns] for item in items)

    # ── for people ───────────────────────────────────────────────────────────────────────────────────

    def _table(self, row: Row[T], items: Sequence[T], nothing: str) -> None:
        if not items:
            self._line(Text(f"({nothing})", style="dim"))
            return
        columns = [column for column in row.columns if column.title]
        cells = [[self._cell(row, column, item) for column in columns] for item in items]
        head = [Text(column.title.upper(), style="bold") for column in columns]
        widths = [max(cell_len(line[i].plain) for line in [head, *cells]) for i in range(len(columns))]
        for line in [head, *cells]:
            self._line(_joined(line, widths, [_is_right(column) for column in columns]))

    def _fields(self, row: Row[T], item: T) -> None:
        columns = [c for c in row.columns if c.title and not (c.look is Look.ID and not c.value(item))]
        label = max(cell_len(column.title) for column in columns)
        cells = [self._cell(row, column, item) for column in columns]
        is_amount = [column.look is Look.MONEY and column.value(item) is not None for column in columns]
        widest = max((cell_len(cell.plain) for cell, right in zip(cells, is_amount, strict=True) if right), default=0)
        for column, cell, right in zip(columns, cells, is_amount, strict=True):
            width = widest if right else cell_len(cell.plain)
            self._line(_joined([Text(column.title, style="dim"), cell], [label, width], [False, right]))

    def _cell(self, row: Row[T], column: Column[T], item: T) -> Text:
        value = column.value(item)
        if value is None or value == "" or value == {}:
            return Text("-", style="dim")
        match column.look, value:
            case Look.MONEY, Decimal():
                return Text(money(value, row.currency(item)))
            case _, datetime():
                return Text(when(value, self.zone))
            case _, bool():
                return Text("yes" if value else "no")
            case _, Mapping():
                return Text(labels_text(value))
            case Look.ID, _:
                return Text(str(value), style="dim")
            case Look.STATE, _:
                return Text(str(value), style=_STATES.get(str(value), ""))
            case _:
                return Text(str(value))


_STATES = {"ACTIVE": "green", "FROZEN": "yellow", "EXPIRED": "yellow", "CLOSED": "dim", "VOIDED": "dim"}


class _Cut(Generic[T]):
    """At most `most` items (0: all), and whether there were more."""

    def __init__(self, items: Iterable[T], most: int) -> None:
        self._items = iter(items)
        self._most = most
        self.has_more = False

    def __iter__(self) -> Iterator[T]:
        if not self._most:
            yield from self._items
            return
        yield from islice(self._items, self._most)
        self.has_more = next(self._items, None) is not None


def _write(console: Console, text: Text) -> None:
    # Whole lines, however wide the terminal is: an id that was cut or wrapped cannot be copied.
    console.print(text, soft_wrap=True)


def _joined(cells: Sequence[Text], widths: Sequence[int], right: Sequence[bool]) -> Text:
    line = Text()
    for number, (cell, width, is_right) in enumerate(zip(cells, widths, right, strict=True)):
        padding = " " * (width - cell_len(cell.plain))
        line.append("  " if number else "")
        if is_right:
            line.append(padding)
        line.append_text(cell)
        if not is_right and number < len(cells) - 1:
            line.append(padding)
    return line


def _is_right(column: Column[T]) -> bool:
    return column.look in (Look.MONEY, Look.NUMBER)


def as_object(row: Row[T], item: T) -> dict[str, Any]:
    """The thing as a JSON object."""
    result: dict[str, Any] = {}
    for column in row.columns:
        *path, name = column.name.split(".")
        target = result
        for step in path:
            target = target.setdefault(step, {})
        target[name] = json_value(column.value(item))
    return result


def json_value(value: Value) -> Any:
    """The value in JSON: decimals and times are strings, so that nothing is rounded on the way."""
    match value:
        case Decimal():
            return plain(value)
        case datetime():
            return rfc3339(value)
        case bytes():
            return value.hex()
        case Mapping():
            return {key: json_value(member) for key, member in value.items()}
        case None | str() | bool() | int():
            return value
        case _:
            return [json_value(member) for member in value]


def _csv_cell(value: Value) -> str:
    content = json_value(value)
    match content:
        case None:
            return ""
        case bool():
            return "true" if content else "false"
        case str() | int():
            return str(content)
        case _:
            return json.dumps(content, ensure_ascii=False)


def _failure_object(failure: Failure) -> dict[str, Any]:
    return {
        "reason": failure.reason,
        "message": failure.message,
        "values": dict(sorted(failure.values.items())),
        **({"violations": dict(failure.violations)} if failure.violations else {}),
        "hint": failure.hint,
        "replayed": failure.replayed,
        "idempotency_key": failure.idempotency_key,
        "exit_code": int(failure.exit_code),
    }
