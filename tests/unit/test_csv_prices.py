"""Prices as CSV: each column, every mistake with its line, and what is written is read again."""

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imprest_server.core.errors import MAX_VIOLATIONS, InvalidArgument
from imprest_server.pricing.importers.csv_prices import COLUMNS, read_csv, to_csv
from imprest_server.pricing.model import BookSide, ChargeModel, Price, Tier
from imprest_server.pricing.rules.checks import check_prices

_EXAMPLES = Path(__file__).parents[2] / "examples"


def _one(row: str, header: str = "meter,unit_price") -> Price:
    (price,) = read_csv(f"{header}\n{row}\n").prices
    return price


def _problems(text: str) -> list[str]:
    with pytest.raises(InvalidArgument) as caught:
        read_csv(text)
    return [f"{field}: {problem}" for field, problem in caught.value.violations]


def test_the_least_there_can_be() -> None:
    assert _one("stt.seconds,0.0043") == Price(meter="stt.seconds", unit_price=Decimal("0.0043"))


def test_every_column() -> None:
    row = (
        "telephony.outbound_seconds,carrier,premium,+4420,volume,0.05,60,500:0.06;2000:0.04:1.5;:0.02,30 / 6,"
        '12,0.01,0.02,9.99,100,,,"Rate sheet, page 2",2026-03-31'
    )
    assert _one(row, ",".join(COLUMNS)) == Price(
        meter="telephony.outbound_seconds",
        provider="carrier",
        model="premium",
        destination_prefix="4420",
        charge_model=ChargeModel.VOLUME,
        unit_price=Decimal("0.05"),
        per_quantity=Decimal(60),
        tiers=(
            Tier(up_to=Decimal(500), unit_price=Decimal("0.06")),
            Tier(up_to=Decimal(2000), unit_price=Decimal("0.04"), flat_fee=Decimal("1.5")),
            Tier(up_to=None, unit_price=Decimal("0.02")),
        ),
        increment_first=Decimal(30),
        increment_next=Decimal(6),
        minimum_quantity=Decimal(12),
        connect_fee=Decimal("0.01"),
        minimum_charge=Decimal("0.02"),
        maximum_charge=Decimal("9.99"),
        free_quantity=Decimal(100),
        source="Rate sheet, page 2, 2026-03-31",
    )


@pytest.mark.parametrize(
    ("row", "header", "field", "value"),
    [
        ("llm.*,40", "meter,margin_percent", "margin_percent", Decimal(40)),
        ("llm.*,0.004,60", "meter,markup,per_quantity", "markup", Decimal("0.004")),
        ("llm.input_tokens,5.46875e-07", "meter,unit_price", "unit_price", Decimal("0.000000546875")),
        ("llm.input_tokens,0", "meter,unit_price", "unit_price", Decimal(0)),
        ("stt.seconds,1:0.5;*:0.4", "meter,tiers", "tiers", None),
        ("0.5,stt.seconds", "Unit_Price, METER ", "unit_price", Decimal("0.5")),
        ("stt.seconds,1,2026-03-31", "meter,unit_price,date", "source", "2026-03-31"),
    ],
)
def test_a_cell(row: str, header: str, field: str, value: object) -> None:
    price = _one(row, header)
    assert value is None or getattr(price, field) == value


def test_comments_blank_lines_and_a_byte_order_mark() -> None:
    text = "\ufeff# our prices\n\nmeter,unit_price\r\n\r\n# speech\nstt.seconds,1\n,,\nstt.output_tokens,2\n"
    assert [price.meter for price in read_csv(text).prices] == ["stt.seconds", "stt.output_tokens"]


def test_every_bad_line_is_named() -> None:
    text = 'meter,unit_price,increments\na,1\n"multi\nline",x\nb,2,60\n,3\na,4\nc,\nd,1,2,3\n'
    assert _problems(text) == [
        "csv[4]: unit_price: 'x' is not a number",
        "csv[5]: increments: two numbers with a slash, as in 30/6",
        "csv[6]: meter: is required",
        "csv[7]: this meter, provider, model and destination_prefix has a price further up",
        "csv[8]: one of unit_price, tiers, margin_percent and markup is required (0 is a price)",
        "csv[9]: 4 cells under 3 columns",
    ]


@pytest.mark.parametrize("number", ["1_000", "1,000.00", "NaN", "Infinity", "0x10", "٣", "--1", "$1", "1e9999"])
def test_what_is_not_a_number(number: str) -> None:
    assert _problems(f'meter,unit_price\na,"{number}"\n') == [f"csv[2]: unit_price: '{number}' is not a number"]


@pytest.mark.parametrize(("number", "problem"), [("1e999", "at most 10"), ("1e-19", "decimals"), ("-1", "negative")])
def test_what_is_not_a_price(number: str, problem: str) -> None:
    assert problem in _problems(f"meter,unit_price\na,{number}\n")[0]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "csv: is empty: the first line names the columns"),
        ("# only a comment\n", "csv: is empty: the first line names the columns"),
        ("meter,unit_prise\n", "csv: unknown column 'unit_prise'; known are "),
        ("meter,meter\n", "csv: column meter stands there twice"),
        ("unit_price\n1\n", "csv: there is no column meter"),
        ('meter,unit_price\n"a,1\n', "csv[2]: not CSV: "),
        ("meter,charge_model,unit_price\na,PER_MOON,1\n", "csv[2]: charge_model: 'PER_MOON' is none of PER_UNIT, "),
        ("meter,tiers\na,5\n", "csv[2]: tiers: '5' is not up_to:unit_price or up_to:unit_price:flat_fee"),
        ("meter,unit_price,date\na,1,31.3.2026\n", "csv[2]: date: '31.3.2026' is not a day as in 2026-03-31"),
        ("meter,unit_price,date\na,1,2026-02-30\n", "csv[2]: date: "),
    ],
)
def test_a_bad_file(text: str, problem: str) -> None:
    assert _problems(text)[0].startswith(problem)


def test_a_file_with_one_mistake_everywhere_is_answered_in_short() -> None:
    problems = _problems("meter,unit_price\n" + "a,b\n" * 5000)
    assert len(problems) == MAX_VIOLATIONS
    assert problems[0] == "csv[2]: unit_price: 'b' is not a number"


# ── there and back ───────────────────────────────────────────────────────────────────────────────────

_text = st.text(st.characters(exclude_categories=["C", "Z"]), max_size=12).filter(lambda text: not text.startswith("#"))
_number = st.integers(0, 10**33 - 1).map(lambda digits: Decimal(f"{digits}e-18")) | st.integers(0, 10**6).map(Decimal)
_maybe = st.none() | _number
_tier = st.builds(Tier, up_to=_maybe, unit_price=_number, flat_fee=_number)
_source = _text | st.builds("{}, {}".format, _text, st.dates(min_value=date(1, 1, 1)))


@st.composite
def _price(draw: st.DrawFn) -> Price:
    first = draw(_maybe)
    return Price(
        meter=draw(_text.filter(bool)),
        provider=draw(_text),
        model=draw(_text),
        destination_prefix=draw(st.text("0123456789", max_size=15)),
        charge_model=draw(st.sampled_from(ChargeModel)),
        unit_price=draw(_number),
        per_quantity=draw(_number),
        tiers=tuple(draw(st.lists(_tier, max_size=3))),
        increment_first=first,
        increment_next=None if first is None else draw(_number),
        minimum_quantity=draw(_number),
        connect_fee=draw(_number),
        minimum_charge=draw(_maybe),
        maximum_charge=draw(_maybe),
        free_quantity=draw(_number),
        margin_percent=draw(_maybe),
        markup=draw(_maybe),
        source=draw(_source),
    )


@given(st.lists(_price(), min_size=1, max_size=4, unique_by=lambda price: price.key))
def test_what_is_written_is_read_again(prices: list[Price]) -> None:
    assert list(read_csv(to_csv(prices)).prices) == prices


@pytest.mark.parametrize("source", ["", "page", "page, 2026-03-31", "page, 2026-02-30", ", 2026-03-31", "2026-03-31"])
def test_a_source_is_read_again(source: str) -> None:
    prices = (Price(meter="m", source=source),)
    assert read_csv(to_csv(prices)).prices == prices


def test_written_numbers_are_plain() -> None:
    text = to_csv([Price(meter="m", unit_price=Decimal("1E-7"), per_quantity=Decimal("1E+6"))])
    assert text.splitlines()[1].split(",")[5:7] == ["0.0000001", "1000000"]


# ── the examples ─────────────────────────────────────────────────────────────────────────────────────


def test_published_list_prices_can_be_published() -> None:
    prices = read_csv((_EXAMPLES / "prices.csv").read_text()).prices
    check_prices(prices, BookSide.COST)
    assert len(prices) > 80
    assert all(price.source[-10:-6].isdigit() for price in prices), "every price says of what day it is"
    found = {price.key: price for price in prices}
    assert {p.provider for p in found.values()} >= {
        "deepgram",
        "openai",
        "anthropic",
        "elevenlabs",
        "cartesia",
        "twilio",
    }


def test_example_sale_prices_can_be_published() -> None:
    prices = read_csv((_EXAMPLES / "sale_prices.csv").read_text()).prices
    check_prices(prices, BookSide.SALE)
    assert {price.derived for price in prices} == {True, False}
