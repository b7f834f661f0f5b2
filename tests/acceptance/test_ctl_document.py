"""docs/IMPRESTCTL.md, command by command: what it shows is what happens."""

from pathlib import Path

from tests.conftest import Database
from tests.support.console import DOCUMENT, replay


async def test_the_document_shows_what_happens(database: Database, tmp_path: Path) -> None:
    _, differences = await replay(database, tmp_path / "imprestctl.toml", DOCUMENT.read_text("utf-8"))
    for difference in differences:
        print(f"{difference.command}\n--- the document\n{difference.shown}\n--- happened\n{difference.happened}\n")
    assert [difference.command for difference in differences] == []
