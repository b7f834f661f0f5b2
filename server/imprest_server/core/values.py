"""Values: dataclasses that are never changed. A type checker refuses an assignment; at run time nothing does.

A frozen dataclass assigns each field through `object.__setattr__`, which makes it three times as slow to build, and
the engine builds a dozen for each operation. Equality and hash are those of a frozen one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(cls: type[T]) -> type[T]:
    """A class of values; fields are positional or named."""
    return dataclass(slots=True, unsafe_hash=True)(cls)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def named_value(cls: type[T]) -> type[T]:
    """A class of values whose fields are named."""
    return dataclass(slots=True, unsafe_hash=True, kw_only=True)(cls)
