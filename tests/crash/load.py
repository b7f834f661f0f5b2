"""The callers: phone calls, credits and transfers over a few hot and some cold accounts, as chance has it."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.type.money_pb2 import Money

from imprest.v1 import account_service_pb2 as accounts_pb
from imprest.v1 import ledger_service_pb2 as pb
from imprest.v1 import usage_service_pb2 as usage_pb
from imprest.v1.account_pb2 import Account, OverrunPolicy
from imprest.v1.usage_pb2 import UsageReport
from tests.conftest import Database
from tests.crash.journal import Answer, Journal, Port
from tests.crash.tariff import furnish, usage

UNIT = 10**9


def money(nanos: int) -> Money:
    """US dollars."""
    return Money(currency_code="USD", units=nanos // UNIT, nanos=nanos % UNIT)


@dataclass(frozen=True)
class Scale:
    """How many accounts, and how many callers at the same time. Hot accounts get most of the calls.

    `cap` is what the first of them may spend where there are budgets, in units.
    """

    hot: int = 2
    cold: int = 12
    callers: int = 24
    cap: int = 60


class Load:
    """Callers on one way to the ledger, who write into one journal.

    With a `furnished` database it is given prices and budgets, and half of the calls are rated.
    """

    def __init__(
        self, journal: Journal, port: Port, seed: object, scale: Scale = Scale(), furnished: Database | None = None
    ) -> None:
        self.journal, self.port = journal, port
        self.accounts = [f"hot-{n}" for n in range(scale.hot)] + [f"cold-{n}" for n in range(scale.cold)]
        self._seed, self._scale = seed, scale
        self._furnished = furnished
        self._stopping = asyncio.Event()
        self._keys = 0

    async def open(self) -> None:
        """Make the accounts, of every overrun policy, some with a credit line, some with little credit."""
        await asyncio.gather(*(self._open(n, account_id) for n, account_id in enumerate(self.accounts)))
        if self._furnished is not None:
            await furnish(self._furnished, self._scale.cap)

    async def run(self) -> None:
        """Call until told to stop; returns when every caller has the answer to what was asked last."""
        async with asyncio.TaskGroup() as callers:
            for n in range(self._scale.callers):
                callers.create_task(self._caller(random.Random(f"{self._seed}/{n}")))

    def stop(self) -> None:
        """No new calls; those that run are brought to their end."""
        self._stopping.set()

    async def settle(self) -> None:
        """Let the holds of abandoned calls expire, and have that written: every operation on an account does so."""
        expiring = [
            entry.answer.response.reservation.expire_time.ToDatetime(UTC)
            for entry in self.journal.entries
            if entry.method in ("Reserve", "Extend") and entry.answer is not None and entry.answer.granted
        ]
        now = datetime.now(UTC)
        last = max((time for time in expiring if (time - now).total_seconds() < 10), default=now)
        await asyncio.sleep(max(0.0, (last - now).total_seconds() + 0.05))
        await asyncio.gather(*(self.credit(account_id, 1) for account_id in self.accounts))

    async def ask(self, method: str, request: Any) -> Answer:
        """Ask under a new key."""
        self._keys += 1
        request.idempotency_key = f"{self._seed}/{self._keys}"
        return await self.journal.ask(self.port, method, request)

    async def credit(self, account_id: str, nanos: int) -> Answer:
        """A purchase."""
        return await self.ask("AddCredit", accounts_pb.AddCreditRequest(account_id=account_id, amount=money(nanos)))

    async def reserve(self, account_id: str, nanos: int, ttl_s: int = 86_400) -> Answer:
        """A hold that lasts longer than any test, unless told otherwise."""
        request = pb.ReserveRequest(account_id=account_id, amount=money(nanos), ttl=Duration(seconds=ttl_s))
        return await self.ask("Reserve", request)

    async def commit(self, hold: str, nanos: int, *, final: bool = True) -> Answer:
        return await self.ask("Commit", pb.CommitRequest(reservation_id=hold, amount=money(nanos), final=final))

    async def void(self, hold: str) -> Answer:
        return await self.ask("Void", pb.VoidRequest(reservation_id=hold))

    async def refund(self, hold: str, transaction_id: str, nanos: int) -> Answer:
        """Of the transaction if one is named; all that is left, when `nanos` is 0."""
        request = pb.RefundRequest(transaction_id=transaction_id)
        if not transaction_id:
            request = pb.RefundRequest(reservation_id=hold)
        if nanos:
            request.amount.CopyFrom(money(nanos))
        return await self.ask("Refund", request)

    async def transfer(self, giver: str, taker: str, nanos: int) -> Answer:
        request = accounts_pb.TransferRequest(from_account_id=giver, to_account_id=taker, amount=money(nanos))
        return await self.ask("Transfer", request)

    async def _open(self, n: int, account_id: str) -> None:
        account = Account(account_id=account_id, currency_code="USD")
        account.overrun_policy = (
            OverrunPolicy.OVERRUN_POLICY_COLLECT,
            OverrunPolicy.OVERRUN_POLICY_COLLECT,
            OverrunPolicy.OVERRUN_POLICY_CAP,
            OverrunPolicy.OVERRUN_POLICY_REJECT,
        )[n % 4]
        if n % 3 == 1:
            account.credit_limit.CopyFrom(money(5 * UNIT))
        if n % 4 == 1:
            account.max_overrun.CopyFrom(money(2 * UNIT))
        await self.ask("CreateAccount", accounts_pb.CreateAccountRequest(account=account))
        await self.credit(account_id, (2_000 if n < self._scale.hot else 40) * UNIT + n)

    async def _caller(self, chance: random.Random) -> None:
        while not self._stopping.is_set():
            if chance.random() < 0.72:
                await (self._rated_call if self._furnished and chance.random() < 0.5 else self._call)(chance)
            elif chance.random() < 0.6:
                giver, taker = chance.sample(self.accounts, 2)
                await self.transfer(giver, taker, chance.randrange(1, 2 * UNIT))
            else:
                await self.credit(self._pick(chance), chance.randrange(1, 6 * UNIT))

    def _pick(self, chance: random.Random) -> str:
        hot = self._scale.hot
        return chance.choice(self.accounts[:hot] if chance.random() < 0.6 else self.accounts[hot:])

    async def _call(self, chance: random.Random) -> None:
        abandoned = chance.random() < 0.04
        total = chance.randrange(UNIT // 10, 4 * UNIT)
        reserved = await self.reserve(self._pick(chance), total, *([1] if abandoned else []))
        if not reserved.granted:
            return
        hold = reserved.response.reservation.reservation_id
        for _ in range(chance.randrange(3)):
            used, more = chance.randrange(total), total + chance.randrange(UNIT)
            extend = pb.ExtendRequest(reservation_id=hold, new_total=money(more), used_so_far=money(used))
            extended = await self.ask("Extend", extend)
            if not extended.granted:
                return
            if extended.response.denial_reason:  # a call that has to end
                break
            total = more
        if not abandoned:
            await self._end(chance, hold, total)

    async def _end(self, chance: random.Random, hold: str, total: int) -> None:
        """Bring a call to its end, if it gets one."""
        within = chance.randrange(total)
        match chance.choices(("spend", "overrun", "twice", "void", "race", "never"), (50, 10, 10, 17, 8, 5))[0]:
            case "spend":
                ended = await self.commit(hold, within)
            case "overrun":
                ended = await self.commit(hold, total + chance.randrange(UNIT))
            case "twice":
                await self.commit(hold, within // 2, final=False)
                ended = await self.commit(hold, within - within // 2)
            case "void":
                await self.void(hold)
                return
            case "race":
                ended, _ = await asyncio.gather(self.commit(hold, within), self.void(hold))
            case _:
                return
        if ended.granted and chance.random() < 0.3:
            named = ended.response.transaction_id if chance.random() < 0.5 else ""
            await self.refund(hold, named, chance.choice([0, chance.randrange(1, UNIT)]))

    async def _rated_call(self, chance: random.Random) -> None:
        """A call that is reserved by an estimate and committed by what it used, or one without a hold."""
        account_id, call_id = self._pick(chance), f"call-{self._keys}-{chance.randrange(10**9)}"
        seconds, tokens = chance.randrange(1, 300), chance.randrange(1, 400)
        if chance.random() < 0.2:
            asked = pb.ChargeRequest if chance.random() < 0.5 else usage_pb.RecordUsageRequest
            method = asked.__name__.removesuffix("Request")
            await self.ask(method, asked(account_id=account_id, call_id=call_id, usage=usage(seconds, tokens, "all")))
            return
        abandoned = chance.random() < 0.06
        request = pb.ReserveRequest(account_id=account_id, call_id=call_id, estimate=usage(seconds, tokens))
        request.ttl.seconds = 1 if abandoned else 86_400
        reserved = await self.ask("Reserve", request)
        if not reserved.granted:
            return
        hold = reserved.response.reservation.reservation_id
        for _ in range(chance.randrange(3)):
            extend = pb.ExtendRequest(
                reservation_id=hold, used=usage(chance.randrange(seconds), chance.randrange(tokens))
            )
            more = seconds + chance.randrange(60), tokens + chance.randrange(100)
            extend.estimate_total.CopyFrom(usage(*more))
            extended = await self.ask("Extend", extend)
            if not extended.granted:
                return
            if extended.response.denial_reason:
                break
            seconds, tokens = more
        if not abandoned:
            await self._end_rated(chance, hold, seconds, tokens)

    async def _end_rated(self, chance: random.Random, hold: str, seconds: int, tokens: int) -> None:
        """Commit what was used: at once, in two parts of which the second names the first again, or not at all."""
        within = usage(chance.randrange(seconds), chance.randrange(tokens), "first")
        match chance.choices(("spend", "overrun", "twice", "race", "void", "never"), (50, 12, 16, 8, 10, 4))[0]:
            case "spend":
                ended = await self._commit_usage(hold, within)
            case "overrun":
                ended = await self._commit_usage(hold, usage(seconds + chance.randrange(1, 60), tokens, "first"))
            case "twice":
                await self._commit_usage(hold, within, final=False)
                within.MergeFrom(usage(chance.randrange(20), chance.randrange(20), "second"))
                ended = await self._commit_usage(hold, within)
            case "race":
                ended, _ = await asyncio.gather(self._commit_usage(hold, within), self.void(hold))
            case "void":
                await self.void(hold)
                return
            case _:
                return
        if ended.granted and chance.random() < 0.3:
            await self.refund(hold, "", chance.choice([0, chance.randrange(1, UNIT // 10)]))

    async def _commit_usage(self, hold: str, used: UsageReport, *, final: bool = True) -> Answer:
        return await self.ask("Commit", pb.CommitRequest(reservation_id=hold, usage=used, final=final))
