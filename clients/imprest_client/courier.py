"""Delivers requests that must not be lost: at once if possible, later out of the spool if not."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import sqlite3
import time
from collections.abc import Callable, Mapping
from typing import Concatenate, Final, ParamSpec
from uuid import uuid4

from google.protobuf.message import Message

from imprest.v1.ledger_service_pb2 import ChargeRequest, CommitRequest
from imprest.v1.usage_service_pb2 import RecordUsageRequest
from imprest_client import wire
from imprest_client.connection import Connection, Method, Reply
from imprest_client.errors import (
    AmountOutOfRange,
    Denied,
    IdempotencyKeyReused,
    ImprestError,
    InvalidArgument,
    NotFound,
    PriceNotFound,
)
from imprest_client.spool import LONGEST_WAIT_S, Spool, SpoolEntry, SpoolState

P = ParamSpec("P")

log = logging.getLogger(__name__)

#: How long a caller waits for an answer before the spool is trusted with the request.
DIRECT_S: Final = 10.0
#: How many entries are under way at the same time.
_WIDTH: Final = 16
#: How often is looked for what other processes left behind.
_LOOK_S: Final = 5.0
#: How often `flush` looks whether others are done.
_POLL_S: Final = 0.05
_FIRST_WAIT_S: Final = 0.5
#: How long at most nothing is tried while the server does not answer.
_LONGEST_PAUSE_S: Final = 15.0

VERDICTS: Final = (Denied, InvalidArgument, NotFound, IdempotencyKeyReused, AmountOutOfRange)
"""Errors that say no to this very request, for good. All others leave it undecided: an outage, an expired credential or
a fault of the server may pass, and the same bytes succeed."""

_SPOOLED: Final[Mapping[str, Callable[[], CommitRequest | ChargeRequest | RecordUsageRequest]]] = {
    wire.COMMIT.path: CommitRequest,
    wire.CHARGE.path: ChargeRequest,
    wire.RECORD_USAGE.path: RecordUsageRequest,
}
"""What the requests in a spool are."""


class Courier:
    """Sends requests over a connection; with a spool, each is on the disk before it is sent and until it is answered.

    So neither a network that is gone nor a killed process loses one. Without a spool an unanswered request is an error.
    """

    def __init__(self, connection: Connection, spool: Spool | None) -> None:
        self.spool = spool
        self._connection = connection
        self._task: asyncio.Task[None] | None = None
        self._is_stopped = False
        self._wake = asyncio.Event()
        self._random = random.Random()

    def start(self) -> None:
        """Begin to deliver in the background what is in the spool, also what an earlier process left there."""
        if self.spool is not None and self._task is None and not self._is_stopped:
            self._task = asyncio.create_task(self._deliver_spooled(self.spool), name="imprest spool")

    def wake(self) -> None:
        """Somebody has put something into the spool."""
        self.start()
        self._wake.set()

    async def stop(self) -> None:
        """Stop delivering for good; what is in the spool stays there."""
        self._is_stopped = True
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def deliver(
        self, method: Method[Reply], request: Message, *, subject: str, key: str, timeout_s: float | None = None
    ) -> Reply | None:
        """Send a request. None: there was no answer, and the spool will deliver it.

        Raises:
            ImprestError: it was refused; or there was no answer, and there is no spool.
        """
        spool = self.spool
        if spool is None:
            return await self._connection.call(method, request, timeout_s=timeout_s)
        raw = request.SerializeToString(deterministic=True)
        timeout_s = min(DIRECT_S, self._connection.timeout_s) if timeout_s is None else timeout_s
        try:
            entry_id, is_first = await asyncio.to_thread(spool.add, subject, method.path, key, raw, timeout_s)
        except sqlite3.Error as error:
            log.error("the spool %s cannot be written (%s), so this is sent without it", spool.path, error)
            return await self._connection.call(method, request, timeout_s=timeout_s)
        self.start()
        if not is_first:
            return None  # or it would overtake the one that waits
        try:
            reply = await self._connection.call_bytes(method.path, raw, key=key, timeout_s=timeout_s)
        except PriceNotFound as error:
            # What was used is recorded nowhere else, and will have a price one day.
            await self._note(spool.refuse, entry_id, str(error))
            error.add_note(f"it is kept in the spool {spool.path} as entry {entry_id}")
            raise
        except VERDICTS:
            await self._note(spool.discard, entry_id)  # the caller is there to hear it
            raise
        except ImprestError as error:
            log.warning("kept in the spool: %s of %s (%s)", method.path, subject, error)
            await self._note(spool.postpone, entry_id, self._backoff_s(1, error), str(error))
            self.wake()
            return None
        await self._note(spool.discard, entry_id)
        return method.reply.FromString(reply)

    async def resend(self, entry_id: int) -> bool:
        """Have a refused entry sent again, with a new key, for its refusal is kept with the old one."""
        spool = self.spool
        if spool is None:
            return False
        refused = await asyncio.to_thread(spool.entries, SpoolState.REFUSED)
        entry = next((entry for entry in refused if entry.entry_id == entry_id), None)
        if entry is None:
            return False
        request = _SPOOLED[entry.method]()
        request.ParseFromString(entry.request)
        request.idempotency_key = str(uuid4())
        raw = request.SerializeToString(deterministic=True)
        is_renewed = await asyncio.to_thread(spool.renew, entry_id, request.idempotency_key, raw)
        self.wake()
        return is_renewed

    async def flush(self, timeout_s: float) -> int:
        """Deliver what is in the spool, for at most this long; return how many entries are still pending."""
        spool = self.spool
        if spool is None:
            return 0
        deadline = time.monotonic() + timeout_s
        await asyncio.to_thread(spool.hurry)
        while pending := await asyncio.to_thread(spool.count, SpoolState.PENDING):
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return pending
            if not await self._round(spool, _WIDTH, left_s):
                await asyncio.sleep(min(left_s, _POLL_S))  # others are sending it
        return 0

    # ── out of the spool ─────────────────────────────────────────────────────────────────────────────

    async def _deliver_spooled(self, spool: Spool) -> None:
        failures = 0  # rounds in a row without an answer
        while True:
            self._wake.clear()
            try:
                # While nobody answers one entry after the other asks whether that has changed.
                answers = await self._round(spool, 1 if failures else _WIDTH, self._connection.timeout_s)
                wait_s = 0.0
                if not answers:
                    due_s = await asyncio.to_thread(spool.next_due_s)
                    wait_s = _LOOK_S if due_s is None else min(_LOOK_S, due_s)
                elif not any(answers):
                    failures += 1
                    wait_s = min(_LONGEST_PAUSE_S, self._backoff_s(failures))
                else:
                    failures = 0
            except sqlite3.Error as error:
                log.error("the spool %s cannot be read or written: %s", spool.path, error)
                wait_s = _LOOK_S
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()

    async def _round(self, spool: Spool, width: int, timeout_s: float) -> list[bool]:
        """Send entries that are due, once; return for each whether it was answered."""
        entries = await asyncio.to_thread(spool.claim, width, timeout_s + 1)
        return list(await asyncio.gather(*(self._send(spool, entry, timeout_s) for entry in entries)))

    async def _send(self, spool: Spool, entry: SpoolEntry, timeout_s: float) -> bool:
        try:
            await self._connection.call_bytes(
                entry.method, entry.request, key=entry.idempotency_key, timeout_s=timeout_s
            )
        except VERDICTS as error:
            log.error("refused, kept in the spool: %s of %s (%s)", entry.method, entry.subject, error)
            await self._note(spool.refuse, entry.entry_id, str(error))
            return True
        except ImprestError as error:
            await self._note(
                spool.postpone, entry.entry_id, self._backoff_s(entry.attempt_count + 1, error), str(error)
            )
            return False
        except Exception as error:  # an entry that cannot even be sent must not end the delivery of the others
            log.exception("cannot be sent, kept in the spool: %s of %s", entry.method, entry.subject)
            await self._note(spool.postpone, entry.entry_id, LONGEST_WAIT_S, repr(error))
            return False
        log.info("delivered out of the spool: %s of %s", entry.method, entry.subject)
        await self._note(spool.discard, entry.entry_id)
        return True

    def _backoff_s(self, attempt: int, error: ImprestError | None = None) -> float:
        asked_s = 0.0 if error is None else error.details.retry_after_s or 0.0
        backoff_s = min(LONGEST_WAIT_S, _FIRST_WAIT_S * float(1 << min(attempt - 1, 30)))
        return asked_s + backoff_s * (0.5 + self._random.random() / 2)

    @staticmethod
    async def _note(
        change: Callable[Concatenate[int, P], object], entry_id: int, *args: P.args, **kwargs: P.kwargs
    ) -> None:
        """Write down what became of an entry. If that fails it is sent again, which the key makes harmless."""
        try:
            await asyncio.to_thread(change, entry_id, *args, **kwargs)
        except sqlite3.Error as error:
            log.error("the spool cannot be written: %s", error)
