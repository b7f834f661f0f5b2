"""Ways to the ledger: through the engine in this process, or over gRPC to a server that may be killed."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self, cast

import grpc
import structlog
from google.protobuf.message import Message

from imprest.v1.account_service_pb2_grpc import AccountServiceStub
from imprest.v1.ledger_service_pb2_grpc import LedgerServiceStub
from imprest.v1.usage_service_pb2_grpc import UsageServiceStub
from imprest_client.errors import details_of
from imprest_server.core.errors import ImprestError
from imprest_server.ledger.queries import Queries
from imprest_server.posting.engine import Engine
from imprest_server.transport.account_service import AccountService
from imprest_server.transport.errors import TABLE
from imprest_server.transport.ledger_service import LedgerService
from imprest_server.transport.submit import Submit
from imprest_server.transport.usage_service import UsageService
from tests.crash.journal import Answer, InDoubt

#: Answers that leave it open whether the operation has happened, or will: ask again with the same key.
RETRY = frozenset(
    [
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.INTERNAL,
    ]
)

log = structlog.get_logger(__name__)


def _granted(response: Any) -> Answer:
    replayed = response.replayed
    response.replayed = False
    return Answer(replayed, response)


class DirectPort:
    """The servicers on engines of this process, without gRPC between: many operations a second. Engines take turns."""

    def __init__(self, engines: Sequence[Engine]) -> None:
        no_reads = cast(Queries, None)
        services = [
            (LedgerService(submit, no_reads), AccountService(submit, no_reads), UsageService(submit))
            for submit in map(Submit, engines)
        ]
        self._turns = itertools.cycle(services)

    async def send(self, method: str, request: Message) -> Answer:
        service = next(service for service in next(self._turns) if method in vars(type(service)))
        try:
            return _granted(await getattr(service, method)(request, None))
        except ImprestError as error:
            if TABLE[type(error)].code in RETRY:
                raise InDoubt(error.reason) from error
            return Answer(error.replayed, denial=error.reason, variables=error.values)
        except Exception as bug:
            log.error("internal error", method=method, exc_info=bug)
            raise InDoubt("INTERNAL") from bug


class WirePort:
    """A gRPC channel to a server that is found again when it comes back. Use it with `async with`."""

    def __init__(self, target: str) -> None:
        soon = [
            ("grpc.initial_reconnect_backoff_ms", 50),
            ("grpc.min_reconnect_backoff_ms", 50),
            ("grpc.max_reconnect_backoff_ms", 200),
            ("grpc.use_local_subchannel_pool", 1),
        ]
        self._channel = grpc.aio.insecure_channel(target, options=soon)
        self._stubs = [stub(self._channel) for stub in (LedgerServiceStub, AccountServiceStub, UsageServiceStub)]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._channel.close()

    async def send(self, method: str, request: Message) -> Answer:
        stub = next(stub for stub in self._stubs if hasattr(stub, method))
        try:
            return _granted(await getattr(stub, method)(request))
        except grpc.aio.AioRpcError as error:
            details = details_of(error)
            if details.code in RETRY:
                raise InDoubt(details.reason or details.code.name) from error
            return Answer(details.replayed, denial=details.reason, variables=details.metadata)
