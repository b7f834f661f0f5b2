"""The agent's client: takes part in running calls, commits at hangup, charges and refunds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from imprest_client.call import DEFAULT_TTL, Call, OnEnding, upkeep
from imprest_client.client import Amount
from imprest_client.durable import DurableClient
from imprest_client.pricing_model import Usage
from imprest_client.recorder import CAPACITY, EXIT_TIMEOUT_S, UsageRecorder


class AgentClient(DurableClient):
    """Everything that `DurableClient` has, `join` for a call that somebody else has reserved credit for,
    and `recorder` for usage that belongs to no hold."""

    def recorder(self, *, capacity: int = CAPACITY, exit_timeout_s: float = EXIT_TIMEOUT_S) -> UsageRecorder:
        """Charges that do not wait for the server, as a context manager: see `UsageRecorder`.

        Args:
            capacity: How many charges may wait in memory.
            exit_timeout_s: How long the end of the block waits for what is left to be delivered.
        """
        return UsageRecorder(self, capacity=capacity, exit_timeout_s=exit_timeout_s)

    @asynccontextmanager
    async def join(
        self,
        reservation_id: str,
        *,
        step: Amount = 0,
        estimate: Usage | None = None,
        ttl: timedelta = DEFAULT_TTL,
        heartbeat: timedelta | None = None,
        on_ending: OnEnding | None = None,
    ) -> AsyncIterator[Call]:
        """Take a running call over: prolong its hold, run the block, commit what the call has used: see `Call`.

        Args:
            reservation_id: The hold that the call controller has made.
            step: How much credit to hold beyond what is used; 0: never ask for more.
            estimate: The same as usage, for a call whose use is counted with `Call.usage`.
            ttl: How long the hold lasts without a heartbeat.
            heartbeat: How often the hold is prolonged; by default three times in a ttl.
            on_ending: Called when no more credit is granted; may be a coroutine function.

        Raises:
            Denied: the reservation has ended.
        """
        receipt = await self.extend(reservation_id, ttl=ttl)
        async with Call(self, receipt, upkeep(ttl, heartbeat, step, estimate, on_ending)) as call:
            yield call
