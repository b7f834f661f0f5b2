"""Values are not frozen at run time; for the rest they are what frozen dataclasses would be."""

from dataclasses import dataclass, fields, replace

import pytest

from imprest_server.core.values import named_value, value


@value
class Point:
    x: int
    label: str = ""


@named_value
class Named:
    x: int
    label: str = ""


@dataclass(frozen=True, slots=True)
class Frozen:
    x: int
    label: str = ""


def test_equal_values_are_equal_and_found_by_their_hash() -> None:
    assert Point(1, "a") == Point(1, "a") != Point(2, "a")
    assert {Point(1, "a"): "found"}[Point(1, "a")] == "found"
    assert hash(Point(1, "a")) == hash(Frozen(1, "a"))
    assert Point(1) != Named(x=1)


def test_a_change_makes_a_new_value() -> None:
    old = Point(1, "a")
    assert replace(old, x=2) == Point(2, "a")
    assert old == Point(1, "a")


def test_a_value_has_no_other_fields() -> None:
    assert [f.name for f in fields(Named)] == ["x", "label"]
    with pytest.raises(AttributeError):
        setattr(Point(1), "y", 2)  # noqa: B010  # what a type checker would refuse


def test_a_named_value_takes_no_positions() -> None:
    with pytest.raises(TypeError):
        Named(1)  # type: ignore[misc]
