"""A file that keeps where a reader of a stream stands."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from imprest_client.ctl.failures import UsageError


@dataclass(frozen=True, slots=True)
class TokenFile:
    """Always holds a whole token, whenever it is read and whatever is killed."""

    path: Path

    def read(self) -> str:
        """The token; empty when there is no file yet. Raises UsageError."""
        try:
            return self.path.read_text("ascii").strip()
        except FileNotFoundError:
            return ""
        except (OSError, ValueError) as error:
            raise UsageError(f"{self.path} cannot be read: {error}") from None

    def write(self, token: str) -> None:
        """Put a token in place of the one before. Raises UsageError."""
        beside = self.path.with_name(f"{self.path.name}.new")
        try:
            beside.write_text(f"{token}\n", "ascii")
            os.replace(beside, self.path)
        except OSError as error:
            raise UsageError(f"{self.path} cannot be written: {error}") from None
