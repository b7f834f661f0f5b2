"""Load, faults in the middle of it, and the reckoning."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from tests.crash.checker import Report, check
from tests.crash.load import Load

Fault = Callable[[], Awaitable[None]]


async def storm(load: Load, faults: Iterable[Fault], owner_dsn: str, *, between: int = 40) -> Report:
    """Keep the callers busy while one fault after the other strikes; then check everything.

    Between two faults at least `between` operations are answered: each strikes a service that works again, under
    load. Raises GaveUpError when it does not come back.
    """
    await load.open()
    callers = asyncio.create_task(load.run())
    try:
        for fault in faults:
            await _answers(load, between, callers)
            await fault()
        await _answers(load, between, callers)
    finally:
        load.stop()
        await callers
    await load.settle()
    return await check(load.journal, owner_dsn, load.port)


async def _answers(load: Load, count: int, callers: asyncio.Task[None]) -> None:
    """Wait for answers; returns early when the callers have failed."""
    answers = asyncio.create_task(load.journal.more(count))
    await asyncio.wait([answers, callers], return_when=asyncio.FIRST_COMPLETED)
    answers.cancel()
