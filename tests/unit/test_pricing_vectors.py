"""The worked numbers, exactly."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from imprest_server.pricing.model import ChargeModel, Tier
from imprest_server.pricing.quotes import Quoted
from imprest_server.pricing.rules import Rounding, allocate
from tests.support.pricing import METER, line, nanos, price, rated, report, tariff

_HERE = Path(__file__).parent / "vectors"
RATING: dict[str, Any] = json.loads((_HERE / "rating.json").read_text())
COSTS: dict[str, Any] = json.loads((_HERE / "costs.json").read_text())
CALLS: dict[str, dict[str, Any]] = {call["name"]: call for call in COSTS["calls"]}


def named(row: dict[str, Any]) -> str:
    return str(row.get("name", row.get("quantity")))


@pytest.mark.parametrize("row", RATING["per_unit"], ids=named)
def test_per_unit(row: dict[str, Any]) -> None:
    fields = {
        name: row[name] for name in ("unit_price", "per_quantity", "increment_first", "increment_next") if name in row
    }
    prices = tariff([price(row["meter"], **fields)])
    result = rated(report(line(row["meter"], row["quantity"])), prices)
    assert result.price == nanos(row["expect"])


@pytest.mark.parametrize("model", ["graduated", "volume"])
def test_tiers(model: str) -> None:
    table = RATING["tiers_minutes"]
    rows = tuple(
        Tier(up_to=None if t["up_to"] is None else Decimal(t["up_to"]), unit_price=Decimal(t["unit_price"]))
        for t in table["tiers"]
    )
    prices = tariff([price(charge_model=ChargeModel[model.upper()], tiers=rows)])
    for row in table[model]:
        assert rated(report(line(quantity=row["quantity"])), prices).price == nanos(row["expect"]), row


@pytest.mark.parametrize("row", RATING["subscription"], ids=named)
def test_subscription(row: dict[str, Any]) -> None:
    prices = tariff(
        [
            price("plan.months", model="pro", unit_price=row["monthly_fee"]),
            price(free_quantity=row["included"], unit_price=row["overage_unit_price"]),
        ]
    )
    usage = report(line("plan.months", 1, model="pro"), line(quantity=row["quantity"]))
    assert rated(usage, prices).price == nanos(row["expect"])


def test_itemised_cost_of_a_call() -> None:
    call = CALLS["short voice call"]
    meters = {"stt": "stt.seconds", "llm": "llm.input_tokens", "tts": "tts.characters", "telephony": METER}
    # Ten units of each, so the unit price is a tenth of the line's cost.
    costs = [price(meters[name], unit_price=cost, per_quantity=10) for name, cost in call["lines"].items()]
    usage = report(*(line(meters[name], 10) for name in call["lines"]))
    result = rated(usage, tariff([price(meter, unit_price=0) for meter in meters.values()], costs))
    assert [item.cost for item in result.lines] == [nanos(cost) for cost in call["lines"].values()]
    assert result.cost == nanos(call["total_cost"])


def test_flat_priced_call_and_its_margin() -> None:
    call = CALLS["flat-priced five minute call"]
    prices = tariff(
        [price(charge_model=ChargeModel.FLAT, unit_price=call["charged"])],
        [price(unit_price=call["total_cost"], per_quantity=300)],
    )
    result = rated(report(line(quantity=300)), prices)
    assert (result.price, result.cost) == (nanos(call["charged"]), nanos(call["total_cost"]))
    assert result.price - result.cost == nanos(call["gross_profit"])
    quoted = Quoted(currency_code="EUR", price=result.price, cost=result.cost, lines=result.lines, allocations=())
    assert quoted.margin == nanos(call["gross_profit"])
    assert quoted.margin_percent is not None
    assert round(quoted.margin_percent, 2) == Decimal(call["gross_margin_percent"])


def test_infrastructure_per_call() -> None:
    call = CALLS["infrastructure per call"]
    prices = [
        price(f"infrastructure.{name}", charge_model=ChargeModel.FLAT, unit_price=cost)
        for name, cost in call["lines"].items()
    ]
    shares = allocate(tariff([], prices), nanos("1"), Rounding.HALF_EVEN)
    assert {share.meter: share.cost for share in shares} == {
        f"infrastructure.{name}": nanos(cost) for name, cost in call["lines"].items()
    }
    assert sum(share.cost for share in shares) == nanos(call["total_cost"])


@pytest.mark.parametrize("row", COSTS["months"], ids=lambda row: row["minutes"])
def test_months(row: dict[str, Any]) -> None:
    prices = tariff([price(unit_price=row["price_per_minute"], per_quantity=60)])
    seconds = Decimal(row["minutes"]) * 60
    result = rated(report(line(quantity=seconds)), prices)
    assert result.price == nanos(row["exact"])
    assert result.lines[0].exact_price == Decimal(row["exact"])


@pytest.mark.parametrize("row", COSTS["scenarios_per_day"], ids=named)
def test_scenarios_per_day(row: dict[str, Any]) -> None:
    prices = tariff(
        [
            price("api.requests", unit_price=row["ai_cost_each"]),
            price("whatsapp.template_messages", unit_price=row["template_cost_each"]),
        ]
    )
    usage = report(line("api.requests", row["ai_messages"]), line("whatsapp.template_messages", row["templates"]))
    assert rated(usage, prices).price == nanos(row["expect"])
