"""An Imprest in memory that answers over gRPC, for the tests of programs that use the client library."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NoReturn, Self

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError, Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from imprest.v1 import account_service_pb2, budget_service_pb2, ledger_service_pb2, usage_service_pb2
from imprest_client.blocking import LOOP
from imprest_client.testing import replies
from imprest_client.testing.alert_feed import AlertFeed
from imprest_client.testing.budgets import BudgetDesk
from imprest_client.testing.ledger import UnitPrice, new_tenant
from imprest_client.testing.ledger.model import Denied
from imprest_client.testing.lists import LISTS
from imprest_client.testing.requests import OPERATIONS, operation_of

_SERVICES: Final = (
    account_service_pb2.DESCRIPTOR.services_by_name["AccountService"],
    ledger_service_pb2.DESCRIPTOR.services_by_name["LedgerService"],
    usage_service_pb2.DESCRIPTOR.services_by_name["UsageService"],
    budget_service_pb2.DESCRIPTOR.services_by_name["BudgetService"],
)
_CODES: Final[Mapping[str, grpc.StatusCode]] = {
    "INVALID_ARGUMENT": grpc.StatusCode.INVALID_ARGUMENT,
    "NOT_FOUND": grpc.StatusCode.NOT_FOUND,
    "OUT_OF_RANGE": grpc.StatusCode.OUT_OF_RANGE,
    "IDEMPOTENCY_KEY_REUSED": grpc.StatusCode.ALREADY_EXISTS,
    "EXTERNAL_REFERENCE_USED": grpc.StatusCode.ALREADY_EXISTS,
    "ACCOUNT_EXISTS": grpc.StatusCode.ALREADY_EXISTS,
    "USAGE_LINE_REUSED": grpc.StatusCode.ALREADY_EXISTS,
    "UNIMPLEMENTED": grpc.StatusCode.UNIMPLEMENTED,
    "DATABASE_UNAVAILABLE": grpc.StatusCode.UNAVAILABLE,
}
"""All others are FAILED_PRECONDITION."""
_RETRY_AFTER_MS: Final = 5
_USAGE: Final[Mapping[str, str]] = {"usage": "usage", "total_usage": "estimate_total", "used_usage": "used"}


class FakeImprest:
    """A server that keeps its books in memory, as a context manager (`async with` or, for blocking clients, `with`).

    It decides every request as the real server does: Imprest's own tests play the same scenarios against both. There is
    one tenant, nothing is kept, and nobody has to be identified. Give `target` to clients.
    """

    def __init__(self, now: datetime | None = None, *, prices: Mapping[str, UnitPrice] | None = None) -> None:
        """Make a server with empty books.

        Args:
            prices: What a unit of each meter is sold for and costs, in the currency of whoever uses it:
                `{"telephony.outbound_seconds": UnitPrice(price="0.01", cost="0.004")}`. Usage on any other meter is
                refused with PRICE_NOT_FOUND.
            now: Where its clock stands; it moves only by `advance`. By default it shows the true time, and `advance`
                puts it forward.
        """
        self.target = ""
        """The address, `host:port`, once it has started."""
        self.rpcs: list[str] = []
        """The names of the RPCs that have arrived, also of those that failed."""
        self._stands_at = None if now is None else _micros(now)
        self._ahead = 0
        self.prices: dict[str, UnitPrice] = dict(prices or {})
        """Change them as you like; holds that were priced keep theirs."""
        self._tenant = new_tenant(self.prices)
        self._desk = BudgetDesk(self._tenant)
        self._feed = AlertFeed(self._desk, self._catch_up)
        self._replies: dict[tuple[str, str, str], Any] = {}
        self._is_down = False
        self._answers_to_lose = 0
        self._server: grpc.aio.Server | None = None

    # ── its life ─────────────────────────────────────────────────────────────────────────────────────

    async def __aenter__(self) -> Self:
        """Listen on a free port of the loopback interface."""
        self._server = grpc.aio.server()
        for service in _SERVICES:
            handlers = {method.name: self._handler(method.name, method.input_type) for method in service.methods}
            if "BudgetAlerts" in handlers:
                handlers["BudgetAlerts"] = grpc.unary_stream_rpc_method_handler(self._stream_alerts)
            generic = grpc.method_handlers_generic_handler(service.full_name, handlers)
            self._server.add_generic_rpc_handlers((generic,))
        self.target = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop at once."""
        if self._server is not None:
            await self._server.stop(None)

    def __enter__(self) -> Self:
        """The same, on the event loop of the blocking clients."""
        return LOOP.run(self.__aenter__)

    def __exit__(self, *_: object) -> None:
        """Stop at once."""
        LOOP.run(self.__aexit__)

    # ── its clock and its faults ─────────────────────────────────────────────────────────────────────

    @property
    def now(self) -> datetime:
        """The time by its clock."""
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=self._now())

    def advance(self, by: timedelta) -> None:
        """Put its clock forward: holds that become due end."""
        self._ahead += by // timedelta(microseconds=1)
        self._feed.wake()

    @contextmanager
    def outage(self) -> Iterator[None]:
        """As long as the block runs every request fails with UNAVAILABLE, streams too, and nothing happens."""
        self._is_down = True
        self._feed.wake()
        try:
            yield
        finally:
            self._is_down = False

    def lose_answers(self, count: int) -> None:
        """Carry the next requests out, but answer with UNAVAILABLE, as when the connection breaks at the wrong time."""
        self._answers_to_lose = count

    # ── answering ────────────────────────────────────────────────────────────────────────────────────

    def _now(self) -> int:
        started = time.time_ns() // 1000 if self._stands_at is None else self._stands_at
        return started + self._ahead

    def _handler(self, rpc: str, kind: Any) -> grpc.RpcMethodHandler[Any, Any]:
        modules = (ledger_service_pb2, account_service_pb2, usage_service_pb2, budget_service_pb2)
        request_type = next(getattr(module, kind.name) for module in modules if hasattr(module, kind.name))

        async def answer(raw: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
            self.rpcs.append(rpc)
            try:
                reply: Message = self._answer(rpc, _parsed(request_type, raw))
                self._feed.wake()
                if self._answers_to_lose > 0:
                    self._answers_to_lose -= 1
                    raise Denied("DATABASE_UNAVAILABLE", problem="The answer was lost.")
            except Denied as denial:
                await _abort(context, denial)
            return reply.SerializeToString()

        return grpc.unary_unary_rpc_method_handler(answer)

    def _answer(self, rpc: str, request: Any) -> Any:
        """The reply to a request. Raises Denied."""
        now = self._catch_up()
        if rpc == "BatchExecute":
            return self._batch(request)
        if self._desk.knows(rpc):
            return self._desk.answer(rpc, request, now)
        if rpc in LISTS:
            return LISTS[rpc](self._tenant, request, now)
        if rpc not in OPERATIONS:
            raise Denied("UNIMPLEMENTED", problem=f"FakeImprest has no {rpc}.")
        operation = operation_of(rpc, request)
        outcome = self._tenant.apply(operation, now)
        if outcome.denied is not None:
            denial = Denied(outcome.denied, **outcome.values)
            if outcome.denied == "INVALID_ARGUMENT":
                denial.values["field"] = _on_the_wire(rpc, denial.values["field"])
            if outcome.replayed:
                denial.values["replayed"] = "true"
            raise denial
        # The keys of Extend are the reservation's.
        key = rpc, operation.get("reservation_id", "") if rpc == "Extend" else "", operation.get("idempotency_key", "")
        if outcome.replayed:
            reply = type(self._replies[key])()
            reply.CopyFrom(self._replies[key])
            reply.replayed = True
            return reply
        reply = replies.reply(rpc, self._tenant, outcome, operation.get("as_of"), now)
        self._replies[key] = reply
        return reply

    def _catch_up(self) -> int:
        """End the holds that are due by now, as the server does; return the time. Raises Denied during an outage."""
        if self._is_down:
            raise Denied("DATABASE_UNAVAILABLE", problem="The database cannot be reached.")
        now = self._now()
        self._tenant.expire_all(now)
        return now

    async def _stream_alerts(
        self, raw: bytes, context: grpc.aio.ServicerContext[bytes, bytes]
    ) -> AsyncGenerator[bytes, None]:
        self.rpcs.append("BudgetAlerts")
        try:
            async for message in self._feed.messages(_parsed(budget_service_pb2.BudgetAlertsRequest, raw)):
                yield message.SerializeToString()
        except Denied as denial:
            await _abort(context, denial)

    def _batch(self, request: ledger_service_pb2.BatchExecuteRequest) -> Message:
        if not 1 <= len(request.operations) <= 1000:
            raise Denied("INVALID_ARGUMENT", field="operations", problem="must be 1 to 1000")
        response = ledger_service_pb2.BatchExecuteResponse()
        for operation in request.operations:
            kind = operation.WhichOneof("operation")
            result: dict[str, Any]
            try:
                if kind is None:
                    raise Denied("INVALID_ARGUMENT", field="operation", problem="is required")
                rpc = "".join(word.capitalize() for word in kind.split("_"))
                result = {kind: self._answer(rpc, getattr(operation, kind))}
            except Denied as denial:
                result = {"error": _status(denial)}
            response.results.append(ledger_service_pb2.BatchResult(**result))
        return response


async def _abort(context: grpc.aio.ServicerContext[bytes, bytes], denial: Denied) -> NoReturn:
    status = _status(denial)
    details = (("grpc-status-details-bin", status.SerializeToString()),)
    await context.abort(_code(denial), status.message, details)


def _micros(instant: datetime) -> int:
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _parsed(request_type: Any, raw: bytes) -> Any:
    try:
        return request_type.FromString(raw)
    except DecodeError:
        raise Denied("INVALID_ARGUMENT", field="request", problem="is not a valid message of its type") from None


def _on_the_wire(rpc: str, field: str) -> str:
    """The path in the request of what the model calls `field`."""
    if field == "used":
        return "used_so_far"
    name, dot, rest = field.partition(".")
    if name in _USAGE:
        return f"{'estimate' if rpc == 'Reserve' else _USAGE[name]}{dot}{rest}"
    in_account = rpc in ("CreateAccount", "UpdateAccount") and field not in ("idempotency_key", "update_mask")
    return f"account.{field}" if in_account else field


def _code(denial: Denied) -> grpc.StatusCode:
    return _CODES.get(denial.reason, grpc.StatusCode.FAILED_PRECONDITION)


def _status(denial: Denied) -> Status:
    """A denial as it goes over the wire: the same details that the server sends, in plainer words."""
    values = ", ".join(f"{name} {value}" for name, value in denial.values.items() if name != "replayed")
    if denial.reason == "UNIMPLEMENTED":
        return Status(code=_code(denial).value[0], message=denial.values["problem"])
    status = Status(code=_code(denial).value[0], message=values or denial.reason)
    details: list[Message] = [ErrorInfo(reason=denial.reason, domain="imprest", metadata=denial.values)]
    if denial.reason == "INVALID_ARGUMENT":
        violation = BadRequest.FieldViolation(field=denial.values["field"], description=denial.values["problem"])
        details.append(BadRequest(field_violations=[violation]))
    if _code(denial) is grpc.StatusCode.UNAVAILABLE:
        details.append(RetryInfo(retry_delay=Duration(nanos=_RETRY_AFTER_MS * 1_000_000)))
    for detail in details:
        packed = AnyMessage()
        packed.Pack(detail)
        status.details.append(packed)
    return status
