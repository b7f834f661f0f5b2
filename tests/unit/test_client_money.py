"""Money of the client library: Decimal in, Decimal out, exactly or not at all."""

from decimal import Decimal, localcontext

import pytest
from google.type.money_pb2 import Money
from hypothesis import given
from hypothesis import strategies as st

from imprest_client.money import exact, plus, to_decimal, to_money, to_nano

NANOS = 10**9
LARGEST = 2**63 * NANOS - 1


@given(st.integers(-LARGEST, LARGEST))
def test_there_and_back(nanos: int) -> None:
    amount = Decimal(nanos).scaleb(-9, None) if abs(nanos) < 10**27 else Decimal(f"{nanos}e-9")
    message = to_money(amount, "USD")
    assert message.units * NANOS + message.nanos == nanos
    assert to_decimal(message) == amount


@pytest.mark.parametrize(
    ("amount", "units", "nanos"),
    [
        ("1.25", 1, 250_000_000),
        ("-1.25", -1, -250_000_000),
        (-2, -2, 0),
        ("-0.000000001", 0, -1),
        (Decimal("1e3"), 1000, 0),
    ],
)
def test_units_and_nanos(amount: Decimal | int | str, units: int, nanos: int) -> None:
    assert to_money(amount, "EUR") == Money(currency_code="EUR", units=units, nanos=nanos)


@pytest.mark.parametrize("amount", ["0.0000000001", "NaN", "Infinity", "1,5", "", str(2**63), "1e400"])
def test_what_money_cannot_carry_is_refused(amount: str) -> None:
    with pytest.raises(ValueError, match=r"amount|range"):
        to_money(amount, "USD")


def test_a_float_is_refused() -> None:
    for function in (exact, lambda amount: to_money(amount, "USD")):
        with pytest.raises(TypeError, match="float"):
            function(0.1)  # type: ignore[arg-type]


def test_the_callers_decimal_context_does_not_matter() -> None:
    with localcontext(prec=3):
        assert plus(Decimal("123456.789"), Decimal("0.000000000001")) == Decimal("123456.789000000001")
        assert to_nano(Decimal("123456.7890000000015")) == Decimal("123456.789000000")
        assert to_money("123456.789", "USD").units == 123456
    assert to_nano(Decimal("0.0000000015")) == Decimal("0.000000002")
    assert to_nano(Decimal("0.0000000025")) == Decimal("0.000000002")
