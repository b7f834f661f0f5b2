"""Runs coroutines for callers that have none of their own: one event loop in a daemon thread of the process.

The clients in `imprest_client.sync` are made with `blocking` and `iterating`, one line per method: the same
parameters, types and documentation, without `await`.
"""

from __future__ import annotations

import asyncio
import functools
import os
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class LoopThread:
    """An event loop in a thread of its own, started when it is first needed and living as long as the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = 0

    def run(self, coroutine: Coroutine[Any, Any, R]) -> R:
        """Run a coroutine to its end and return its result; an exception here (Ctrl-C) cancels it there."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self.loop())
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop; a new one in a forked child, which has no other thread of its parent's."""
        with self._lock:
            if self._loop is None or self._pid != os.getpid():
                self._loop, self._pid = asyncio.new_event_loop(), os.getpid()
                threading.Thread(target=self._loop.run_forever, name="imprest-client", daemon=True).start()
            return self._loop


LOOP: Final = LoopThread()


class Facade:
    """Stands in front of an async object, `_inner`."""

    _inner: Any


def blocking(method: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]]) -> Callable[Concatenate[Any, P], R]:
    """The method of a facade that runs this method of what it stands for."""

    @functools.wraps(method)
    def call(self: Facade, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return LOOP.run(method(self._inner, *args, **kwargs))

    return call


def iterating(method: Callable[Concatenate[Any, P], AsyncIterator[R]]) -> Callable[Concatenate[Any, P], Iterator[R]]:
    """The same for an iterator."""

    @functools.wraps(method)
    def iterate(self: Facade, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[R]:
        items = method(self._inner, *args, **kwargs)

        async def following() -> R | None:
            return await anext(items, None)

        while (item := LOOP.run(following())) is not None:
            yield item

    return iterate
