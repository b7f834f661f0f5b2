"""The end of tasks that end by being cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

#: How long a task has to let go of what it waits for.
LET_GO_S = 1.0


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait for their end: all at once, for each may wait for a database that has hung.

    The driver then asks the database to cancel, too, and waits for that until it is cancelled once more.
    """
    running = set(tasks)
    while running:
        for task in running:
            task.cancel()
        ended, running = await asyncio.wait(running, timeout=LET_GO_S)
        await asyncio.gather(*ended, return_exceptions=True)
