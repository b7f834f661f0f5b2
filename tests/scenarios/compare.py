"""Plays one program through two implementations and reports the first difference.

Ids are different on both sides and are not compared; everything else in answers, balances and journals is.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from tests.scenarios.contract import Adapter, Result
from tests.scenarios.steps import Session, Step

Accounts = Mapping[str, Mapping[str, Any]]
"""Settings and first credit by account alias."""

_WITHOUT_TRANSACTION_ID = frozenset(["reserve", "extend", "void"])
"""Operations whose replies name no transaction, even when one was written."""


class Difference(AssertionError):
    """Two implementations disagree."""


class Player:
    """One implementation playing a program, step by step; no expectations."""

    def __init__(self, adapter: Adapter, accounts: Accounts) -> None:
        self.adapter = adapter
        self.accounts = accounts
        self._session = Session(adapter)

    async def set_up(self) -> None:
        """Opens the accounts."""
        for alias, settings in self.accounts.items():
            chosen = {name: value for name, value in settings.items() if name != "credit"}
            await self.play({"op": "create_account", "account": alias, **chosen})
            await self.play({"op": "add_credit", "account": alias, "amount": settings["credit"]})

    def account_id(self, alias: str) -> str:
        """The account's id in this run."""
        return self._session.account_id(alias)

    async def play(self, step: Step) -> Result:
        """Takes one step."""
        if step["op"] == "advance":
            await self.adapter.advance(Decimal(step["seconds"]))
            return Result()
        result = await self.adapter.apply(self._session.resolve(step))
        self._session.learn(step, result)
        return result

    async def state(self, *, journals: bool) -> dict[str, object]:
        """The balances of all accounts and, if wanted, the postings of all their transactions."""
        state: dict[str, object] = {}
        for alias in self.accounts:
            account_id = self._session.account_id(alias)
            state[alias] = await self.adapter.balance(account_id)
            if journals:
                entries = await self.adapter.journal(account_id)
                state[f"journal of {alias}"] = [(entry.seq, entry.postings) for entry in entries]
        return state


async def play(
    adapter: Adapter, accounts: Accounts, steps: Sequence[Step], after_each: Callable[[], Awaitable[None]]
) -> list[Result]:
    """Plays a program through one implementation; `after_each` is awaited after every step."""
    player = Player(adapter, accounts)
    await player.set_up()
    results: list[Result] = []
    for step in steps:
        results.append(await player.play(step))
        await after_each()
    return results


async def compare(accounts: Accounts, steps: Sequence[Step], left: Adapter, right: Adapter) -> None:
    """Plays a program through both. Raises Difference with the steps up to the first one."""
    one, other = Player(left, accounts), Player(right, accounts)
    await one.set_up()
    await other.set_up()
    for number, step in enumerate(steps):
        try:
            await step_alike(step, one, other)
        except Difference as difference:
            raise Difference(f"{difference}{_story(accounts, steps[: number + 1])}") from None
    mine, theirs = await one.state(journals=True), await other.state(journals=True)
    if mine != theirs:
        raise Difference(_report("journals", mine, theirs) + _story(accounts, steps))


async def step_alike(step: Step, one: Player, other: Player) -> None:
    """Both take a step. Raises Difference when their answers or balances differ."""
    answers = _comparable(step, await one.play(step)), _comparable(step, await other.play(step))
    states = await one.state(journals=False), await other.state(journals=False)
    for what, (mine, theirs) in {"answer": answers, "balances": states}.items():
        if mine != theirs:
            raise Difference(_report(what, mine, theirs))


def _comparable(step: Step, result: Result) -> dict[str, object]:
    return {
        "denied": result.denied,
        "code": result.code,
        "replayed": result.replayed,
        "balance": result.balance,
        "to_balance": result.to_balance,
        "has reservation": result.reservation_id is not None,
        "has transaction": result.transaction_id is not None and step["op"] not in _WITHOUT_TRANSACTION_ID,
        # A flag or reason that a reply does not have is one that is not set.
        **{name: value for name, value in sorted(result.fields.items()) if value not in (None, False)},
    }


def _report(what: str, left: object, right: object) -> str:
    return f"different {what}\n  left  {left}\n  right {right}\n"


def _story(accounts: Accounts, steps: Sequence[Step]) -> str:
    played = "\n".join(f"    {step}" for step in steps)
    return f"  accounts {dict(accounts)}\n  steps\n{played}"
