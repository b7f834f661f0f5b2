"""The columns and checks that tables are made of."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, DateTime, MetaData, Numeric
from sqlalchemy.types import TypeEngine

metadata = MetaData()


def values(column: str, *allowed: str) -> str:
    """The check that a column has one of these values."""
    return f"{column} IN ({', '.join(repr(value) for value in allowed)})"


def required(name: str, kind: TypeEngine[Any] | type[TypeEngine[Any]]) -> Column[Any]:
    """A column that is never NULL."""
    return Column(name, kind, nullable=False)


def money(name: str, *, nullable: bool = False) -> Column[Any]:
    """Nanos of a currency as an exact decimal of its major unit."""
    return Column(name, Numeric(38, 9), nullable=nullable)


def decimal(name: str, *, nullable: bool = False) -> Column[Any]:
    """A unit price, quantity or rate."""
    return Column(name, Numeric(38, 18), nullable=nullable)


def time(name: str, *, nullable: bool = False) -> Column[Any]:
    """An instant."""
    return Column(name, DateTime(timezone=True), nullable=nullable)
