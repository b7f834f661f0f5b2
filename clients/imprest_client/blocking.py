"""Runs async functions for callers that have none of their own: one event loop in a daemon thread of the process.

The clients in `imprest_client.sync` are made with `blocking` and `iterating`, one line per method: the same
parameters, types and documentation, without `await`.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F")

#: How often a thread that waits looks for a Ctrl-C: one that came before it slept, or to another thread, wakes nobody.
_LOOK_S: Final = 0.5


class LoopThread:
    """An event loop in a thread of its own, started when it is first needed and living until it is closed, or as long
    as the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = 0
        self._thread: threading.Thread | None = None

    def run(self, function: Callable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run an async function to its end and return its result; an exception here (Ctrl-C) cancels it there."""
        future: concurrent.futures.Future[R] = concurrent.futures.Future()
        try:
            self._start(future, functools.partial(function, *args, **kwargs))
            while True:
                try:
                    return future.result(_LOOK_S)
                except TimeoutError:
                    if future.done():
                        return future.result()  # the function's own, or it was ready in this moment
        except BaseException:
            future.cancel()
            raise

    def finish(self, function: Callable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run an async function that must come to its end: an exception here (Ctrl-C) waits for it, and only a second
        one cancels it."""
        future: concurrent.futures.Future[R] = concurrent.futures.Future()
        self._start(future, functools.partial(function, *args, **kwargs))
        try:
            return future.result()
        except BaseException:
            if not future.done():
                try:
                    concurrent.futures.wait([future])
                except BaseException:
                    future.cancel()
                    raise
            raise

    def _start(self, future: concurrent.futures.Future[R], function: Callable[[], Coroutine[Any, Any, R]]) -> None:
        """Begin with what the future will tell. The coroutine is made on the loop: one that was made here would be
        left without anybody to await it, when a Ctrl-C comes in that moment."""
        loop = self.loop()
        if self._thread is threading.current_thread():
            raise RuntimeError("a blocking client cannot be used on the event loop that works for it")
        loop.call_soon_threadsafe(_begin, future, function)

    def do(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a function on the loop, where what it touches is not touched by anything else."""

        async def called() -> R:
            return function(*args, **kwargs)

        return self.run(called)

    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop.

        Raises:
            RuntimeError: nothing would ever be answered: gRPC does not survive a fork, nor threads the interpreter.
        """
        if self._pid not in (0, os.getpid()):
            raise RuntimeError("clients were used before this process was forked: start it in another way (spawn)")
        if sys.is_finalizing():
            raise RuntimeError("the interpreter is shutting down")
        with self._lock:
            if self._loop is None:
                self._loop, self._pid = asyncio.new_event_loop(), os.getpid()
                self._thread = threading.Thread(target=self._loop.run_forever, name="imprest-client", daemon=True)
                self._thread.start()
            return self._loop

    def close(self) -> None:
        """End the thread, when nothing waits for it any more; whatever comes after it starts another."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is not None and thread is not None and self._pid == os.getpid():
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()


LOOP: Final = LoopThread()


def _begin(future: concurrent.futures.Future[R], function: Callable[[], Coroutine[Any, Any, R]]) -> None:
    """On the loop: run it as a task, whose end the future tells; cancelling the future cancels the task."""
    if future.cancelled():
        return
    loop = asyncio.get_running_loop()

    def given_up(_: object) -> None:
        if future.cancelled() and not loop.is_closed():
            loop.call_soon_threadsafe(task.cancel)

    def ended(_: object) -> None:
        if task.cancelled():
            future.cancel()
        if not future.set_running_or_notify_cancel():
            return
        error = task.exception()
        if error is None:
            future.set_result(task.result())
        else:
            future.set_exception(error)

    async def called() -> R:  # so that a mistake in the arguments is an error of the task's
        return await function()

    task = loop.create_task(called())
    task.add_done_callback(ended)
    future.add_done_callback(given_up)


class Facade:
    """Stands in front of an async object, `_inner`."""

    _inner: Any


def blocking(method: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]]) -> Callable[Concatenate[Any, P], R]:
    """The method of a facade that runs this method of what it stands for."""

    @functools.wraps(method)
    def call(self: Facade, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return LOOP.run(method, self._inner, *args, **kwargs)

    return call


def doing(method: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[Any, P], R]:
    """The same for a method that is no coroutine."""

    @functools.wraps(method)
    def call(self: Facade, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return LOOP.do(method, self._inner, *args, **kwargs)

    return call


def entering(
    method: Callable[Concatenate[Any, P], AbstractAsyncContextManager[R]], facade: Callable[[R], F]
) -> Callable[Concatenate[Any, P], AbstractContextManager[F]]:
    """The same for a context manager; the block gets a facade of what the async one would get."""

    @functools.wraps(method)
    @contextmanager
    def enter(self: Facade, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[F]:
        options: dict[str, Any] = kwargs
        if options.get("on_ending") is not None:
            # On the loop it would hold up everything, and could use no blocking client.
            options["on_ending"] = functools.partial(_in_a_thread, options["on_ending"])
        manager = method(self._inner, *args, **kwargs)
        inner = LOOP.run(manager.__aenter__)
        try:
            yield facade(inner)
        except BaseException as error:
            if not LOOP.finish(manager.__aexit__, type(error), error, error.__traceback__):
                raise
        else:
            LOOP.finish(manager.__aexit__, None, None, None)

    return enter


def _in_a_thread(function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[R]:
    """Call it in a thread of its own: however long it takes, it takes no thread from those who write the spool."""
    done: concurrent.futures.Future[R] = concurrent.futures.Future()
    done.set_running_or_notify_cancel()

    def work() -> None:
        try:
            done.set_result(function(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001  # for whoever awaits it
            done.set_exception(error)

    threading.Thread(target=work, name="imprest-on-ending", daemon=True).start()
    return asyncio.wrap_future(done)


def iterating(method: Callable[Concatenate[Any, P], AsyncIterator[R]]) -> Callable[Concatenate[Any, P], Iterator[R]]:
    """The same for an iterator."""

    @functools.wraps(method)
    def iterate(self: Facade, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[R]:
        items = method(self._inner, *args, **kwargs)

        async def following() -> R | None:
            return await anext(items, None)

        while (item := LOOP.run(following)) is not None:
            yield item

    return iterate
