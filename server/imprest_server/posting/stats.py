"""What the engine measures of itself. Plain numbers: reading them costs nothing, writing them next to nothing."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
_SECONDS = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)


class Histogram:
    """Counts of observations up to each bound, and beyond the last one."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(bounds) + 1)
        self.count = 0
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one observation."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.count += 1
        self.total += value

    @property
    def mean(self) -> float:
        """The average; 0 before the first observation."""
        return self.total / self.count if self.count else 0.0


@dataclass(slots=True)
class EngineStats:
    """Since the engine started. Sizes in operations, times in seconds.

    `queue_wait` is per operation, from submit to the start of its batch; the others are per batch. `lock_wait` is
    from sending the batch until its locks were granted, a round trip included.
    """

    batch_size: Histogram = field(default_factory=lambda: Histogram(_SIZES))
    batch_time: Histogram = field(default_factory=lambda: Histogram(_SECONDS))
    linger: Histogram = field(default_factory=lambda: Histogram(_SECONDS))
    queue_wait: Histogram = field(default_factory=lambda: Histogram(_SECONDS))
    lock_wait: Histogram = field(default_factory=lambda: Histogram(_SECONDS))
    retries: int = 0
    splits: int = 0
    refused: int = 0
    out_of_time: int = 0
