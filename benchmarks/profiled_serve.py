"""`python -m benchmarks.profiled_serve FILE serve …`: the `imprest` command under the sampler.

SIGUSR2 begins the profile, a second one ends and writes it.
"""

from __future__ import annotations

import signal
import sys
from types import FrameType

from benchmarks.sampler import Sampler
from imprest_server import cli


def main() -> None:
    """Run the command line behind the file's name."""
    path = sys.argv.pop(1)
    sampler = Sampler.install()
    running = False

    def toggle(signum: int, frame: FrameType | None) -> None:
        nonlocal running
        running = not running
        if running:
            sampler.start()
        else:
            sampler.stop()
            sampler.write(path)

    signal.signal(signal.SIGUSR2, toggle)
    cli.main()


if __name__ == "__main__":
    main()
