"""Random programs through gRPC and through the independent model: equal answers, balances and journals, all the way."""

from __future__ import annotations

import asyncio

from hypothesis import HealthCheck, given, settings

from tests.conftest import Database
from tests.oracle.strategies import Program, programs
from tests.scenarios.compare import compare
from tests.scenarios.contract import Balance
from tests.scenarios.grpc_adapter import GrpcAdapter
from tests.scenarios.oracle_adapter import OracleAdapter
from tests.support import clock
from tests.support.prices import shop_on
from tests.support.server import running_server

EXAMPLES = 40


class Watched(GrpcAdapter):
    """Every balance that is read keeps the invariant of receivables."""

    async def balance(self, account_id: str) -> Balance:
        balance = await super().balance(account_id)
        owes, available = balance.receivable != "0", balance.available
        assert not owes or available == "0" or available.startswith("-"), balance
        return balance


async def test_the_server_does_what_the_oracle_does(database: Database) -> None:
    clock.install(database.owner_dsn)
    clock.stop(database.owner_dsn)
    loop = asyncio.get_running_loop()
    async with shop_on(database) as shop, running_server(database) as server:
        await shop.sell_units()
        adapter = Watched(server, database.owner_dsn)

        @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
        @given(programs())
        def same(program: Program) -> None:
            playing = compare(program.accounts, program.steps, OracleAdapter(), adapter)
            asyncio.run_coroutine_threadsafe(playing, loop).result()

        await asyncio.to_thread(same)
