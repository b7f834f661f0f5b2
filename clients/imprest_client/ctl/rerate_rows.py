"""What a re-rate comes to, transaction by transaction and in sum, and how that looks. Names are those of the API."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from imprest_client.ctl.output import Column, Look, Row
from imprest_client.ctl.values import money
from imprest_client.pricing_model import RerateItem

RERATE_ITEM: Final = Row[RerateItem](
    (
        Column("account_id", lambda i: i.account_id, "account"),
        Column("currency_code", lambda i: i.currency_code),
        Column("price_before", lambda i: i.price_before, "price", Look.MONEY),
        Column("price_after", lambda i: i.price_after, "new price", Look.MONEY),
        Column("cost_before", lambda i: i.cost_before, "cost", Look.MONEY),
        Column("cost_after", lambda i: i.cost_after, "new cost", Look.MONEY),
        Column("skipped", lambda i: i.skipped, "skipped because"),
        Column("transaction_id", lambda i: i.transaction_id, "transaction", Look.ID),
        Column("rerate_transaction_id", lambda i: i.rerate_transaction_id),
        Column("charged", lambda i: i.charged),
    ),
    lambda i: i.currency_code,
)


@dataclass(slots=True)
class RerateSum:
    """What a re-rate comes to in one currency; nothing is negative."""

    currency_code: str
    transaction_count: int = 0
    skipped_count: int = 0
    charged: Decimal = Decimal(0)
    given_back: Decimal = Decimal(0)
    cost_change: Decimal = Decimal(0)


RERATE_SUM: Final = Row[RerateSum](
    (
        Column("currency_code", lambda s: s.currency_code),
        Column("transaction_count", lambda s: s.transaction_count),
        Column("skipped_count", lambda s: s.skipped_count),
        Column("charged", lambda s: s.charged),
        Column("given_back", lambda s: s.given_back),
        Column("cost_change", lambda s: s.cost_change),
    ),
    lambda s: s.currency_code,
)


def sums(items: Iterable[RerateItem]) -> list[RerateSum]:
    """What they come to, by currency."""
    found: dict[str, RerateSum] = {}
    for item in items:
        total = found.setdefault(item.currency_code, RerateSum(item.currency_code))
        if item.skipped:
            total.skipped_count += 1
            continue
        total.transaction_count += 1
        change = item.price_after - item.price_before
        total.charged += max(change, Decimal(0))
        total.given_back += max(-change, Decimal(0))
        total.cost_change += item.cost_after - item.cost_before
    return [found[code] for code in sorted(found)]


def sum_text(total: RerateSum) -> str:
    """`3 transactions in USD: customers pay 2.00 USD more and get 1.00 USD back; costs rise by 0.50 USD; 1 skipped`."""
    code, count = total.currency_code, total.transaction_count
    head = f"{count} {'transaction' if count == 1 else 'transactions'} in {code}"
    return f"{head}: {'; '.join(_changes(total)) or 'nothing changes'}"


def _changes(total: RerateSum) -> Iterator[str]:
    code = total.currency_code
    pay = [f"pay {money(total.charged, code)} more"] if total.charged else []
    get = [f"get {money(total.given_back, code)} back"] if total.given_back else []
    if pay or get:
        yield f"customers {' and '.join([*pay, *get])}"
    if total.cost_change:
        way = "rise" if total.cost_change > 0 else "fall"
        yield f"costs {way} by {money(abs(total.cost_change), code)}"
    if total.skipped_count:
        yield f"{total.skipped_count} skipped"
