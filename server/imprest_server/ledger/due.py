"""Reading without due holds: read, have what is due expired by the engine, and read again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from datetime import datetime
from typing import TypeVar

from imprest_server.core.errors import Unavailable
from imprest_server.core.ids import AccountId, TenantId

T = TypeVar("T")

#: Expires the due holds of one account and returns when that is durable.
ExpireDue = Callable[[TenantId, AccountId], Awaitable[None]]
#: What one snapshot shows, the instant at which its holds were looked at (None when it shows nothing), and the accounts
#: whose holds are due at that instant: with any, it is not to be shown.
Reading = tuple[T, datetime | None, Collection[AccountId]]
#: Reads; looks at the holds as they are at the given instant, or by the clock.
Read = Callable[[datetime | None], Awaitable[Reading[T]]]

#: How often a read insists on holds that came due only after it began.
STRICT_PASSES = 5
# How often a read runs before it gives up because holds that were due when it began are still there.
_MAX_PASSES = 20
# Expiries waited for at a time: few beside what the engine's queue holds.
_EXPIRIES_AT_ONCE = 100


async def without_due(tenant_id: TenantId, expire_due: ExpireDue, read: Read[T]) -> T:
    """What `read` finds once it finds nothing due. Raises Unavailable after a bounded number of attempts.

    While holds come due faster than they are expired, the first snapshot's instant is what counts in the end: of later
    snapshots all is shown but that holds have come due since.
    """
    began: datetime | None = None
    for attempt in range(_MAX_PASSES):
        value, now, found = await read(began if attempt >= STRICT_PASSES else None)
        began = began or now
        due = sorted(set(found))
        if not due:
            return value
        for start in range(0, len(due), _EXPIRIES_AT_ONCE):
            chunk = due[start : start + _EXPIRIES_AT_ONCE]
            await asyncio.gather(*(expire_due(tenant_id, account_id) for account_id in chunk))
    raise Unavailable(problem="Holds are coming due faster than they can be expired.")
