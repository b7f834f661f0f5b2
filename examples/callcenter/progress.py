"""Shows how the day goes: a moving bar in a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from .day import Day

_REFRESH_S = 0.2
_LINE_EVERY_S = 4.0


@asynccontextmanager
async def shown(day: Day, call_count: int, console: Console) -> AsyncIterator[None]:
    """Show progress while this is open."""
    if not console.is_terminal:
        task = asyncio.create_task(_every(_LINE_EVERY_S, lambda: console.print(_line(day, call_count))))
        try:
            yield
        finally:
            task.cancel()
        return
    columns = (
        TextColumn("calls"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        bar_task = bar.add_task("", total=call_count)

        def update() -> None:
            bar.update(bar_task, completed=day.tally.call_count, description=_status(day))

        task = asyncio.create_task(_every(_REFRESH_S, update))
        try:
            yield
        finally:
            task.cancel()


async def _every(interval_s: float, action: Callable[[], None]) -> None:
    while True:
        await asyncio.sleep(interval_s)
        action()


def _line(day: Day, call_count: int) -> str:
    return f"{day.tally.call_count:,} of {call_count:,} calls · {_status(day)}"


def _status(day: Day) -> str:
    rpc_count = sum(len(latencies) for latencies in day.ledger.latencies_s.values())
    rate = rpc_count / day.elapsed_s if day.elapsed_s else 0
    return f"{day.tally.denials.total():,} denied · {rpc_count:,} requests, {rate:,.0f}/s"
