"""The day: opens the accounts, lets the calls happen, many at a time, and does what the operator does meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Literal

from imprest.v1.account_service_pb2 import (
    AddCreditRequest,
    CreateAccountRequest,
    FreezeAccountRequest,
    GrantCreditRequest,
    UnfreezeAccountRequest,
)
from imprest_client.money import to_money

from .calls import Call
from .customers import Customer
from .ledger import Ledger
from .life import Life
from .price_books import publish_tariff
from .tally import AccountTally, Tally

#: How long a minute on the phone takes here.
MINUTE_S = 0.06
_FEE_SHARE, _FEE_FIXED = Decimal("0.014"), Decimal("0.25")

_Action = Literal["freeze", "unfreeze", "top_up"]


@dataclass
class Day:
    """One run of the demo. `customers` is by account id."""

    ledger: Ledger
    customers: dict[str, Customer]
    tally: Tally = field(default_factory=Tally)
    started: float = 0.0
    ended: float = 0.0

    @property
    def elapsed_s(self) -> float:
        """How long calls have been, or were, running."""
        return (self.ended or time.monotonic()) - self.started if self.started else 0.0

    async def open_accounts(self) -> None:
        """Create every account with its settings and its first credit."""
        async with asyncio.TaskGroup() as tasks:
            for account_id, customer in self.customers.items():
                tasks.create_task(self._open(account_id, customer))

    async def publish_prices(self, suffix: str) -> None:
        """Have the accounts priced by the tariff; `suffix` makes the names of its books new on this server."""
        await publish_tariff(self.ledger, self.customers, suffix)

    async def live(self, calls: list[Call], concurrency: int) -> None:
        """Let all calls happen in the order of their start, `concurrency` at the same time."""
        self.started = time.monotonic()
        numbered = iter(enumerate(calls))
        admin = _Admin(self, len(calls))
        async with asyncio.TaskGroup() as aftermath:
            life = Life(self.ledger, self.tally, self.customers, aftermath, MINUTE_S)
            async with asyncio.TaskGroup() as workers:
                for _ in range(concurrency):
                    workers.create_task(self._work(life, admin, numbered))
            self.ended = time.monotonic()

    async def _work(self, life: Life, admin: _Admin, numbered: Iterator[tuple[int, Call]]) -> None:
        for number, call in numbered:
            await admin.act(number)
            await life.live(call)

    async def _open(self, account_id: str, customer: Customer) -> None:
        request = CreateAccountRequest(account=customer.account(account_id), idempotency_key=f"{account_id}/create")
        await self.ledger.send("CreateAccount", request)
        self.tally.accounts[account_id] = AccountTally(customer.currency)
        if customer.credit:
            await self.add_credit(account_id, customer.credit, "first")
        if customer.promotion:
            grant = GrantCreditRequest(
                account_id=account_id,
                amount=to_money(customer.promotion, customer.currency),
                external_reference=f"welcome-{account_id}",
                idempotency_key=f"{account_id}/welcome",
            )
            self.tally.credit(account_id, customer.promotion, await self.ledger.send("GrantCredit", grant))

    async def add_credit(self, account_id: str, amount: Decimal, name: str) -> None:
        """Book a payment of the customer, and what the payment service keeps of it."""
        currency = self.customers[account_id].currency
        fee = (amount * _FEE_SHARE + _FEE_FIXED).quantize(Decimal("0.01"), ROUND_HALF_EVEN)
        request = AddCreditRequest(
            account_id=account_id,
            amount=to_money(amount, currency),
            payment_fee=to_money(fee, currency),
            external_reference=f"pay-{account_id}-{name}",
            idempotency_key=f"{account_id}/pay/{name}",
        )
        self.tally.credit(account_id, amount, await self.ledger.send("AddCredit", request))


class _Admin:
    """The operator: freezes, unfreezes and credits accounts when their share of the calls has started."""

    def __init__(self, day: Day, call_count: int) -> None:
        self._day = day
        self._call_count = call_count
        self._due: dict[int, list[tuple[_Action, str]]] = {}
        for account_id, customer in day.customers.items():
            if customer.freeze:
                self._plan(customer.freeze[0], "freeze", account_id)
                self._plan(customer.freeze[1], "unfreeze", account_id)
            if customer.top_up:
                self._plan(customer.top_up[0], "top_up", account_id)

    def _plan(self, share: float, action: _Action, account_id: str) -> None:
        self._due.setdefault(int(share * self._call_count), []).append((action, account_id))

    async def act(self, number: int) -> None:
        """Do what is due before the call with this number."""
        for action, account_id in self._due.get(number, ()):
            key = f"{account_id}/{action}"
            match action:
                case "freeze":
                    freeze = FreezeAccountRequest(account_id=account_id, idempotency_key=key)
                    await self._day.ledger.send("FreezeAccount", freeze)
                case "unfreeze":
                    unfreeze = UnfreezeAccountRequest(account_id=account_id, idempotency_key=key)
                    await self._day.ledger.send("UnfreezeAccount", unfreeze)
                case "top_up":
                    top_up = self._day.customers[account_id].top_up
                    assert top_up is not None
                    await self._day.add_credit(account_id, top_up[1], "top-up")
