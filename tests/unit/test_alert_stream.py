"""The iterator over alerts against a server whose streams break as they are told: nothing twice, nothing missing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from imprest.v1.budget_pb2 import Alert
from imprest.v1.budget_service_pb2 import AlertCheckpoint, BudgetAlertsRequest, BudgetAlertsResponse
from imprest_client import BudgetClient, Connection, RetryPolicy, sync
from imprest_client.budget_model import AlertKind, AlertLevel
from imprest_client.errors import (
    Cancelled,
    DeadlineExceeded,
    InvalidArgument,
    ResumeTokenTooOld,
    Unauthenticated,
    Unavailable,
)
from tests.support.patience import PATIENCE_S, SOON_S

Step: TypeAlias = Callable[[grpc.aio.ServicerContext[Any, Any]], Any]


def tell(sequence: int) -> BudgetAlertsResponse:
    return BudgetAlertsResponse(alert=Alert(sequence=sequence), resume_token=f"t{sequence}")


def checkpoint(sequence: int) -> BudgetAlertsResponse:
    return BudgetAlertsResponse(checkpoint=AlertCheckpoint(sequence=sequence), resume_token=f"t{sequence}")


def fail(code: grpc.StatusCode, reason: str = "", **values: str) -> Step:
    """End the stream so."""

    async def step(context: grpc.aio.ServicerContext[Any, Any]) -> None:
        status = Status(code=code.value[0], message="as told")
        packed = AnyMessage()
        packed.Pack(ErrorInfo(reason=reason, domain="imprest", metadata=values))
        status.details.append(packed)
        details = (("grpc-status-details-bin", status.SerializeToString()),) if reason else ()
        await context.abort(code, "as told", details)

    step.__name__ = reason or f"grpc_{code.name}"  # the test's
    return step


async def hang(context: grpc.aio.ServicerContext[Any, Any]) -> None:
    """Say nothing any more."""
    await asyncio.Event().wait()


async def end(context: grpc.aio.ServicerContext[Any, Any]) -> None:
    """End the stream as if that were right."""


class Script:
    """A server with one list of messages, the last one a step, for each stream that is begun; the last list serves
    all that follow."""

    def __init__(self, *streams: Iterable[BudgetAlertsResponse | Step]) -> None:
        self.streams = [[*stream] for stream in streams]
        self.requests: list[BudgetAlertsRequest] = []

    async def stream(
        self, request: BudgetAlertsRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[BudgetAlertsResponse]:
        self.requests.append(request)
        for step in self.streams.pop(0) if len(self.streams) > 1 else self.streams[0]:
            if isinstance(step, BudgetAlertsResponse):
                yield step
            else:
                await step(context)

    @property
    def tokens(self) -> list[str]:
        """Where the streams were begun."""
        return [request.resume_token for request in self.requests]


@asynccontextmanager
async def serving(script: Script) -> AsyncIterator[str]:
    server = grpc.aio.server()
    handler = grpc.unary_stream_rpc_method_handler(
        script.stream, BudgetAlertsRequest.FromString, BudgetAlertsResponse.SerializeToString
    )
    generic = grpc.method_handlers_generic_handler("imprest.v1.BudgetService", {"BudgetAlerts": handler})
    server.add_generic_rpc_handlers((generic,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


@asynccontextmanager
async def client_of(script: Script) -> AsyncIterator[BudgetClient]:
    async with (
        serving(script) as target,
        Connection(target, retry=RetryPolicy(longest_s=0.01)) as connection,
        BudgetClient(connection) as client,
    ):
        yield client


async def take(alerts: Any, count: int) -> list[int]:
    return [(await anext(alerts)).sequence for _ in range(count)]


@pytest.mark.parametrize(
    "ending",
    [
        end,
        fail(grpc.StatusCode.UNAVAILABLE),
        fail(grpc.StatusCode.UNAVAILABLE, "DRAINING", problem="x"),
        fail(grpc.StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE", problem="x"),
        fail(grpc.StatusCode.RESOURCE_EXHAUSTED, "SLOW_READER", resume_token="t9"),
        fail(grpc.StatusCode.CANCELLED),
        fail(grpc.StatusCode.INTERNAL),
        fail(grpc.StatusCode.INTERNAL, "INTERNAL", error_id="x"),
        fail(grpc.StatusCode.UNKNOWN),
    ],
)
async def test_whatever_ends_a_stream_the_next_one_goes_on(ending: Step) -> None:
    script = Script(
        [checkpoint(3), tell(4), tell(5), ending],
        [ending],
        [tell(6), checkpoint(8), ending],
        [checkpoint(8), tell(9), hang],
    )
    async with client_of(script) as client, client.alerts() as alerts:
        assert alerts.token == ""
        assert await take(alerts, 4) == [4, 5, 6, 9]
        assert (alerts.token, script.tokens) == ("t9", ["", "t5", "t5", "t8"])


async def test_what_comes_twice_is_taken_once() -> None:
    script = Script([tell(4), tell(4), tell(5), end], [tell(4), tell(5), checkpoint(5), tell(5), tell(6), hang])
    async with client_of(script) as client:
        assert await take(client.alerts(resume_token="t3"), 3) == [4, 5, 6]
        assert script.tokens == ["t3", "t5"]


async def test_filters_and_the_beginning_are_sent_every_time() -> None:
    script = Script([end], [end], [tell(4), end], [tell(5), hang])
    since = datetime(2026, 3, 1, tzinfo=UTC)
    async with client_of(script) as client:
        filters: dict[str, Any] = {"account_id": "a", "min_level": AlertLevel.CRITICAL, "kinds": [AlertKind.BUDGET]}
        alerts = client.alerts(start_time=since, checkpoint_interval=timedelta(seconds=2), **filters)
        assert await take(alerts, 2) == [4, 5]
    starts = [request.WhichOneof("start") for request in script.requests]
    assert starts == ["start_time", "start_time", "start_time", "resume_token"]
    assert {(r.account_id, r.min_level, tuple(r.kinds), r.checkpoint_interval.seconds) for r in script.requests} == {
        ("a", 3, (1,), 2)
    }
    with pytest.raises(ValueError, match="not at both"):
        client.alerts(start_time=since, resume_token="t")


async def test_the_token_is_that_of_the_alert_in_hand() -> None:
    """Alerts that were received but not taken are not behind it."""
    script = Script([checkpoint(1), tell(2), tell(3), hang])
    async with client_of(script) as client:
        alerts = client.alerts()
        await alerts.begin()
        assert alerts.token == "t1"
        tokens = [alerts.token for _ in range(2) if await anext(alerts)]
        assert tokens == ["t2", "t3"]


async def test_a_beginning_with_an_alert_keeps_it() -> None:
    script = Script([tell(2), hang])
    async with client_of(script) as client:
        alerts = client.alerts(resume_token="t1")
        await alerts.begin()
        assert (alerts.token, await take(alerts, 1), alerts.token) == ("t1", [2], "t2")


async def test_no_beginning_in_time_says_why() -> None:
    script = Script([fail(grpc.StatusCode.UNAVAILABLE)], [hang])
    async with client_of(script) as client:
        alerts = client.alerts()
        while len(script.requests) < 2:  # until it knows why
            with pytest.raises((Unavailable, DeadlineExceeded)):
                await alerts.begin(SOON_S)
        with pytest.raises(Unavailable):
            await alerts.begin(SOON_S)
    async with client_of(Script([hang])) as client:
        with pytest.raises(DeadlineExceeded):
            await client.alerts().begin(SOON_S)


async def test_a_silent_stream_is_left() -> None:
    async def hang_to_the_end(context: grpc.aio.ServicerContext[Any, Any]) -> None:
        alerts._silence_s = PATIENCE_S  # the next stream speaks
        await hang(context)

    script = Script([checkpoint(1), hang], [hang_to_the_end], [tell(2), hang])
    async with client_of(script) as client:
        alerts = client.alerts()
        await alerts.begin()
        alerts._silence_s = SOON_S
        assert await take(alerts, 1) == [2]
        assert script.tokens[0] == "" and {*script.tokens[1:]} == {"t1"} and len(script.tokens) >= 3


async def test_how_long_a_stream_may_be_silent() -> None:
    async with Connection("127.0.0.1:1") as connection:
        alerts = BudgetClient(connection).alerts(checkpoint_interval=timedelta(seconds=2))
        assert alerts._silence_s == 6


@pytest.mark.parametrize(
    ("code", "reason", "values", "cls"),
    [
        ("OUT_OF_RANGE", "RESUME_TOKEN_TOO_OLD", {"oldest_token": "t7"}, ResumeTokenTooOld),
        ("INVALID_ARGUMENT", "INVALID_ARGUMENT", {"field": "resume_token", "problem": "x"}, InvalidArgument),
        ("UNAUTHENTICATED", "UNAUTHENTICATED", {}, Unauthenticated),
    ],
)
async def test_what_stays_so_is_raised(code: str, reason: str, values: dict[str, str], cls: Any) -> None:
    script = Script([tell(1), fail(grpc.StatusCode[code], reason, **values)], [tell(2), hang])
    async with client_of(script) as client:
        alerts = client.alerts()
        assert await take(alerts, 1) == [1]
        with pytest.raises(cls) as raised:
            await anext(alerts)
        assert (raised.value.details.metadata, alerts.token) == (values, "t1")
        assert await take(alerts, 1) == [2]  # whoever asks again gets an answer
    assert script.tokens == ["", "t1"]


async def test_taking_may_be_cancelled_and_tried_again() -> None:
    script = Script([tell(1), hang], [tell(2), hang])
    async with client_of(script) as client:
        alerts = client.alerts()
        assert await take(alerts, 1) == [1]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(SOON_S):
                await anext(alerts)
        assert await take(alerts, 1) == [2]
    assert script.tokens == ["", "t1"]


async def test_closing_ends_the_iteration() -> None:
    script = Script([tell(1), hang])
    async with client_of(script) as client:
        alerts = client.alerts()
        taken = []

        async def listen() -> None:
            async for alert in alerts:
                taken.append(alert.sequence)
                began.set()

        began = asyncio.Event()
        listening = asyncio.create_task(listen())
        await began.wait()
        await alerts.close()
        await asyncio.wait_for(listening, PATIENCE_S)
        assert taken == [1]
        with pytest.raises(StopAsyncIteration):
            await anext(alerts)


async def test_closing_the_connection_ends_it_with_an_error() -> None:
    async with serving(Script([tell(1), hang])) as target:
        connection = Connection(target)
        alerts = BudgetClient(connection).alerts()
        assert await take(alerts, 1) == [1]
        waiting = asyncio.ensure_future(anext(alerts))
        await asyncio.sleep(0)
        await connection.close()
        with pytest.raises(Cancelled):
            await asyncio.wait_for(waiting, PATIENCE_S)


async def test_without_an_event_loop() -> None:
    script = Script([tell(1), end], [tell(2), tell(3), hang])
    async with serving(script) as target:

        def listen() -> list[tuple[int, str]]:
            with sync.BudgetClient(target) as client, client.alerts() as alerts:
                alerts.begin(PATIENCE_S)
                taken = []
                for alert in alerts:
                    taken.append((alert.sequence, alerts.token))
                    if alert.sequence == 3:
                        alerts.close()
                return taken

        assert await asyncio.to_thread(listen) == [(1, "t1"), (2, "t2"), (3, "t3")]
    assert script.tokens == ["", "t1"]
