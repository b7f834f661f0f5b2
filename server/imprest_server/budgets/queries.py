"""What callers may read of budgets and alerts. SQL in sql/queries.sql."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

from psycopg.rows import TupleRow, tuple_row

from imprest_server.budgets.model import (
    AlertKind,
    AlertLevel,
    Budget,
    BudgetId,
    BudgetStatus,
    StoredAlert,
)
from imprest_server.budgets.rows import alert_of, budget_of, counter_of
from imprest_server.budgets.rules import status_at
from imprest_server.budgets.store import Connection, transaction
from imprest_server.core.errors import NotFound
from imprest_server.core.ids import AccountId, TenantId
from imprest_server.core.paging import cut_page, decode_token, page_limit
from imprest_server.db.pool import ReadPool
from imprest_server.db.sqlfile import load_sql

_BLOCKS = load_sql("imprest_server.budgets", "sql/queries.sql")
SQL: dict[str, LiteralString] = {
    name: block.replace("{budget_columns}", _BLOCKS["budget_columns"]).replace(
        "{alert_columns}", _BLOCKS["alert_columns"]
    )
    for name, block in _BLOCKS.items()
}

#: How many bytes a budget, and an alert without its calls, take on the wire at most.
_BUDGET_BYTES = 16_000
_ALERT_BYTES = 4_000
_NO_SEQUENCE_BEFORE = 2**63 - 1
_BUDGET_WIDTH = 16


@dataclass(frozen=True, slots=True)
class Head:
    """Where a tenant's stream of alerts stands: its newest sequence, and the newest one that was pruned."""

    last: int = 0
    pruned: int = 0


class BudgetQueries:
    """The reads of budgets and alerts, each limited to one tenant.

    All may raise Unavailable. What does not exist, or belongs to another tenant, is NotFound. Lists raise
    InvalidArgument for a bad page size or token, take None or "" for a filter that is not set, and return the token of
    the next page, "" on the last.
    """

    def __init__(self, pool: ReadPool) -> None:
        self._pool = pool

    async def get_status(self, tenant_id: TenantId, budget_id: BudgetId) -> BudgetStatus:
        """How a budget stands now, in the period that holds now."""
        rows = await self._rows(tenant_id, SQL["get_status"], {"budget": budget_id})
        if rows:
            *row, now = rows[0]
            budget, deleted = budget_of(row[:_BUDGET_WIDTH])
            if not deleted:
                return status_at(budget, counter_of(row[_BUDGET_WIDTH:])[1], now)
        raise NotFound(resource="budget", id=budget_id)

    async def list_budgets(
        self,
        tenant_id: TenantId,
        *,
        account_id: AccountId | None = None,
        label_key: str = "",
        page_size: int = 0,
        page_token: str = "",
    ) -> tuple[list[Budget], str]:
        """Budgets in the order of their ids: of one account, by one label, or all."""
        limit = page_limit(page_size)
        scope = ("list_budgets", tenant_id, account_id, label_key)
        after = decode_token(page_token, scope, str) or ""
        text = _filtered("list_budgets", budgets_of_account=account_id, budgets_of_label=label_key)
        parameters = {"account": account_id, "label_key": label_key, "after": after, "limit": limit + 1}
        rows = await self._rows(tenant_id, text, parameters)
        found = [budget_of(row)[0] for row in rows]
        return cut_page(found, limit, scope, lambda budget: budget.budget_id, lambda _: _BUDGET_BYTES)

    async def list_alerts(
        self,
        tenant_id: TenantId,
        *,
        account_id: AccountId | None = None,
        budget_id: BudgetId | None = None,
        min_level: AlertLevel | None = None,
        kinds: Collection[AlertKind] = (),
        start_time: datetime | None = None,
        end_time: datetime | None = None,
        unacknowledged: bool = False,
        page_size: int = 0,
        page_token: str = "",
    ) -> tuple[list[StoredAlert], str]:
        """Alerts that are kept, newest first. All filters that are set must match."""
        limit = page_limit(page_size)
        scope = (
            "list_alerts",
            tenant_id,
            account_id,
            budget_id,
            None if min_level is None else min_level.name,
            sorted(kind.value for kind in kinds),
            None if start_time is None else start_time.isoformat(),
            None if end_time is None else end_time.isoformat(),
            int(unacknowledged),
        )
        before = decode_token(page_token, scope, int)
        text = _filtered(
            "list_alerts",
            alerts_of_account=account_id,
            alerts_of_budget=budget_id,
            alerts_of_level=min_level,
            alerts_of_kinds=kinds,
            alerts_since=start_time,
            alerts_until=end_time,
            alerts_unacknowledged=unacknowledged,
        )
        parameters = {
            "account": account_id,
            "budget": budget_id,
            "min_level": min_level,
            "kinds": [kind.value for kind in kinds],
            "start_time": start_time,
            "end_time": end_time,
            "before": before or _NO_SEQUENCE_BEFORE,
            "limit": limit + 1,
        }
        rows = await self._rows(tenant_id, text, parameters)
        return cut_page([alert_of(row) for row in rows], limit, scope, lambda stored: str(stored.sequence), _bytes_of)

    # ── the stream ───────────────────────────────────────────────────────────────────────────────────

    async def head(self, tenant_id: TenantId) -> Head:
        """Where the tenant's stream stands."""
        rows = await self._rows(tenant_id, SQL["read_head"], {})
        return Head(*rows[0]) if rows else Head()

    async def sequence_before(self, tenant_id: TenantId, start_time: datetime) -> int | None:
        """The sequence after which the alerts written from an instant on begin; None: there is none yet."""
        rows = await self._rows(tenant_id, SQL["first_since"], {"start_time": start_time})
        return rows[0][0] - 1 if rows else None

    async def alerts_after(self, tenant_id: TenantId, sequence: int, limit: int) -> list[StoredAlert]:
        """The next alerts of the stream, in its order.

        Where the first is not `sequence` + 1, those between have been pruned. What has not come yet comes later: no
        alert appears before one that was seen.
        """
        rows = await self._rows(tenant_id, SQL["read_alerts"], {"after": sequence, "limit": limit})
        return [alert_of(row) for row in rows]

    async def _rows(self, tenant_id: TenantId, text: LiteralString, parameters: Mapping[str, Any]) -> list[TupleRow]:
        async with transaction(self._pool, tenant_id) as connection:
            return await _fetch(connection, text, {**parameters, "tenant": tenant_id})


async def read_alert(conn: Connection, tenant_id: TenantId, sequence: int) -> StoredAlert:
    """An alert, as it stands in the open transaction; raises NotFound once it is pruned."""
    rows = await _fetch(conn, SQL["get_alert"], {"tenant": tenant_id, "sequence": sequence})
    if not rows:
        raise NotFound(resource="alert", id=str(sequence))
    return alert_of(rows[0])


async def _fetch(conn: Connection, text: LiteralString, parameters: Mapping[str, Any]) -> list[TupleRow]:
    async with conn.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(text, parameters)
        return await cursor.fetchall()


def _filtered(list_name: LiteralString, **filters: object) -> LiteralString:
    """The list's statement with the blocks of the filters whose value is set."""
    return SQL[list_name].replace("{filters}", " ".join(SQL[name] for name, value in filters.items() if value))


def _bytes_of(stored: StoredAlert) -> int:
    """How many bytes an alert takes on the wire at most."""
    return _ALERT_BYTES + sum(4 * len(call_id) + 4 for call_id in stored.alert.call_ids)
