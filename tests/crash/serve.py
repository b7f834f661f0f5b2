"""`imprest serve` as a process that may be killed, and comes back on the same port."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.patience import PATIENCE_S
from tests.support.ports import reserved_port


class Serve:
    """Blocking; call it in a thread from an event loop. `log` is what it has said on standard error, all lives long."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        self._held = ExitStack()
        self.target = f"127.0.0.1:{self._held.enter_context(reserved_port())}"
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("IMPREST_", "PG"))}
        self._environment = {**inherited, "NO_COLOR": "1", **environment}
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # `close` does

    @property
    def log(self) -> str:
        self._errors.seek(0)
        return self._errors.read().decode()

    def start(self) -> None:
        """Start it and wait until it serves."""
        command = str(Path(sys.executable).with_name("imprest"))
        self._process = subprocess.Popen(
            [command, "serve", "--listen", self.target, *self._arguments],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], PATIENCE_S)
        line = self._process.stdout.readline().decode() if ready else ""
        assert re.search(rf" serves on {self.target} from ", line), f"not ready: {line}\n{self.log}"

    def kill(self) -> None:
        """kill -9."""
        assert self._process is not None
        self._process.kill()
        self._ended()

    def stop(self) -> int | None:
        """Ask it to stop, as an operator does; its exit status, None when it did not run."""
        if self._process is None:
            return None
        self._process.send_signal(signal.SIGTERM)
        return self._ended()

    def wait(self) -> int:
        """Wait until it ends by itself; its exit status."""
        return self._ended()

    def restart(self) -> None:
        """kill -9, then start it again."""
        self.kill()
        self.start()

    @property
    def pid(self) -> int:
        """The process."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None

    def _ended(self) -> int:
        process, self._process = self._process, None
        assert process is not None and process.stdout is not None
        try:
            return process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        finally:
            process.stdout.close()  # not before: it tells that it stops

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self.close()

    def close(self) -> None:
        """Let go of the log and of the port, once stopped."""
        self._errors.close()
        self._held.close()
