"""Every scenario table against the pure rules."""

import pytest

from tests.scenarios.loader import Scenario, load_all
from tests.scenarios.rules_adapter import RulesAdapter
from tests.scenarios.runner import run_scenario


@pytest.mark.parametrize("scenario", load_all(), ids=lambda scenario: scenario.id)
async def test_scenario(scenario: Scenario) -> None:
    await run_scenario(scenario, RulesAdapter())
