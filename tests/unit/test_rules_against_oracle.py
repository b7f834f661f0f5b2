"""Random programs through the pure rules and through the independent model: the same answers, balances, journals."""

import asyncio

from hypothesis import given, settings

from tests.oracle.strategies import Program, programs
from tests.scenarios.compare import compare
from tests.scenarios.oracle_adapter import OracleAdapter
from tests.scenarios.rules_adapter import RulesAdapter


@settings(max_examples=400)
@given(programs())
def test_same_as_the_oracle(program: Program) -> None:
    asyncio.run(compare(program.accounts, program.steps, OracleAdapter(), RulesAdapter()))
