"""The demo's input: call files of others, with all that is wrong with them, and the made-up day."""

import io
from datetime import UTC, datetime
from pathlib import Path

import pytest

from examples import make_calls
from examples.callcenter import call_file
from examples.callcenter.call_file import CallFile, CallFileError, Problem, read_calls
from examples.callcenter.calls import Call, Usage

_HEADER = "start,account,agent,from,to,direction,duration_s,llm_input_tokens\n"
_GOOD = "2026-03-02T09:15:00Z,acme,bot,+1 212-555-0100,+1 415-555-0111,outbound,90,1200\n"


def _read(tmp_path: Path, content: str | bytes) -> CallFile:
    path = tmp_path / "calls.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_calls(path)


def _refusal(tmp_path: Path, content: str | bytes) -> str:
    with pytest.raises(CallFileError) as caught:
        _read(tmp_path, content)
    return str(caught.value)


def _row(**changes: str) -> str:
    cells = dict(zip(_HEADER.strip().split(","), _GOOD.strip().split(","), strict=True)) | changes
    return ",".join(cells.values()) + "\n"


def test_a_good_row(tmp_path: Path) -> None:
    found = _read(tmp_path, _HEADER + _GOOD)
    assert found == CallFile(
        calls=[
            Call(
                call_id="call-2",
                start=datetime(2026, 3, 2, 9, 15, tzinfo=UTC),
                account="acme",
                agent="bot",
                from_number="+1 212-555-0100",
                to_number="+1 415-555-0111",
                direction="outbound",
                usage=Usage(90, llm_input_tokens=1200),
            )
        ]
    )


@pytest.mark.parametrize(
    "content",
    [
        pytest.param((_HEADER + _GOOD).replace("\n", "\r\n"), id="CRLF"),
        pytest.param("\ufeff" + _HEADER + _GOOD, id="BOM"),
        pytest.param((_HEADER + _GOOD).replace(",", ";"), id="semicolons"),
        pytest.param((_HEADER + _GOOD).replace(",", "\t"), id="tabs"),
        pytest.param("\n\n" + _HEADER + "\n  \n" + _GOOD + "\n\n", id="blank lines"),
        pytest.param(_HEADER + _GOOD.rstrip("\n"), id="no newline at the end"),
        pytest.param(_HEADER.upper() + _GOOD.replace(",", " , "), id="spaces and capitals"),
        pytest.param(_HEADER + _row(agent='"bot"', duration_s='"90"'), id="quotes"),
        pytest.param(_HEADER + _row(start="2026-03-02T10:15:00+01:00"), id="offset"),
        pytest.param(_HEADER + _row(start="2026-03-02 09:15:00"), id="no offset is UTC"),
        pytest.param(_HEADER + _row(duration_s="89.2", llm_input_tokens="1.2e3"), id="fractions are rounded up"),
        pytest.param(_HEADER + _row(direction="Outbound"), id="direction in capitals"),
    ],
)
def test_other_spellings_of_the_same_row(tmp_path: Path, content: str) -> None:
    found = _read(tmp_path, content)
    assert (found.problems, found.ignored_columns) == ([], [])
    (call,) = found.calls
    expected = _read(tmp_path, _HEADER + _GOOD).calls[0]
    assert (call.start, call.account, call.agent, call.direction, call.usage) == (
        expected.start,
        expected.account,
        expected.agent,
        expected.direction,
        expected.usage,
    )


def test_a_quoted_cell_may_hold_the_delimiter_and_quotes(tmp_path: Path) -> None:
    (call,) = _read(tmp_path, _HEADER + _row(agent='"Bot ""B"", night"')).calls
    assert call.agent == 'Bot "B", night'


@pytest.mark.parametrize(
    ("changes", "column", "text"),
    [
        ({"duration_s": "-5"}, "duration_s", "'-5' is negative"),
        ({"duration_s": ""}, "duration_s", "is empty"),
        ({"duration_s": "90000"}, "duration_s", "'90000' is not a number up to 86400"),
        ({"duration_s": "2 min"}, "duration_s", "'2 min' is not a number"),
        ({"duration_s": "NaN"}, "duration_s", "'NaN' is not a number up to 86400"),
        ({"duration_s": "sNaN"}, "duration_s", "'sNaN' is not a number up to 86400"),
        ({"duration_s": "1e999999999"}, "duration_s", "'1e999999999' is not a number up to 86400"),
        ({"llm_input_tokens": "-1"}, "llm_input_tokens", "'-1' is negative"),
        ({"llm_input_tokens": "inf"}, "llm_input_tokens", "'inf' is not a number up to 1000000000"),
        ({"start": "yesterday"}, "start", "'yesterday' is not a time such as 2026-03-02T09:15:00Z"),
        ({"start": "2026-02-30T09:00:00Z"}, "start", "'2026-02-30T09:00:00Z' is not a time such as"),
        ({"start": "0001-01-01T00:00:00+14:00"}, "start", "is not a time such as"),
        ({"direction": "sideways"}, "direction", "'sideways' is neither inbound nor outbound"),
        ({"account": ""}, "account", "'' is not 1–40 characters"),
        ({"account": "a b"}, "account", "'a b' is not 1–40 characters"),
        ({"account": "a" * 50}, "account", f"'{'a' * 39}…' is not 1–40 characters"),
        ({"agent": ""}, "agent", "is empty"),
        ({"to": "\x1b[2J"}, "to", r"'\x1b[2J' is too long or not plain text"),
        ({"from": "9" * 101}, "from", "is too long or not plain text"),
        ({"agent": '"open'}, "", "is a quote left open?"),
        ({"agent": "one,too many"}, "", "9 cells, but the header has 8"),
        ({"agent": "nul\0"}, "", "not UTF-8"),
        ({"agent": "x" * 20_000}, "", "longer than 16384 bytes"),
    ],
)
def test_a_bad_row_is_reported_and_the_others_are_used(
    tmp_path: Path, changes: dict[str, str], column: str, text: str
) -> None:
    found = _read(tmp_path, _HEADER + _GOOD + _row(**changes) + _GOOD)
    assert [call.call_id for call in found.calls] == ["call-2", "call-4"]
    (problem,) = found.problems
    assert (problem.line, problem.column) == (3, column)
    assert text in problem.text
    assert found.bad_row_count == 1


def test_a_problem_in_words() -> None:
    assert str(Problem(7, "duration_s", "'-5' is negative")) == "line 7, column duration_s: '-5' is negative"
    assert str(Problem(7, "", "not UTF-8")) == "line 7: not UTF-8"


def test_a_row_in_another_encoding_is_left_out(tmp_path: Path) -> None:
    found = _read(tmp_path, (_HEADER + _row(agent="Zoë") + _GOOD).encode("latin-1"))
    assert [problem.line for problem in found.problems] == [2]
    assert len(found.calls) == 1


def test_unknown_columns_are_ignored_and_named(tmp_path: Path) -> None:
    found = _read(tmp_path, _HEADER.strip() + ",campaign,notes\n" + _GOOD.strip() + ",spring,\n")
    assert found.ignored_columns == ["campaign", "notes"]
    assert len(found.calls) == 1


def test_usage_columns_are_optional_and_may_be_empty(tmp_path: Path) -> None:
    assert _read(tmp_path, _HEADER + _row(llm_input_tokens="")).calls[0].usage == Usage(90)
    without = "\n".join(line.rpartition(",")[0] for line in (_HEADER + _GOOD).splitlines())
    assert _read(tmp_path, without).calls[0].usage == Usage(90)


def test_calls_come_in_the_order_of_their_start(tmp_path: Path) -> None:
    found = _read(tmp_path, _HEADER + _GOOD + _row(start="2026-03-02T08:00:00Z"))
    assert [call.call_id for call in found.calls] == ["call-3", "call-2"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "calls.csv is empty"),
        ("\n \n", "calls.csv is empty"),
        ("\ufeff", "calls.csv is empty"),
        (_HEADER, "calls.csv has no usable row"),
        (_HEADER + _row(duration_s="-1"), "no usable row:\n  line 2, column duration_s: '-1' is negative"),
        (_HEADER.replace("account,", ""), "lacks the column account; it has start, agent"),
        ("hello\n", "lacks the column start, account, agent, from, to, direction, duration_s; it has hello"),
        (_HEADER.replace("agent", "start"), "lacks the column agent"),
        (_HEADER.strip() + ",START\n" + _GOOD, "has the column start more than once"),
        ('"start,account\n', "the header cannot be read"),
        ((_HEADER + _GOOD).encode("utf-16"), "is not a text file in UTF-8"),
        (b"\x00\x01\x02" * 100_000, "is not a text file in UTF-8"),
    ],
)
def test_a_useless_file_is_refused(tmp_path: Path, content: str | bytes, message: str) -> None:
    assert message in _refusal(tmp_path, content)


def test_a_missing_file_and_a_directory_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CallFileError, match="No such file"):
        read_calls(tmp_path / "none.csv")
    with pytest.raises(CallFileError, match="Is a directory"):
        read_calls(tmp_path)


def test_a_huge_file_is_used_up_to_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_file, "MAX_CALLS", 1_000)
    found = _read(tmp_path, _HEADER + _GOOD * 1_001)
    assert (len(found.calls), found.truncated) == (1_000, True)
    assert not _read(tmp_path, _HEADER + _GOOD * 1_000).truncated


def test_many_bad_rows_are_counted_but_not_all_kept(tmp_path: Path) -> None:
    found = _read(tmp_path, _HEADER + _GOOD + _row(duration_s="-1") * 5_000)
    assert (found.bad_row_count, len(found.problems)) == (5_000, call_file.MAX_PROBLEMS)


def test_the_committed_day_is_what_the_generator_writes() -> None:
    made = io.StringIO()
    make_calls.write(made)
    committed = Path(make_calls.__file__).with_name("calls.csv")
    assert made.getvalue() == committed.read_text(encoding="utf-8")
    found = read_calls(committed)
    assert (len(found.calls), found.problems, found.ignored_columns) == (make_calls.CALL_COUNT, [], [])
