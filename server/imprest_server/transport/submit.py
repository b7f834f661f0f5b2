"""The way of every mutating request to the engine: its content is checked before it may wait in the queue."""

from __future__ import annotations

import time
from contextvars import ContextVar

from imprest_server.ledger.operations import Operation
from imprest_server.ledger.rules import Outcome
from imprest_server.ledger.validation import validate
from imprest_server.posting.engine import Engine

#: Until when, by time.monotonic, the caller of the running call waits; None: for ever. The interceptor sets it.
DEADLINE: ContextVar[float | None] = ContextVar("DEADLINE", default=None)


class Submit:
    """Validates an operation and posts it; servicers call it and await the outcome."""

    def __init__(self, engine: Engine, *, bulk: bool = False) -> None:
        self._engine = engine
        self._bulk = bulk

    async def __call__(self, operation: Operation) -> Outcome:
        """Return when the operation is durable; raises InvalidArgument or what `Engine.submit` raises."""
        validate(operation)
        deadline = DEADLINE.get()
        timeout_s = None if deadline is None else deadline - time.monotonic()
        return await self._engine.submit(operation, bulk=self._bulk, timeout_s=timeout_s)
