"""Charges subscriptions: each line once for every calendar month of the account that begins before the end.

Any number of workers may run it. The key of a charge names the subscription and the month, so the engine posts it once;
when to look at a subscription next is only kept to find those that are due.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime

from imprest_server.core.errors import AccountClosed, IdempotencyKeyReused, UsageLineReused
from imprest_server.core.ids import TenantId
from imprest_server.core.usage import UsageReport
from imprest_server.ledger.operations import ChargeSubscription, Operation
from imprest_server.pricing.plans import Due

#: Subscriptions listed at a time, and so at most the operations that wait in the engine's queue beside the callers'.
LIMIT = 200

FindDue = Callable[[int], Awaitable[list[Due]]]
SetNext = Callable[[Due, datetime | None], Awaitable[None]]
Submit = Callable[[Operation], Awaitable[object]]


class ChargeSubscriptions:
    """One pass over subscriptions that are due, of one tenant: a month of each."""

    def __init__(self, tenant_id: TenantId, due: FindDue, set_next: SetNext, submit: Submit) -> None:
        self._tenant_id = tenant_id
        self._due = due
        self._set_next = set_next
        self._submit = submit

    async def run_once(self) -> bool:
        """Charge them, and tell whether there may be more: of these later months, or others.

        Raises what the database raises, or one subscription's error once all have been tried.
        """
        found = await self._due(LIMIT)
        outcomes = await asyncio.gather(*map(self._charge, found), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        return bool(found)

    async def _charge(self, due: Due) -> None:
        if due.is_over:
            await self._set_next(due, None)
            return
        charge = charge_of(self._tenant_id, due)
        try:
            try:
                await self._submit(charge)
            except UsageLineReused:
                # Kept from when a caller's line of the subscription's name could stand in the month's way.
                await self._submit(replace(charge, idempotency_key=f"{charge.idempotency_key}:again"))
        except AccountClosed:
            await self._set_next(due, None)  # it will never be open again
            return
        except IdempotencyKeyReused:
            pass  # the month was charged from another instant of it, before the account's time zone was changed
        await self._set_next(due, due.next_time)


def charge_of(tenant_id: TenantId, due: Due) -> ChargeSubscription:
    """The charge of a subscription's month: the same, key and all, whoever makes it."""
    month = f"{due.month:%Y-%m}"
    lines = tuple(replace(line, line_id=f"{month}.{n}") for n, line in enumerate(due.lines, start=1))
    return ChargeSubscription(
        tenant_id=tenant_id,
        idempotency_key=f"{due.subscription_id}:{month}",
        account_id=due.account_id,
        usage=UsageReport(lines=lines, start_time=due.time),
        call_id=due.subscription_id,
    )
