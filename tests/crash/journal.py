"""The callers' own record: what was asked under which key, and what was answered.

A request without an answer is in doubt: it has happened or not. It is sent again with the same key until there is an
answer; that is all a client has to do, and all that the checker believes in.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from google.protobuf.message import Message

from tests.support.patience import PATIENCE_S

#: Denials that say the ledger forgot something, or that a key got mixed up. No caller here provokes them.
IMPOSSIBLE = frozenset(["NOT_FOUND", "IDEMPOTENCY_KEY_REUSED", "INVALID_ARGUMENT", "ACCOUNT_EXISTS"])

_ANSWER_S = 8.0
_IMPATIENT_S = 0.015
_PAUSE_S = (0.01, 0.2)


class InDoubt(Exception):
    """A request was sent and not answered, or answered "try again"; `args[0]` is the reason."""


class GaveUpError(Exception):
    """A request was still in doubt when the caller's patience ended: the service did not come back."""


@dataclass(frozen=True)
class Answer:
    """A definite answer: the response, or the reason of a denial with its variables."""

    replayed: bool
    response: Any = None
    denial: str = ""
    variables: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def granted(self) -> bool:
        return not self.denial

    def says_same_as(self, other: Answer) -> bool:
        """The same answer, whether replayed or not."""
        mine, theirs = ((a.response, a.denial, dict(a.variables)) for a in (self, other))
        return mine == theirs


class Port(Protocol):
    """A way to the ledger."""

    async def send(self, method: str, request: Message) -> Answer:
        """Ask once; raises InDoubt. Responses have `replayed` cleared, for the answer carries it."""
        ...


@dataclass
class Entry:
    """One operation: what was asked, the answer, how often it was sent, and how often it was in doubt."""

    method: str
    request: Any
    answer: Answer | None = None
    sent: int = 0
    doubts: int = 0

    def __str__(self) -> str:
        return f"{self.method} {self.request.idempotency_key}"


class Journal:
    """Everything that a set of callers asked, in the order it was asked first.

    Some callers are impatient (they hang up at once, and ask again), and some requests travel twice at the same
    time; `contradictions` are answers that differ though the key was the same. `answered` counts operations that
    have their answer, `doubts` the times that there was none, by reason.
    """

    def __init__(self, seed: object, *, impatient: float = 0.02, twins: float = 0.02) -> None:
        self.entries: list[Entry] = []
        self.doubts: Counter[str] = Counter()
        self.contradictions: list[str] = []
        self._chance = random.Random(f"journal {seed}")
        self._impatient, self._twins = impatient, twins
        self.answered = 0
        self._waiting: list[tuple[int, asyncio.Event]] = []

    async def more(self, count: int) -> None:
        """Wait until so many further operations have their answer."""
        reached = asyncio.Event()
        self._waiting.append((self.answered + count, reached))
        await reached.wait()

    async def ask(self, port: Port, method: str, request: Message) -> Answer:
        """Ask until there is an answer, and write it down.

        Raises:
            GaveUpError: after a long time in doubt.
        """
        entry = Entry(method, request)
        self.entries.append(entry)
        give_up = time.monotonic() + PATIENCE_S
        first_s = _IMPATIENT_S if self._chance.random() < self._impatient else _ANSWER_S
        together = 2 if self._chance.random() < self._twins else 1
        while entry.answer is None:
            copies = [self._try(port, entry, _ANSWER_S if entry.doubts else first_s) for _ in range(together)]
            for answer in await asyncio.gather(*copies):
                self._note(entry, answer)
            if entry.answer is None:
                if time.monotonic() > give_up:
                    raise GaveUpError(f"{entry}: no answer, in doubt {entry.doubts} times: {dict(self.doubts)}")
                await asyncio.sleep(self._chance.uniform(*_PAUSE_S))
        return entry.answer

    async def _try(self, port: Port, entry: Entry, timeout_s: float) -> Answer | None:
        entry.sent += 1
        try:
            async with asyncio.timeout(timeout_s):
                return await port.send(entry.method, entry.request)
        except TimeoutError:
            reason = "HUNG_UP" if timeout_s == _IMPATIENT_S else "NO_ANSWER"
        except InDoubt as doubt:
            reason = str(doubt)
        entry.doubts += 1
        self.doubts[reason] += 1
        return None

    def _note(self, entry: Entry, answer: Answer | None) -> None:
        if answer is None:
            return
        if entry.answer is None:
            entry.answer = answer
            self.answered += 1
            for _, reached in filter(lambda waiting: waiting[0] <= self.answered, self._waiting):
                reached.set()
        elif not entry.answer.says_same_as(answer):
            self.contradictions.append(f"{entry}: answered {entry.answer}, then {answer}")
