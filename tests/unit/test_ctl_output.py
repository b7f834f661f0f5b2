"""How imprestctl writes: one description of a row, three formats."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from imprest_client.ctl.failures import ExitCode, Failure
from imprest_client.ctl.output import Column, Format, Look, Output, Row
from imprest_client.ctl.stories import Event


@dataclass(frozen=True)
class Thing:
    name: str
    price: Decimal | None = Decimal("1.5")
    code: str = "USD"
    identity: str = "rsv_" + "0" * 32
    count: int = 7
    is_open: bool = True
    labels: Any = None
    born: datetime = datetime(2026, 10, 31, 12, 30, 15, 123_456, tzinfo=UTC)


THING = Row[Thing](
    (
        Column("name", lambda t: t.name, "name"),
        Column("price", lambda t: t.price, "price", Look.MONEY),
        Column("currency_code", lambda t: t.code),
        Column("identity", lambda t: t.identity, "id", Look.ID),
        Column("count", lambda t: t.count, "count", Look.NUMBER),
        Column("is_open", lambda t: t.is_open, "open"),
        Column("labels", lambda t: t.labels, "labels"),
        Column("born", lambda t: t.born, "born", Look.TIME),
    ),
    lambda t: t.code,
)
FULL = Thing("[bold]Ä:smile:", labels={"b": "2", "a": "1"})
BARE = Thing("x", price=None, identity="", count=12, is_open=False, labels={})


def output(form: Format) -> Output:
    return Output(form, ZoneInfo("Europe/Berlin"))


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def test_columns_stand_below_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    output(Format.TABLE).many(THING, [FULL, BARE, Thing("y", Decimal("-1234.123456789"))])
    head, *rows = lines(capsys)
    assert [row.split()[0] for row in rows] == ["[bold]Ä:smile:", "x", "y"], "nothing is taken for markup"
    # Money ends where its heading ends; texts begin where theirs begin.
    for row, price in zip(rows, ["1.50 USD", "-", "-1234.123456789 USD"], strict=True):
        assert row[: head.index("PRICE") + 5].endswith(price)
        assert row[head.index("COUNT") : head.index("COUNT") + 5].strip() in ("7", "12")
        assert row[head.index("BORN") :] == "2026-10-31 13:30:15+01:00"
    assert "rsv_" + "0" * 32 in rows[0]


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")


@pytest.mark.usefixtures("narrow")
def test_lines_are_whole_however_narrow_the_window_is(capsys: pytest.CaptureFixture[str]) -> None:
    output(Format.TABLE).many(THING, [FULL])
    output(Format.TABLE).one(THING, FULL)
    printed = lines(capsys)
    assert len(printed) == 2 + 7
    assert sum("rsv_" + "0" * 32 in line for line in printed) == 2


def test_fields(capsys: pytest.CaptureFixture[str]) -> None:
    output(Format.TABLE).one(THING, BARE)
    assert lines(capsys) == [
        "name    x",
        "price   -",
        "count   12",
        "open    no",
        "labels  -",
        "born    2026-10-31 13:30:15+01:00",
    ]


def test_json_is_exact_and_in_utc(capsys: pytest.CaptureFixture[str]) -> None:
    output(Format.JSON).one(THING, FULL)
    assert json.loads(capsys.readouterr().out) == {
        "name": "[bold]Ä:smile:",
        "price": "1.5",
        "currency_code": "USD",
        "identity": "rsv_" + "0" * 32,
        "count": 7,
        "is_open": True,
        "labels": {"a": "1", "b": "2"},
        "born": "2026-10-31T12:30:15.123456Z",
    }
    output(Format.JSON).many(THING, [FULL, BARE])
    text = capsys.readouterr().out
    assert [thing["price"] for thing in json.loads(text)] == ["1.5", None]
    assert len(text.splitlines()) == 4, "an item per line"
    output(Format.JSON).many(THING, [])
    assert json.loads(capsys.readouterr().out) == []


def test_csv_has_the_same_names_and_forms(capsys: pytest.CaptureFixture[str]) -> None:
    output(Format.CSV).many(THING, [FULL, BARE])
    first, second = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert first == {
        "name": "[bold]Ä:smile:",
        "price": "1.5",
        "currency_code": "USD",
        "identity": "rsv_" + "0" * 32,
        "count": "7",
        "is_open": "true",
        "labels": '{"b": "2", "a": "1"}',
        "born": "2026-10-31T12:30:15.123456Z",
    }
    assert (second["price"], second["is_open"], second["labels"]) == ("", "false", "{}")


def test_a_row_inside_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    outer = Row[tuple[str, Thing]](
        (Column("key", lambda pair: pair[0], "key"), *THING.titled(price="its price").nested("thing", lambda p: p[1])),
        lambda pair: pair[1].code,
    )
    output(Format.JSON).one(outer, ("k", FULL))
    content = json.loads(capsys.readouterr().out)
    assert (content["key"], content["thing"]["price"]) == ("k", "1.5")
    output(Format.TABLE).one(outer, ("k", FULL))
    assert lines(capsys) == ["key        k", "its price  1.50 USD"]
    output(Format.CSV).one(outer, ("k", FULL))
    assert lines(capsys)[0].startswith("key,thing.name,thing.price,")


def test_lists_are_complete_unless_a_terminal_or_a_limit_asks_for_less(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = 0

    def many() -> Iterator[Thing]:
        nonlocal taken
        for number in range(1000):
            taken += 1
            yield Thing(str(number))

    output(Format.TABLE).many(THING, many())
    assert len(lines(capsys)) == 1001
    output(Format.JSON).many(THING, many(), limit=3)
    assert [thing["name"] for thing in json.loads(capsys.readouterr().out)] == ["0", "1", "2"]

    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    taken = 0
    output(Format.TABLE).many(THING, many())
    shown = capsys.readouterr()
    assert len(shown.out.splitlines()) == 101
    assert shown.err == "the first 100 only; --limit 0 shows all\n"
    assert taken == 101, "no more is fetched than is needed to know that there is more"
    for limit, form, expected in [(0, Format.TABLE, 1001), (1000, Format.TABLE, 1001), (None, Format.CSV, 1001)]:
        output(form).many(THING, many(), limit=limit)
        shown = capsys.readouterr()
        assert (len(shown.out.splitlines()), shown.err) == (expected, "")


def test_nothing_is_said_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    output(Format.TABLE).many(THING, [], nothing="no things")
    assert lines(capsys) == ["(no things)"]


def test_sentences_are_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    for form in (Format.JSON, Format.CSV):
        output(form).say("Done.")
        output(form).note("By the way.")
        output(form).story([Event(None, "Once upon a time.")])
    assert capsys.readouterr() == ("", "")
    output(Format.TABLE).story([Event(FULL.born, "One."), Event(None, "Two.")])
    assert lines(capsys) == ["2026-10-31 13:30:15+01:00  One.", " " * 27 + "Two."]


def test_failures_stand_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    failure = Failure(ExitCode.DENIED, "NO", "It is not so.", "do this", {"b": "2", "a": "1"}, idempotency_key="k")
    output(Format.TABLE).fail(failure)
    assert capsys.readouterr() == ("", "imprestctl: NO: It is not so.\nhint: do this\n")
    output(Format.JSON).fail(failure)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert json.loads(shown.err) == {
        "error": {
            "reason": "NO",
            "message": "It is not so.",
            "values": {"a": "1", "b": "2"},
            "hint": "do this",
            "replayed": False,
            "idempotency_key": "k",
            "exit_code": 1,
        }
    }
