"""The call controller's client: holds credit before a call, keeps it while the call runs, settles it at its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Final

from imprest_client.call import DEFAULT_TTL, Call, OnEnding, upkeep
from imprest_client.client import Amount, Labels
from imprest_client.connection import Connection
from imprest_client.durable import DurableClient
from imprest_client.errors import ImprestError
from imprest_client.model import HoldReceipt, OnExpiry
from imprest_client.pricing_model import Usage, report_of
from imprest_client.spool import Spool

log = logging.getLogger(__name__)

#: How long a client that is closed waits for holds to be freed whose calls were cancelled before they began.
_LOOSE_ENDS_S: Final = 1.0


class CallController(DurableClient):
    """Everything that `DurableClient` has, and `call`, which does all of it for one call."""

    def __init__(
        self, target: str | Connection, *, currency: str | None = None, spool: Spool | str | Path | None = None
    ) -> None:
        """Make a client: see `DurableClient`."""
        super().__init__(target, currency=currency, spool=spool)
        self._loose_ends: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def call(
        self,
        account_id: str,
        amount: Amount | None = None,
        *,
        estimate: Usage | None = None,
        call_id: str = "",
        min_amount: Amount | None = None,
        step: Amount | None = None,
        ttl: timedelta = DEFAULT_TTL,
        heartbeat: timedelta | None = None,
        on_ending: OnEnding | None = None,
        on_expiry: OnExpiry | None = None,
        labels: Labels | None = None,
        currency: str | None = None,
        idempotency_key: str | None = None,
    ) -> AsyncIterator[Call]:
        """Reserve credit, run the block, commit what it has used: see `Call`.

        Args:
            account_id: Who pays.
            amount: What to hold at first; give this or `estimate`.
            estimate: What the call is expected to use until more is asked for: its price is held, and the prices are
                kept for the call. Count what it does use with `Call.usage`.
            call_id: Your id of the call.
            min_amount: The least that is still useful to begin with, when `amount` is not available.
            step: How much credit to hold beyond what is used, as long as there is any; by default `amount`, or the
                `estimate` again. 0: never ask for more.
            ttl: How long the hold lasts without a heartbeat: then what was reported as used is charged.
            heartbeat: How often the hold is prolonged; by default three times in a ttl.
            on_ending: Called when no more credit is granted; may be a coroutine function.
            on_expiry: What happens when heartbeats stay away.
            labels: Free key-value pairs.
            currency: Currency of the amounts.
            idempotency_key: Of the reservation. With the key of a hold that is still there its call goes on.

        Raises:
            Denied: the credit does not suffice, the account is frozen, the key's hold has ended, …: do not start the
                call.
            Retryable: nobody knows whether the hold was made. If it was, it frees itself after `ttl`.
        """
        if estimate is not None:
            estimate = report_of(estimate)  # it is read more than once
        receipt = await self._held(
            self.reserve(
                account_id,
                amount,
                estimate=estimate,
                call_id=call_id,
                min_amount=min_amount,
                ttl=ttl,
                on_expiry=on_expiry,
                labels=labels,
                currency=currency,
                idempotency_key=idempotency_key,
            ),
            is_repeatable=idempotency_key is not None,
        )
        if receipt.replayed:
            # That answer is of the past. A hold that has ended since pays for no call.
            today = await self.extend(receipt.reservation.reservation_id, ttl=ttl)
            receipt = replace(receipt, reservation=today.reservation, balance=today.balance)
        if step is None:
            step = receipt.reservation.amount if amount is None else amount
        else:
            estimate = None
        kept = upkeep(ttl, heartbeat, step, estimate, on_ending)
        async with Call(self, receipt, kept, covered=estimate) as call:
            yield call

    async def _held(self, reserving: Coroutine[None, None, HoldReceipt], *, is_repeatable: bool) -> HoldReceipt:
        """Reserve; when that is cancelled, free a hold that may have been made: until its end it counts as a call."""
        if is_repeatable:
            return await reserving  # who repeats it wants to find the hold
        task = asyncio.create_task(reserving)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            freeing = asyncio.create_task(self._free(task))
            self._loose_ends.add(freeing)
            freeing.add_done_callback(self._loose_ends.discard)
            raise

    async def _free(self, reserving: asyncio.Task[HoldReceipt]) -> None:
        try:
            receipt = await reserving
            await self.void(receipt.reservation.reservation_id, reason="cancelled before it began")
        except ImprestError as error:
            log.info("a hold that nobody waits for was not made or not freed: %s", error)

    async def close(self) -> None:
        """Close the client as `DurableClient` does, after what is still to be freed; not all may be in a second."""
        if self._loose_ends and not self._is_view:
            await asyncio.wait(self._loose_ends, timeout=_LOOSE_ENDS_S)
        await super().close()
