"""What happens in one call: the controller holds credit, the agent talks and commits, and sometimes things break."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from enum import Enum, auto
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from imprest.v1.errors_pb2 import ErrorReason
from imprest.v1.ledger_service_pb2 import (
    CommitRequest,
    CommitResponse,
    ExtendRequest,
    ExtendResponse,
    GetReservationRequest,
    GetReservationResponse,
    RefundRequest,
    RefundResponse,
    ReserveRequest,
    ReserveResponse,
    VoidRequest,
    VoidResponse,
)
from imprest.v1.reservation_pb2 import Reservation, ReservationState
from imprest_client.money import to_decimal, to_money

from .calls import Call, Usage
from .customers import Customer
from .ledger import Denied, Ledger, ReplayError
from .tally import Tally
from .tariff import affordable_s, estimate, price, report, typical

HOLD_MINUTES = 3
REPORT_EVERY_S = 120
#: The hold of an agent that is going to die: short, so that its expiry is part of the demo.
DOOMED_TTL_S = 2


class Twist(Enum):
    """What is out of the ordinary about a call."""

    NONE = auto()
    IMPATIENT = auto()
    """Every request is sent twice."""
    AGENT_DIES = auto()
    """Nobody commits. The hold expires, and captures the use that was reported."""
    AGENT_RETURNS = auto()
    """As AGENT_DIES, but the agent comes back after the expiry and commits late."""
    MISTAKE = auto()
    """The call is refunded."""
    COMPLAINT = auto()
    """Half of the call is refunded."""


_DOOMED = (Twist.AGENT_DIES, Twist.AGENT_RETURNS)


def twist_of(call: Call) -> Twist:
    """The twist of a call: always the same for the same call id."""
    twist = _twist_of(call.call_id)
    return Twist.NONE if twist in _DOOMED and not call.answered else twist


def _twist_of(call_id: str) -> Twist:
    weights = {Twist.IMPATIENT: 5, Twist.AGENT_DIES: 1, Twist.AGENT_RETURNS: 1, Twist.MISTAKE: 1, Twist.COMPLAINT: 1}
    twists = [Twist.NONE, *weights]
    return random.Random(call_id).choices(twists, [100 - sum(weights.values()), *weights.values()])[0]


@dataclass(frozen=True)
class Life:
    """Lives calls, one `live` each; many at the same time."""

    ledger: Ledger
    tally: Tally
    customers: dict[str, Customer]
    """By account id."""
    aftermath: asyncio.TaskGroup
    """Runs what happens after an agent has died; the next calls do not wait for it."""
    minute_s: float
    """How long a minute on the phone takes here."""

    async def live(self, call: Call) -> None:
        """One call from before it is dialed until it is paid. What must not happen is noted in the tally."""
        await self._note_failure(call, self._live(call, twist_of(call)))

    async def _note_failure(self, call: Call, part: Coroutine[Any, Any, None]) -> None:
        try:
            await part
        except (Denied, ReplayError) as error:
            self.tally.problems.append(f"{call.call_id} of {call.account}: {error}")

    async def _live(self, call: Call, twist: Twist) -> None:
        self.tally.call_count += 1
        self.tally.accounts[call.account].call_count += 1
        try:
            reply = await self._reserve(call, twist)
        except Denied as denied:
            if denied.details.code is not grpc.StatusCode.FAILED_PRECONDITION:
                raise
            self.tally.denials[denied.details.reason] += 1
            return
        reservation = reply.reservation
        self.tally.hold(reservation)
        if not call.answered:
            await self._void(call, reservation, twist)
        elif twist in _DOOMED:
            known = await self._talk_until_death(call, reservation)
            rest = self._after_death(call, reservation.reservation_id, known, twist)
            self.aftermath.create_task(self._note_failure(call, rest))
        else:
            used = await self._talk(call, reservation, reply.final_unit)
            self.tally.talk_s += used.talk_s
            charged = await self._commit(call, reservation, used, twist)
            await self._regret(call, reservation, charged, twist)

    async def _send(self, twist: Twist, rpc: str, request: Message) -> Any:
        send = self.ledger.send_twice if twist is Twist.IMPATIENT else self.ledger.send
        return await send(rpc, request)

    # ---- the call controller ------------------------------------------------------------------------------------

    async def _reserve(self, call: Call, twist: Twist) -> ReserveResponse:
        """Before dialing: hold the price of the first minutes, as they will probably be."""
        customer = self.customers[call.account]
        request = ReserveRequest(
            account_id=call.account,
            idempotency_key=f"{call.call_id}/reserve",
            call_id=call.call_id,
            estimate=report(call.direction, typical(HOLD_MINUTES)),
            labels={
                "agent": call.agent,
                "from": call.from_number,
                "to": call.to_number,
                "direction": call.direction,
            },
        )
        if customer.min_minutes is not None:
            request.min_amount.CopyFrom(to_money(estimate(call.direction, customer.min_minutes), customer.currency))
        if twist in _DOOMED:
            request.ttl.CopyFrom(Duration(seconds=DOOMED_TTL_S))
        reply: ReserveResponse = await self._send(twist, "Reserve", request)
        if reply.final_unit:
            self.tally.events["partly granted holds"] += 1
        return reply

    async def _talk(self, call: Call, reservation: Reservation, final_unit: bool) -> Usage:
        """While the call runs: report the use, and hold more ahead of it. Returns what was used at hangup.

        With `final_unit` there is no more to hold: the call is ended when the granted amount is used up.
        """
        now_s, total_s = 0, call.usage.talk_s
        if final_unit:
            total_s = affordable_s(call.direction, call.usage, to_decimal(reservation.amount))
        while now_s < total_s:
            step_s = min(REPORT_EVERY_S, total_s - now_s)
            await asyncio.sleep(step_s / 60 * self.minute_s)
            now_s += step_s
            if now_s == total_s or final_unit or not self.customers[call.account].extends:
                continue
            reply = await self._extend(call, reservation.reservation_id, call.usage.after(now_s))
            if reply.final_unit:
                final_unit = True
                self.tally.cut_short[ErrorReason.Name(reply.denial_reason).removeprefix("ERROR_REASON_")] += 1
                granted = to_decimal(reply.reservation.amount)
                total_s = max(now_s, affordable_s(call.direction, call.usage, granted))
        return call.usage.after(total_s)

    async def _extend(self, call: Call, reservation_id: str, used: Usage) -> ExtendResponse:
        request = ExtendRequest(
            reservation_id=reservation_id,
            idempotency_key=f"{call.call_id}/extend/{used.talk_s}",
            estimate_total=report(call.direction, typical(HOLD_MINUTES, after=used)),
            used=report(call.direction, used),
            ttl=Duration(seconds=900),
        )
        reply: ExtendResponse = await self.ledger.send("Extend", request)
        self.tally.hold(reply.reservation)
        return reply

    async def _void(self, call: Call, reservation: Reservation, twist: Twist) -> None:
        """Nobody answered: free the hold."""
        request = VoidRequest(
            reservation_id=reservation.reservation_id, idempotency_key=f"{call.call_id}/void", reason="no answer"
        )
        reply: VoidResponse = await self._send(twist, "Void", request)
        self.tally.release(reply.reservation)
        self.tally.events["voids"] += 1

    # ---- the agent ----------------------------------------------------------------------------------------------

    async def _commit(self, call: Call, reservation: Reservation, used: Usage, twist: Twist) -> Decimal:
        """After the call: commit what it has used. Returns what the customer was charged."""
        amount = price(call.direction, used)
        request = CommitRequest(
            reservation_id=reservation.reservation_id,
            idempotency_key=f"{call.call_id}/commit",
            usage=report(call.direction, used),
        )
        try:
            reply: CommitResponse = await self._send(twist, "Commit", request)
        except Denied as denied:
            if denied.details.reason != "OVERRUN_REJECTED":
                raise
            # The account pays no more than was held: charge that, with a new key, for the old one was answered.
            self.tally.denials["OVERRUN_REJECTED"] += 1
            amount = to_decimal(reservation.amount)
            request.idempotency_key += "-held"
            request.amount.CopyFrom(reservation.amount)
            reply = await self.ledger.send("Commit", request)
        self.tally.commit(amount, reply)
        return to_decimal(reply.charge.charged)

    async def _regret(self, call: Call, reservation: Reservation, charged: Decimal, twist: Twist) -> None:
        """Sometimes give the call back, or half of it."""
        half = (charged / 2).quantize(Decimal("0.01"), ROUND_HALF_EVEN)
        if twist is Twist.MISTAKE and charged:
            await self._refund(call, reservation, None, charged)
        elif twist is Twist.COMPLAINT and half:
            await self._refund(call, reservation, half, half)

    async def _refund(self, call: Call, reservation: Reservation, amount: Decimal | None, expected: Decimal) -> None:
        """Give back `amount`, or all, of a call; sent twice, for a repeated refund must not pay twice."""
        request = RefundRequest(
            reservation_id=reservation.reservation_id,
            idempotency_key=f"{call.call_id}/refund",
            amount=None if amount is None else to_money(amount, reservation.amount.currency_code),
            reason="complaint" if amount else "dialed by mistake",
        )
        reply: RefundResponse = await self.ledger.send_twice("Refund", request)
        self.tally.refund(call.account, expected)
        if to_decimal(reply.refunded_total) != expected:
            self.tally.problems.append(
                f"{call.call_id}: {expected:f} to refund, but {to_decimal(reply.refunded_total):f} were"
            )

    # ---- an agent that dies -------------------------------------------------------------------------------------

    async def _talk_until_death(self, call: Call, reservation: Reservation) -> Decimal:
        """Talk for a while within the hold, report the use once, and fall silent. Returns the use that is known."""
        granted = to_decimal(reservation.amount)
        death_s = min(call.usage.talk_s // 2, affordable_s(call.direction, call.usage, granted))
        await asyncio.sleep(min(death_s / 60 * self.minute_s, DOOMED_TTL_S / 4))
        used = call.usage.after(death_s)
        request = ExtendRequest(
            reservation_id=reservation.reservation_id,
            idempotency_key=f"{call.call_id}/extend/{death_s}",
            used=report(call.direction, used),
        )
        try:
            await self.ledger.send("Extend", request)
        except Denied as denied:
            if denied.details.reason != "RESERVATION_EXPIRED":
                raise
            return Decimal(0)  # a slow machine: the hold was gone before the report came
        self.tally.talk_s += death_s
        return price(call.direction, used)

    async def _after_death(self, call: Call, reservation_id: str, used: Decimal, twist: Twist) -> None:
        """Wait for the expiry, which captures the reported use. An agent that returns then commits the whole call."""
        while True:
            await asyncio.sleep(0.5)
            found: GetReservationResponse = await self.ledger.send(
                "GetReservation", GetReservationRequest(reservation_id=reservation_id)
            )
            if found.reservation.state != ReservationState.RESERVATION_STATE_ACTIVE:
                break
        self.tally.expire(found.reservation, used)
        if twist is Twist.AGENT_RETURNS:
            await self._commit(call, found.reservation, call.usage, twist)
