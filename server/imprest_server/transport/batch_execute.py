"""BatchExecute: many requests in one, each handled by the same method as when it comes alone."""

# ruff: noqa: N802  # the protos name the methods

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from google.protobuf.message import Message
from google.rpc.status_pb2 import Status
from grpc.aio import ServicerContext

from imprest.v1 import ledger_service_pb2 as pb
from imprest_server.core.errors import InvalidArgument, ReplyTooLarge
from imprest_server.ledger.queries import Queries
from imprest_server.posting.engine import Engine
from imprest_server.transport.account_service import AccountService
from imprest_server.transport.errors import failure_of
from imprest_server.transport.ledger_service import LedgerService
from imprest_server.transport.submit import Submit
from imprest_server.transport.usage_service import UsageService

Context = ServicerContext[Message, Message]
Method = Callable[[Any, Context], Awaitable[Message]]

MAX_OPERATIONS: Final = 1000
#: Most bytes of replies in a batch's response. Clients accept 4 MiB by default; what is left out needs some room, too.
MAX_REPLY_BYTES: Final = 3 * 1024 * 1024
#: So many of a batch are in the engine's queue at a time; the next ones follow when these are answered.
CHUNK: Final = 250


class BatchLedgerService(LedgerService):
    """LedgerService with BatchExecute, whose operations wait in the engine's bulk queue."""

    def __init__(self, engine: Engine, queries: Queries) -> None:
        super().__init__(Submit(engine), queries)
        bulk = Submit(engine, bulk=True)
        ledger, accounts, usage = LedgerService(bulk, queries), AccountService(bulk, queries), UsageService(bulk)
        self._methods: dict[str, Method] = {
            "reserve": ledger.Reserve,
            "extend": ledger.Extend,
            "commit": ledger.Commit,
            "void": ledger.Void,
            "charge": ledger.Charge,
            "refund": ledger.Refund,
            "create_account": accounts.CreateAccount,
            "update_account": accounts.UpdateAccount,
            "freeze_account": accounts.FreezeAccount,
            "unfreeze_account": accounts.UnfreezeAccount,
            "close_account": accounts.CloseAccount,
            "add_credit": accounts.AddCredit,
            "reverse_credit": accounts.ReverseCredit,
            "grant_credit": accounts.GrantCredit,
            "adjust": accounts.Adjust,
            "withdraw": accounts.Withdraw,
            "transfer": accounts.Transfer,
            "record_usage": usage.RecordUsage,
            "true_up_cost": usage.TrueUpCost,
        }

    async def BatchExecute(self, request: pb.BatchExecuteRequest, context: Context) -> pb.BatchExecuteResponse:
        """Execute operations in order, independent of each other; a result each.

        When their replies get too large, the following ones are left out and the following chunks not begun.
        """
        operations = request.operations
        if not 1 <= len(operations) <= MAX_OPERATIONS:
            raise InvalidArgument(field="operations", problem=f"must be 1 to {MAX_OPERATIONS}, not {len(operations)}")
        results: list[pb.BatchResult] = []
        room = MAX_REPLY_BYTES
        for start in range(0, len(operations), CHUNK):
            chunk = operations[start : start + CHUNK]
            for result in await asyncio.gather(*(self._execute(operation, context) for operation in chunk)):
                room -= result.ByteSize()
                if room < 0:
                    left_out = len(operations) - len(results)
                    return pb.BatchExecuteResponse(results=results + [_failed(ReplyTooLarge(), "")] * left_out)
                results.append(result)
        return pb.BatchExecuteResponse(results=results)

    async def _execute(self, operation: pb.BatchOperation, context: Context) -> pb.BatchResult:
        kind = operation.WhichOneof("operation")
        try:
            if kind is None:
                raise InvalidArgument(field="operation", problem="is required")
            reply = await self._methods[kind](getattr(operation, kind), context)
        except Exception as error:  # noqa: BLE001  # an operation's error is its result
            return _failed(error, f"BatchExecute.{kind}")
        return pb.BatchResult(**{kind: reply})  # type: ignore[arg-type]  # a reply of the operation's kind


def _failed(error: Exception, method: str) -> pb.BatchResult:
    return pb.BatchResult(error=Status.FromString(failure_of(error, method).details))
