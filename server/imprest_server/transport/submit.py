"""The way of every mutating request to the engine: its content is checked before it may wait in the queue."""

from __future__ import annotations

from imprest_server.ledger.operations import Operation
from imprest_server.ledger.rules import Outcome
from imprest_server.ledger.validation import validate
from imprest_server.posting.engine import Engine


class Submit:
    """Validates an operation and posts it; servicers call it and await the outcome."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def __call__(self, operation: Operation) -> Outcome:
        """Return when the operation is durable; raises InvalidArgument or what `Engine.submit` raises."""
        validate(operation)
        return await self._engine.submit(operation)
