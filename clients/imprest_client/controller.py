"""The call controller's client: holds credit before a call, keeps it while the call runs, settles it at its end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from imprest_client.call import DEFAULT_TTL, Call, OnEnding, upkeep
from imprest_client.client import Amount, Labels
from imprest_client.durable import DurableClient
from imprest_client.model import OnExpiry
from imprest_client.pricing_model import Usage, report_of


class CallController(DurableClient):
    """Everything that `DurableClient` has, and `call`, which does all of it for one call."""

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
            idempotency_key: Of the reservation.

        Raises:
            Denied: the credit does not suffice, the account is frozen, …: do not start the call.
            Retryable: nobody knows whether the hold was made. If it was, it frees itself after `ttl`.
        """
        if estimate is not None:
            estimate = report_of(estimate)  # it is read more than once
        receipt = await self.reserve(
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
        )
        if step is None:
            step = receipt.reservation.amount if amount is None else amount
        else:
            estimate = None
        kept = upkeep(ttl, heartbeat, step, estimate, on_ending)
        async with Call(self, receipt, kept, covered=estimate) as call:
            yield call
