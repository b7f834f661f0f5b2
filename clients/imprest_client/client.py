"""What all clients share: a connection, a currency, a time limit, and the RPCs of LedgerService."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Self, TypeAlias, TypeVar
from uuid import uuid4

from google.protobuf.message import Message
from google.type.money_pb2 import Money

from imprest.v1 import ledger_service_pb2 as pb
from imprest.v1 import usage_service_pb2
from imprest_client import wire
from imprest_client.connection import Connection, Method, Reply
from imprest_client.model import (
    ChargeReceipt,
    CommitReceipt,
    HoldReceipt,
    OnExpiry,
    RefundReceipt,
    Reservation,
    ReservationState,
    VoidReceipt,
)
from imprest_client.money import to_money
from imprest_client.pricing_model import Usage
from imprest_client.times import to_duration, to_time
from imprest_client.usage_wire import to_report

Amount: TypeAlias = Decimal | int | str
"""Money as callers give it: never a float, which has been rounded already."""
Labels: TypeAlias = Mapping[str, str]
ChargeKind = TypeVar("ChargeKind", pb.ChargeRequest, usage_service_pb2.RecordUsageRequest)

PAGE_SIZE = 100


class LedgerClient:
    """Holds and charges. The base of the clients for call controllers, agents and admins.

    Methods that change something take an `idempotency_key`. Without one the client makes one per call of the method
    and uses it for all its attempts; give your own to be able to repeat the request later, after a crash too: it
    does nothing again and returns the stored answer. Amounts are Decimals (or ints, or texts such as "1.25") in
    `currency`, or else in the client's currency.

    All methods raise `ImprestError`: one of its subclasses, see `imprest_client.errors`.
    """

    def __init__(self, target: str | Connection, *, currency: str | None = None) -> None:
        """Make a client of the server at `host:port`, or on a connection that others use, too.

        Args:
            target: An address, for which the client opens and closes a connection of its own, or a `Connection`.
            currency: The currency of amounts that are given without one, such as "USD".
        """
        self._connection = Connection(target) if isinstance(target, str) else target
        self._owns_connection = isinstance(target, str)
        self._is_view = False
        self._currency = currency
        self._timeout_s: float | None = None

    async def __aenter__(self) -> Self:
        """Nothing to do: connections are opened when they are used."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the client."""
        await self.close()

    async def close(self) -> None:
        """Close the connection, if it is the client's own."""
        if self._owns_connection and not self._is_view:
            await self._connection.close()

    def with_timeout(self, seconds: float) -> Self:
        """A view of this client whose requests may take this long with all their attempts; it needs no closing."""
        view = copy.copy(self)
        view._timeout_s = seconds
        view._is_view = True
        return view

    # ── holds ────────────────────────────────────────────────────────────────────────────────────────

    async def reserve(
        self,
        account_id: str,
        amount: Amount | None = None,
        *,
        estimate: Usage | None = None,
        call_id: str = "",
        min_amount: Amount | None = None,
        ttl: timedelta | None = None,
        on_expiry: OnExpiry | None = None,
        labels: Labels | None = None,
        currency: str | None = None,
        idempotency_key: str | None = None,
    ) -> HoldReceipt:
        """Set credit aside for a call. A denial is an exception: do not start the call.

        Args:
            account_id: Whose credit.
            amount: How much, at least 0; give this or `estimate`.
            estimate: What the call is expected to use, of which the server holds the price. The hold keeps its prices.
            call_id: Your id of the call.
            min_amount: The least that is still useful: then what is available between it and `amount` is granted.
            ttl: How long the hold lasts: 1 second to 30 days, by default 15 minutes.
            on_expiry: What happens when it is due; by default what was reported as used is charged.
            labels: Free key-value pairs.
            currency: Currency of the amounts.
            idempotency_key: Makes the request repeatable.
        """
        request = pb.ReserveRequest(
            account_id=account_id,
            idempotency_key=key_or_new(idempotency_key),
            call_id=call_id,
            **self._amount_or(amount, currency, "estimate", estimate),
            min_amount=self._optional(min_amount, currency),
            ttl=None if ttl is None else to_duration(ttl),
            on_expiry=on_expiry and f"ON_EXPIRY_{on_expiry}",
            labels=labels,
        )
        return wire.reserve_receipt(await self._call(wire.RESERVE, request))

    async def extend(
        self,
        reservation_id: str,
        *,
        new_total: Amount | None = None,
        estimate_total: Usage | None = None,
        used_so_far: Amount | None = None,
        used: Usage | None = None,
        ttl: timedelta | None = None,
        currency: str | None = None,
        idempotency_key: str | None = None,
    ) -> HoldReceipt:
        """Raise the total, the reported use or the expiry of a running call's hold; all three only ever grow.

        The total and the use are amounts, or usage of the whole call from its start (`estimate_total`, `used`).
        When more credit is denied the receipt has the unchanged total, `final_unit` and `denial_reason`: the call is
        running and must be ended in an orderly way.
        """
        request = pb.ExtendRequest(
            reservation_id=reservation_id,
            idempotency_key=key_or_new(idempotency_key),
            **self._either("new_total", new_total, "estimate_total", estimate_total, currency),
            **self._either("used_so_far", used_so_far, "used", used, currency),
            ttl=None if ttl is None else to_duration(ttl),
        )
        return wire.extend_receipt(await self._call(wire.EXTEND, request))

    async def commit(
        self,
        reservation_id: str,
        amount: Amount | None = None,
        *,
        usage: Usage | None = None,
        final: bool = True,
        effective_time: datetime | None = None,
        currency: str | None = None,
        idempotency_key: str | None = None,
    ) -> CommitReceipt:
        """Charge what a call has cost and, when final, free the rest of its hold.

        Args:
            reservation_id: The hold.
            amount: What this capture adds; zero is legal. Give this or `usage`.
            usage: What this capture adds, as quantities; the receipt's charge has them with their prices and costs.
            final: Whether the call is over.
            effective_time: When the usage happened, if not now; not in the future by the server's clock.
            currency: Currency of the amount.
            idempotency_key: Makes the request repeatable.
        """
        request = self._commit_request(reservation_id, amount, usage, final, effective_time, currency, idempotency_key)
        return wire.commit_receipt(await self._call(wire.COMMIT, request))

    async def void(self, reservation_id: str, *, reason: str = "", idempotency_key: str | None = None) -> VoidReceipt:
        """End a hold and free what it still holds."""
        request = pb.VoidRequest(
            reservation_id=reservation_id, reason=reason, idempotency_key=key_or_new(idempotency_key)
        )
        return wire.void_receipt(await self._call(wire.VOID, request))

    # ── charges and refunds ──────────────────────────────────────────────────────────────────────────

    async def charge(
        self,
        account_id: str,
        amount: Amount | None = None,
        *,
        usage: Usage | None = None,
        call_id: str = "",
        effective_time: datetime | None = None,
        labels: Labels | None = None,
        currency: str | None = None,
        idempotency_key: str | None = None,
    ) -> ChargeReceipt:
        """Charge an amount or usage at once, without a hold: all of it or nothing."""
        request = self._charge_request(
            pb.ChargeRequest, account_id, amount, usage, call_id, effective_time, labels, currency, idempotency_key
        )
        return wire.charge_receipt(await self._call(wire.CHARGE, request))

    async def record_usage(
        self,
        account_id: str,
        amount: Amount | None = None,
        *,
        usage: Usage | None = None,
        call_id: str = "",
        effective_time: datetime | None = None,
        labels: Labels | None = None,
        currency: str | None = None,
        idempotency_key: str | None = None,
    ) -> ChargeReceipt:
        """Charge what has happened already, whatever the funds: what the credit cannot pay is owed, or lost."""
        kind = usage_service_pb2.RecordUsageRequest
        request = self._charge_request(
            kind, account_id, amount, usage, call_id, effective_time, labels, currency, idempotency_key
        )
        return wire.charge_receipt(await self._call(wire.RECORD_USAGE, request))

    async def refund(
        self,
        *,
        transaction_id: str | None = None,
        reservation_id: str | None = None,
        amount: Amount | None = None,
        reason: str = "",
        reverse_cost: bool = False,
        currency: str | None = None,
        idempotency_key: str | None = None,
    ) -> RefundReceipt:
        """Give back posted money of one transaction, or of all captures of one reservation.

        Args:
            transaction_id: The transaction that charged something; give this or `reservation_id`.
            reservation_id: The call.
            amount: How much; by default all that is left.
            reason: Why, for the record.
            reverse_cost: Whether the providers give their part back, too.
            currency: Currency of the amount.
            idempotency_key: Makes the request repeatable.
        """
        request = pb.RefundRequest(
            transaction_id=transaction_id,
            reservation_id=reservation_id,
            idempotency_key=key_or_new(idempotency_key),
            amount=self._optional(amount, currency),
            reason=reason,
            reverse_cost=reverse_cost,
        )
        return wire.refund_receipt(await self._call(wire.REFUND, request))

    # ── reads ────────────────────────────────────────────────────────────────────────────────────────

    async def get_reservation(self, reservation_id: str) -> Reservation:
        """Return a reservation."""
        reply = await self._call(wire.GET_RESERVATION, pb.GetReservationRequest(reservation_id=reservation_id))
        return wire.reservation(reply.reservation)

    async def list_reservations(
        self,
        *,
        account_id: str = "",
        call_id: str = "",
        state: ReservationState | None = None,
        page_size: int = PAGE_SIZE,
    ) -> AsyncIterator[Reservation]:
        """All reservations that match, the newest first; pages are fetched as they are needed."""
        request = pb.ListReservationsRequest(
            account_id=account_id,
            call_id=call_id,
            state=state and f"RESERVATION_STATE_{state}",
            page_size=page_size,
        )
        while True:
            page = await self._call(wire.LIST_RESERVATIONS, request)
            for message in page.reservations:
                yield wire.reservation(message)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    # ── for the clients on top ───────────────────────────────────────────────────────────────────────

    async def _call(self, method: Method[Reply], request: Message) -> Reply:
        return await self._connection.call(method, request, timeout_s=self._timeout_s)

    def _code(self, currency: str | None) -> str:
        code = currency or self._currency
        if code is None:
            raise ValueError("an amount needs a currency: give one here, or to the client")
        return code

    def _money(self, amount: Amount, currency: str | None) -> Money:
        return to_money(amount, self._code(currency))

    def _optional(self, amount: Amount | None, currency: str | None) -> Money | None:
        return None if amount is None else self._money(amount, currency)

    def _either(
        self, amount_field: str, amount: Amount | None, usage_field: str, usage: Usage | None, currency: str | None
    ) -> dict[str, Any]:
        """The field of a request that is given as an amount or as usage, or neither."""
        if amount is not None and usage is not None:
            raise ValueError(f"give {amount_field} or {usage_field}, not both")
        if usage is not None:
            return {usage_field: to_report(usage)}
        return {} if amount is None else {amount_field: self._money(amount, currency)}

    def _amount_or(
        self, amount: Amount | None, currency: str | None, usage_field: str, usage: Usage | None
    ) -> dict[str, Any]:
        if amount is None and usage is None:
            raise ValueError(f"give amount or {usage_field}")
        return self._either("amount", amount, usage_field, usage, currency)

    def _commit_request(
        self,
        reservation_id: str,
        amount: Amount | None,
        usage: Usage | None,
        final: bool,
        effective_time: datetime | None,
        currency: str | None,
        idempotency_key: str | None,
    ) -> pb.CommitRequest:
        return pb.CommitRequest(
            reservation_id=reservation_id,
            idempotency_key=key_or_new(idempotency_key),
            **self._amount_or(amount, currency, "usage", usage),
            final=final,
            effective_time=None if effective_time is None else to_time(effective_time),
        )

    def _charge_request(
        self,
        kind: type[ChargeKind],
        account_id: str,
        amount: Amount | None,
        usage: Usage | None,
        call_id: str,
        effective_time: datetime | None,
        labels: Labels | None,
        currency: str | None,
        idempotency_key: str | None,
    ) -> ChargeKind:
        return kind(
            account_id=account_id,
            idempotency_key=key_or_new(idempotency_key),
            call_id=call_id,
            **self._amount_or(amount, currency, "usage", usage),
            effective_time=None if effective_time is None else to_time(effective_time),
            labels=labels,
        )


def key_or_new(given: str | None) -> str:
    """The caller's key, or a new one."""
    return str(uuid4()) if given is None else given
