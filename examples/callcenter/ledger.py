"""Sends RPCs to Imprest: over several connections, timed, and again with the same key when the outcome is unknown."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import defaultdict
from typing import Any, Self

import grpc
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2, health_pb2_grpc

from imprest.v1.account_service_pb2_grpc import AccountServiceStub
from imprest.v1.budget_service_pb2 import BudgetAlertsRequest
from imprest.v1.budget_service_pb2_grpc import BudgetServiceStub
from imprest.v1.ledger_service_pb2_grpc import LedgerServiceStub
from imprest.v1.pricing_service_pb2_grpc import PricingServiceStub
from imprest_client.errors import ErrorDetails, details_of

_TIMEOUT_S = 20.0
_ATTEMPTS = 6
#: After these nobody knows whether the request took effect. Repeating it with its key finds out, and is harmless.
_UNKNOWN = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.ABORTED}


class Denied(Exception):
    """Imprest said no; `details.reason` says why."""

    def __init__(self, details: ErrorDetails) -> None:
        super().__init__(f"{details.reason or details.code.name}: {details.message}")
        self.details = details


class Unreachable(Exception):
    """The server does not answer."""


class ReplayError(Exception):
    """A repeated request was not recognised."""


class Ledger:
    """The RPCs of a server, by name. A context manager: it owns its connections."""

    def __init__(self, target: str, connections: int = 4) -> None:
        """Connect lazily to `host:port`. The server is local: no TLS."""
        self._target = target
        # Without a pool of its own each channel would share one connection with the others.
        options = [("grpc.use_local_subchannel_pool", 1)]
        self._channels = [grpc.aio.insecure_channel(target, options) for _ in range(connections)]
        self._stubs = itertools.cycle(
            [
                (LedgerServiceStub(c), AccountServiceStub(c), PricingServiceStub(c), BudgetServiceStub(c))
                for c in self._channels
            ]
        )
        self.latencies_s: dict[str, list[float]] = defaultdict(list)
        self.retry_count = 0
        self.duplicate_count = 0
        self.replay_count = 0

    async def __aenter__(self) -> Self:
        """Nothing to do: channels connect when they are used."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        await asyncio.gather(*(channel.close() for channel in self._channels))

    async def wait_until_serving(self, timeout_s: float) -> None:
        """Return when the server's health is SERVING.

        Raises:
            Unreachable: it is not, after `timeout_s`.
        """
        health: Any = health_pb2_grpc.HealthStub(self._channels[0])
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    if await _serving(health):
                        return
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise Unreachable(f"no Imprest server answers on {self._target}") from None

    async def send(self, rpc: str, request: Message) -> Any:
        """Send a request and return the reply.

        Raises:
            Denied: Imprest refused it.
            Unreachable: no attempt got an answer.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            method = next(getattr(stub, rpc) for stub in next(self._stubs) if hasattr(stub, rpc))
            started = time.perf_counter()
            try:
                return await method(request, timeout=_TIMEOUT_S)
            except grpc.aio.AioRpcError as error:
                details = details_of(error)
                if details.code not in _UNKNOWN:
                    raise Denied(details) from None
                if attempt == _ATTEMPTS:
                    raise Unreachable(f"{rpc} had no answer {attempt} times: {details.message}") from None
                self.retry_count += 1
            finally:
                self.latencies_s[rpc].append(time.perf_counter() - started)
            await asyncio.sleep(details.retry_after_s or 0.1 * attempt)
        raise AssertionError("the last attempt returns or raises")

    def subscribe(self, request: BudgetAlertsRequest) -> grpc.aio.UnaryStreamCall:
        """The stream of alerts, without end."""
        return BudgetServiceStub(self._channels[0]).BudgetAlerts(request)

    async def send_twice(self, rpc: str, request: Message) -> Any:
        """Send a request twice at the same time, as after a timeout. One is decided, the other must be its replay.

        Raises:
            Denied: both were denied, one of them as a replay.
            ReplayError: the two answers are not those of one decision.
        """
        self.duplicate_count += 1
        twins = await asyncio.gather(self.send(rpc, request), self.send(rpc, request), return_exceptions=True)
        for twin in twins:
            if isinstance(twin, BaseException) and not isinstance(twin, Denied):
                raise twin
        # With a lost reply in between both may be replays, so one is enough.
        if not any(_replayed(twin) for twin in twins) or _content(twins[0]) != _content(twins[1]):
            raise ReplayError(f"{rpc} sent twice was decided twice: {twins[0]!r} and {twins[1]!r}")
        self.replay_count += 1
        if isinstance(twins[0], BaseException):
            raise twins[0]
        return twins[0]


async def _serving(health: Any) -> bool:
    try:
        reply = await health.Check(health_pb2.HealthCheckRequest())
    except grpc.aio.AioRpcError:
        return False
    return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)


def _replayed(answer: Any) -> bool:
    return bool(answer.details.replayed if isinstance(answer, Denied) else getattr(answer, "replayed", False))


def _content(answer: Any) -> object:
    """What two answers to one request must have in common: everything but the mark of the replay."""
    if isinstance(answer, Message):
        copy: Any = type(answer)()
        copy.CopyFrom(answer)
        copy.replayed = False
        return copy
    return str(answer)
