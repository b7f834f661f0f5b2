"""UsageService: usage that has happened. Each method turns its request into an operation, its outcome into a reply."""

# ruff: noqa: N802  # the protos name the methods

from __future__ import annotations

from google.protobuf.message import Message
from grpc.aio import ServicerContext

from imprest.v1 import usage_service_pb2 as pb
from imprest.v1.usage_service_pb2_grpc import UsageServiceServicer
from imprest_server.core.errors import InvalidArgument
from imprest_server.core.money import Money
from imprest_server.ledger import operations as ops
from imprest_server.transport.convert import (
    parse_account_id,
    parse_amount,
    parse_reservation,
    parse_time,
    parse_transaction,
    required_amount,
    to_money,
)
from imprest_server.transport.identity import TENANT
from imprest_server.transport.replies import balance_of, charge_of, id_of
from imprest_server.transport.resources import to_balance, to_charge, to_transaction
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

    async def TrueUpCost(self, request: pb.TrueUpCostRequest, context: Context) -> pb.TrueUpCostResponse:
        """Correct what usage cost us."""
        target = request.WhichOneof("target")
        outcome = await self._submit(
            ops.TrueUpCost(
                tenant_id=TENANT,
                idempotency_key=request.idempotency_key,
                transaction_id=parse_transaction(request.transaction_id) if target == "transaction_id" else None,
                reservation_id=parse_reservation(request.reservation_id) if target == "reservation_id" else None,
                cost=parse_amount(request, "cost"),
                line_costs=_line_costs(request) or None,
                reason=request.reason or None,
            )
        )
        balance, transaction = balance_of(outcome.reply), outcome.reply.transaction
        return pb.TrueUpCostResponse(
            transaction=None if transaction is None else to_transaction(transaction, balance.currency_code),
            balance=to_balance(balance),
            difference=to_money(balance.currency_code, charge_of(outcome.reply).provider_cost),
            replayed=outcome.replayed,
        )


def _line_costs(request: pb.TrueUpCostRequest) -> dict[str, Money]:
    """What lines cost, by their ids. Raises InvalidArgument."""
    costs: dict[str, Money] = {}
    for n, line in enumerate(request.lines):
        path = f"lines[{n}]."
        if not line.line_id or line.line_id in costs:
            problem = "must differ from those before" if line.line_id else "is required"
            raise InvalidArgument(field=f"{path}line_id", problem=problem)
        costs[line.line_id] = required_amount(line, "cost", path)
    return costs
