"""LedgerService: holds and charges. Each method turns its request into an operation, its outcome into a reply.

Errors are raised as they are; the interceptor turns them into statuses.
"""

# ruff: noqa: N802  # the protos name the methods

from __future__ import annotations

from google.protobuf.message import Message
from grpc.aio import ServicerContext

from imprest.v1 import ledger_service_pb2 as pb
from imprest.v1.ledger_service_pb2_grpc import LedgerServiceServicer
from imprest_server.ledger import operations as ops
from imprest_server.ledger.model import OnExpiry
from imprest_server.ledger.queries import Queries
from imprest_server.ledger.validation import check_text
from imprest_server.transport.convert import (
    parse_account_id,
    parse_amount,
    parse_duration,
    parse_reservation,
    parse_time,
    parse_transaction,
    to_duration,
    to_money,
)
from imprest_server.transport.identity import TENANT
from imprest_server.transport.replies import balance_of, charge_of, denial_reason_of, hold_of, id_of
from imprest_server.transport.resources import (
    ON_EXPIRY,
    RESERVATION_STATE,
    to_balance,
    to_charge,
    to_reservation,
    to_transaction,
)
from imprest_server.transport.submit import Submit
from imprest_server.transport.usage import parse_usage

Context = ServicerContext[Message, Message]


class LedgerService(LedgerServiceServicer):
    """What a call controller and an agent need; the proto's comments are the contract."""

    def __init__(self, submit: Submit, queries: Queries) -> None:
        self._submit = submit
        self._queries = queries

    async def Reserve(self, request: pb.ReserveRequest, context: Context) -> pb.ReserveResponse:
        """Set credit aside for a call."""
        outcome = await self._submit(
            ops.Reserve(
                tenant_id=TENANT,
                idempotency_key=request.idempotency_key,
                account_id=parse_account_id(request.account_id),
                amount=parse_amount(request, "amount"),
                estimate=parse_usage(request, "estimate"),
                min_amount=parse_amount(request, "min_amount"),
                call_id=request.call_id or None,
                ttl=parse_duration(request, "ttl"),
                on_expiry=ON_EXPIRY.parse(request.on_expiry, "on_expiry") or OnExpiry.CAPTURE_USED,
                labels=dict(request.labels) or None,
            )
        )
        reservation, balance = hold_of(outcome.reply)
        return pb.ReserveResponse(
            reservation=to_reservation(reservation, balance.currency_code),
            balance=to_balance(balance),
            affordable_duration=to_duration(outcome.reply.affordable_duration),
            final_unit=outcome.reply.final_unit,
            replayed=outcome.replayed,
        )

    async def Extend(self, request: pb.ExtendRequest, context: Context) -> pb.ExtendResponse:
        """Raise a hold's total, use or expiry."""
        outcome = await self._submit(
            ops.Extend(
                tenant_id=TENANT,
                idempotency_key=request.idempotency_key,
                reservation_id=parse_reservation(request.reservation_id),
                new_total=parse_amount(request, "new_total"),
                estimate_total=parse_usage(request, "estimate_total"),
                used_so_far=parse_amount(request, "used_so_far"),
                used=parse_usage(request, "used"),
                ttl=parse_duration(request, "ttl"),
            )
        )
        reservation, balance = hold_of(outcome.reply)
        return pb.ExtendResponse(
            reservation=to_reservation(reservation, balance.currency_code),
            balance=to_balance(balance),
            affordable_duration=to_duration(outcome.reply.affordable_duration),
            final_unit=outcome.reply.final_unit,
            replayed=outcome.replayed,
            denial_reason=denial_reason_of(outcome.reply),
        )

    async def Commit(self, request: pb.CommitRequest, context: Context) -> pb.CommitResponse:
        """Capture what a call has cost."""
        outcome = await self._submit(
            ops.Commit(
                tenant_id=TENANT,
                idempotency_key=request.idempotency_key,
                reservation_id=parse_reservation(request.reservation_id),
                amount=parse_amount(request, "amount"),
                usage=parse_usage(request, "usage"),
                final=request.final if request.HasField("final") else True,
                effective_time=parse_time(request, "effective_time"),
            )
        )
        reservation, balance = hold_of(outcome.reply)
        return pb.CommitResponse(
            reservation=to_reservation(reservation, balance.currency_code),
            balance=to_balance(balance),
            charge=to_charge(charge_of(outcome.reply), balance.currency_code),
            transaction_id=id_of(outcome.reply.transaction_id),
            late=outcome.reply.late,
            replayed=outcome.replayed,
        )

    async def Void(self, request: pb.VoidRequest, context: Context) -> pb.VoidResponse:
        """End a hold unspent."""
        outcome = await self._submit(
            ops.Void(
                tenant_id=TENANT,
                idempotency_key=request.idempotency_key,
                reservation_id=parse_reservation(request.reservation_id),
                reason=request.reason or None,
            )
        )
        reservation, balance = hold_of(outcome.reply)
        return pb.VoidResponse(
            reservation=to_reservation(reservation, balance.currency_code),
            balance=to_balance(balance),
            replayed=outcome.replayed,
        )

    async def Charge(self, request: pb.ChargeRequest, context: Context) -> pb.ChargeResponse:
        """Charge usage without a hold."""
        outcome = await self._submit(
            ops.Charge(
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
        return pb.ChargeResponse(
            balance=to_balance(balance),
            charge=to_charge(charge_of(outcome.reply), balance.currency_code),
            transaction_id=id_of(outcome.reply.transaction_id),
            replayed=outcome.replayed,
        )

    async def Refund(self, request: pb.RefundRequest, context: Context) -> pb.RefundResponse:
        """Give back posted money."""
        target = request.WhichOneof("target")
        outcome = await self._submit(
            ops.Refund(
                tenant_id=TENANT,
                idempotency_key=request.idempotency_key,
                transaction_id=parse_transaction(request.transaction_id) if target == "transaction_id" else None,
                reservation_id=parse_reservation(request.reservation_id) if target == "reservation_id" else None,
                amount=parse_amount(request, "amount"),
                reason=request.reason or None,
                reverse_cost=request.reverse_cost,
            )
        )
        balance, transaction, total = balance_of(outcome.reply), outcome.reply.transaction, outcome.reply.refunded_total
        assert transaction is not None and total is not None, "a granted refund wrote a transaction"
        return pb.RefundResponse(
            transaction=to_transaction(transaction, balance.currency_code),
            balance=to_balance(balance),
            refunded_total=to_money(balance.currency_code, total),
            replayed=outcome.replayed,
        )

    async def GetReservation(self, request: pb.GetReservationRequest, context: Context) -> pb.GetReservationResponse:
        """Return a reservation."""
        reservation, currency = await self._queries.get_reservation(TENANT, parse_reservation(request.reservation_id))
        return pb.GetReservationResponse(reservation=to_reservation(reservation, currency))

    async def ListReservations(
        self, request: pb.ListReservationsRequest, context: Context
    ) -> pb.ListReservationsResponse:
        """List reservations, newest first."""
        check_text(request.call_id, "call_id")
        found, next_page_token = await self._queries.list_reservations(
            TENANT,
            account_id=parse_account_id(request.account_id) if request.account_id else None,
            call_id=request.call_id or None,
            state=RESERVATION_STATE.parse(request.state, "state"),
            page_size=request.page_size,
            page_token=request.page_token,
        )
        return pb.ListReservationsResponse(
            reservations=[to_reservation(reservation, currency) for reservation, currency in found],
            next_page_token=next_page_token,
        )
