"""Proves the oracle: it passes every scenario table, keeps every invariant, and its checkers can fail."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings

from imprest_client.testing.ledger import RULES, book, funds, holds, late, refunds
from imprest_client.testing.ledger.holds import LATE_WINDOW
from imprest_client.testing.ledger.model import DAY, Account, Charge, Posting
from imprest_client.testing.ledger.money import nanos_from_text, text_from_money, text_from_nanos
from tests.oracle.invariants import check
from tests.oracle.strategies import Program, programs
from tests.scenarios.compare import Difference, compare, play
from tests.scenarios.contract import CODE_OF_REASON, Request, Result
from tests.scenarios.loader import Scenario, load_all
from tests.scenarios.oracle_adapter import OracleAdapter
from tests.scenarios.runner import Mismatch, run_scenario
from tests.scenarios.steps import BALANCE_EXPECTATIONS, FIELD_EXPECTATIONS

SCENARIOS = load_all()
HALF_A_SECOND_US = 500_000

bounded = settings(max_examples=150)


# -- the tables


@pytest.mark.parametrize("tick_us", [0, 1, HALF_A_SECOND_US])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.id)
def test_the_oracle_passes_the_table(scenario: Scenario, tick_us: int) -> None:
    """With a clock that stands still, and with one that runs (where the scenario does not need it to stand)."""
    adapter = OracleAdapter(0 if "frozen_clock" in scenario.needs else tick_us)
    asyncio.run(run_scenario(scenario, adapter))
    check(adapter.tenant)


def test_the_tables_are_many() -> None:
    assert len(SCENARIOS) >= 110


def test_the_tables_expect_every_denial() -> None:
    expected = {step.get("denied") for scenario in SCENARIOS for step in scenario.steps}
    of_budgets = {"BUDGET_EXCEEDED", "CALLS_STOPPED"}  # tables set none
    assert expected - {None} == CODE_OF_REASON.keys() - of_budgets


class Recorder(OracleAdapter):
    """An oracle that notes in which state of its account and reservation each operation came."""

    def __init__(self) -> None:
        super().__init__()
        self.on_account: dict[str, set[str]] = defaultdict(set)
        self.on_reservation: dict[str, set[str]] = defaultdict(set)

    async def apply(self, request: Request) -> Result:
        self.tenant.expire_all(self.now)
        sides = {"account_id": request["op"], "from_account_id": "transfer out", "to_account_id": "transfer in"}
        for name, op in sides.items():
            account = self.tenant.accounts.get(request.get(name, ""))
            if account is not None:
                self.on_account[account.state].add(op)
        hold = self.tenant.find_reservation(request.get("reservation_id", ""))
        if hold is not None:
            state = hold.state
            if state == "EXPIRED" and self.now > hold.expire_time + LATE_WINDOW:
                state = "EXPIRED for good"
            elif state == "COMMITTED" and hold.ended_by_void:
                state = "COMMITTED by void"
            self.on_reservation[state].add(request["op"])
            self.on_account[self.tenant.accounts[hold.account_id].state].add(request["op"])
        return await super().apply(request)


def test_the_tables_try_every_operation_in_every_state() -> None:
    on_account: dict[str, set[str]] = defaultdict(set)
    on_reservation: dict[str, set[str]] = defaultdict(set)
    for scenario in SCENARIOS:
        recorder = Recorder()
        asyncio.run(run_scenario(scenario, recorder))
        for state, ops in recorder.on_account.items():
            on_account[state] |= ops
        for state, ops in recorder.on_reservation.items():
            on_reservation[state] |= ops
    every_operation = RULES.keys() - {"transfer"} | {"transfer out", "transfer in"}
    for state in ("ACTIVE", "FROZEN", "CLOSED"):
        missing = every_operation - on_account[state]
        assert not missing, f"never on a {state} account: {missing}"
    for state in ("ACTIVE", "COMMITTED", "VOIDED", "COMMITTED by void", "EXPIRED", "EXPIRED for good"):
        missing = {"commit", "extend", "void", "refund", "get_reservation"} - on_reservation[state]
        assert not missing, f"never on a reservation {state}: {missing}"


# -- the runner can fail


def altered(scenario: Scenario) -> Scenario | None:
    """The scenario with the last expectation of an amount changed by a nano; None if it expects none."""
    amounts = (FIELD_EXPECTATIONS | BALANCE_EXPECTATIONS.keys()) - {"state", "account_state", "denial_reason"}
    for index in reversed(range(len(scenario.steps))):
        step = scenario.steps[index]
        for name in sorted(amounts & step.keys()):
            if isinstance(step[name], str):
                wrong = text_from_nanos(nanos_from_text(step[name]) + 1)
                steps = (*scenario.steps[:index], {**step, name: wrong}, *scenario.steps[index + 1 :])
                return replace(scenario, steps=steps)
    return None


def test_the_runner_sees_a_difference_of_one_nano() -> None:
    seen = 0
    for scenario in SCENARIOS:
        wrong = altered(scenario)
        if wrong is not None:
            with pytest.raises(Mismatch):
                asyncio.run(run_scenario(wrong, OracleAdapter()))
            seen += 1
    assert seen > 200


def failures() -> int:
    count = 0
    for scenario in SCENARIOS:
        try:
            asyncio.run(run_scenario(scenario, OracleAdapter()))
        except Mismatch:
            count += 1
    return count


def _forget_debts(_account: Account, source: str, amount: int) -> list[Posting]:
    return [Posting(source, "WALLET", amount)]


def _collect_always(account: Account, amount: int, _policy: str) -> Charge:
    from_available = min(amount, account.spendable)
    return Charge(from_available=from_available, receivable=amount - from_available)


@pytest.mark.parametrize(
    ("owner", "name", "fault"),
    [
        (holds, "LATE_WINDOW", 6 * DAY),
        (funds, "inflow", _forget_debts),
        (refunds, "inflow", _forget_debts),
        (book, "overrun", _collect_always),
        (holds, "refuse_closed_or_frozen", lambda _account: None),
        (funds, "_refuse_outflow", lambda _account, _amount: None),
        (late, "_decide", lambda _account, _expiry, amount: late._Decision(amount, 0)),
        (Account, "available", property(lambda account: account.wallet + account.credit_limit)),
        (Account, "spendable", property(lambda account: account.available)),
    ],
    ids=[
        "window",
        "inflow",
        "refund",
        "policy",
        "state",
        "outflow",
        "late",
        "held",
        "negative available",
    ],
)
def test_the_tables_catch_a_planted_fault(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, fault: Any) -> None:
    monkeypatch.setattr(owner, name, fault)
    assert failures() > 0


# -- the oracle under random programs


def after_each(adapter: OracleAdapter) -> Callable[[], Awaitable[None]]:
    async def check_now() -> None:
        check(adapter.tenant)

    return check_now


@bounded
@given(programs())
def test_every_invariant_holds_after_every_operation(program: Program) -> None:
    adapter = OracleAdapter()
    asyncio.run(play(adapter, program.accounts, program.steps, after_each(adapter)))


@bounded
@given(programs(max_stories=8))
def test_a_running_clock_makes_no_difference(program: Program) -> None:
    """So the same programs can be played through a server, whose clock runs."""
    asyncio.run(compare(program.accounts, program.steps, OracleAdapter(1), OracleAdapter(HALF_A_SECOND_US // 10)))


def test_the_comparison_sees_a_planted_fault() -> None:
    class Careless(OracleAdapter):
        async def apply(self, request: Request) -> Result:
            return await super().apply({**request, "amount": "2"} if request["op"] == "charge" else request)

    steps = [{"op": "charge", "amount": "1", "key": "k"}]
    with pytest.raises(Difference, match="answer"):
        asyncio.run(compare({"main": {"credit": "5"}}, steps, OracleAdapter(), Careless()))


@pytest.mark.parametrize("damage", ["seq", "wallet", "refund", "debt", "clearing"])
def test_the_invariants_see_a_planted_fault(damage: str) -> None:
    adapter = OracleAdapter()
    steps = [{"op": "reverse_credit", "amount": "6"}, {"op": "add_credit", "amount": "0.5"}]
    steps = [{"op": "charge", "amount": "1"}, *steps]
    asyncio.run(play(adapter, {"main": {"credit": "5"}}, steps, after_each(adapter)))
    (account,) = adapter.tenant.accounts.values()
    if damage == "seq":
        account.transactions[1] = replace(account.transactions[1], seq=7)
    elif damage == "wallet":
        account.balances["WALLET"] += 1
    elif damage == "refund":
        adapter.tenant.refunded[account.transactions[1].transaction_id] = 2 * 10**9
    elif damage == "debt":
        account.credit_limit = 1
    else:
        book.write(account, "TRANSFER", [Posting("WALLET", "CLEARING", 1)], adapter.now)
    with pytest.raises(AssertionError):
        check(adapter.tenant)


# -- what a table cannot say


def test_a_retry_is_answered_after_its_effective_time_has_grown_too_old() -> None:
    adapter = OracleAdapter()
    asyncio.run(play(adapter, {"main": {"credit": "5"}}, [], after_each(adapter)))
    (account_id,) = adapter.tenant.accounts
    request = {
        "op": "charge",
        "account_id": account_id,
        "idempotency_key": "k",
        "amount": "1",
        "currency": "USD",
        "effective_time": adapter.now,
    }
    first = adapter.tenant.apply(request, adapter.now)
    again = adapter.tenant.apply(request, adapter.now + 40 * DAY)
    assert again == replace(first, replayed=True)
    other = adapter.tenant.apply({**request, "idempotency_key": "k2"}, adapter.now + 40 * DAY)
    assert other.denied == "INVALID_ARGUMENT"


@pytest.mark.parametrize(
    ("units", "nanos", "text"),
    [(0, 0, "0"), (1, 250_000_000, "1.25"), (-2, 0, "-2"), (0, -1, "-0.000000001"), (-1, -500_000_000, "-1.5")],
)
def test_amounts_have_one_text(units: int, nanos: int, text: str) -> None:
    assert text_from_money(units, nanos) == text
    assert text_from_nanos(nanos_from_text(text)) == text
