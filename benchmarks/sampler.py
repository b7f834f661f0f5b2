"""Which Python functions a process spends its CPU time in: a sampling profiler on the CPU timer's signal.

Unlike cProfile it costs next to nothing, so shares are true. A C call counts for the function that made it. Time of
other threads (gRPC's own) is attributed to what the main thread stood at, mostly the event loop.
"""

from __future__ import annotations

import json
import signal
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType

_INTERVAL_S = 0.001

Stack = tuple[CodeType, ...]


class Sampler:
    """Counts the main thread's stacks between `start` and `stop`."""

    def __init__(self) -> None:
        self._stacks: Counter[Stack] = Counter()

    @classmethod
    def install(cls) -> Sampler:
        """Let the signal of the CPU timer feed a sampler. Only the main thread may."""
        sampler = cls()
        signal.signal(signal.SIGPROF, sampler._sample)
        return sampler

    def start(self) -> None:
        """Begin."""
        signal.setitimer(signal.ITIMER_PROF, _INTERVAL_S, _INTERVAL_S)

    def stop(self) -> None:
        """End."""
        signal.setitimer(signal.ITIMER_PROF, 0)

    def write(self, path: str) -> None:
        """Write `{"samples": n, "functions": [[name, own, inclusive], …]}`."""
        own: Counter[str] = Counter()
        inclusive: Counter[str] = Counter()
        for stack, count in list(self._stacks.items()):
            names = [_name(code) for code in stack]
            own[names[0]] += count
            for name in set(names):
                inclusive[name] += count
        functions = [[name, own[name], count] for name, count in inclusive.most_common()]
        Path(path).write_text(json.dumps({"samples": self._stacks.total(), "functions": functions}))

    def _sample(self, signum: int, frame: FrameType | None) -> None:
        stack = []
        while frame is not None:
            stack.append(frame.f_code)
            frame = frame.f_back
        self._stacks[tuple(stack)] += 1


def _name(code: CodeType) -> str:
    """`posting/engine.py Engine.submit`: the last two parts of the path will do."""
    return f"{'/'.join(Path(code.co_filename).parts[-2:])} {code.co_qualname}"
