"""What rated usage costs in these tests, worked out without the rules of pricing, and the budgets that count it.

Seconds have one price. Tokens get cheaper from a count on that an account reaches in its first calls: what each line
costs hangs on the order of events, but what all of them cost together does not.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from google.type.decimal_pb2 import Decimal as Quantity

from imprest.v1.usage_pb2 import UsageLine, UsageReport
from imprest_server.budgets.model import BudgetBasis
from imprest_server.core.ids import AccountId
from imprest_server.core.money import NANOS_PER_UNIT
from imprest_server.core.periods import PeriodKind
from imprest_server.pricing.model import ChargeModel, Price, Tier
from tests.conftest import Database
from tests.support.budgets import open_desk, threshold
from tests.support.prices import COST, SALE, shop_on, unit

SECONDS, TOKENS = "telephony.outbound_seconds", "llm.input_tokens"

_SECOND, _TOKEN, _CHEAPER_TOKEN, _TIER = "0.01", "0.001", "0.0004", 1_000
_COSTS = {SECONDS: "0.004", TOKENS: "0.0001"}

#: The limits of the budgets, in nanos. `capped` is that of one account, and blocks.
LIMITS = {"all": 500 * NANOS_PER_UNIT, "cost": 100 * NANOS_PER_UNIT, "tokens": 20 * NANOS_PER_UNIT}
CAPPED = AccountId("hot-0")
#: At which percentages of its limit each of them raises an alert.
PERCENTS = (1, 2, 5, 10, 20, 50, 100, 200)


async def furnish(database: Database, cap: int) -> None:
    """Publish the prices and set the budgets: before anything is charged, when the accounts are there."""
    tiers = (
        Tier(up_to=Decimal(_TIER), unit_price=Decimal(_TOKEN)),
        Tier(up_to=None, unit_price=Decimal(_CHEAPER_TOKEN)),
    )
    async with shop_on(database) as shop:
        tokens = Price(meter=TOKENS, charge_model=ChargeModel.GRADUATED, tiers=tiers)
        await shop.open(SALE, [unit(_SECOND, SECONDS), tokens])
        await shop.open(COST, [unit(cost, meter) for meter, cost in _COSTS.items()])
    always: dict[str, Any] = {
        "period": PeriodKind.TOTAL,
        "thresholds": tuple(threshold(percent) for percent in PERCENTS),
    }
    async with open_desk(database) as desk:
        await desk.set("all", LIMITS["all"] // NANOS_PER_UNIT, **always)
        await desk.set("cost", LIMITS["cost"] // NANOS_PER_UNIT, **{**always, "basis": BudgetBasis.COST})
        await desk.set("tokens", LIMITS["tokens"] // NANOS_PER_UNIT, meters="llm.", **always)
        block = (threshold(100, "BLOCK", "CRITICAL"),)
        await desk.set("capped", cap, account=CAPPED, **{**always, "thresholds": block})


def usage(seconds: int, tokens: int, part: str = "") -> UsageReport:
    """A report of both meters; with the name of its part, its lines have ids of their own."""
    return UsageReport(
        lines=[
            UsageLine(meter=meter, quantity=Quantity(value=str(quantity)), line_id=part and f"{part}-{meter}")
            for meter, quantity in ((SECONDS, seconds), (TOKENS, tokens))
        ]
    )


def quantity_of(line: UsageLine) -> int:
    """The quantity of a line that `usage` has made."""
    return int(line.quantity.value)


def cost_of(lines: Iterable[UsageLine]) -> int:
    """What lines cost us, in nanos: one price per unit, so exactly."""
    return sum(_nanos(_COSTS[line.meter]) * quantity_of(line) for line in lines)


def price_of_tokens(count: int) -> int:
    """What an account pays for so many tokens in all, in nanos."""
    return _nanos(_TOKEN) * min(count, _TIER) + _nanos(_CHEAPER_TOKEN) * max(0, count - _TIER)


def price_range(lines: Iterable[UsageLine]) -> range:
    """What lines may cost the customer, whatever the account has used before."""
    counts = {line.meter: quantity_of(line) for line in lines}
    seconds = _nanos(_SECOND) * counts.get(SECONDS, 0)
    tokens = counts.get(TOKENS, 0)
    return range(seconds + _nanos(_CHEAPER_TOKEN) * tokens, seconds + _nanos(_TOKEN) * tokens + 1)


def _nanos(amount: str) -> int:
    return int(Decimal(amount) * NANOS_PER_UNIT)
