"""The sweeper: writes the expiry of due holds that nobody has looked at.

Balances do not wait for it, for a due hold counts as ended at once. It only lists, without locks; the engine locks,
in its own order, and decides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from imprest_server.core.ids import AccountKey
from imprest_server.ledger.operations import ExpireDue, Operation

#: Holds listed at a time, and so at most the operations that wait in the engine's queue beside the callers'.
LIMIT = 200

DueAccounts = Callable[[int], Awaitable[list[AccountKey]]]
Submit = Callable[[Operation], Awaitable[object]]


class ExpireHolds:
    """One pass over the holds that have been due for longest."""

    def __init__(self, due_accounts: DueAccounts, submit: Submit) -> None:
        self._due_accounts = due_accounts
        self._submit = submit

    async def run_once(self) -> bool:
        """Have them expired, and tell whether there may be more.

        Raises what the database raises, or one account's error once all have been tried.
        """
        found = await self._due_accounts(LIMIT)
        operations = [ExpireDue(tenant_id=tenant_id, account_id=account_id) for tenant_id, account_id in set(found)]
        outcomes = await asyncio.gather(*map(self._submit, operations), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        return len(found) >= LIMIT
