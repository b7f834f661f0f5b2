"""Every scenario table through real gRPC, against a server on a real Postgres."""

from collections.abc import AsyncIterator

import pytest

from tests.conftest import Database
from tests.scenarios.grpc_adapter import GrpcAdapter
from tests.scenarios.loader import Scenario, load_all, table_files
from tests.scenarios.runner import run_scenario
from tests.support import clock
from tests.support.prices import shop_on
from tests.support.server import running_server


@pytest.fixture
async def adapter(request: pytest.FixtureRequest, database: Database) -> AsyncIterator[GrpcAdapter]:
    """A server whose clock can be moved, and stands still if the test says so."""
    stopped = getattr(request, "param", False)
    clock.install(database.owner_dsn)
    if stopped:
        clock.stop(database.owner_dsn)
    async with shop_on(database) as shop, running_server(database) as server:
        await shop.sell_units()
        yield GrpcAdapter(server, database.owner_dsn, frozen_clock=stopped)


def scenarios_of(table: str) -> list[Scenario]:
    """A table's scenarios that a running clock can play."""
    return [s for s in load_all() if s.table == table and "frozen_clock" not in s.needs]


@pytest.mark.parametrize("table", [path.stem for path in table_files()])
async def test_table(table: str, adapter: GrpcAdapter) -> None:
    """One server for a table: scenarios have accounts of their own and never meet."""
    for scenario in scenarios_of(table):
        await run_scenario(scenario, adapter)


@pytest.mark.parametrize("adapter", [True], indirect=True, ids=["stopped clock"])
async def test_exact_instants(adapter: GrpcAdapter) -> None:
    """What happens on the very microsecond."""
    exact = [scenario for scenario in load_all() if scenario.needs == {"frozen_clock"}]
    assert exact
    for scenario in exact:
        await run_scenario(scenario, adapter)
