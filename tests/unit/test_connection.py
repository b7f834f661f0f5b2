"""Attempts, waits and deadlines of a connection, against servers that fail as they are told."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import grpc
import pytest

from imprest.v1.account_service_pb2 import GetBalanceRequest
from imprest_client import AdminClient, Connection, RetryPolicy
from imprest_client.connection import Method
from imprest_client.errors import (
    Cancelled,
    Conflict,
    DeadlineExceeded,
    ErrorDetails,
    ImprestError,
    InsufficientFunds,
    NotFound,
    Retryable,
    Unavailable,
    error_of,
)
from imprest_client.testing import FakeImprest
from imprest_client.wire import GET_BALANCE
from tests.support.patience import PATIENCE_S, SOON_S
from tests.support.ports import reserved_port

Context = grpc.aio.ServicerContext[bytes, bytes]
Behavior = Callable[[bytes, Context], Awaitable[bytes]]


@asynccontextmanager
async def serving(behavior: Behavior, port: int = 0) -> AsyncIterator[str]:
    """A server whose GetBalance is this."""
    server = grpc.aio.server()
    handlers = {"GetBalance": grpc.unary_unary_rpc_method_handler(behavior)}
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("imprest.v1.AccountService", handlers),)  # one RPC is enough
    )
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


def failing(code: grpc.StatusCode, times: int, seen: list[bytes]) -> Behavior:
    async def behavior(request: bytes, context: Context) -> bytes:
        seen.append(request)
        if len(seen) <= times:
            await context.abort(code, "as told")
        return b""

    return behavior


REQUEST = GetBalanceRequest(account_id="acme")


@pytest.mark.parametrize(
    "code",
    [
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
    ],
)
async def test_what_may_succeed_is_sent_again_with_the_same_bytes(code: grpc.StatusCode) -> None:
    seen: list[bytes] = []
    async with serving(failing(code, 3, seen)) as target, Connection(target) as connection:
        await connection.call(GET_BALANCE, REQUEST)
    assert seen == [REQUEST.SerializeToString()] * 4


@pytest.mark.parametrize(
    "code",
    [
        code
        for code in grpc.StatusCode
        if code
        not in (
            grpc.StatusCode.OK,
            grpc.StatusCode.UNAVAILABLE,
            grpc.StatusCode.ABORTED,
            grpc.StatusCode.CANCELLED,
            grpc.StatusCode.DEADLINE_EXCEEDED,
        )
    ],
)
async def test_what_stays_so_is_sent_once(code: grpc.StatusCode) -> None:
    seen: list[bytes] = []
    async with serving(failing(code, 1, seen)) as target, Connection(target) as connection:
        with pytest.raises(ImprestError) as failed:
            await connection.call(GET_BALANCE, REQUEST)
    assert failed.value.code is code
    assert not isinstance(failed.value, Retryable)
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("code", "cls"),
    [
        (grpc.StatusCode.UNAVAILABLE, Unavailable),
        (grpc.StatusCode.ABORTED, Conflict),
        (grpc.StatusCode.CANCELLED, Cancelled),
    ],
)
async def test_the_deadline_ends_the_attempts_with_the_last_error(code: grpc.StatusCode, cls: type) -> None:
    class AtOnceAndThenLate(RetryPolicy):
        def pause_s(self, attempt: int, error: ImprestError, draw: float) -> float:
            return 0.0 if attempt < 3 else PATIENCE_S

    seen: list[bytes] = []
    async with (
        serving(failing(code, 10**6, seen)) as target,
        Connection(target, timeout_s=PATIENCE_S, retry=AtOnceAndThenLate()) as connection,
    ):
        with pytest.raises(cls) as failed:
            await connection.call(GET_BALANCE, REQUEST)
    assert failed.value.__notes__ == ["after 3 attempts"]
    assert len(seen) == 3


async def test_an_attempt_that_hangs_is_given_up_and_made_again() -> None:
    seen: list[bytes] = []

    async def hang_once(request: bytes, context: Context) -> bytes:
        seen.append(request)
        if len(seen) == 1:
            connection._attempt_timeout_s = PATIENCE_S  # the next is answered
            await asyncio.Event().wait()
        return b""

    async with serving(hang_once) as target, Connection(target, attempt_timeout_s=SOON_S) as connection:
        await connection.call(GET_BALANCE, REQUEST)
    assert len(seen) > 1


class Proxy:
    """Stands between a client and a server. What is `frozen` swallows everything, as a network that forgot it."""

    def __init__(self, target: str) -> None:
        self._host, _, self._port = target.partition(":")
        self._connections: list[asyncio.Event] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def freeze(self) -> int:
        """Freeze the connections there are, not those to come."""
        for alive in self._connections:
            alive.clear()
        return len(self._connections)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._connect(reader, writer))
        self._tasks.add(task)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        alive = asyncio.Event()
        alive.set()
        self._connections.append(alive)
        there_reader, there_writer = await asyncio.open_connection(self._host, int(self._port))
        try:
            await asyncio.gather(self._pump(reader, there_writer, alive), self._pump(there_reader, writer, alive))
        finally:
            for one in (writer, there_writer):
                one.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, alive: asyncio.Event) -> None:
        while data := await reader.read(65536):
            await alive.wait()
            writer.write(data)
            await writer.drain()


async def test_a_connection_that_went_silent_is_replaced() -> None:
    async with FakeImprest() as server:
        proxy = Proxy(server.target)
        async with proxy as target, Connection(target, connections=3, timeout_s=PATIENCE_S) as connection:
            admin = AdminClient(connection, currency="USD")
            await admin.create_account("acme")
            for _ in range(3):
                await admin.get_balance("acme")
            assert proxy.freeze() == 3
            connection._attempt_timeout_s = 1
            await admin.add_credit("acme", 1, idempotency_key="k")
            assert (await admin.get_balance("acme")).wallet == 1


async def test_a_call_on_a_retired_connection_may_finish() -> None:
    arrived, answer = asyncio.Event(), asyncio.Event()
    slow, lost = GetBalanceRequest(account_id="slow"), GetBalanceRequest(account_id="lost")
    peers: dict[bytes, str] = {}

    async def behavior(request: bytes, context: Context) -> bytes:
        peers[request] = context.peer()
        if request == slow.SerializeToString():
            arrived.set()
            await answer.wait()
        elif request == lost.SerializeToString():
            await asyncio.Event().wait()
        return b""

    async with (
        serving(behavior) as target,
        Connection(target, connections=1, timeout_s=PATIENCE_S, attempt_timeout_s=PATIENCE_S) as connection,
    ):
        patient = asyncio.create_task(connection.call(GET_BALANCE, slow))
        await arrived.wait()
        with pytest.raises(DeadlineExceeded):
            await connection.call(GET_BALANCE, lost, timeout_s=1.1)
        assert connection._channels == [None]
        await connection.call(GET_BALANCE, REQUEST)
        assert peers[REQUEST.SerializeToString()] != peers[slow.SerializeToString()]
        answer.set()
        await patient


async def test_a_connection_that_answers_others_is_only_slow() -> None:
    peers: list[str] = []

    async def slow_at_times(request: bytes, context: Context) -> bytes:
        peers.append(context.peer())
        if len(peers) in (2, 3):
            await asyncio.Event().wait()
        return b""

    async with serving(slow_at_times) as target, Connection(target, connections=1) as connection:
        await connection.call(GET_BALANCE, REQUEST)
        for _ in range(2):
            connection._heard_s = [time.monotonic() + 60]  # or a slow machine would tell
            with pytest.raises(DeadlineExceeded):
                await connection.call(GET_BALANCE, REQUEST, timeout_s=0.1)
        await connection.call(GET_BALANCE, REQUEST)
    assert len(set(peers)) == 1


async def test_whoever_waits_while_the_connection_is_closed_gets_an_error() -> None:
    """Not a CancelledError: nobody has cancelled it, and what runs for others must not end as if somebody had."""
    arrived = asyncio.Event()

    async def hang(request: bytes, context: Context) -> bytes:
        arrived.set()
        await asyncio.Event().wait()
        return b""

    async with serving(hang) as target, Connection(target) as connection:
        calling = asyncio.create_task(connection.call(GET_BALANCE, REQUEST))
        await arrived.wait()
        await connection.close()
        with pytest.raises(Cancelled, match="closed"):
            await calling


async def test_a_request_without_time_is_not_sent() -> None:
    seen: list[bytes] = []
    async with serving(failing(grpc.StatusCode.OK, 0, seen)) as target, Connection(target) as connection:
        with pytest.raises(DeadlineExceeded, match="no time was left"):
            await connection.call(GET_BALANCE, REQUEST, timeout_s=0)
    assert not seen


async def test_a_server_that_comes_later_is_found() -> None:
    with reserved_port() as port:
        target = f"127.0.0.1:{port}"
        async with Connection(target, connections=1, timeout_s=PATIENCE_S) as connection:
            calling = asyncio.create_task(connection.call(GET_BALANCE, REQUEST))
            with pytest.raises(Retryable):
                await connection.call(GET_BALANCE, REQUEST, timeout_s=SOON_S)
            async with serving(failing(grpc.StatusCode.OK, 0, []), port):
                await calling


async def test_calls_take_turns_on_real_connections() -> None:
    peers: list[str] = []

    async def behavior(request: bytes, context: Context) -> bytes:
        peers.append(context.peer())
        return b""

    async with serving(behavior) as target, Connection(target, connections=3) as connection:
        for _ in range(6):
            await connection.call(GET_BALANCE, REQUEST)
    assert len(set(peers)) == 3
    assert peers[:3] == peers[3:]


async def test_the_callers_own_cancellation_is_no_error_of_the_server() -> None:
    arrived = asyncio.Event()

    async def hang(request: bytes, context: Context) -> bytes:
        arrived.set()
        await asyncio.Event().wait()
        return b""

    async with serving(hang) as target, Connection(target) as connection:
        calling = asyncio.create_task(connection.call(GET_BALANCE, REQUEST))
        await arrived.wait()
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling


async def test_a_client_makes_one_key_for_all_attempts() -> None:
    async with FakeImprest() as server, AdminClient(server.target, currency="USD") as admin:
        await admin.create_account("acme")
        server.lose_answers(3)
        receipt = await admin.add_credit("acme", 5)
        assert receipt.replayed
        assert (await admin.get_balance("acme")).wallet == 5
        assert server.rpcs == ["CreateAccount", *["AddCredit"] * 4, "GetBalance"]


async def test_a_denial_and_an_unknown_id_are_not_repeated() -> None:
    async with FakeImprest() as server, AdminClient(server.target, currency="USD") as admin:
        await admin.create_account("acme")
        server.rpcs.clear()
        with pytest.raises(InsufficientFunds):
            await admin.reserve("acme", 1)
        with pytest.raises(NotFound):
            await admin.get_account("nobody")
        assert server.rpcs == ["Reserve", "GetAccount"]


# ── the policy ───────────────────────────────────────────────────────────────────────────────────────


def unavailable(retry_after_s: float | None = None) -> ImprestError:
    return error_of(ErrorDetails(grpc.StatusCode.UNAVAILABLE, "", "", {}, False, {}, retry_after_s))


def test_waits_double_up_to_the_longest() -> None:
    policy = RetryPolicy(first_s=0.1, longest_s=1)
    waits = [policy.wait_s(attempt, unavailable(), draw=1) for attempt in range(1, 7)]
    assert waits == [0.1, 0.2, 0.4, 0.8, 1, 1]
    assert policy.wait_s(10**6, unavailable(), draw=1) == 1


def test_waits_are_spread() -> None:
    policy, draws = RetryPolicy(), random.Random(1)
    waits = [policy.wait_s(6, unavailable(), draws.random()) or 0.0 for _ in range(1000)]
    assert min(waits) < 0.1 < 1.4 < max(waits)


def test_the_servers_delay_is_kept() -> None:
    policy, draws = RetryPolicy(), random.Random(1)
    waits = [policy.wait_s(1, unavailable(retry_after_s=0.7), draws.random()) or 0.0 for _ in range(100)]
    assert min(waits) >= 0.7


def test_a_verdict_is_not_retried() -> None:
    denied = error_of(ErrorDetails(grpc.StatusCode.FAILED_PRECONDITION, "", "INSUFFICIENT_FUNDS", {}, False, {}, 5))
    assert RetryPolicy().wait_s(1, denied, 0.5) is None


async def test_the_wait_that_the_server_asks_for_counts_against_the_deadline() -> None:
    async with FakeImprest() as server:
        policy = RetryPolicy(first_s=1e6, longest_s=1e6)
        connection = Connection(server.target, timeout_s=1e6, retry=policy)
        connection._random.seed(1)
        with server.outage():
            async with connection:
                with pytest.raises(Unavailable):
                    await connection.call(Method(GET_BALANCE.path, GET_BALANCE.reply), REQUEST, timeout_s=PATIENCE_S)
        assert server.rpcs == ["GetBalance"]
