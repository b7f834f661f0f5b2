"""The races of tests/integration/test_races.py once more, through gRPC and two worker processes."""

import asyncio
import itertools
import random
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest

from imprest.v1.account_pb2 import Account
from imprest.v1.account_service_pb2 import (
    AddCreditRequest,
    CreateAccountRequest,
    GetBalanceRequest,
    TransferRequest,
)
from imprest.v1.account_service_pb2_grpc import AccountServiceStub
from imprest.v1.ledger_service_pb2 import CommitRequest, RefundRequest, ReserveRequest, VoidRequest
from imprest.v1.ledger_service_pb2_grpc import LedgerServiceStub
from imprest_client.errors import details_of
from imprest_client.money import to_decimal, to_money
from tests.support.command import finished
from tests.support.workers import Workers, aio_channels, serving_workers

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="connections are spread over processes on Linux only")

METHODS = {
    ReserveRequest: "Reserve",
    CommitRequest: "Commit",
    VoidRequest: "Void",
    RefundRequest: "Refund",
    TransferRequest: "Transfer",
    AddCreditRequest: "AddCredit",
    CreateAccountRequest: "CreateAccount",
}

_names = itertools.count(1)


@pytest.fixture(scope="module", params=[[], ["--no-batching"]], ids=["batching", "no batching"])
def server(request: pytest.FixtureRequest, scratch_dir: Path) -> Iterator[Workers]:
    """Two workers; in the end the books they leave behind are verified."""
    data_dir = scratch_dir / f"races-{next(_names)}"
    with serving_workers(scratch_dir, "--data-dir", str(data_dir), *request.param) as server:
        yield server
        status, output, _ = finished("verify", "--data-dir", str(data_dir))
        assert (status, output.splitlines()[-1]) == (0, "verify: OK")
        assert "deadlock" not in server.logged()


@dataclass
class Callers:
    """Callers with a connection each, in turn."""

    channels: list[grpc.aio.Channel]
    _turn: Iterator[int] = field(default_factory=itertools.count)

    async def call(self, request: Any) -> Any:
        """The reply, or the name of the refusal."""
        channel = self.channels[next(self._turn) % len(self.channels)]
        method = METHODS[type(request)]
        stubs = (LedgerServiceStub(channel), AccountServiceStub(channel))
        send = next(getattr(stub, method) for stub in stubs if hasattr(stub, method))
        try:
            return await send(request)
        except grpc.aio.AioRpcError as error:
            return details_of(error).reason or str(error)

    async def together(self, requests: list[Any]) -> list[Any]:
        """All at once, in an order of chance."""
        random.shuffle(requests)
        return await asyncio.gather(*map(self.call, requests))

    async def open(self, credit: int = 0) -> str:
        """A new account."""
        account_id = f"acme-{next(_names)}"
        account = Account(account_id=account_id, currency_code="USD")
        made = await self.call(CreateAccountRequest(account=account, idempotency_key=new_key()))
        assert made.account.account_id == account_id
        if credit:
            await self.call(
                AddCreditRequest(account_id=account_id, amount=to_money(credit, "USD"), idempotency_key=new_key())
            )
        return account_id

    async def standing(self, account_id: str) -> tuple[int, int]:
        """Wallet and held."""
        accounts = AccountServiceStub(self.channels[0])
        balance = (await accounts.GetBalance(GetBalanceRequest(account_id=account_id))).balance
        return int(to_decimal(balance.wallet)), int(to_decimal(balance.held))


@asynccontextmanager
async def calling(server: Workers) -> Any:
    """Callers on both workers."""
    async with aio_channels(server.target, 16) as channels:
        await asyncio.gather(*(channel.channel_ready() for channel in channels))
        assert min(server.spread()) > 0
        yield Callers(channels)


def new_key() -> str:
    return f"key-{next(_names)}"


def reserve(account_id: str, amount: int, key: str | None = None) -> ReserveRequest:
    return ReserveRequest(account_id=account_id, amount=to_money(amount, "USD"), idempotency_key=key or new_key())


def commit(hold_id: str, amount: int) -> CommitRequest:
    return CommitRequest(reservation_id=hold_id, amount=to_money(amount, "USD"), idempotency_key=new_key())


def tally(answers: list[Any]) -> Counter[str]:
    """How often each answer was given: OK, replayed, or the reason of a refusal."""
    return Counter(answer if isinstance(answer, str) else "replayed" if answer.replayed else "OK" for answer in answers)


async def test_reserves_never_exceed_the_funds(server: Workers) -> None:
    async with calling(server) as callers:
        account = await callers.open(credit=100)
        answers = await callers.together([reserve(account, 1) for _ in range(200)])
        assert tally(answers) == {"OK": 100, "INSUFFICIENT_FUNDS": 100}
        assert await callers.standing(account) == (100, 100)


async def test_one_key_in_flight_fifty_times_holds_once(server: Workers) -> None:
    async with calling(server) as callers:
        account, key = await callers.open(credit=100), new_key()
        answers = await callers.together([reserve(account, 3, key) for _ in range(50)])
        assert tally(answers) == {"OK": 1, "replayed": 49}
        assert len({answer.reservation.reservation_id for answer in answers}) == 1
        assert await callers.standing(account) == (100, 3)


async def test_one_key_on_many_accounts_happens_once(server: Workers) -> None:
    """No book lock stands between these: only the key does."""
    async with calling(server) as callers:
        accounts, key = [await callers.open(credit=10) for _ in range(8)], new_key()
        answers = await callers.together([reserve(account, 1, key) for account in accounts])
        assert tally(answers) == {"OK": 1, "IDEMPOTENCY_KEY_REUSED": 7}
        assert sum([(await callers.standing(account))[1] for account in accounts]) == 1


async def test_opposed_transfers_neither_deadlock_nor_lose(server: Workers) -> None:
    async with calling(server) as callers:
        a, b, c = [await callers.open(credit=50) for _ in range(3)]
        transfers = [
            TransferRequest(
                from_account_id=giver, to_account_id=taker, amount=to_money(1, "USD"), idempotency_key=new_key()
            )
            for giver, taker in ((a, b), (b, a), (b, c), (c, b), (c, a), (a, c))
            for _ in range(20)
        ]
        assert tally(await callers.together(transfers)) == {"OK": 120}
        assert [await callers.standing(account) for account in (a, b, c)] == [(50, 0)] * 3


async def test_one_external_reference_credits_once(server: Workers) -> None:
    """Also across accounts, which no lock joins."""
    async with calling(server) as callers:
        accounts, reference = [await callers.open() for _ in range(4)], new_key()
        credits_ = [
            AddCreditRequest(
                account_id=account,
                amount=to_money(5, "USD"),
                external_reference=reference,
                idempotency_key=new_key(),
            )
            for account in accounts
            for _ in range(5)
        ]
        assert tally(await callers.together(credits_)) == {"OK": 1, "EXTERNAL_REFERENCE_USED": 19}
        assert sorted([await callers.standing(account) for account in accounts]) == [(0, 0)] * 3 + [(5, 0)]


async def test_one_account_id_is_created_once(server: Workers) -> None:
    async with calling(server) as callers:
        account = Account(account_id=f"acme-{next(_names)}", currency_code="USD")
        creations = [CreateAccountRequest(account=account, idempotency_key=new_key()) for _ in range(20)]
        assert tally(await callers.together(creations)) == {"OK": 1, "ACCOUNT_EXISTS": 19}


async def test_one_commit_wins(server: Workers) -> None:
    async with calling(server) as callers:
        account = await callers.open(credit=100)
        hold = (await callers.call(reserve(account, 10))).reservation.reservation_id
        answers = await callers.together([commit(hold, 4) for _ in range(30)])
        assert tally(answers) == {"OK": 1, "RESERVATION_COMMITTED": 29}
        assert await callers.standing(account) == (96, 0)


async def test_commit_against_void(server: Workers) -> None:
    async with calling(server) as callers:
        account, committed = await callers.open(credit=100), 0
        for _ in range(10):
            hold = (await callers.call(reserve(account, 5))).reservation.reservation_id
            void = [VoidRequest(reservation_id=hold, idempotency_key=new_key()) for _ in range(2)]
            counts = tally(await callers.together([commit(hold, 1), *void]))
            if counts["RESERVATION_VOIDED"]:
                assert counts == {"OK": 2, "RESERVATION_VOIDED": 1}
            else:
                assert counts == {"OK": 1, "RESERVATION_COMMITTED": 2}
                committed += 1
        assert await callers.standing(account) == (100 - committed, 0)


async def test_refunds_never_exceed_the_capture(server: Workers) -> None:
    async with calling(server) as callers:
        account = await callers.open(credit=100)
        hold = (await callers.call(reserve(account, 10))).reservation.reservation_id
        await callers.call(commit(hold, 10))
        refunds = [
            RefundRequest(reservation_id=hold, amount=to_money(3, "USD"), idempotency_key=new_key()) for _ in range(12)
        ]
        assert tally(await callers.together(refunds)) == {"OK": 3, "REFUND_EXCEEDS_CAPTURE": 9}
        assert await callers.standing(account) == (99, 0)
