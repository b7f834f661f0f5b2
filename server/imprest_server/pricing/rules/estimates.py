"""How long a call can go on with what was granted."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal

from imprest_server.core.usage import UsageReport
from imprest_server.pricing.model import CounterKey
from imprest_server.pricing.rules.catalog import Payer
from imprest_server.pricing.rules.tariff import Tariff

MAX_DURATION = timedelta(days=30)


def affordable_duration(
    usage: UsageReport,
    tariff: Tariff,
    counters: Mapping[CounterKey, Decimal],
    payer: Payer,
    at: datetime,
    granted_nanos: int,
) -> timedelta | None:
    """The most whole seconds t, up to 30 days, for which the estimate scaled by t / T fits what was granted.

    T is end_time − start_time, or without them the largest quantity on a meter in seconds. None when the estimate
    contains no time. Raises PriceNotFound.
    """
    raise NotImplementedError
