"""Which currencies something new may be in."""

import pytest

from imprest_client.ctl import values
from imprest_server.core.currencies import CURRENCIES, currency_problem


def test_currencies_there_are() -> None:
    assert {"USD", "EUR", "JPY", "KWD", "XAF", "XTS"} <= CURRENCIES
    assert all(len(code) == 3 and code.isascii() and code.isupper() for code in CURRENCIES)
    assert all(currency_problem(code) is None for code in CURRENCIES)


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("", "is required"),
        ("UDS", "is no currency of ISO 4217"),
        ("ERU", "is no currency of ISO 4217"),
        ("DEM", "is no currency of ISO 4217"),
        ("usd", "must be three upper-case letters (ISO 4217)"),
        ("US", "must be three upper-case letters (ISO 4217)"),
        ("USD ", "must be three upper-case letters (ISO 4217)"),
        ("USD EUR", "must be three upper-case letters (ISO 4217)"),
    ],
)
def test_what_is_no_currency(code: str, problem: str) -> None:
    assert currency_problem(code) == problem


def test_currencies_with_other_digits_exist() -> None:
    """imprestctl shows amounts with the digits of these."""
    assert values._NO_DIGITS | values._THREE_DIGITS <= CURRENCIES
