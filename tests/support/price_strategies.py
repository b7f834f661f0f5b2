"""Hypothesis strategies for prices and usage: small whole quantities in tiers and increments, odd decimals in money."""

from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from imprest_server.pricing.model import ChargeModel, Price, Tier
from tests.support.pricing import METER

MODELS = (ChargeModel.PER_UNIT, ChargeModel.GRADUATED, ChargeModel.VOLUME, ChargeModel.PACKAGE, ChargeModel.FLAT)
TIERED = (ChargeModel.GRADUATED, ChargeModel.VOLUME)

money = st.sampled_from(["0", "0.05", "1", "0.000000546875", "0.0000000005", "2.5", "0.333333333333333333"]).map(
    Decimal
)
quantities = st.one_of(
    st.integers(0, 60).map(Decimal),
    st.decimals(min_value=0, max_value=60, places=3),
    st.sampled_from([Decimal("0.000000001"), Decimal("0.5")]),
)
per_quantities = st.sampled_from(["1", "60", "7", "0.5"]).map(Decimal)
whole = st.integers(1, 20).map(Decimal)


@st.composite
def tier_lists(draw: st.DrawFn) -> tuple[Tier, ...]:
    """One to four tiers."""
    bounds = sorted(draw(st.sets(st.integers(1, 50), max_size=3)))
    ends: list[Decimal | None] = [*map(Decimal, bounds), None]
    fees = st.sampled_from([Decimal(0), Decimal("0.7")])
    return tuple(Tier(up_to=end, unit_price=draw(money), flat_fee=draw(fees)) for end in ends)


@st.composite
def prices(
    draw: st.DrawFn,
    models: tuple[ChargeModel, ...] = MODELS,
    *,
    increments: bool = True,
    bounds: bool = True,
    free: bool = True,
    **fixed: Any,
) -> Price:
    """A price that may be published, of one of the models; without what is switched off."""
    model = draw(st.sampled_from(models))
    fields: dict[str, Any] = {"meter": METER, "charge_model": model}
    if model in TIERED:
        fields["tiers"] = draw(tier_lists())
    else:
        fields["unit_price"] = draw(money)
    if model is not ChargeModel.FLAT:
        fields["per_quantity"] = draw(per_quantities)
        if increments and draw(st.booleans()):
            fields["increment_first"], fields["increment_next"] = draw(whole), draw(whole)
        if increments and draw(st.booleans()):
            fields["minimum_quantity"] = draw(whole)
        if free and draw(st.booleans()):
            fields["free_quantity"] = draw(whole)
    if bounds:
        fields["connect_fee"] = draw(st.sampled_from([Decimal(0), Decimal("0.01")]))
        limits = draw(st.sampled_from([(None, None), ("0.1", None), (None, "3"), ("0.1", "3")]))
        fields["minimum_charge"], fields["maximum_charge"] = (None if x is None else Decimal(x) for x in limits)
    return Price(**(fields | fixed))
