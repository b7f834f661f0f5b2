"""Budgets on a real database: the writes and reads as the server builds them, and alerts as a batch writes them."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from imprest_server.budgets import store
from imprest_server.budgets.cache import BudgetCache
from imprest_server.budgets.hub import AlertHub
from imprest_server.budgets.model import (
    Alert,
    AlertId,
    AlertKind,
    AlertLevel,
    Budget,
    BudgetBasis,
    BudgetId,
    BudgetStatus,
    NewAlert,
    Scope,
    Threshold,
    ThresholdAction,
)
from imprest_server.budgets.operations import SetBudget, Written
from imprest_server.budgets.queries import BudgetQueries
from imprest_server.budgets.rules import WARN
from imprest_server.budgets.service import BudgetAdmin
from imprest_server.core.ids import AccountId, TenantId, uuid7
from imprest_server.core.periods import PeriodKind
from imprest_server.db.pool import ReadPool, read_pool
from imprest_server.pricing.meters import METERS
from tests.conftest import Database
from tests.support.ledger import LIMITS, TENANT, units

NOW = datetime(2026, 3, 15, 12, tzinfo=UTC)


def threshold(percent: str | int, action: str = "NOTIFY", level: str = "WARNING", label: str = "") -> Threshold:
    return Threshold(Decimal(percent), AlertLevel[level], ThresholdAction(action), label)


def budget(limit: int = 100, *thresholds: Threshold, **fields: Any) -> Budget:
    """A budget of whole nanos."""
    return Budget(
        **{
            "tenant_id": TENANT,
            "budget_id": BudgetId("b"),
            "revision": 1,
            "scope": Scope(),
            "currency_code": "USD",
            "period": PeriodKind.DAY,
            "limit": limit,
            "thresholds": thresholds or WARN,
            **fields,
        }
    )


@dataclass
class Desk:
    """The budgets of one process."""

    pool: ReadPool
    admin: BudgetAdmin
    queries: BudgetQueries
    hub: AlertHub
    cache: BudgetCache
    woken: list[TenantId]
    prefix: str = "budget"
    _keys: Any = field(default_factory=lambda: itertools.count(1))

    def key(self) -> str:
        return f"{self.prefix}-{next(self._keys)}"

    async def set(self, budget_id: str | None, limit: int | str = 100, **fields: Any) -> Written[Budget]:
        """Set a budget; a limit of whole or decimal units, a scope by `account`, `label` and `meters`."""
        scope = Scope(fields.pop("account", None), fields.pop("label", None), fields.pop("meters", ""))
        currency_code = fields.pop("currency_code", "USD")
        return await self.admin.set_budget(
            SetBudget(
                **{
                    "tenant_id": TENANT,
                    "idempotency_key": self.key(),
                    "budget_id": None if budget_id is None else BudgetId(budget_id),
                    "display_name": "",
                    "scope": scope,
                    "limit": units(limit, currency_code),
                    "basis": BudgetBasis.CHARGED,
                    "period": PeriodKind.DAY,
                    "time_zone": "UTC",
                    "thresholds": WARN,
                    **fields,
                }
            )
        )

    async def status(self, budget_id: str) -> BudgetStatus:
        return await self.queries.get_status(TENANT, BudgetId(budget_id))

    async def add(self, *alerts: Alert, tenant_id: TenantId = TENANT) -> None:
        """Write alerts as a posting batch does, and wake this process's readers."""
        async with store.transaction(self.pool, tenant_id) as conn:
            await store.share_tenant(conn, tenant_id)
            await store.insert_alerts(conn, [NewAlert(tenant_id, alert) for alert in alerts])
        self.hub.wake(tenant_id)

    async def add_many(self, count: int, **fields: Any) -> None:
        await self.add(*(alert(n, **fields) for n in range(count)))


def alert(amount: int = 0, **fields: Any) -> Alert:
    """An alert of the kind that needs least; the amount makes it known again."""
    return Alert(
        **{
            "alert_id": AlertId(uuid7()),
            "kind": AlertKind.OVERRUN,
            "level": AlertLevel.WARNING,
            "create_time": NOW,
            "currency_code": "USD",
            "account_id": AccountId("a"),
            "amount": amount,
            **fields,
        }
    )


def amounts(alerts: Iterable[Any]) -> list[int | None]:
    """The amounts of stored alerts."""
    return [stored.alert.amount for stored in alerts]


@asynccontextmanager
async def open_desk(database: Database, *, prefix: str = "budget", **hub: Any) -> AsyncIterator[Desk]:
    """The budgets of a process on this database."""
    async with read_pool(database.app_dsn, **LIMITS) as pool:
        queries = BudgetQueries(pool)
        woken: list[TenantId] = []
        alerts = AlertHub(queries, **hub)

        def wake(tenant_id: TenantId) -> None:
            woken.append(tenant_id)
            alerts.wake(tenant_id)

        yield Desk(pool, BudgetAdmin(pool, METERS.keys(), wake), queries, alerts, BudgetCache(), woken, prefix)
