"""`imprestctl`, run as a user runs it, in this process: its arguments, standard input, output, errors and exit code."""

import asyncio
import contextlib
import csv
import io
import json
import os
import sys
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import pytest

from imprest_client.ctl import main


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    status: int
    output: str
    errors: str

    @property
    def json(self) -> Any:
        """What it wrote as JSON."""
        return json.loads(self.output)

    @property
    def error(self) -> dict[str, Any]:
        """The error that it told as JSON."""
        error: dict[str, Any] = json.loads(self.errors)["error"]
        return error

    @property
    def rows(self) -> list[dict[str, str]]:
        """What it wrote as CSV."""
        return list(csv.DictReader(io.StringIO(self.output)))


@dataclass(frozen=True)
class Ctl:
    """Runs commands against a server, without the profiles of whoever runs the tests."""

    target: str
    variables: dict[str, str] | None = None

    async def __call__(self, *arguments: str, stdin: str = "") -> Done:
        return await asyncio.to_thread(self._run, [*arguments], stdin)

    async def ok(self, *arguments: str) -> Done:
        """A command that has to succeed, and has nothing to remark."""
        done = await self(*arguments)
        assert (done.status, done.errors) == (0, ""), (arguments, done)
        return done

    def _run(self, arguments: list[str], stdin: str) -> Done:
        output, errors = io.StringIO(), io.StringIO()
        clean = {name: value for name, value in os.environ.items() if not name.startswith("IMPRESTCTL_")}
        own = {"IMPRESTCTL_ADDRESS": self.target, "IMPRESTCTL_CONFIG": "/nonexistent/imprestctl.toml", "COLUMNS": "200"}
        with (
            patch.dict(os.environ, {**clean, **own, **(self.variables or {})}, clear=True),
            patch.object(sys, "argv", ["imprestctl", *arguments]),
            patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode()), "utf-8")),
            contextlib.redirect_stdout(output),
            contextlib.redirect_stderr(errors),
            pytest.raises(SystemExit) as ended,
        ):
            main()
        assert isinstance(ended.value.code, int | None)
        return Done(ended.value.code or 0, output.getvalue(), errors.getvalue())
