"""affordable_duration: it fits, a second more does not, and it is the largest that does."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imprest_server.core.usage import UsageReport
from imprest_server.pricing.model import ChargeModel, CounterKey, Price
from imprest_server.pricing.rules import Rounding, Tariff, affordable_duration, counter_keys
from imprest_server.pricing.rules.estimates import MAX_DURATION, largest
from tests.oracle import rating as oracle
from tests.support.price_strategies import MODELS, prices, quantities
from tests.support.pricing import NOTHING, NOW, PAYER, line, nanos, price, rated, report, tariff, tiers

MONTH = MAX_DURATION // timedelta(seconds=1)


def affordable(
    usage: UsageReport, prices: Tariff, granted: int, counters: Mapping[CounterKey, Decimal] = NOTHING
) -> int | None:
    duration = affordable_duration(usage, prices, counters, PAYER, NOW, granted)
    if duration is None:
        return None
    seconds, rest = divmod(duration, timedelta(seconds=1))
    assert not rest
    return seconds


def scaled_price(usage: UsageReport, prices: Tariff, counters: Mapping[CounterKey, Decimal], part: Decimal) -> int:
    """The estimate's price with every quantity times a factor that keeps them decimals."""
    lines = [line(item.meter, item.quantity * part, model=item.model) for item in usage.lines]
    return rated(report(*lines), prices, counters, Rounding.UP_TO).price


def test_per_minute() -> None:
    prices = tariff([price(unit_price="0.06", per_quantity=60)])
    usage = report(line(quantity=300))
    assert affordable(usage, prices, nanos("0.3")) == 300
    assert affordable(usage, prices, nanos("0.299999999")) == 299
    assert affordable(usage, prices, nanos("0.6")) == 600
    assert affordable(usage, prices, 0) == 0


def test_whole_minutes_with_connect_fee() -> None:
    prices = tariff(
        [price(unit_price="0.06", per_quantity=60, increment_first=60, increment_next=60, connect_fee="0.1")]
    )
    usage = report(line(quantity=90))
    assert affordable(usage, prices, nanos("0.15")) == 0
    assert affordable(usage, prices, nanos("0.16")) == 60
    assert affordable(usage, prices, nanos("0.22")) == 120
    assert affordable(usage, prices, nanos("0.279999999")) == 120


def test_all_lines_grow_with_the_call() -> None:
    prices = tariff([price(unit_price="0.001"), price("llm.input_tokens", unit_price="0.00001")])
    usage = report(line(quantity=100), line("llm.input_tokens", 7000))  # 0.17 in 100 s
    assert affordable(usage, prices, nanos("0.17")) == 100
    assert affordable(usage, prices, nanos("0.1")) == 58  # 0.0017 a second
    assert affordable(usage, prices, nanos("1")) == 588


def test_the_duration_is_that_of_the_times_before_that_of_the_lines() -> None:
    prices = tariff([price(unit_price="1")])
    usage = report(line(quantity=10), start_time=NOW, end_time=NOW + timedelta(seconds=40))
    assert affordable(usage, prices, nanos("10")) == 40
    usage = report(line(quantity=10), start_time=NOW, end_time=NOW + timedelta(milliseconds=500))
    assert affordable(usage, prices, nanos("100")) == 5
    usage = report(line(quantity=10), line("telephony.inbound_seconds", 3), start_time=NOW)
    prices = tariff([price("telephony.inbound_seconds"), price(unit_price="1")])
    assert affordable(usage, prices, nanos("10")) == 10


@pytest.mark.parametrize(
    "usage",
    [
        report(line("llm.input_tokens", 5)),
        report(line(quantity=0)),
        report(),
        report(line("llm.input_tokens", 5), start_time=NOW, end_time=NOW),
    ],
    ids=["no meter in seconds", "no seconds", "no lines", "no time between the times"],
)
def test_an_estimate_without_time(usage: UsageReport) -> None:
    prices = tariff([price(unit_price="1"), price("llm.input_tokens", unit_price="1")])
    assert affordable(usage, prices, nanos("1")) is None


def test_at_most_thirty_days() -> None:
    usage = report(line(quantity=300))
    assert affordable(usage, tariff([price(unit_price=0)]), 0) == MONTH
    assert affordable(usage, tariff([price(unit_price=1)]), MONTH * 10**9) == MONTH
    assert affordable(usage, tariff([price(unit_price=1)]), MONTH * 10**9 - 1) == MONTH - 1
    huge = report(line(quantity=1), line("llm.input_tokens", 10**15))
    assert affordable(huge, tariff([price("*", markup=10**15)], [price("llm.input_tokens"), price()]), 1) == 0


def test_volume_prices_do_not_get_cheaper_with_more() -> None:
    """600 s cost 24 where 500 s cost 30, but a call that may end at 500 s needs 30."""
    prices = tariff([price(charge_model=ChargeModel.VOLUME, tiers=tiers((500, "0.06"), (None, "0.04")))])
    usage = report(line(quantity=600))
    assert affordable(usage, prices, nanos("24")) == 400
    assert affordable(usage, prices, nanos("30")) == 750


def test_a_tiers_fee_counts_in_full() -> None:
    prices = tariff([price(charge_model=ChargeModel.GRADUATED, tiers=tiers((10, "1", "0.5"), (None, "1", "0.5")))])
    usage = report(line(quantity=20))
    assert affordable(usage, prices, nanos("10.5")) == 10
    assert affordable(usage, prices, nanos("11.999999999")) == 10
    assert affordable(usage, prices, nanos("12")) == 11


@given(
    prices(MODELS),
    prices(MODELS),
    st.lists(quantities, min_size=1, max_size=3),
    quantities,
    st.sampled_from([1, 2, 5, 8, 20, 100]),
    st.integers(0, 10**11),
)
def test_it_fits_and_a_second_more_does_not(
    first: Price, second: Price, amounts: list[Decimal], before: Decimal, total: int, granted: int
) -> None:
    prices = tariff([first, price("llm.*", markup="0.01")], [second, price("llm.input_tokens", unit_price="0.001")])
    lines = [line(quantity=q) for q in amounts]
    usage = report(*lines, line("llm.input_tokens", 3), start_time=NOW, end_time=NOW + timedelta(seconds=total))
    counters = dict.fromkeys(counter_keys(usage, prices, PAYER, NOW), before)
    seconds = affordable(usage, prices, granted, counters)
    assert seconds is not None
    second_part = Decimal(1) / total
    assert scaled_price(usage, prices, counters, second_part * seconds) <= granted
    if seconds < MONTH:
        assert scaled_price(usage, prices, counters, second_part * (seconds + 1)) > granted


@given(prices(MODELS), st.lists(quantities, min_size=1, max_size=3), quantities, st.integers(1, 30))
def test_what_was_asked_for_and_granted_lasts(
    priced: Price, amounts: list[Decimal], before: Decimal, total: int
) -> None:
    prices = tariff([priced])
    usage = report(*(line(quantity=q) for q in amounts), start_time=NOW, end_time=NOW + timedelta(seconds=total))
    counters = dict.fromkeys(counter_keys(usage, prices, PAYER, NOW), before)
    granted = rated(usage, prices, counters, Rounding.UP_TO).price
    assert (affordable(usage, prices, granted, counters) or 0) >= total


@given(st.integers(1, 10_000), st.integers(1, 10**6), st.integers(0, 10**13))
def test_thirds_and_sevenths_are_exact(total: int, tokens: int, granted: int) -> None:
    """Scaled quantities need not be decimals."""
    prices = tariff([price("llm.input_tokens", unit_price="0.000003"), price(unit_price="0.0007")])
    usage = report(line("llm.input_tokens", tokens), line(quantity=total))
    seconds = affordable(usage, prices, granted)
    assert seconds is not None

    def needed(duration: int) -> int:
        part = Fraction(duration, total)
        lines = (
            oracle.amount(price("llm.input_tokens", unit_price="0.000003"), tokens * part),
            oracle.amount(price(unit_price="0.0007"), total * part),
        )
        return sum(-(-exact * 10**9 // 1) for exact in lines)

    assert needed(seconds) <= granted
    assert seconds == MONTH or needed(seconds + 1) > granted


@pytest.mark.parametrize(
    ("priced", "most"),
    [
        (lambda seconds: seconds * 7, 5),
        (lambda seconds: seconds and 1000 + seconds * 7, 10),
        (lambda seconds: -(-seconds // 60) * 420, 30),
        (lambda seconds: seconds * 60 if seconds < 5000 else 295_000 + seconds, 30),
    ],
    ids=["straight", "connect fee", "whole minutes", "tiers"],
)
@pytest.mark.parametrize("granted", [1, 2100, 123_456, 10_000_000])
def test_it_looks_at_few_durations(priced: Callable[[int], int], most: int, granted: int) -> None:
    looked: list[int] = []

    def counting(seconds: int) -> int:
        looked.append(seconds)
        return priced(seconds)

    found = largest(counting, granted, 300)
    assert priced(found) <= granted < priced(found + 1) or found == MONTH
    assert len(looked) <= most
