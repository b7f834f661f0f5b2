"""What people type to imprestctl, and how it writes values."""

from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imprest_client.ctl.failures import UsageError
from imprest_client.ctl.values import (
    Amount,
    choices,
    labels_text,
    money,
    parse_amount,
    parse_choice,
    parse_instant,
    parse_labels,
    parse_zone,
    rfc3339,
    start_of_month,
    when,
)
from imprest_client.model import AccountState, TransactionKind

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 10, 25, 9, 30, 15, 250_000, tzinfo=UTC)  # the day on which Berlin's summer time ends


@pytest.mark.parametrize(
    ("text", "value", "currency"),
    [
        ("25", "25", None),
        ("25.50", "25.50", None),
        (" 0.000000001 ", "0.000000001", None),
        ("25usd", "25", "USD"),
        ("25.5 EUR", "25.5", "EUR"),
        ("9223372036854775807.999999999", "9223372036854775807.999999999", None),
    ],
)
def test_an_amount_is_read_exactly(text: str, value: str, currency: str | None) -> None:
    assert parse_amount(text) == Amount(Decimal(value), currency)


def test_a_signed_amount() -> None:
    assert [parse_amount(text, signed=True).value for text in ("-5", "\u22120.5", "+5", "5")] == [
        -5,
        Decimal("-0.5"),
        5,
        5,
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "1,000",
        "1.0000000001",
        "1e3",
        "1_000",
        "NaN",
        "USD",
        "USD5",
        "5 EURO",
        "9223372036854775808",
        "-5",
        "+5",
        "٣",
        ".5",
        "5.",
    ],
)
def test_what_is_no_amount(text: str) -> None:
    with pytest.raises(UsageError):
        parse_amount(text)


def test_money_has_the_digits_of_its_currency_and_more_when_it_needs_them() -> None:
    assert [
        money(Decimal(amount), code)
        for amount, code in [
            ("0", "USD"),
            ("12.5", "USD"),
            ("-12.345678901", "USD"),
            ("100", "USD"),
            ("1500", "JPY"),
            ("0.5", "JPY"),
            ("1.5", "KWD"),
        ]
    ] == ["0.00 USD", "12.50 USD", "-12.345678901 USD", "100.00 USD", "1500 JPY", "0.5 JPY", "1.500 KWD"]


@given(st.integers(1 - 2**63 * 10**9, 2**63 * 10**9 - 1), st.sampled_from(["USD", "JPY", "BHD"]))
def test_money_is_never_rounded(nanos: int, code: str) -> None:
    amount = Decimal(nanos).scaleb(-9)
    text, _, shown_code = money(amount, code).partition(" ")
    assert (Decimal(text), shown_code) == (amount, code)
    assert parse_amount(text, signed=True).value == amount


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-10-24", "2026-10-23T22:00:00Z"),
        ("2026-10-26", "2026-10-25T23:00:00Z"),  # winter time
        ("today", "2026-10-24T22:00:00Z"),
        ("yesterday", "2026-10-23T22:00:00Z"),
        ("2026-10-24T10:00", "2026-10-24T08:00:00Z"),
        ("2026-10-24 10:00:00Z", "2026-10-24T10:00:00Z"),
        ("2026-10-24T10:00:00+05:30", "2026-10-24T04:30:00Z"),
        ("7d", "2026-10-18T09:30:15.250000Z"),
        ("12h", "2026-10-24T21:30:15.250000Z"),
    ],
)
def test_an_instant(text: str, expected: str) -> None:
    assert rfc3339(parse_instant(text, BERLIN, NOW)) == expected


def test_a_date_at_the_end_of_a_period_includes_its_day() -> None:
    # 25 hours after its start: the clocks go back.
    assert rfc3339(parse_instant("2026-10-25", BERLIN, NOW, end_of_day=True)) == "2026-10-25T23:00:00Z"
    assert rfc3339(parse_instant("today", BERLIN, NOW, end_of_day=True)) == "2026-10-25T23:00:00Z"
    assert rfc3339(parse_instant("2026-10-25T10:00", BERLIN, NOW, end_of_day=True)) == "2026-10-25T09:00:00Z"


@pytest.mark.parametrize("text", ["", "2026-13-01", "24.10.2026", "7w", "d", "9999-12-31x", "99999d", "1969-12-31"])
def test_what_is_no_instant(text: str) -> None:
    with pytest.raises(UsageError):
        parse_instant(text, BERLIN, NOW)


def test_dates_at_the_end_of_time_are_refused_politely() -> None:
    with pytest.raises(UsageError):
        parse_instant("9999-12-31", BERLIN, NOW, end_of_day=True)
    with pytest.raises(UsageError):
        parse_instant("0001-01-01", BERLIN, NOW)


def test_the_month_of_a_zone() -> None:
    late = datetime(2026, 10, 31, 23, 30, tzinfo=UTC)
    assert rfc3339(start_of_month(BERLIN, late)) == "2026-10-31T23:00:00Z"
    assert rfc3339(start_of_month(ZoneInfo("UTC"), late)) == "2026-10-01T00:00:00Z"


def test_times_for_people_tell_their_offset() -> None:
    assert [when(NOW, zone) for zone in (ZoneInfo("UTC"), BERLIN, ZoneInfo("America/St_Johns"))] == [
        "2026-10-25 09:30:15Z",
        "2026-10-25 10:30:15+01:00",
        "2026-10-25 07:00:15-02:30",
    ]


def test_zones() -> None:
    assert parse_zone("Europe/Berlin") == BERLIN
    for name in ("Mars/Olympus", "", "../etc/passwd", "Europe"):
        with pytest.raises(UsageError):
            parse_zone(name)


def test_labels() -> None:
    assert parse_labels(["b=2", "a=x=y", "c="]) == {"b": "2", "a": "x=y", "c": ""}
    assert labels_text({"b": "2", "a": "1"}) == "a=1, b=2"
    for pairs in (["a"], ["=b"], ["a=1", "a=2"]):
        with pytest.raises(UsageError):
            parse_labels(pairs)


def test_choices() -> None:
    assert parse_choice(AccountState, "Frozen", "state") is AccountState.FROZEN
    assert parse_choice(TransactionKind, "add-credit", "kind") is TransactionKind.ADD_CREDIT
    assert "unknown" not in choices(AccountState)
    for name in ("unknown", "", "frozen "):
        with pytest.raises(UsageError) as error:
            parse_choice(AccountState, name, "state")
        assert error.value.hint == "choose from active, frozen, closed"
