"""Every scenario table against the fake server of the client library: the same tables that the real one has to pass."""

from collections.abc import AsyncIterator

import pytest

from tests.scenarios.fake_adapter import FakeAdapter, fake_adapter
from tests.scenarios.loader import load_all, table_files
from tests.scenarios.runner import run_scenario


@pytest.fixture
async def adapter() -> AsyncIterator[FakeAdapter]:
    async with fake_adapter() as adapter:
        yield adapter


@pytest.mark.parametrize("table", [path.stem for path in table_files()])
async def test_table(table: str, adapter: FakeAdapter) -> None:
    for scenario in load_all():
        if scenario.table == table:
            await run_scenario(scenario, adapter)
