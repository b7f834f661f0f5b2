"""`make bench` runs: every row, once, for a moment. How fast is not a matter for tests."""

import json
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.rows import FLOOR, ROWS, chosen


@pytest.mark.timeout(1200)
def test_the_table_has_every_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, results = tmp_path / "page.md", tmp_path / "results.json"
    page.write_text("# Speed\n\nBefore.\n\n<!-- make bench: begin -->\nold\n<!-- make bench: end -->\n\nAfter.\n")

    main(["--seconds", "2", "--warmup", "0.1", "--repeat", "1", "--json", str(results), "--write", str(page)])

    found = json.loads(results.read_text())
    lines = {row["name"]: row for row in found["rows"]}
    assert [*lines] == [row.name for row in ROWS]
    measured = {sample["row"] for sample in found["samples"] if sample["operations"]}
    assert measured == {name for name, row in lines.items() if row["skipped"] is None}
    shown, text = capsys.readouterr().out, page.read_text()
    for row in ROWS:
        assert row.title in shown
        assert f"| {row.title} |" in text
    assert text.startswith("# Speed\n\nBefore.\n\n") and text.endswith("\n\nAfter.\n") and "old" not in text


def test_rows_are_chosen_by_name() -> None:
    assert [row.name for row in chosen(["orm"])] == [FLOOR, "orm"]
    assert {row.load for row in chosen(["unary"])} == {"floor", "unary"}
    assert chosen([]) == list(ROWS)
    with pytest.raises(ValueError, match="no row is called faster; there are floor, "):
        chosen(["faster"])
