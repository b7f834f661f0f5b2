"""Exact money: what comes from the database, and splitting in proportion."""

from __future__ import annotations

from decimal import Decimal, Inexact

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imprest_server.core.money import MAX_NANOS, format_nanos, nanos_of, pro_rata


@given(st.integers(min_value=-MAX_NANOS, max_value=MAX_NANOS))
def test_nanos_survive_the_database(nanos: int) -> None:
    assert nanos_of(Decimal(format_nanos(nanos))) == nanos


def test_less_than_a_nano_is_no_amount() -> None:
    with pytest.raises(Inexact):
        nanos_of(Decimal("0.0000000001"))


@pytest.mark.parametrize(
    ("total", "part", "whole", "share"),
    [(10, 1, 4, 2), (10, 3, 4, 8), (10, 1, 3, 3), (10, 2, 3, 7), (5, 1, 2, 2), (7, 1, 2, 4), (0, 1, 2, 0)],
)
def test_a_share_is_rounded_half_to_even(total: int, part: int, whole: int, share: int) -> None:
    assert pro_rata(total, part, whole) == share


@given(st.integers(0, 10**30), st.integers(1, 10**30), st.data())
def test_a_growing_share_grows_to_the_whole(total: int, whole: int, data: st.DataObject) -> None:
    parts = sorted(data.draw(st.lists(st.integers(0, whole), max_size=5)))
    shares = [pro_rata(total, part, whole) for part in [0, *parts, whole]]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0, total)
