"""Records usage without waiting: an agent that counts while a call runs must not stand still for the ledger."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import sqlite3
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final, Self, TypeAlias

from imprest.v1.ledger_service_pb2 import ChargeRequest, ChargeResponse
from imprest.v1.usage_service_pb2 import RecordUsageRequest, RecordUsageResponse
from imprest_client import wire
from imprest_client.bulk import SIZE, execute, pieces
from imprest_client.client import Amount, Labels, key_or_new
from imprest_client.connection import Method
from imprest_client.courier import DIRECT_S, VERDICTS
from imprest_client.durable import DurableClient
from imprest_client.errors import ImprestError
from imprest_client.money import to_decimal
from imprest_client.pricing_model import Usage, UsageReport
from imprest_client.spool import LONGEST_WAIT_S, Spool
from imprest_client.times import from_time
from imprest_client.usage_wire import usage_report

log = logging.getLogger(__name__)

CAPACITY: Final = 10_000
EXIT_TIMEOUT_S: Final = 10.0
#: How many charges are sent one by one, at the same time; more go together.
_FEW: Final = 16
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 5.0

_Request: TypeAlias = ChargeRequest | RecordUsageRequest


@dataclass(frozen=True, slots=True)
class RecordedCharge:
    """A charge that the ledger does not have, and why: refused with `error`, or, with None, not answered in time.

    `AgentClient.charge` (or `record_usage`, if it was) with the same arguments and the same key posts it without danger
    of doing so twice; after a refusal use a new key.
    """

    account_id: str
    amount: Decimal | None
    """None: it was given as usage."""
    currency_code: str
    usage: UsageReport | None
    call_id: str
    effective_time: datetime | None
    labels: Labels
    idempotency_key: str
    error: ImprestError | None

    def __str__(self) -> str:
        what = f"{self.amount} {self.currency_code}"
        if self.usage is not None:
            what = ", ".join(f"{line.quantity} {line.meter}" for line in self.usage.lines) or "no usage"
        return f"{what} of {self.account_id}, key {self.idempotency_key}: {self.error or 'not answered'}"


class UndeliveredUsage(Exception):
    """Recorded charges that the ledger does not have, and no spool either."""

    def __init__(self, charges: Sequence[RecordedCharge]) -> None:
        super().__init__(charges)
        self.charges = tuple(charges)

    def __str__(self) -> str:
        totals: Counter[str] = Counter()
        for charge in self.charges:
            if charge.amount is not None:
                totals[charge.currency_code] += charge.amount  # type: ignore[assignment]  # a Counter can count money
        total = "".join(f", {amount} {currency}" for currency, amount in totals.items())
        title = f"{len(self.charges)} recorded charges were not delivered{total}{' in total' if total else ''}:"
        return "\n  ".join([title, *map(str, self.charges)])


class RecorderFull(Exception):
    """The buffer is full, and there is no spool to take more, or it cannot be written."""


class UsageRecorder:
    """Takes charges at once and delivers them in the background; made by `AgentClient.recorder`.

    The buffer is in memory: a process that is killed loses what is in it, so tell a running call what it has used
    (`Call.used`), and record here what belongs to no hold. With a spool, whatever the server does not answer, refuses,
    or the buffer cannot take is kept there.
    """

    def __init__(
        self, client: DurableClient, *, capacity: int = CAPACITY, exit_timeout_s: float = EXIT_TIMEOUT_S
    ) -> None:
        self._client = client
        self._connection = client._connection
        self._courier = client._courier
        self._spool = client._courier.spool
        self._capacity = capacity
        self._exit_timeout_s = exit_timeout_s
        self._buffer: deque[_Request] = deque()
        self._under_way: dict[int, _Request] = {}  # by id(): two may be equal
        self._refused: list[RecordedCharge] = []
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._task: asyncio.Task[None] | None = None
        self._is_closed = False

    async def __aenter__(self) -> Self:
        """Begin to deliver."""
        self._task = asyncio.create_task(self._deliver(), name="imprest recorder")
        return self

    async def __aexit__(self, kind: object, *_: object) -> None:
        """Deliver what is left, for a limited time.

        Raises:
            UndeliveredUsage: the server has not answered in time, or has refused something, and there is no spool.
        """
        cancellation: asyncio.CancelledError | None = None
        try:
            await self.flush(self._exit_timeout_s)
        except asyncio.CancelledError as cancelled:  # there is no time for the server, but for the spool
            cancellation = cancelled
        self._is_closed = True
        keeping = asyncio.create_task(self._keep_the_rest())
        while not keeping.done():
            try:
                await asyncio.wait([keeping])
            except asyncio.CancelledError as cancelled:
                cancellation = cancelled
        undelivered = [*self._refused, *keeping.result()]
        if undelivered:
            failure = UndeliveredUsage(undelivered)
            if kind is None and cancellation is None:
                raise failure
            log.error("%s", failure)  # the block's own error goes on
        if cancellation is not None:
            raise cancellation

    async def _keep_the_rest(self) -> list[RecordedCharge]:
        """Stop delivering, and put what is left into the spool; return what that does not take."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        left = [*self._under_way.values(), *self._buffer]
        return [_recorded(request, None) for request in left if not await self._try_to_keep(request)]

    @property
    def pending_count(self) -> int:
        """How many charges are in memory and not yet answered."""
        return len(self._buffer) + len(self._under_way)

    def charge(
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
    ) -> str:
        """Take a charge, of an amount or of usage, and return its idempotency key, without waiting for the server.

        The server may refuse it, for the credit does not suffice: `record_usage` posts what has happened anyway.

        When the buffer is full it goes to the spool's file instead, which takes a few milliseconds.

        Raises:
            RecorderFull: the buffer is full, and there is no spool, or it cannot be written.
            ValueError: the recorder's block has ended.
        """
        key = key_or_new(idempotency_key)
        return self._take(
            self._client._charge_request(
                ChargeRequest, account_id, amount, usage, call_id, effective_time, labels, currency, key
            )
        )

    def record_usage(
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
    ) -> str:
        """The same for what has happened already: it is charged whatever the funds, and owed if they do not suffice."""
        key = key_or_new(idempotency_key)
        return self._take(
            self._client._charge_request(
                RecordUsageRequest, account_id, amount, usage, call_id, effective_time, labels, currency, key
            )
        )

    def _take(self, request: _Request) -> str:
        if self._is_closed:
            raise ValueError("the recorder's block has ended: nobody would deliver this")
        if self.pending_count < self._capacity:
            self._buffer.append(request)
            self._idle.clear()
            self._wake.set()
        elif self._spool is not None:
            try:
                self._keep(self._spool, request)
            except sqlite3.Error as error:
                raise RecorderFull(f"{self._capacity} charges are waiting, and the spool fails: {error}") from error
            self._courier.wake()
        else:
            raise RecorderFull(f"{self._capacity} charges are waiting for the server")
        return request.idempotency_key

    async def flush(self, timeout_s: float) -> int:
        """Wait until everything was answered or is in the spool, for at most this long; return how much is not."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        return self.pending_count

    # ── in the background ────────────────────────────────────────────────────────────────────────────

    async def _deliver(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while True:
            if not self._buffer:
                self._idle.set()
                await self._wake.wait()
            self._wake.clear()
            requests = [self._buffer.popleft() for _ in range(min(SIZE, len(self._buffer)))]
            self._under_way = {id(request): request for request in requests}
            if len(requests) > _FEW:
                for piece in pieces(requests, lambda request: request):
                    await self._send_together(piece)
            else:
                await asyncio.gather(*(self._send(request) for request in requests))
            unanswered = list(self._under_way.values())
            self._under_way = {}
            self._buffer.extendleft(reversed(unanswered))
            if unanswered:
                await asyncio.sleep(pause_s * (0.5 + random.random() / 2))
                pause_s = min(_LONGEST_PAUSE_S, pause_s * 2)
            else:
                pause_s = _FIRST_PAUSE_S

    async def _send(self, request: _Request) -> None:
        try:
            await self._connection.call(_method(request), request, timeout_s=self._timeout_s)
        except ImprestError as error:
            await self._note(request, error)
        else:
            await self._note(request, None)

    async def _send_together(self, requests: Sequence[_Request]) -> None:
        outcomes = await execute(self._connection, requests, timeout_s=self._timeout_s)
        for request, outcome in zip(requests, outcomes, strict=True):
            await self._note(request, outcome if isinstance(outcome, ImprestError) else None)

    @property
    def _timeout_s(self) -> float:
        return min(DIRECT_S, self._connection.timeout_s)

    async def _note(self, request: _Request, error: ImprestError | None) -> None:
        """What became of a charge. It stays under way if it has to be sent again."""
        if isinstance(error, VERDICTS):
            log.error("refused: charge %s of account %s (%s)", request.idempotency_key, request.account_id, error)
            if not await self._try_to_keep(request, error):
                self._refused.append(_recorded(request, error))
        elif error is not None:
            if not await self._try_to_keep(request):
                return
            log.warning("kept in the spool: a charge of account %s (%s)", request.account_id, error)
        self._under_way.pop(id(request), None)

    async def _try_to_keep(self, request: _Request, refusal: ImprestError | None = None) -> bool:
        if self._spool is None:
            return False
        try:
            await asyncio.to_thread(self._keep, self._spool, request, refusal)
        except sqlite3.Error as error:
            log.error("the spool %s cannot be written: %s", self._spool.path, error)
            return False
        self._courier.wake()
        return True

    @staticmethod
    def _keep(spool: Spool, request: _Request, refusal: ImprestError | None = None) -> None:
        """Write a charge into the spool. It waits for no other entry: charges are independent of each other."""
        key, path, raw = request.idempotency_key, _method(request).path, request.SerializeToString(deterministic=True)
        entry_id, _ = spool.add(f"charge {key}", path, key, raw, 0 if refusal is None else LONGEST_WAIT_S)
        if refusal is not None:
            spool.refuse(entry_id, str(refusal))


def _method(request: _Request) -> Method[ChargeResponse] | Method[RecordUsageResponse]:
    return wire.CHARGE if isinstance(request, ChargeRequest) else wire.RECORD_USAGE


def _recorded(request: _Request, error: ImprestError | None) -> RecordedCharge:
    is_usage = request.HasField("usage")
    return RecordedCharge(
        account_id=request.account_id,
        amount=None if is_usage else to_decimal(request.amount),
        currency_code=request.amount.currency_code,
        usage=usage_report(request.usage) if is_usage else None,
        call_id=request.call_id,
        effective_time=from_time(request.effective_time) if request.HasField("effective_time") else None,
        labels=dict(request.labels),
        idempotency_key=request.idempotency_key,
        error=error,
    )
