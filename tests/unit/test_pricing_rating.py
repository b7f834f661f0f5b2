"""Rating against the slow model, and what must hold for any price and any usage."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

from hypothesis import assume, example, given
from hypothesis import strategies as st

from imprest_server.core.usage import RatedLine
from imprest_server.pricing.model import ChargeModel, CounterKey, Price, Tier
from imprest_server.pricing.rules import Rated, Rounding, Tariff, counter_keys
from tests.oracle import rating as oracle
from tests.support.price_strategies import MODELS, prices, quantities
from tests.support.pricing import NOW, PAYER, line, price, rated, report, tariff, tiers

PER_NANO = 10**9

#: The dear units come first, but a line costs at most 3: a second line may meet them when the first is short.
CAPPED = price(charge_model=ChargeModel.GRADUATED, tiers=tiers((10, "1"), (None, "0")), maximum_charge=3)
#: The dear units lie in between, where neither a short nor a long first line leaves the second.
BULGING = price(charge_model=ChargeModel.GRADUATED, tiers=tiers((5, "0"), (10, "1"), (None, "0")), maximum_charge=3)


def counters_at(prices: Tariff, position: Decimal) -> dict[CounterKey, Decimal]:
    return dict.fromkeys(counter_keys(report(line()), prices, PAYER, NOW), position)


def advanced(counters: Mapping[CounterKey, Decimal], result: Rated) -> dict[CounterKey, Decimal]:
    return {
        key: counters.get(key, Decimal(0)) + result.advances.get(key, 0)
        for key in counters.keys() | result.advances.keys()
    }


def exact(line: RatedLine) -> Fraction:
    return Fraction(line.exact_price)


@given(prices(), st.lists(quantities, min_size=1, max_size=4), quantities)
def test_every_model_is_the_slow_model(priced: Price, amounts: list[Decimal], before: Decimal) -> None:
    prices = tariff([priced])
    result = rated(report(*(line(quantity=q) for q in amounts)), prices, counters_at(prices, before))
    position = Fraction(before)
    for item, quantity in zip(result.lines, amounts, strict=True):
        expected = oracle.amount(priced, Fraction(quantity), position)
        assert item.price == oracle.half_even(expected * PER_NANO)
        assert item.exact_price == Decimal(oracle.half_even(expected * 10**18)).scaleb(-18)
        position += oracle.billed(priced, Fraction(quantity))
    if priced.counted and position > before:
        assert [Fraction(moved) for moved in result.advances.values()] == [position - Fraction(before)]
    else:
        assert not result.advances


@given(prices(), st.lists(quantities, max_size=4), quantities)
def test_a_total_is_the_sum_of_its_lines(priced: Price, amounts: list[Decimal], before: Decimal) -> None:
    prices = tariff([priced], [replace(priced, unit_price=Decimal("0.07")) if priced.unit_price else priced])
    for rounding in Rounding:
        result = rated(report(*(line(quantity=q) for q in amounts)), prices, counters_at(prices, before), rounding)
        assert result.price == sum(item.price for item in result.lines)
        assert result.cost == sum(item.cost for item in result.lines)


@given(prices(tuple(set(MODELS) - {ChargeModel.VOLUME})), quantities, quantities, quantities)
def test_more_never_costs_less(priced: Price, less: Decimal, more: Decimal, before: Decimal) -> None:
    assume(less <= more)
    prices = tariff([priced])
    counters = counters_at(prices, before)
    small, large = (rated(report(line(quantity=q)), prices, counters) for q in (less, more))
    assert small.price <= large.price


def test_a_hundred_tiers_add_up_wherever_the_free_units_end() -> None:
    """Each part at its own tier's price, summed tier by tier; fees of tiers that are wholly free are never charged."""
    bounds = [Decimal(7 * n + n % 3) for n in range(1, 100)]
    rows = [(bound, Decimal(n % 5) / 10, Decimal(n % 4)) for n, bound in enumerate([*bounds, None])]
    many = tuple(Tier(up_to=bound, unit_price=unit, flat_fee=fee) for bound, unit, fee in rows)

    def upto(position: Decimal, free: Decimal) -> Decimal:
        total, lower = Decimal(0), Decimal(0)
        for bound, unit, fee in rows:
            begin, end = max(lower, free), position if bound is None else min(position, bound)
            if end > begin:
                total += (end - begin) * unit + fee
            lower = bound or lower
        return total

    for free in (Decimal(0), Decimal(7), Decimal(100), Decimal("100.5"), Decimal(2000)):
        graduated = price(charge_model=ChargeModel.GRADUATED, tiers=many, free_quantity=free)
        prices = tariff([graduated])
        (key,) = counter_keys(report(line()), prices, PAYER, NOW)
        for before in (Decimal(0), Decimal(6), Decimal(7), Decimal("99.9"), Decimal(350), Decimal(700)):
            for quantity in (Decimal("0.5"), Decimal(1), Decimal(93), Decimal(1500)):
                done = rated(report(line(quantity=quantity)), prices, {key: before})
                assert done.price == (upto(before + quantity, free) - upto(before, free)) * 10**9


def test_volume_may_get_cheaper_with_more() -> None:
    prices = tariff([price(charge_model=ChargeModel.VOLUME, tiers=tiers((500, "0.06"), (None, "0.04")))])
    assert rated(report(line(quantity=501)), prices).price < rated(report(line(quantity=500)), prices).price


@given(
    prices((ChargeModel.PER_UNIT, ChargeModel.GRADUATED), increments=False, bounds=False),
    st.lists(quantities, min_size=1, max_size=5),
    quantities,
)
def test_a_split_adds_up(priced: Price, parts: list[Decimal], before: Decimal) -> None:
    """Without increments and fees per line, parts come to the same as the whole, in one report and in several."""
    prices = tariff([priced])
    start = counters_at(prices, before)
    whole = rated(report(line(quantity=sum(parts, Decimal(0)))), prices, start)
    together = rated(report(*(line(quantity=part) for part in parts)), prices, start)
    apart: list[RatedLine] = []
    counters: Mapping[CounterKey, Decimal] = start
    for part in parts:
        result = rated(report(line(quantity=part)), prices, counters)
        counters = advanced(counters, result)
        apart.extend(result.lines)
    tolerance = Fraction(len(parts) + 1, 2 * 10**18)  # exact_price is shown with 18 decimals
    assert [item.exact_price for item in apart] == [item.exact_price for item in together.lines]
    assert abs(sum(map(exact, apart)) - exact(whole.lines[0])) <= tolerance
    assert counters == advanced(start, whole) == advanced(start, together)


@given(prices(), prices(), st.lists(quantities, min_size=1, max_size=3), quantities)
def test_a_quote_covers_the_charge(sale: Price, cost: Price, amounts: list[Decimal], before: Decimal) -> None:
    prices = tariff([sale], [cost], exchange_rate="0.9173", currency_code="USD")
    usage, counters = report(*(line(quantity=q) for q in amounts)), counters_at(prices, before)
    charge, quote, hold = (rated(usage, prices, counters, rounding) for rounding in Rounding)
    for posted, quoted, held in zip(charge.lines, quote.lines, hold.lines, strict=True):
        assert posted.price <= quoted.price <= posted.price + 1
        assert posted.cost <= quoted.cost <= posted.cost + 1
        assert quoted.price <= held.price
        assert posted.exact_price == quoted.exact_price
    assert charge.advances == quote.advances


@given(prices(), st.lists(st.tuples(quantities, quantities), min_size=1, max_size=3), quantities)
@example(CAPPED, [(Decimal(1), Decimal(10)), (Decimal(10), Decimal(10))], Decimal(0))
@example(BULGING, [(Decimal(6), Decimal(20)), (Decimal(5), Decimal(5))], Decimal(0))
def test_an_estimate_covers_every_usage_up_to_it(
    priced: Price, pairs: list[tuple[Decimal, Decimal]], before: Decimal
) -> None:
    prices = tariff([price("*", margin_percent=10)], [priced])
    counters = counters_at(prices, before)
    estimate = rated(report(*(line(quantity=max(pair)) for pair in pairs)), prices, counters, Rounding.UP_TO)
    used = rated(report(*(line(quantity=pair[0]) for pair in pairs)), prices, counters, Rounding.UP)
    assert used.price <= estimate.price


@given(prices((ChargeModel.VOLUME,)), st.integers(0, 40), st.integers(0, 60))
def test_an_estimate_at_volume_prices_is_the_dearest_of_all_quantities(priced: Price, most: int, before: int) -> None:
    """A smaller one may stand between two whole ones: at a tier's end, which is whole as well."""
    prices = tariff([priced])
    estimate = rated(report(line(quantity=most)), prices, counters_at(prices, Decimal(before)), Rounding.UP_TO)
    dearest = max(oracle.amount(priced, Fraction(quantity), Fraction(before)) for quantity in range(most + 1))
    assert estimate.price == -(-dearest * PER_NANO // 1)


@given(prices(), prices(), quantities, quantities, st.sampled_from(["0", "12.5", "100"]))
@example(price(unit_price="0.0007"), price(), Decimal(145), Decimal(0), "12.5")
def test_a_margin_is_on_the_exact_cost(
    cost: Price, other: Price, quantity: Decimal, before: Decimal, margin: str
) -> None:
    sale = price("telephony.*", margin_percent=margin)
    prices = tariff([sale], [cost, replace(other, meter="llm.input_tokens")], exchange_rate="0.3", currency_code="USD")
    result = rated(report(line(quantity=quantity)), prices, counters_at(prices, before))
    exact_cost = oracle.amount(cost, Fraction(quantity), Fraction(before)) * 3 / 10
    expected = exact_cost * (1 + Fraction(margin) / 100)
    assert result.lines[0].cost == oracle.half_even(exact_cost * PER_NANO)
    assert result.lines[0].price == oracle.half_even(expected * PER_NANO)


@given(quantities)
def test_a_markup_comes_on_top_of_the_exact_cost(quantity: Decimal) -> None:
    sale = price(
        "*",
        markup="0.01",
        per_quantity=60,
        increment_first=60,
        increment_next=60,
        connect_fee="0.1",
        minimum_charge="0.13",
        maximum_charge="0.2",
    )
    prices = tariff([sale], [price(unit_price="0.0007")])
    result = rated(report(line(quantity=quantity)), prices)
    minutes = -(-Fraction(quantity) // 60)
    expected = Fraction(quantity) * Fraction("0.0007") + minutes * Fraction("0.01") + Fraction("0.1")
    expected = min(max(expected, Fraction("0.13")), Fraction("0.2")) if quantity else Fraction(0)
    assert result.price == oracle.half_even(expected * PER_NANO)


@given(prices(), quantities, quantities)
def test_a_price_of_zero_is_zero(priced: Price, quantity: Decimal, before: Decimal) -> None:
    free = replace(
        priced,
        unit_price=Decimal(0),
        connect_fee=Decimal(0),
        minimum_charge=None,
        tiers=tuple(replace(t, unit_price=Decimal(0), flat_fee=Decimal(0)) for t in priced.tiers),
    )
    prices = tariff([free])
    for rounding in Rounding:
        result = rated(report(line(quantity=quantity)), prices, counters_at(prices, before), rounding)
        assert (result.price, result.lines[0].exact_price) == (0, 0)


def values(thing: Any) -> list[Any]:
    """Everything inside a result."""
    if isinstance(thing, Rated):
        return values([thing.lines, thing.price, thing.cost, dict(thing.advances)])
    if isinstance(thing, RatedLine):
        return values([getattr(thing, name) for name in RatedLine.__dataclass_fields__])
    if isinstance(thing, Mapping):
        return values([*thing.keys(), *thing.values()])
    if isinstance(thing, list | tuple):
        return [value for item in thing for value in values(item)]
    return [thing]


@given(prices(), prices(), quantities, quantities)
def test_no_float_comes_out(sale: Price, cost: Price, quantity: Decimal, before: Decimal) -> None:
    prices = tariff([sale], [cost], exchange_rate="0.9173", currency_code="USD")
    for rounding in Rounding:
        result = rated(report(line(quantity=quantity)), prices, counters_at(prices, before), rounding)
        assert not [value for value in values(result) if isinstance(value, float)]
        assert [type(x) for x in (result.price, result.cost)] == [int, int]
        assert [type(x) for x in (result.lines[0].exact_price, result.lines[0].exact_cost)] == [Decimal, Decimal]
        assert all(type(moved) is Decimal for moved in result.advances.values())
