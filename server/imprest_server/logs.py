"""How the server logs: one event per line to standard error, for people or as JSON."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Iterator
from typing import Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor


def configure_logging(
    level: Literal["debug", "info", "warning", "error"],
    style: Literal["console", "json"],
    *,
    worker: int | None = None,
) -> None:
    """Set structlog up; what libraries log through `logging` appears from WARNING on.

    `worker` is the number of this process among several, shown with every event.
    """
    numeric = logging.getLevelNamesMapping()[level.upper()]
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    renderer: Processor
    if style == "json":
        renderer = structlog.processors.JSONRenderer()
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    structlog.configure(
        processors=[
            *([] if worker is None else [_from_worker(worker)]),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            show_exception,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(numeric),
        logger_factory=lambda *_: _StandardError(sys.stderr),
        cache_logger_on_first_use=True,
    )


def send_nowhere(stream: TextIO) -> None:
    """Give a standard stream up that nobody reads any more: what is written there from now on is lost in silence.

    Its buffer still has what could not be written, and is flushed again at the exit.
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


class _StandardError(structlog.WriteLogger):
    """One write per event, for several workers share standard error. That nobody reads it must fail no call."""

    def msg(self, message: str) -> None:
        try:
            super().msg(message)
        except BrokenPipeError:
            send_nowhere(sys.stderr)

    debug = info = warning = error = msg


def _from_worker(worker: int) -> Processor:
    def add_worker(_logger: object, _method: str, event: EventDict) -> EventDict:
        event["worker"] = worker
        return event

    return add_worker


def show_exception(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Replace `exc_info` by a traceback: without local variables, and without the values of rows.

    Postgres shows whole rows in its DETAIL and CONTEXT lines, which the driver makes part of its message.
    """
    error = event.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()[1]
    if isinstance(error, BaseException):
        text = "".join(traceback.format_exception(error))
        for part in _row_values(error):
            text = text.replace(part, "(not logged)")
        event["exception"] = text.rstrip()
    return event


def _row_values(error: BaseException) -> Iterator[str]:
    """What Postgres said about rows, in the error and those that led to it."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        current = waiting.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        diag = getattr(current, "diag", None)
        yield from filter(None, (getattr(diag, "message_detail", None), getattr(diag, "context", None)))
        waiting += [current.__cause__, current.__context__]
