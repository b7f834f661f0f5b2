"""How a load tells the harness what it does. A load runs in a process of its own, on lines of text:

load → harness   warm                     set up, and has run for the warm-up
harness → load   go                       count from here
load → harness   {"operations": …, …}     counted for so long
harness → load   stop                     finish what is under way and end
"""

from __future__ import annotations

import json
import sys
import threading
import time
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.sampler import Sampler


@dataclass(frozen=True)
class Order:
    """What the harness wants of a load; the fields of `rows.Row` with the same names mean the same."""

    load: str
    dsn: str
    target: str
    in_flight: int
    batch: int
    connections: int
    accounts: int
    warmup_s: float
    seconds: float
    profile: str | None
    """Where to write a profile of this process."""

    def to_json(self) -> str:
        """The order as one line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> Order:
        """The inverse of `to_json`."""
        return cls(**json.loads(line))


class Control:
    """A load notes its operations here, and runs until `stopping`. `note` may be called from any thread."""

    def __init__(self, order: Order) -> None:
        """Make it in the main thread: a profile needs its signal."""
        self.stopping = False
        self._sampler = Sampler.install() if order.profile else None
        self._order = order
        self._ready = threading.Event()
        self._recording = False
        self._operations: list[int] = []
        self._latencies_s: list[float] = []

    def ready(self) -> None:
        """The load is set up and begins; the warm-up counts from here."""
        self._ready.set()

    def note(self, latency_s: float, operations: int = 1) -> None:
        """So many operations were answered together, after so long."""
        if self._recording:
            self._operations.append(operations)
            self._latencies_s.append(latency_s)

    def conduct(self) -> None:
        """Speak with the harness; runs in a thread beside the load."""
        self._ready.wait()
        time.sleep(self._order.warmup_s)
        print("warm", flush=True)
        sys.stdin.readline()
        if self._sampler is not None:
            self._sampler.start()
        self._recording = True
        started = time.perf_counter()
        time.sleep(self._order.seconds)
        self._recording = False
        elapsed_s = time.perf_counter() - started
        print(json.dumps(self._counted(elapsed_s)), flush=True)
        if self._sampler is not None and self._order.profile is not None:
            self._sampler.stop()
            self._sampler.write(self._order.profile)
        sys.stdin.readline()
        self.stopping = True

    def _counted(self, elapsed_s: float) -> dict[str, Any]:
        latencies = sorted(self._latencies_s)
        return {
            "operations": sum(self._operations),
            "elapsed_s": elapsed_s,
            "p50_ms": _percentile(latencies, 0.50) * 1_000,
            "p99_ms": _percentile(latencies, 0.99) * 1_000,
        }


def _percentile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
