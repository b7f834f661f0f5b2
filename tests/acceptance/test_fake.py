"""The fake server of the client library answers with the same errors as the real one, variables included."""

from collections.abc import Sequence

import pytest

from imprest_client.errors import ErrorDetails
from tests.conftest import Database
from tests.scenarios.contract import CODE_OF_REASON
from tests.scenarios.fake_adapter import fake_adapter
from tests.scenarios.grpc_adapter import GrpcAdapter
from tests.scenarios.loader import Scenario, load_all
from tests.scenarios.runner import run_scenario
from tests.support import clock
from tests.support.prices import shop_on
from tests.support.server import running_server

_OF_THE_RUN = {
    *("what", "problem", "id", "account_id", "call_id", "reservation_id", "target", "external_reference"),
    "expire_time",
}
_ERRORS: list[ErrorDetails] = []


@pytest.fixture(autouse=True)
def _heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every error that an adapter decodes is noted."""
    from tests.scenarios import grpc_adapter

    decode = grpc_adapter.details_of

    def noted(error: object) -> ErrorDetails:
        _ERRORS.append(decode(error))  # type: ignore[arg-type]
        return _ERRORS[-1]

    monkeypatch.setattr(grpc_adapter, "details_of", noted)


def chosen() -> list[Scenario]:
    """Scenarios that together expect every denial, and those about validation."""
    found: list[Scenario] = []
    missing = set(CODE_OF_REASON) - {"BUDGET_EXCEEDED", "CALLS_STOPPED"}  # the fake has no budgets
    for scenario in load_all():
        expected = {step.get("denied") for step in scenario.steps} & missing
        if "frozen_clock" not in scenario.needs and (expected or scenario.table == "validation"):
            missing -= expected
            found.append(scenario)
    assert not missing
    return found


async def heard(scenarios: Sequence[Scenario], adapter: GrpcAdapter) -> list[list[tuple[object, ...]]]:
    """What each scenario's errors say, but for words, and what is different in every run."""
    by_scenario = []
    for scenario in scenarios:
        _ERRORS.clear()
        await run_scenario(scenario, adapter)
        by_scenario.append(
            [
                (
                    error.code.name,
                    error.reason,
                    error.replayed,
                    {name: "*" if name in _OF_THE_RUN else value for name, value in error.metadata.items()},
                    list(error.violations),
                )
                for error in _ERRORS
            ]
        )
    return by_scenario


async def test_errors_are_those_of_the_server(database: Database) -> None:
    scenarios = chosen()
    clock.install(database.owner_dsn)
    clock.stop(database.owner_dsn)
    async with shop_on(database) as shop, running_server(database) as server, fake_adapter() as fake:
        await shop.sell_units()
        real = await heard(scenarios, GrpcAdapter(server, database.owner_dsn))
        assert sum(map(len, real)) > 60
        for scenario, expected, got in zip(scenarios, real, await heard(scenarios, fake), strict=True):
            assert got == expected, scenario.id
