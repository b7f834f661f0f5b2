"""Who waits for the engine: a bounded queue that is fair between its streams, and when to start a batch."""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict, deque
from collections.abc import Hashable
from typing import Generic, TypeVar

from imprest_server.core.errors import QueueFull

T = TypeVar("T")

#: The share of the last batch's size that must have queued again before the next batch starts.
REFILL = 0.9


class FairQueue(Generic[T]):
    """First in, first out per stream; streams take turns. A stream is a tenant's calls, or its bulk operations."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._streams: OrderedDict[Hashable, deque[T]] = OrderedDict()
        self._size = 0
        self._threshold = 0
        self._reached = asyncio.Event()

    def __len__(self) -> int:
        return self._size

    def put(self, stream: Hashable, item: T, *, bulk: bool = False) -> None:
        """Queue an item. Raises QueueFull; for a bulk stream when it holds half of the places by itself."""
        waiting = self._streams.get(stream, ())
        if self._size >= self._limit or (bulk and len(waiting) >= max(1, self._limit // 2)):
            raise QueueFull()
        self._streams.setdefault(stream, deque()).append(item)
        self._size += 1
        if self._size >= self._threshold:
            self._reached.set()

    def put_back(self, stream: Hashable, item: T) -> None:
        """Queue an item, taken before, in front of its stream; the limit does not apply to it."""
        self._streams.setdefault(stream, deque()).appendleft(item)
        self._size += 1

    def take(self, most: int) -> list[tuple[Hashable, T]]:
        """Up to `most` items: an equal share from each stream, what one does not use going to the others."""
        taken: list[tuple[Hashable, T]] = []
        while self._streams and len(taken) < most:
            share = max(1, (most - len(taken)) // len(self._streams))
            for stream in list(self._streams):
                items = self._streams[stream]
                count = min(share, len(items), most - len(taken))
                if not count:
                    break
                taken.extend((stream, items.popleft()) for _ in range(count))
                # The next batch begins with another stream.
                self._streams.move_to_end(stream)
                if not items:
                    del self._streams[stream]
        self._size -= len(taken)
        return taken

    async def holds(self, count: int, timeout_s: float | None = None) -> None:
        """Return when at least `count` items wait, or after `timeout_s`."""
        if self._size >= count:
            return
        self._threshold = count
        self._reached.clear()
        timer = asyncio.get_running_loop().call_later(timeout_s, self._reached.set) if timeout_s else None
        await self._reached.wait()
        if timer is not None:
            timer.cancel()

    def wake(self) -> None:
        """Let `holds` return now."""
        self._reached.set()


class Linger:
    """How many operations to wait for before the next batch.

    Callers that have just been answered are about to ask again. A lane that starts with the first of them settles at
    batches of one or two and spends its time on round trips; one that always waits a fixed time hurts those who are
    few. So: wait until most of the last batch's size has queued again, at most `longest_s`. A lone caller's batches
    have size one, and there is nothing to wait for. When callers leave, one wait runs out and the size adapts.
    """

    def __init__(self, longest_s: float) -> None:
        self.longest_s = longest_s
        self._last_size = 1

    @property
    def target(self) -> int:
        """As many as should be waiting."""
        return max(1, math.floor(REFILL * self._last_size))

    def note(self, size: int) -> None:
        """A batch of this size was posted."""
        self._last_size = size
