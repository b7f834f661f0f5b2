"""Plans and subscriptions: their rows, and which of them are to be charged. SQL in sql/store.sql."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from imprest_server.core.errors import NotFound
from imprest_server.core.ids import AccountId, TenantId
from imprest_server.core.paging import cut_page, decode_token, page_limit
from imprest_server.core.usage import UsageLine
from imprest_server.db.pool import ReadPool
from imprest_server.pricing import store
from imprest_server.pricing.model import Plan, Subscription, SubscriptionEnd
from imprest_server.pricing.rows import lines_of, lines_text, plan_of, subscription_of
from imprest_server.pricing.rules import month_of
from imprest_server.pricing.store import Connection, transaction

# Bytes that the message of a usage line takes at most without its labels, the frame of a pair of these, and what is
# around the lines.
_LINE_BYTES = 4096
_PAIR_BYTES = 8
_THING_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Due:
    """A subscription whose month has begun at `time` and is not known to be charged; over when it has ended by then."""

    subscription_id: str
    account_id: AccountId
    lines: tuple[UsageLine, ...]
    time: datetime
    time_zone: str
    is_over: bool

    @property
    def month(self) -> date:
        """The calendar month of the account."""
        return month_of(self.time, self.time_zone)

    @property
    def next_time(self) -> datetime:
        """When the month after it begins."""
        return next_month(self.time, self.time_zone)


def next_month(at: datetime, time_zone: str) -> datetime:
    """The first instant of the calendar month after the one of `at`, in an IANA zone."""
    month = month_of(at, time_zone)
    year, number = (month.year + 1, 1) if month.month == 12 else (month.year, month.month + 1)
    return datetime(year, number, 1, tzinfo=ZoneInfo(time_zone)).astimezone(UTC)


async def insert_plan(conn: Connection, tenant_id: TenantId, plan: Plan) -> None:
    """Add a plan."""
    await store.execute(
        conn,
        "insert_plan",
        {
            "tenant": tenant_id,
            "plan": plan.plan_id,
            "display_name": plan.display_name,
            "currency": plan.currency_code,
            "book": plan.price_book_id,
            "lines": lines_text(plan.lines),
            "create_time": plan.create_time,
        },
    )


async def find_plan(conn: Connection, tenant_id: TenantId, plan_id: str) -> Plan | None:
    """The plan with this id."""
    rows = await store.fetch(conn, "find_plan", {"tenant": tenant_id, "plan": plan_id})
    return plan_of(rows[0]) if rows else None


async def get_plan(conn: Connection, tenant_id: TenantId, plan_id: str) -> Plan:
    """The plan with this id; raises NotFound."""
    plan = await find_plan(conn, tenant_id, plan_id)
    if plan is None:
        raise NotFound(resource="plan", id=plan_id)
    return plan


async def insert_subscription(conn: Connection, tenant_id: TenantId, subscription: Subscription) -> None:
    """Add a subscription; it is to be charged from its start on."""
    await store.execute(
        conn,
        "insert_subscription",
        {
            "tenant": tenant_id,
            "subscription": subscription.subscription_id,
            "account": subscription.account_id,
            "plan": subscription.plan_id,
            "book": subscription.price_book_id,
            "lines": lines_text(subscription.lines),
            "start_time": subscription.start_time,
            "epoch": subscription.epoch,
            "create_time": subscription.create_time,
        },
    )


async def insert_end(conn: Connection, tenant_id: TenantId, end: SubscriptionEnd, create_time: datetime) -> None:
    """Add when a subscription ends."""
    values = {"tenant": tenant_id, "subscription": end.subscription_id}
    await store.execute(
        conn,
        "insert_subscription_end",
        {**values, "epoch": end.epoch, "end_time": end.end_time, "create_time": create_time},
    )


async def get_subscription(conn: Connection, tenant_id: TenantId, subscription_id: str) -> Subscription:
    """A subscription with its end; raises NotFound."""
    rows = await store.fetch(
        conn,
        "list_subscriptions",
        {"tenant": tenant_id, "account": None, "subscription": subscription_id, "after": "", "limit": 1},
    )
    if not rows:
        raise NotFound(resource="subscription", id=subscription_id)
    return subscription_of(rows[0])


class PlanQueries:
    """The reads of plans and subscriptions, each limited to one tenant. All may raise Unavailable."""

    def __init__(self, pool: ReadPool) -> None:
        self._pool = pool

    async def list_plans(
        self, tenant_id: TenantId, *, page_size: int = 0, page_token: str = ""
    ) -> tuple[list[Plan], str]:
        """Plans in the order of their ids, and the token of the next page."""
        limit = page_limit(page_size)
        scope = ("list_plans", tenant_id)
        after = decode_token(page_token, scope, str) or ""
        async with transaction(self._pool, tenant_id) as conn:
            rows = await store.fetch(conn, "list_plans", {"tenant": tenant_id, "after": after, "limit": limit + 1})
        return cut_page([plan_of(row) for row in rows], limit, scope, lambda p: p.plan_id, lambda p: _size(p.lines))

    async def list_subscriptions(
        self, tenant_id: TenantId, *, account_id: AccountId | None = None, page_size: int = 0, page_token: str = ""
    ) -> tuple[list[Subscription], str]:
        """Subscriptions of an account or all, oldest first, and the token of the next page."""
        limit = page_limit(page_size)
        scope = ("list_subscriptions", tenant_id, account_id)
        after = decode_token(page_token, scope, str) or ""
        async with transaction(self._pool, tenant_id) as conn:
            rows = await store.fetch(
                conn,
                "list_subscriptions",
                {"tenant": tenant_id, "account": account_id, "subscription": None, "after": after, "limit": limit + 1},
            )
        found = [subscription_of(row) for row in rows]
        return cut_page(found, limit, scope, lambda s: s.subscription_id, lambda s: _size(s.lines))

    async def due(self, tenant_id: TenantId, limit: int) -> list[Due]:
        """Up to `limit` subscriptions with a month that has begun and may not be charged yet."""
        async with transaction(self._pool, tenant_id) as conn:
            rows = await store.fetch(conn, "due_subscriptions", {"tenant": tenant_id, "limit": limit})
        return [
            Due(subscription_id, account_id, lines_of(lines), time, time_zone, is_over)
            for subscription_id, account_id, lines, time, time_zone, is_over in rows
        ]

    async def set_next(self, tenant_id: TenantId, charged: Due, next_time: datetime | None) -> None:
        """Look at the subscription next then (None: never), unless somebody else has said so meanwhile."""
        async with transaction(self._pool, tenant_id) as conn:
            await store.execute(
                conn,
                "schedule_charge",
                {
                    "tenant": tenant_id,
                    "subscription": charged.subscription_id,
                    "charged": charged.time,
                    "next": next_time,
                },
            )


def _size(lines: Sequence[UsageLine]) -> int:
    labels = sum(
        _PAIR_BYTES + len(key.encode()) + len(value.encode()) for line in lines for key, value in line.labels.items()
    )
    return _THING_BYTES + _LINE_BYTES * len(lines) + labels
