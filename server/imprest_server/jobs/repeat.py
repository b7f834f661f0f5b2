"""The loop around a job: it goes on through failures, and says once that they began and once that they ended."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn

import structlog

from imprest_server.core.errors import ImprestError

log = structlog.get_logger(__name__)


async def repeat(name: str, run_once: Callable[[], Awaitable[bool]], interval_s: float) -> NoReturn:
    """Run the job every `interval_s`, at once again when it answers that there is more to do, until cancelled.

    A cancellation that the job has swallowed counts all the same: Python 3.11's `wait_for`, which the driver waits by,
    loses one that comes together with what it waits for.
    """
    failing = False
    task = asyncio.current_task()
    while True:
        more = False
        try:
            more = await run_once()
        except Exception as error:  # whatever it is, the next round may succeed
            if not failing:
                # What the ledger says about itself needs no traceback; anything else may be a bug.
                log.error("job fails", job=name, error=str(error), exc_info=not isinstance(error, ImprestError))
            failing = True
        else:
            if failing:
                log.warning("job works again", job=name)
            failing = False
        if task is not None and task.cancelling():
            raise asyncio.CancelledError
        if not more:
            await asyncio.sleep(interval_s)
