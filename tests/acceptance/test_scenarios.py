"""Every scenario table through real gRPC, against a server on a real Postgres."""

from collections.abc import AsyncIterator

import pytest

from tests.conftest import Database
from tests.scenarios.grpc_adapter import GrpcAdapter
from tests.scenarios.loader import load_all, table_files
from tests.scenarios.runner import run_scenario
from tests.support import clock
from tests.support.prices import shop_on
from tests.support.server import running_server


@pytest.fixture
async def adapter(database: Database) -> AsyncIterator[GrpcAdapter]:
    """A server whose clock stands still until it is moved: what happens does not depend on how fast we are."""
    clock.install(database.owner_dsn)
    clock.stop(database.owner_dsn)
    async with shop_on(database) as shop, running_server(database) as server:
        await shop.sell_units()
        yield GrpcAdapter(server, database.owner_dsn, frozen_clock=True)


@pytest.mark.parametrize("table", [path.stem for path in table_files()])
async def test_table(table: str, adapter: GrpcAdapter) -> None:
    """One server for a table: scenarios have accounts of their own and never meet."""
    for scenario in load_all():
        if scenario.table == table:
            await run_scenario(scenario, adapter)
