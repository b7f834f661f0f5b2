"""Random traffic over random budgets, through the pure rules and the independent model: same answers, same alerts."""

import asyncio

from hypothesis import given, settings

from tests.oracle.budget_programs import Case, cases
from tests.scenarios.compare import Player, step_alike
from tests.support.limits import OracleWithBudgets, RulesWithBudgets, budget_of, named, told


@settings(max_examples=300)
@given(cases())
def test_same_answers_counters_and_alerts_as_the_oracle(case: Case) -> None:
    asyncio.run(_compare(case))


async def _compare(case: Case) -> None:
    oracle, rules = OracleWithBudgets(case.start), RulesWithBudgets(case.start)
    one, other = Player(oracle, case.program.accounts), Player(rules, case.program.accounts)
    await one.set_up()
    await other.set_up()
    oracle.tenant.budgets.budgets = named(case.budgets, one)
    rules.set_budgets([budget_of(budget) for budget in named(case.budgets, other)])
    for step in case.program.steps:
        await step_alike(step, one, other)
        expected = [
            (oracle.tenant.budgets.spent(oracle.tenant, b, oracle.now), oracle.tenant.budgets.held(oracle.tenant, b))
            for b in oracle.tenant.budgets.budgets
        ]
        assert expected == [rules.standing(budget) for budget in rules.budgets], step
        assert [str(alert) for alert in oracle.tenant.budgets.alerts] == [told(alert) for alert in rules.alerts], step
