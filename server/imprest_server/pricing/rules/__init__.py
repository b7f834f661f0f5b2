"""The rules of pricing, pure: values in, values out, every instant given. Read `rating` first.

catalog: which versions price an account · matching: which price of a version is for a line · tariff: both together ·
formula: a price as integer arithmetic · rating: a report's lines · estimates: how long a grant lasts · allocations:
a call's share of infrastructure and fees · checks: what may be published and reported.
"""

from imprest_server.pricing.rules.allocations import Allocation, allocate
from imprest_server.pricing.rules.catalog import Catalog, Chains, InForce, Payer
from imprest_server.pricing.rules.checks import check_prices, differences, price_problems
from imprest_server.pricing.rules.counters import counter_keys, month_of
from imprest_server.pricing.rules.estimates import affordable_duration
from imprest_server.pricing.rules.matching import PriceTable, explain
from imprest_server.pricing.rules.rating import Rated, Rounding, rate
from imprest_server.pricing.rules.rerating import NoPositionError, rerate
from imprest_server.pricing.rules.tariff import Tariff
from imprest_server.pricing.rules.usage_checks import check_usage

__all__ = [
    "Allocation",
    "Catalog",
    "Chains",
    "InForce",
    "NoPositionError",
    "Payer",
    "PriceTable",
    "Rated",
    "Rounding",
    "Tariff",
    "affordable_duration",
    "allocate",
    "check_prices",
    "check_usage",
    "counter_keys",
    "differences",
    "explain",
    "month_of",
    "price_problems",
    "rate",
    "rerate",
]
