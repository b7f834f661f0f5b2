"""The ends of the range, the turn of the month, allocations, and that no float can come in."""

import ast
from datetime import UTC, date, datetime
from decimal import Decimal, localcontext
from pathlib import Path

import pytest

import imprest_server.pricing
from imprest_server.core.errors import AmountOutOfRange, PriceNotFound
from imprest_server.core.money import MAX_NANOS
from imprest_server.pricing.model import BookSide, ChargeModel, CounterKey
from imprest_server.pricing.quotes import Quoted
from imprest_server.pricing.rules import Payer, Rounding, allocate, counter_keys, month_of
from tests.support.pricing import NOW, PAYER, line, nanos, price, rated, report, tariff, tiers

FLAT, PERCENTAGE = ChargeModel.FLAT, ChargeModel.PERCENTAGE
HOSTING, FEE = "infrastructure.hosting", "fee.payment"
HALF_EVEN, UP = Rounding.HALF_EVEN, Rounding.UP

RULES = sorted((Path(imprest_server.pricing.__file__).parent / "rules").glob("*.py"))


# ── huge and tiny ────────────────────────────────────────────────────────────────────────────────────


def test_the_largest_quantity_at_the_smallest_price() -> None:
    usage = report(line(quantity=10**15))
    item = rated(usage, tariff([price(unit_price="0.000000000000000001")])).lines[0]
    assert (item.price, item.exact_price) == (10**6, Decimal("0.001"))
    item = rated(usage, tariff([price(unit_price="0.000000000000000001", per_quantity=10**15)])).lines[0]
    assert (item.price, item.exact_price) == (0, Decimal("0.000000000000000001"))


def test_the_smallest_quantity_at_the_largest_price() -> None:
    item = rated(report(line(quantity="0.000000001")), tariff([price(unit_price=10**15)])).lines[0]
    assert item.price == 10**6 * 10**9
    tiny = rated(report(line(quantity="0.000000001")), tariff([price(unit_price="0.000000000000000001")]))
    assert (tiny.price, tiny.lines[0].exact_price) == (0, Decimal(0))
    assert rated(report(line(quantity="0.000000001")), tariff([price(unit_price="1E-18")]), rounding=UP).price == 1


def test_every_digit_counts() -> None:
    """24 digits times 33: no context of 28 digits may come near it."""
    with localcontext() as context:
        context.prec = 5
        prices = tariff([price(unit_price="1234.123456789123456789")])
        item = rated(report(line(quantity="123456789012345.987654321")), prices).lines[0]
    exact = 123456789012345987654321 * 1234123456789123456789  # 10**-27
    assert item.price == (exact + 10**18 // 2) // 10**18
    with localcontext() as context:
        context.prec = 60
        assert item.exact_price == Decimal((exact + 10**9 // 2) // 10**9).scaleb(-18)


def test_beyond_the_range_of_money() -> None:
    prices = tariff([price(unit_price=10**15)], [price(unit_price=0)])
    largest = Decimal(2**63) / 10**15
    assert rated(report(line(quantity="9223.372036853")), prices).price < 2**63 * 10**9
    with pytest.raises(AmountOutOfRange):
        rated(report(line(quantity=largest.quantize(Decimal("0.000000001")))), prices)
    with pytest.raises(AmountOutOfRange):
        rated(report(line(quantity=9000), line(quantity=300)), prices)
    with pytest.raises(AmountOutOfRange):
        rated(report(line(quantity=10**15)), tariff([price()], [price(unit_price=10**15)]))


def test_beyond_the_range_by_far() -> None:
    most = 10**15
    prices = tariff([price("*", margin_percent=most)], [price(unit_price=most)], exchange_rate=str(most))
    with pytest.raises(AmountOutOfRange):
        rated(report(line(quantity=most), line(quantity=most)), prices)


# ── the month ────────────────────────────────────────────────────────────────────────────────────────


def test_the_month_is_the_accounts_own() -> None:
    turn = datetime(2026, 3, 31, 22, tzinfo=UTC)  # midnight in Berlin, summer time
    assert month_of(turn, "Europe/Berlin") == date(2026, 4, 1)
    assert month_of(turn, "UTC") == date(2026, 3, 1)
    assert month_of(datetime(2026, 1, 1, 4, tzinfo=UTC), "America/New_York") == date(2025, 12, 1)


def test_what_is_read_is_what_is_advanced() -> None:
    sale = price(
        charge_model=ChargeModel.GRADUATED,
        tiers=tiers((10, "1"), (None, "0.5")),
        increment_first=4,
        increment_next=4,
        model="m",
    )
    prices = tariff([sale, price("llm.input_tokens")], [price(unit_price=1, free_quantity=3)])
    usage = report(line(quantity=5, model="m"), line("llm.input_tokens"), line(quantity=1, model="m"))
    keys = counter_keys(usage, prices, PAYER, NOW)
    month = date(2026, 3, 1)
    assert keys == (
        CounterKey(PAYER.tenant_id, PAYER.account_id, month, BookSide.SALE, sale.key),
        CounterKey(PAYER.tenant_id, PAYER.account_id, month, BookSide.COST, price().key),
    )
    result = rated(usage, prices, {keys[0]: Decimal(1), keys[1]: Decimal(1)})
    assert result.advances == {keys[0]: Decimal(12), keys[1]: Decimal(6)}
    assert [item.price for item in result.lines] == [nanos("8"), 0, nanos("2.5")]
    assert [item.cost for item in result.lines] == [nanos("3"), 0, nanos("1")]
    other = Payer(PAYER.tenant_id, PAYER.account_id, None, "EUR", "UTC")
    assert counter_keys(usage, prices, other, datetime(2026, 4, 1, tzinfo=UTC))[0].month == date(2026, 4, 1)


def test_nothing_used_is_nothing_owed() -> None:
    prices = tariff(
        [
            price(
                unit_price=1,
                connect_fee=1,
                minimum_charge=5,
                minimum_quantity=60,
                increment_first=60,
                increment_next=60,
            )
        ]
    )
    result = rated(report(line(quantity=0)), prices)
    assert (result.price, result.advances) == (0, {})
    assert rated(report(), prices).lines == ()


def test_free_units_owe_the_connect_fee_but_no_minimum() -> None:
    prices = tariff([price(unit_price=1, free_quantity=10, connect_fee="0.1", minimum_charge=5)])
    assert rated(report(line(quantity=10)), prices).price == nanos("0.1")
    assert rated(report(line(quantity=11)), prices).price == nanos("5")


# ── allocations ──────────────────────────────────────────────────────────────────────────────────────


def test_a_payment_fee_in_percent_with_a_fixed_part() -> None:
    prices = tariff(
        [],
        [price(FEE, charge_model=PERCENTAGE, unit_price="2.9", connect_fee="0.30")],
        exchange_rate="0.5",
        currency_code="USD",
    )
    (share,) = allocate(prices, nanos("10"), HALF_EVEN)
    assert (share.meter, share.cost) == (FEE, nanos("0.44"))  # 2.9 % of euros and half of 0.30 dollars
    assert share.match == "cost: book cost version 1, meter fee.payment, any provider, any model, USD to EUR at 0.5"
    assert allocate(prices, 0, HALF_EVEN)[0].cost == 0


@pytest.mark.parametrize(("price_nanos", "cost"), [(1_000, 100), (100_000, 1_000), (10**9, 2_000)])
def test_a_fee_has_bounds(price_nanos: int, cost: int) -> None:
    fee = price(FEE, charge_model=PERCENTAGE, unit_price=1, minimum_charge="0.0000001", maximum_charge="0.000002")
    assert [share.cost for share in allocate(tariff([], [fee]), price_nanos, HALF_EVEN)] == [cost]


def test_shares_are_rounded_once_each() -> None:
    prices = tariff(
        [],
        [
            price(FEE, charge_model=PERCENTAGE, unit_price="2.5"),
            price(HOSTING, charge_model=FLAT, unit_price="0.0000000015"),
        ],
    )
    exact = [share.exact_cost for share in allocate(prices, 20, HALF_EVEN)]
    assert exact == [Decimal("0.0000000015"), Decimal("0.0000000005")]
    assert [share.cost for share in allocate(prices, 20, HALF_EVEN)] == [2, 0]
    assert [share.cost for share in allocate(prices, 20, UP)] == [2, 1]


def test_allocations_need_a_rate_but_no_price() -> None:
    assert allocate(tariff([price()], [price()]), nanos("1"), HALF_EVEN) == ()
    prices = tariff([], [price(HOSTING, charge_model=FLAT, unit_price=1)], exchange_rate=None, currency_code="USD")
    with pytest.raises(PriceNotFound):
        allocate(prices, nanos("1"), HALF_EVEN)


@pytest.mark.parametrize(
    ("asked", "cost", "percent"),
    [
        (0, 5, None),
        (3, 2, "33.333333"),
        (2, 3, "-50.000000"),
        (3, 5, "-66.666667"),
        (200_000_000, 1, "100.000000"),  # 99.9999995, half to even
        (200_000_000, 200_000_003, "-0.000002"),  # −0.0000015, half to even
        (1, MAX_NANOS, "-922337203685477580799999999800.000000"),
    ],
)
def test_margins(asked: int, cost: int, percent: str | None) -> None:
    quoted = Quoted(currency_code="EUR", price=asked, cost=cost, lines=(), allocations=())
    assert quoted.margin == asked - cost
    assert (None if quoted.margin_percent is None else str(quoted.margin_percent)) == percent


# ── no float ─────────────────────────────────────────────────────────────────────────────────────────


def float_makers(source: str) -> list[str]:
    """What could make a float of integers and decimals: a literal, the name, a true division."""
    return [
        ast.unparse(node)
        for node in ast.walk(ast.parse(source))
        if (isinstance(node, ast.Constant) and isinstance(node.value, float))
        or (isinstance(node, ast.Name) and node.id == "float")
        or (isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div))
    ]


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)
def test_no_float_is_made(path: Path) -> None:
    assert float_makers(path.read_text()) == []


@pytest.mark.parametrize("source", ["x = 0.5", "float(x)", "a / b", "a /= b"])
def test_makers_of_floats_are_seen(source: str) -> None:
    assert float_makers(source)


def test_there_are_rules() -> None:
    assert len(RULES) > 5
