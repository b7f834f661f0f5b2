"""Elements of Postgres array literals, for set-based statements.

A batch writes columns of values as `unnest(%s::text[], %s::numeric[], …)`. The driver can make such arrays from
lists, but spends more time on that than the rest of the batch takes (measured: half of it); these do the same in a
fraction. Each function returns one element; `array` joins them into the text of one bound parameter.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from uuid import UUID

NULL = "NULL"


def array(elements: Iterable[str]) -> str:
    """The literal of an array with these elements."""
    return "{" + ",".join(elements) + "}"


def text(value: str) -> str:
    """Any text without NUL."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def optional_text(value: str | None) -> str:
    """A text, or NULL."""
    return NULL if value is None else text(value)


def numeric(nanos: int) -> str:
    """Nanos as NUMERIC major units, exactly: 1 is 0.000000001."""
    return f"{nanos}e-9" if nanos else "0"  # most of a book's columns are zero


def optional_numeric(nanos: int | None) -> str:
    """Nanos as NUMERIC, or NULL."""
    return NULL if nanos is None else numeric(nanos)


def decimal(value: Decimal | None) -> str:
    """A NUMERIC of any scale, or NULL."""
    return NULL if value is None else str(value)


def integer(value: int | None) -> str:
    """An integer, or NULL."""
    return NULL if value is None else str(value)


def boolean(value: bool) -> str:
    """A boolean."""
    return "t" if value else "f"


def uuid(value: UUID | None) -> str:
    """A UUID, or NULL."""
    return NULL if value is None else value.hex


@lru_cache(maxsize=4096)  # most times of a batch are its own
def timestamp(value: datetime | None) -> str:
    """An aware datetime, or NULL."""
    return NULL if value is None else value.isoformat()


def binary(value: bytes) -> str:
    """A BYTEA."""
    return f'"\\\\x{value.hex()}"'
