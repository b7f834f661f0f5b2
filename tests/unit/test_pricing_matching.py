"""Which price wins: inside a version, along the chain, and why."""

from decimal import Decimal
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imprest_server.core.errors import PriceNotFound
from imprest_server.core.usage import UsageLine
from imprest_server.pricing.model import BookSide, Price
from imprest_server.pricing.rules import Chains, InForce, PriceTable, Tariff, explain
from tests.oracle.rating import best_price
from tests.support.pricing import METER, book, line, nanos, price, rated, report, tariff, tariff_of, version

LLM, VOICE = "llm.input_tokens", "llm.voice_input_tokens"

keys = st.tuples(
    st.sampled_from([LLM, VOICE, METER, "llm.*", "telephony.*", "*"]),
    st.sampled_from(["", "p", "q"]),
    st.sampled_from(["", "m", "n"]),
    st.sampled_from(["", "4", "49", "491", "1"]),
)
lines = st.builds(
    lambda meter, provider, model, destination: line(meter, 1, provider=provider, model=model, destination=destination),
    st.sampled_from([LLM, VOICE, METER]),
    st.sampled_from(["", "p", "x"]),
    st.sampled_from(["", "m", "x"]),
    st.sampled_from(["", "4", "49", "4917", "1", "2"]),
)


@given(st.sets(keys, max_size=25), lines)
def test_the_most_specific_price_wins(found: set[tuple[str, str, str, str]], usage: UsageLine) -> None:
    prices = [Price(meter=m, provider=p, model=n, destination_prefix=d) for m, p, n, d in found]
    assert PriceTable(prices).find(usage) == best_price(prices, usage)


def test_the_order_of_what_is_specific() -> None:
    """Meter before provider before model before destination; here every one against all that come after it."""
    usage = line(METER, 1, provider="p", model="m", destination="4917")
    ranked = [
        (meter, provider, model, prefix)
        for meter, provider, model, prefix in product(
            [METER, "telephony.*", "*"], ["p", ""], ["m", ""], ["4917", "49", ""]
        )
    ]
    for index, best in enumerate(ranked):
        prices = [Price(meter=m, provider=p, model=n, destination_prefix=d) for m, p, n, d in ranked[index:]]
        found = PriceTable(reversed(prices)).find(usage)
        assert found is not None
        assert (found.meter, found.provider, found.model, found.destination_prefix) == best


def test_a_finer_meter_is_priced_as_its_base_until_it_has_its_own_price() -> None:
    base, own = price(LLM, unit_price=1), price(VOICE, unit_price=2)
    assert PriceTable([base]).find(line(VOICE)) == base
    assert PriceTable([base, own]).find(line(VOICE)) == own
    assert PriceTable([base, own]).find(line(LLM)) == base
    assert PriceTable([own]).find(line(LLM)) is None
    assert PriceTable([base, price("llm.*", markup=1)]).find(line(VOICE)) == base


def test_whatsapp_belongs_to_messaging() -> None:
    star = price("messaging.*", margin_percent=5)
    assert PriceTable([star]).find(line("whatsapp.template_messages")) == star
    assert PriceTable([star]).find(line(LLM)) is None


def test_the_first_book_with_any_price_wins() -> None:
    """A vague price of the override goes before an exact one of the default; gaps are filled from below."""
    prices = tariff_of(
        (book("over", BookSide.SALE, account_id="a"), Decimal(1), [price(unit_price=1)]),
        (
            book("own", BookSide.SALE),
            Decimal(1),
            [price(destination_prefix="49", unit_price=2), price(LLM, unit_price=3)],
        ),
        (book("def", BookSide.SALE), Decimal(1), [price("stt.seconds", unit_price=4), price(LLM, unit_price=5)]),
    )
    usage = report(line(destination="49171"), line(LLM), line("stt.seconds"))
    result = rated(usage, prices)
    assert [item.price for item in result.lines] == [nanos("1"), nanos("3"), nanos("4")]
    assert len({item.price_version for item in result.lines}) == 3


def test_destinations_are_told_apart_call_by_call() -> None:
    prices = tariff(
        [
            price(unit_price=1),
            price(destination_prefix="49", unit_price=2),
            price(destination_prefix="491", unit_price=3),
        ],
        [price(destination_prefix="4917", unit_price=1), price(unit_price=2)],
    )
    for _ in range(2):
        for destination, expected in {"": "1", "1": "1", "4930": "2", "4917": "3", "4": "1", "49": "2"}.items():
            result = rated(report(line(destination=destination)), prices)
            assert result.price == nanos(expected), destination
            assert result.cost == nanos("1" if destination == "4917" else "2")


def test_a_destination_may_matter_to_the_cost_alone() -> None:
    prices = tariff([price(unit_price=9)], [price(unit_price=2), price(destination_prefix="49", unit_price=1)])
    costs = [rated(report(line(destination=number)), prices).cost for number in ("49171", "33", "49171")]
    assert costs == [nanos("1"), nanos("2"), nanos("1")]


def missing(usage: UsageLine, sale: list[Price], cost: list[Price], **fields: str | None) -> PriceNotFound:
    with pytest.raises(PriceNotFound) as error:
        rated(report(usage), tariff(sale, cost, **fields))
    return error.value


def test_an_unknown_price_fails_closed_and_says_which() -> None:
    usage = line(LLM, 1, provider="openai", model="gpt", destination="49")
    error = missing(usage, [price(LLM, provider="other")], [price(LLM)])
    assert error.values == {
        "side": "SALE",
        "missing": "price",
        "meter": LLM,
        "provider": "openai",
        "model": "gpt",
        "destination": "49",
    }
    assert "no SALE price for meter llm.input_tokens" in str(error)
    assert missing(line(LLM, 0), [], [price(LLM)]).side == "SALE"


def test_without_a_cost_price_the_cost_is_nothing_and_the_customer_is_served() -> None:
    result = rated(report(line(LLM)), tariff([price(LLM, unit_price=1)]))
    assert (result.cost, result.lines[0].cost_version) == (0, None)
    assert result.lines[0].match.endswith("cost: in no book")


def test_a_derived_price_needs_a_cost_price() -> None:
    error = missing(line(LLM), [price("*", margin_percent=10)], [price(METER)])
    assert (error.side, error.missing, error.meter) == ("COST", "price", LLM)


def test_a_cost_in_another_currency_needs_an_exchange_rate() -> None:
    for sale in (price("*", margin_percent=10), price(LLM)):
        error = missing(line(LLM), [sale], [price(LLM)], exchange_rate=None, currency_code="USD")
        assert (error.side, error.missing) == ("COST", "exchange rate from USD to EUR")
    with_rate = tariff([price(LLM)], [price(LLM, unit_price=2)], exchange_rate="0.5", currency_code="USD")
    assert rated(report(line(LLM)), with_rate).cost == nanos("1")


def test_a_price_that_only_lacks_the_exchange_rate_of_its_cost_stays() -> None:
    """The customer was promised it; who prices the line later has a say in its cost alone."""
    links = {
        name: InForce(book(name, side, currency), version(name), "EUR", exchange_rate)
        for name, side, currency, exchange_rate in (
            ("then", BookSide.SALE, "EUR", Decimal(1)),
            ("then-usd", BookSide.COST, "USD", None),
            ("now", BookSide.SALE, "EUR", Decimal(1)),
            ("now-usd", BookSide.COST, "USD", Decimal("0.5")),
        )
    }
    prices = {
        "then": [price(LLM, unit_price=1), price(METER, margin_percent=10)],
        "then-usd": [price(LLM, unit_price=2), price(METER, unit_price=2)],
        "now": [price(LLM, unit_price=7), price(METER, unit_price=8), price("stt.seconds", unit_price=9)],
        "now-usd": [price(LLM, unit_price=4), price(METER, unit_price=4), price("stt.seconds", unit_price=4)],
    }
    tables = {link.version.version_id: PriceTable(prices[name]) for name, link in links.items()}
    later = Chains((links["now"],), (links["now-usd"],))
    own = Chains((links["then"],), (links["then-usd"],))
    both = Tariff(own.or_else(later), tables)
    result = rated(report(line(LLM), line(METER), line("stt.seconds")), both)
    assert [(item.price, item.cost) for item in result.lines] == [(nanos(p), nanos("2")) for p in ("1", "8", "9")]
    kept, *others = [item.match for item in result.lines]
    assert kept.startswith("price: book then ") and "; cost: by later prices: book now-usd " in kept
    assert all(match.startswith("by later prices: price: book now ") for match in others)
    without = Tariff(own.or_else(Chains(later.sale, ())), tables)
    assert [(item.price, item.cost) for item in rated(report(line(LLM)), without).lines] == [(nanos("1"), 0)]
    still = Tariff(own.or_else(Chains(later.sale, own.cost)), tables)
    with pytest.raises(PriceNotFound):
        still.match(line(LLM))


def test_what_a_tariff_remembers_is_bounded() -> None:
    """Models are the callers' texts; prefixes may be as many as a rate deck has."""
    prefixes = [price(destination_prefix=str(n), unit_price=n) for n in range(1000, 3000)]
    deck = tariff([price(LLM, unit_price=1), *prefixes])
    for n in range(1000, 3000):
        deck.match(line(LLM, model=f"model-{n}"))
        assert deck.match(line(METER, destination=f"{n}55")).sale.price.unit_price == n
    assert 0 < len(deck._by_line) <= 1000
    assert 0 < len(deck._by_pair) <= 1000


def test_it_says_why() -> None:
    prices = tariff(
        [price("llm.*", margin_percent=10)],
        [price(LLM, provider="openai", model="gpt", unit_price=1)],
        exchange_rate="0.50",
        currency_code="USD",
    )
    usage = line(VOICE, 1, provider="openai", model="gpt")
    assert rated(report(usage), prices).lines[0].match == (
        "price: book sale version 1, every meter of llm, any provider, any model; "
        "cost: book cost version 1, meter llm.input_tokens as the base of llm.voice_input_tokens, provider openai, "
        "model gpt, USD to EUR at 0.50"
    )
    # Of lines with the same two prices each has its own words, whichever came first.
    text = line(LLM, 1, provider="openai", model="gpt")
    lines = rated(report(usage, text, usage), prices).lines
    assert ["as the base of llm.voice_input_tokens" in rated_line.match for rated_line in lines] == [True, False, True]
    sale = tariff([price(METER, unit_price=1)], [price(METER, destination_prefix="49", unit_price=1)])
    lines = rated(report(line(METER), line(METER, destination="33")), sale).lines
    assert ["any destination" in rated_line.match for rated_line in lines] == [False, True]

    call = line(METER, 1, destination="49171")
    assert explain(price(destination_prefix="49"), call).endswith("any model, destination 49…")
    assert explain(price("*", markup=1), call) == "every meter, any provider, any model, any destination"
