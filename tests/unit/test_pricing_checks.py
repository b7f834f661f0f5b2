"""What may be published and what may be reported: every rule from both sides, and every problem at once."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given

from imprest_server.core.errors import MAX_VIOLATIONS, InvalidArgument
from imprest_server.core.usage import UsageLine
from imprest_server.pricing.meters import CATEGORIES, METERS, nearest
from imprest_server.pricing.model import BookSide, ChargeModel, Difference, Price
from imprest_server.pricing.rules import PriceTable, check_prices, check_usage, differences, price_problems
from tests.support.price_strategies import prices
from tests.support.pricing import NOW, line, price, report, tiers

SALE, COST = BookSide.SALE, BookSide.COST
LLM = "llm.input_tokens"
GRADUATED, FLAT, PERCENTAGE = ChargeModel.GRADUATED, ChargeModel.FLAT, ChargeModel.PERCENTAGE
TIERS = tiers((10, "1"), (None, "0.5"))
#: The widest number that is allowed, and the one above it.
MOST, TOO_MUCH = "1000000000000000", "1000000000000000.000000000000000001"

GOOD: list[tuple[str, BookSide, Price]] = [
    ("plain", SALE, price()),
    (
        "everything",
        SALE,
        price(
            provider="p",
            model="m",
            destination_prefix="49",
            unit_price=1,
            per_quantity=60,
            increment_first=30,
            increment_next=6,
            minimum_quantity=12,
            connect_fee=1,
            minimum_charge=2,
            maximum_charge=2,
            free_quantity=100,
            source="list of 2026-03-01",
        ),
    ),
    ("graduated", COST, price(charge_model=GRADUATED, tiers=TIERS, free_quantity=3)),
    ("volume, one tier", COST, price(charge_model=ChargeModel.VOLUME, tiers=tiers((None, "1", "5")))),
    ("package", SALE, price(charge_model=ChargeModel.PACKAGE, unit_price=1, per_quantity=1000, free_quantity=5)),
    ("flat", SALE, price(charge_model=FLAT, unit_price=1)),
    ("18 decimals", SALE, price(unit_price="0.000000000000000001", per_quantity="0.000000000000000001")),
    ("trailing zeros", SALE, price(unit_price="1.000000000000000000000000000")),
    ("exponents", SALE, price(unit_price="5.46875E-7", per_quantity="1E+6")),
    ("largest", SALE, price(unit_price=MOST, per_quantity=MOST)),
    ("margin", SALE, price(LLM, margin_percent=20, minimum_charge=1, connect_fee=1)),
    ("margin of nothing", SALE, price(LLM, margin_percent=0)),
    ("markup", SALE, price(markup=1, per_quantity=60, increment_first=60, increment_next=60, minimum_quantity=6)),
    ("category", SALE, price("llm.*", provider="openai", margin_percent=20)),
    ("category of calls", SALE, price("telephony.*", destination_prefix="49", margin_percent=20)),
    ("book", SALE, price("*", margin_percent=20)),
    ("hosting", COST, price("infrastructure.hosting", charge_model=FLAT, unit_price=1)),
    ("fee", COST, price("fee.payment", charge_model=PERCENTAGE, unit_price="2.9", connect_fee="0.3")),
    ("flat fee", COST, price("fee.payment", charge_model=FLAT, unit_price="0.3")),
    ("sms", SALE, price("messaging.sms_segments", destination_prefix="491")),
]

BAD: list[tuple[str, str, BookSide, Price]] = [
    ("meter", "is required", SALE, price("")),
    ("meter", "did you mean llm.input_tokens", SALE, price("llm.input_token")),
    ("meter", "is not a meter", SALE, price("zzzzzzzzzzzz")),
    ("meter", "is not a meter", SALE, price("fax.*", margin_percent=1)),
    ("meter", "is not a meter", SALE, price("fee.*", margin_percent=1)),
    ("meter", "is not a meter", SALE, price("llm*", margin_percent=1)),
    ("meter", "only in a price derived", SALE, price("*", unit_price=1)),
    ("meter", "only in a price derived", COST, price("llm.*", unit_price=1)),
    ("meter", "only for COST books", SALE, price("infrastructure.hosting", charge_model=FLAT)),
    ("provider", "at most 255", SALE, price(provider="p" * 256)),
    ("model", "control characters", SALE, price(model="a\nb")),
    ("source", "at most 1024", SALE, price(source="s" * 1025)),
    ("destination_prefix", "digits", SALE, price(destination_prefix="+49")),
    ("destination_prefix", "digits", SALE, price(destination_prefix="４９")),
    ("destination_prefix", "at most 15", SALE, price(destination_prefix="1" * 16)),
    ("destination_prefix", "have a destination", SALE, price(LLM, destination_prefix="49")),
    ("destination_prefix", "have a destination", SALE, price("telephony.did_months", destination_prefix="49")),
    ("destination_prefix", "have a destination", SALE, price("*", margin_percent=1, destination_prefix="49")),
    *[
        (name, "must not be negative", SALE, price(**{name: "-0.1"}))
        for name in (
            "unit_price",
            "per_quantity",
            "minimum_quantity",
            "connect_fee",
            "minimum_charge",
            "maximum_charge",
            "free_quantity",
            "margin_percent",
            "markup",
            "increment_first",
            "increment_next",
        )
    ],
    *[("unit_price", "finite", SALE, price(unit_price=value)) for value in ("NaN", "sNaN", "Infinity", "-Infinity")],
    *[("unit_price", "at most 10^15", SALE, price(unit_price=value)) for value in (TOO_MUCH, "1E+999999")],
    *[
        ("unit_price", "at most 18 decimals", SALE, price(unit_price=value))
        for value in ("0.0000000000000000001", "1E-999999", "0E-999999")
    ],
    ("per_quantity", "above zero", SALE, price(per_quantity=0)),
    ("increment_first", "above zero", SALE, price(increment_first=0, increment_next=1)),
    ("increment_next", "above zero", SALE, price(increment_first=1, increment_next=0)),
    ("increment_next", "is required", SALE, price(increment_first=60)),
    ("increment_first", "is required", SALE, price(increment_next=60)),
    ("minimum_charge", "above maximum_charge", SALE, price(minimum_charge=2, maximum_charge="1.9")),
    ("tiers", "only for GRADUATED", SALE, price(tiers=TIERS)),
    ("tiers", "are required", SALE, price(charge_model=GRADUATED)),
    (
        "tiers",
        "at most 100",
        SALE,
        price(charge_model=GRADUATED, tiers=tiers(*[(n, "1") for n in range(1, 101)], (None, "1"))),
    ),
    ("unit_price", "in tiers", SALE, price(charge_model=GRADUATED, tiers=TIERS, unit_price=1)),
    ("tiers[1].up_to", "above 10", SALE, price(charge_model=GRADUATED, tiers=tiers((10, "1"), (10, "1"), (None, "1")))),
    ("tiers[0].up_to", "above 0", SALE, price(charge_model=GRADUATED, tiers=tiers((0, "1"), (None, "1")))),
    ("tiers[1].up_to", "no end", SALE, price(charge_model=GRADUATED, tiers=tiers((10, "1"), (20, "1")))),
    (
        "tiers[0].up_to",
        "every tier but the last",
        SALE,
        price(charge_model=GRADUATED, tiers=tiers((None, "1"), (None, "1"))),
    ),
    ("tiers[0].unit_price", "negative", SALE, price(charge_model=GRADUATED, tiers=tiers((None, "-1")))),
    ("tiers[0].flat_fee", "negative", SALE, price(charge_model=GRADUATED, tiers=tiers((None, "1", "-1")))),
    ("tiers[0].up_to", "finite", SALE, price(charge_model=GRADUATED, tiers=tiers(("NaN", "1"), (None, "1")))),
    *[
        (name, "does not depend on the quantity", SALE, price(charge_model=FLAT, **{name: 2}))
        for name in ("per_quantity", "minimum_quantity", "free_quantity")
    ],
    ("increment_first", "does not depend", SALE, price(charge_model=FLAT, increment_first=1, increment_next=1)),
    ("charge_model", "only for meters of the category fee", COST, price(charge_model=PERCENTAGE)),
    ("charge_model", "must be FLAT for", COST, price("infrastructure.hosting", charge_model=PERCENTAGE)),
    ("charge_model", "must be FLAT or PERCENTAGE", COST, price("fee.payment")),
    ("provider", "counts for every call", COST, price("fee.payment", charge_model=PERCENTAGE, provider="stripe")),
    ("margin_percent", "only for SALE", COST, price(margin_percent=1)),
    ("markup", "only for SALE", COST, price(markup=1)),
    ("markup", "beside margin_percent", SALE, price(markup=1, margin_percent=1)),
    ("charge_model", "must be PER_UNIT", SALE, price(markup=1, charge_model=FLAT)),
    ("unit_price", "derived", SALE, price(markup=1, unit_price=1)),
    ("free_quantity", "derived", SALE, price(margin_percent=1, free_quantity=1)),
    ("per_quantity", "beside margin_percent", SALE, price(margin_percent=1, per_quantity=60)),
    ("minimum_quantity", "cost has its own", SALE, price(margin_percent=1, minimum_quantity=60)),
]


@pytest.mark.parametrize(("side", "accepted"), [row[1:] for row in GOOD], ids=[row[0] for row in GOOD])
def test_accepted(side: BookSide, accepted: Price) -> None:
    check_prices([accepted], side)
    assert PriceTable([accepted])


@pytest.mark.parametrize(
    ("field", "problem", "side", "refused"), BAD, ids=[f"{n} {row[0]}: {row[1]}" for n, row in enumerate(BAD)]
)
def test_refused(field: str, problem: str, side: BookSide, refused: Price) -> None:
    problems = dict(price_problems([refused], side))
    assert problem in problems[f"prices[0].{field}"]


@given(prices())
def test_prices_of_the_property_tests_may_be_published(priced: Price) -> None:
    check_prices([priced], SALE)


def test_every_problem_is_found_and_names_its_price() -> None:
    listed = [
        price(LLM, provider="openai", model="gpt", unit_price=-1, per_quantity="NaN"),
        price(),
        price("compute.second", destination_prefix="x"),
        price(unit_price=1),
    ]
    problems = [
        ("prices[0].unit_price", "must not be negative (llm.input_tokens openai/gpt)"),
        ("prices[0].per_quantity", "must be a finite number (llm.input_tokens openai/gpt)"),
        (
            "prices[2].meter",
            "is not a meter; did you mean compute.seconds or tts.seconds or stt.seconds? (compute.second to x)",
        ),
        (
            "prices[2].destination_prefix",
            "must be at most 15 digits, without the plus (compute.second to x)",
        ),
        ("prices[3]", "is for the same as prices[1] (telephony.outbound_seconds)"),
    ]
    assert price_problems(listed, SALE) == problems
    lines = price_problems(listed, SALE, [f"csv[{n}]" for n in (2, 5, 6, 9)])
    assert [path for path, _ in lines] == [
        "csv[2].unit_price",
        "csv[2].per_quantity",
        "csv[6].meter",
        "csv[6].destination_prefix",
        "csv[9]",
    ]
    assert lines[-1] == ("csv[9]", "is for the same as csv[5] (telephony.outbound_seconds)")
    with pytest.raises(InvalidArgument) as error:
        check_prices(listed, SALE)
    assert error.value.violations == problems
    assert str(error.value) == ("prices[0].unit_price: must not be negative (llm.input_tokens openai/gpt) (and 4 more)")


def test_of_very_many_problems_the_first_travel() -> None:
    with pytest.raises(InvalidArgument) as error:
        check_prices([price(model=str(n), unit_price=-1) for n in range(1000)], SALE)
    assert len(error.value.violations) == MAX_VIOLATIONS
    assert "(and 999 more)" in str(error.value)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("sms", "messaging.sms_segments"),
        ("llm", "llm.input_tokens"),
        ("LLM.INPUT_TOKENS", "llm.input_tokens"),
        ("telephony.outbound", "telephony.outbound_seconds"),
        ("did", "telephony.did_months"),
        ("llm.imput_tokens", "llm.input_tokens"),
        ("sms.segments", "messaging.sms_segments"),
    ],
)
def test_the_meter_that_is_meant_is_named_first(name: str, meant: str) -> None:
    assert nearest(name)[0] == meant


# ── usage ────────────────────────────────────────────────────────────────────────────────────────────


def usage_problems(*lines: UsageLine, **fields: Any) -> dict[str, str]:
    try:
        check_usage(report(*lines, **fields))
    except InvalidArgument as error:
        return dict(error.violations)
    return {}


@pytest.mark.parametrize(
    "accepted",
    [
        line(quantity=0),
        line(quantity="0.000000001"),
        line(quantity=MOST),
        line(quantity="1.50000000000000"),
        line(LLM, 1, line_id="i" * 255, provider="p" * 255, model="m", operation="o" * 255),
        line(destination="4" * 32),
        line(labels={f"k{n}": "v" * 255 for n in range(64)}),
        line("plan.months", 1),
    ],
)
def test_accepted_usage(accepted: UsageLine) -> None:
    assert usage_problems(accepted) == {}


@pytest.mark.parametrize(
    ("field", "problem", "refused"),
    [
        ("meter", "is required", line("")),
        ("meter", "llm.input_tokns is not a meter; did you mean llm.input_tokens", line("llm.input_tokns")),
        ("meter", "is not a meter", line("llm.*")),
        ("meter", "not used but allocated", line("fee.payment")),
        ("quantity", "must not be negative", line(quantity="-0.1")),
        ("quantity", "finite", line(quantity="NaN")),
        ("quantity", "at most 10^15", line(quantity="1000000000000000.000000001")),
        ("quantity", "at most 9 decimals", line(quantity="0.0000000001")),
        ("line_id", "at most 255", line(line_id="i" * 256)),
        ("provider", "control", line(provider="\x00")),
        ("model", "at most 255", line(model="m" * 256)),
        ("operation", "at most 255", line(operation="o" * 256)),
        ("destination", "digits", line(destination="+49")),
        ("destination", "at most 32", line(destination="4" * 33)),
        ("labels", "at most 64", line(labels={f"k{n}": "" for n in range(65)})),
        ("labels", "empty key", line(labels={"": "v"})),
        ("labels", "a key must be at most 63", line(labels={"k" * 64: "v"})),
        ("labels[k]", "at most 255", line(labels={"k": "v" * 256})),
    ],
)
def test_refused_usage(field: str, problem: str, refused: UsageLine) -> None:
    problems = usage_problems(line(), refused)
    assert list(problems) == [f"usage.lines[1].{field}"]
    assert problem in problems[f"usage.lines[1].{field}"]


def test_every_problem_of_a_report_is_found() -> None:
    problems = usage_problems(
        line(line_id="a", quantity=-1),
        line("x", line_id="a"),
        line(),
        line(),
        start_time=NOW,
        end_time=NOW - timedelta(microseconds=1),
        labels={"": ""},
    )
    assert list(problems) == [
        "usage.lines[0].quantity",
        "usage.lines[1].meter",
        "usage.lines[1].line_id",
        "usage.end_time",
        "usage.labels",
    ]
    assert problems["usage.lines[1].line_id"] == "must differ from that of usage.lines[0]"


def test_times_and_number_of_lines() -> None:
    assert usage_problems(start_time=NOW, end_time=NOW) == {}
    assert usage_problems(*[line()] * 200) == {}
    assert usage_problems(*[line()] * 201) == {"usage.lines": "must be at most 200, not 201"}


# ── differences and the catalogue ────────────────────────────────────────────────────────────────────


def test_differences_are_ordered_by_key() -> None:
    same, old, new = price(LLM), price(unit_price=1), price(unit_price=2)
    gone, added = price(LLM, model="z"), price(LLM, model="a")
    assert differences([old, gone, same], [added, same, new]) == [
        Difference(added.key, None, added),
        Difference(gone.key, gone, None),
        Difference(new.key, old, new),
    ]
    assert differences([same, old], [old, same]) == []
    many = [price(LLM, model=f"m{n:02}") for n in range(20)]
    assert [found.key for found in differences(many[::-1], [])] == [row.key for row in many]


def test_an_amount_written_otherwise_is_no_difference() -> None:
    assert differences([price(unit_price="1.50")], [price(unit_price="1.5")]) == []


def test_the_catalogue() -> None:
    assert set(CATEGORIES) == {
        "telephony",
        "stt",
        "llm",
        "tts",
        "messaging",
        "media",
        "storage",
        "compute",
        "api",
        "plan",
        "infrastructure",
        "fee",
    }
    for name, meter in METERS.items():
        assert meter.name == name and meter.description and meter.unit
        assert meter.category == ("messaging" if name.startswith("whatsapp.") else name.partition(".")[0])
        if meter.base is not None:
            base = METERS[meter.base]
            assert (base.unit, base.category, base.base) == (meter.unit, meter.category, None)
