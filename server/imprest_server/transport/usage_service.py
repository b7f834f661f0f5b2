"""UsageService: usage that has happened. Each method turns its request into an operation, its outcome into a reply."""

# ruff: noqa: N802  # the protos name the methods

from __future__ import annotations

from google.protobuf.message import Message
from grpc.aio import ServicerContext

from imprest.v1 import usage_service_pb2 as pb
from imprest.v1.usage_service_pb2_grpc import UsageServiceServicer
from imprest_server.ledger import operations as ops
from imprest_server.transport.convert import parse_account_id, parse_amount, parse_time
from imprest_server.transport.identity import TENANT
from imprest_server.transport.replies import balance_of, charge_of, id_of
from imprest_server.transport.resources import to_balance, to_charge
from imprest_server.transport.submit import Submit
from imprest_server.transport.usage import parse_usage

Context = ServicerContext[Message, Message]


class UsageService(UsageServiceServicer):
    """What happened without a hold; the proto's comments are the contract."""

    def __init__(self, submit: Submit) -> None:
        self._submit = submit

    async def RecordUsage(self, request: pb.RecordUsageRequest, context: Context) -> pb.RecordUsageResponse:
        """Charge usage after the fact."""
        outcome = await self._submit(
            ops.RecordUsage(
                tenant_id=TENANT,
                idempotency_key=request.idempotency_key,
                account_id=parse_account_id(request.account_id),
                amount=parse_amount(request, "amount"),
                usage=parse_usage(request, "usage"),
                call_id=request.call_id or None,
                effective_time=parse_time(request, "effective_time"),
                labels=dict(request.labels) or None,
            )
        )
        balance = balance_of(outcome.reply)
        return pb.RecordUsageResponse(
            balance=to_balance(balance),
            charge=to_charge(charge_of(outcome.reply), balance.currency_code),
            transaction_id=id_of(outcome.reply.transaction_id),
            replayed=outcome.replayed,
        )
