"""Reading without due holds: read, have what is due expired by the engine, and read again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import TypeVar

from imprest_server.core.errors import Unavailable
from imprest_server.core.ids import AccountId, TenantId

T = TypeVar("T")

#: Expires the due holds of one account and returns when that is durable.
ExpireDue = Callable[[TenantId, AccountId], Awaitable[None]]
#: What one snapshot shows, and the accounts whose holds are due in it: with any, it is not to be shown.
Reading = tuple[T, Collection[AccountId]]

# How often a read runs before it gives up because holds keep coming due faster than they are expired.
_MAX_PASSES = 20
# Expiries waited for at a time: few beside what the engine's queue holds.
_EXPIRIES_AT_ONCE = 100


async def without_due(tenant_id: TenantId, expire_due: ExpireDue, read: Callable[[], Awaitable[Reading[T]]]) -> T:
    """What `read` finds once it finds nothing due. Raises Unavailable after a bounded number of attempts."""
    for _ in range(_MAX_PASSES):
        value, found = await read()
        due = sorted(set(found))
        if not due:
            return value
        for start in range(0, len(due), _EXPIRIES_AT_ONCE):
            chunk = due[start : start + _EXPIRIES_AT_ONCE]
            await asyncio.gather(*(expire_due(tenant_id, account_id) for account_id in chunk))
    raise Unavailable(problem="Holds are coming due faster than they can be expired.")
