"""What people type about prices and usage, and how prices read; no server."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imprest_client.ctl.failures import UsageError
from imprest_client.ctl.output import as_object
from imprest_client.ctl.price_rows import PRICE, PRICE_FILE, price_text
from imprest_client.ctl.publishing import content_key, reasons
from imprest_client.ctl.usage import parse_line
from imprest_client.ctl.values import parse_instant
from imprest_client.pricing_model import ChargeModel, Price, PriceTier, SkippedEntry, UsageLine
from imprest_client.pricing_wire import price as from_message
from imprest_client.pricing_wire import to_number, to_price
from imprest_server.pricing.importers.csv_prices import COLUMNS, read_csv

_D = Decimal
_TIERS = (
    PriceTier(up_to=_D(500), unit_price=_D("0.06")),
    PriceTier(up_to=None, unit_price=_D("0.02"), flat_fee=_D(1)),
)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("stt.seconds=90", UsageLine(meter="stt.seconds", quantity=_D(90))),
        (
            "llm.input_tokens=1200,provider=openai,model=gpt-4o@>200k",
            UsageLine(meter="llm.input_tokens", quantity=_D(1200), provider="openai", model="gpt-4o@>200k"),
        ),
        (
            "telephony.outbound_seconds=0.5,to=+14155550100",
            UsageLine(meter="telephony.outbound_seconds", quantity=_D("0.5"), destination="14155550100"),
        ),
        ("m=1,model=a=b", UsageLine(meter="m", quantity=_D(1), model="a=b")),
    ],
)
def test_usage(text: str, line: UsageLine) -> None:
    assert parse_line(text) == line


@pytest.mark.parametrize(
    "text",
    ["", "m", "=1", "m=", "m=-1", "m=1e3", "m=1,2", "m=1,prov=x", "m=1,model=a,model=b", "m=1,to=call me", "m=1_0"],
)
def test_what_is_not_usage(text: str) -> None:
    with pytest.raises(UsageError):
        parse_line(text)


@pytest.mark.parametrize(
    ("price", "words"),
    [
        (Price(meter="m", unit_price=_D("2.50"), per_quantity=_D(1_000_000)), "2.5 per 1000000"),
        (Price(meter="m", unit_price=_D("0.0055")), "0.0055"),
        (Price(meter="m", margin_percent=_D(40)), "cost + 40%"),
        (Price(meter="m", markup=_D("0.004"), per_quantity=_D(60)), "cost + 0.004 per 60"),
        (
            Price(meter="m", charge_model=ChargeModel.GRADUATED, tiers=_TIERS),
            "graduated: 0.06 to 500; 0.02 and 1 above",
        ),
        (
            Price(meter="m", charge_model=ChargeModel.PACKAGE, unit_price=_D(1), per_quantity=_D(1000)),
            "1 per begun 1000",
        ),
        (Price(meter="m", charge_model=ChargeModel.FLAT, unit_price=_D("0.02")), "0.02 flat"),
        (Price(meter="m", charge_model=ChargeModel.PERCENTAGE, unit_price=_D("2.9")), "2.9% of the price"),
        (
            Price(
                meter="m",
                unit_price=_D("0.05"),
                per_quantity=_D(60),
                increment_first=_D(30),
                increment_next=_D(6),
                minimum_quantity=_D(10),
                connect_fee=_D("0.01"),
                minimum_charge=_D("0.02"),
                maximum_charge=_D(9),
                free_quantity=_D(100),
            ),
            (
                "0.05 per 60, by 30/6, at least 10 units, +0.01 to connect, no less than 0.02, no more than 9, "
                "100 a month free"
            ),
        ),
    ],
)
def test_a_price_in_words(price: Price, words: str) -> None:
    assert price_text(price) == words


_number = st.integers(0, 10**18).map(lambda n: _D(f"{n}e-9"))
_maybe = st.none() | _number
_name = st.text("abcxyz.-/@>:", max_size=8)


@st.composite
def _price(draw: st.DrawFn) -> Price:
    kind = draw(st.sampled_from(["unit", "tiers", "margin", "markup"]))
    first = draw(_maybe)
    return Price(
        meter="llm.input_tokens",
        provider=draw(_name),
        model=draw(_name),
        destination_prefix=draw(st.text("0123456789", max_size=15)),
        charge_model=draw(st.sampled_from([model for model in ChargeModel if model != "UNKNOWN"])),
        unit_price=draw(_number) if kind == "unit" else _D(0),
        per_quantity=draw(_number),
        tiers=_TIERS if kind == "tiers" else (),
        increment_first=first,
        increment_next=None if first is None else draw(_number),
        minimum_quantity=draw(_number),
        connect_fee=draw(_number),
        minimum_charge=draw(_maybe),
        maximum_charge=draw(_maybe),
        free_quantity=draw(_number),
        margin_percent=draw(_number) if kind == "margin" else None,
        markup=draw(_number) if kind == "markup" else None,
        source=draw(_name),
    )


@given(_price())
def test_a_price_is_the_same_after_the_wire(price: Price) -> None:
    assert from_message(to_price(price)) == price


@given(_price())
def test_a_listed_price_is_a_price_file(price: Price) -> None:
    """What `prices list --csv` writes the server reads as the same price."""
    cells = as_object(PRICE_FILE, price)
    assert set(cells) | {"date"} == set(COLUMNS)
    header = ",".join(cells)
    row = ",".join(f'"{cell}"' for cell in cells.values())
    (read,) = read_csv(f"{header}\n{row}\n").prices
    for name in (*Price.__dataclass_fields__,):
        ours, theirs = getattr(price, name), getattr(read, name)
        if name == "tiers":
            ours, theirs = ([(t.up_to, t.unit_price, t.flat_fee) for t in tiers] for tiers in (ours, theirs))
        assert ours == theirs, name


def test_a_price_as_json_has_all_its_digits() -> None:
    price = Price(meter="m", unit_price=_D("0.000000546875"), tiers=_TIERS)
    content = json.loads(json.dumps(as_object(PRICE, price)))
    assert content["unit_price"] == "0.000000546875"
    assert content["tiers"][1] == {"up_to": None, "unit_price": "0.02", "flat_fee": "1"}


@pytest.mark.parametrize("value", [0.1, float("nan")])
def test_a_float_is_no_number(value: float) -> None:
    with pytest.raises(TypeError):
        to_number(value)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["NaN", "x", _D("Infinity")])
def test_what_is_not_a_number(value: str) -> None:
    with pytest.raises(ValueError, match="not a"):
        to_number(value)


def test_tomorrow_is_the_next_midnight_of_the_zone() -> None:
    now = datetime(2026, 3, 28, 23, 30, tzinfo=UTC)
    assert parse_instant("tomorrow", ZoneInfo("UTC"), now) == datetime(2026, 3, 29, tzinfo=UTC)
    # It is the 29th in Berlin already, the day that the clocks change there.
    assert parse_instant("tomorrow", ZoneInfo("Europe/Berlin"), now) == datetime(2026, 3, 29, 22, tzinfo=UTC)


def test_a_key_tells_contents_apart() -> None:
    assert content_key("a", b"b") == content_key("a", b"b")
    assert len({content_key("a", "b"), content_key("ab"), content_key("", "ab"), content_key("a", "c")}) == 4


def test_skipped_entries_are_counted_by_reason() -> None:
    skipped = [SkippedEntry("a", "x"), SkippedEntry("b", "y"), SkippedEntry("c", "y")]
    assert [(r.count, r.reason, r.example) for r in reasons(skipped)] == [(2, "y", "b"), (1, "x", "a")]
