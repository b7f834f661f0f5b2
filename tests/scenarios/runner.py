"""Plays a scenario through an adapter and compares every answer and balance with the table.

Beyond what a step expects it always checks: that a denial or a replay moves no balance, that the balance in an
answer is the one that a read shows, that a denial has the status code of its reason, and that sequence numbers
have no gap.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from tests.scenarios.contract import CODE_OF_REASON, Adapter, Balance, Result
from tests.scenarios.loader import SETTINGS, Scenario
from tests.scenarios.steps import BALANCE_EXPECTATIONS, FIELD_EXPECTATIONS, READS, Session, Step


class Mismatch(AssertionError):
    """The implementation and the table disagree."""


async def run_scenario(scenario: Scenario, adapter: Adapter) -> None:
    """Plays all steps. Raises Mismatch with the scenario, the step, and what was expected and got."""
    await _Run(scenario, adapter).play()


class _Run:
    def __init__(self, scenario: Scenario, adapter: Adapter) -> None:
        self._scenario = scenario
        self._adapter = adapter
        self._session = Session(adapter, scenario.accounts["main"].get("currency", "USD"))
        self._seen: dict[str, int] = {}
        self._where = "set-up"
        self._step: Step = {}

    async def play(self) -> None:
        for alias, settings in self._scenario.accounts.items():
            await self._set_up(alias, settings)
        for number, step in enumerate(self._scenario.steps, 1):
            self._where, self._step = f"step {number} ({step['op']})", step
            if step["op"] == "advance":
                await self._adapter.advance(Decimal(str(step["seconds"])))
                await self._check_balances(Result())
            else:
                await self._play_step(step)

    async def _set_up(self, alias: str, settings: Mapping[str, Any]) -> None:
        currency = settings.get("currency", "USD")
        chosen = {name: settings[name] for name in SETTINGS & settings.keys()}
        steps: list[Step] = [{"op": "create_account", "account": alias, **chosen, "currency": currency}]
        if "credit" in settings:
            steps.append({"op": "add_credit", "account": alias, "amount": settings["credit"], "currency": currency})
        for step in steps:
            result = await self._adapter.apply(self._session.resolve(step))
            self._session.learn(step, result)
            self._expect(f"denied of {step['op']}", None, result.denied)
        self._seen[alias] = len(steps) - 1

    async def _play_step(self, step: Step) -> None:
        if not self._session.knows(step):
            self._fail("an alias that no earlier step has given a meaning", "one that has", step)
        before = await self._read(self._session.subject(step))
        result = await self._adapter.apply(self._session.resolve(step))
        self._expect("denied", step.get("denied"), result.denied)
        if result.denied is not None:
            self._expect("status code", CODE_OF_REASON[result.denied], result.code)
        self._expect("replayed", step.get("replayed", False), result.replayed)
        self._check_fields(result)
        self._check_same(result)
        self._session.learn(step, result)
        if result.denied is not None or result.replayed:
            self._expect("balance, which must not move", before, await self._read(self._session.subject(step)))
        await self._check_balances(result)
        if "journal" in step:
            await self._check_journal(result)

    def _check_fields(self, result: Result) -> None:
        for name in FIELD_EXPECTATIONS & self._step.keys():
            got = result.fields.get("total" if name == "granted" else name)
            self._expect(name, self._step[name], got)

    def _check_same(self, result: Result) -> None:
        if "same_hold" in self._step:
            self._expect("reservation", self._session.hold_id(self._step["same_hold"]), result.reservation_id)
        if "same_transaction" in self._step:
            known = self._session.transaction_id(self._step["same_transaction"])
            self._expect("transaction", known, result.transaction_id)

    async def _check_balances(self, result: Result) -> None:
        alias = self._session.subject(self._step)
        now = await self._read(alias)
        receiver = self._step.get("to")
        receiver_now = await self._read(receiver)
        if self._step["op"] not in READS | {"advance"} and result.denied is None and not result.replayed:
            self._expect("balance in the answer, as read", now, result.balance)
            self._expect("receiver's balance in the answer, as read", receiver_now, result.to_balance)
        self._check_columns("", now)
        self._check_columns("to_", receiver_now)
        self._check_columns("reply_", result.balance)

    async def _read(self, alias: str | None) -> Balance | None:
        if alias is None or not self._session.knows_account(alias):
            return None
        return await self._adapter.balance(self._session.account_id(alias))

    def _check_columns(self, prefix: str, balance: Balance | None) -> None:
        for name, attribute in BALANCE_EXPECTATIONS.items():
            if prefix + name in self._step:
                self._expect(prefix + name, self._step[prefix + name], getattr(balance, attribute, None))

    async def _check_journal(self, result: Result) -> None:
        alias = self._session.subject(self._step)
        assert alias is not None, "a journal needs an account"
        entries = await self._adapter.journal(self._session.account_id(alias))
        self._expect("sequence numbers", list(range(1, len(entries) + 1)), [entry.seq for entry in entries])
        fresh = entries[self._seen[alias] :]
        self._seen[alias] = len(entries)
        self._expect("journal", self._step["journal"], [list(entry.postings) for entry in fresh])
        if result.transaction_id is not None and not result.replayed and fresh:
            self._expect("transaction in the answer", fresh[-1].transaction_id, result.transaction_id)

    def _expect(self, what: str, expected: object, got: object) -> None:
        if expected != got or type(expected) is not type(got):
            self._fail(what, expected, got)

    def _fail(self, what: str, expected: object, got: object) -> None:
        where = f"{self._scenario.id}\n  {self._where}: {what}"
        raise Mismatch(f"{where}\n  expected {expected!r}\n  got      {got!r}\n  step {self._step}")
