"""Named blocks of SQL in a file beside the store that runs them.

A block starts with a line `-- name: <name>` and runs to the next one. Lines of comment above the first
block are the file's own.
"""

from __future__ import annotations

import re
from importlib.resources import files
from typing import LiteralString, cast

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def load_sql(package: str, filename: str) -> dict[str, LiteralString]:
    """The blocks of `package`'s file `filename` by name. The text is ours, never a caller's."""
    text = files(package).joinpath(filename).read_text(encoding="utf-8")
    _, *parts = _NAME.split(text)
    blocks = dict(zip(parts[::2], (part.strip() for part in parts[1::2]), strict=True))
    if len(blocks) != len(parts) // 2:
        raise ValueError(f"{filename} names a block twice")
    return cast("dict[str, LiteralString]", blocks)
