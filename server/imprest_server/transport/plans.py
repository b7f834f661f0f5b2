"""Plans and subscriptions as messages."""

from __future__ import annotations

from imprest.v1 import plan_pb2
from imprest_server.pricing.model import Plan, Subscription
from imprest_server.transport.convert import to_time
from imprest_server.transport.usage import to_usage_line


def to_plan(plan: Plan) -> plan_pb2.Plan:
    """A plan."""
    return plan_pb2.Plan(
        plan_id=plan.plan_id,
        display_name=plan.display_name,
        currency_code=plan.currency_code,
        price_book_id=plan.price_book_id,
        lines=[to_usage_line(line) for line in plan.lines],
        create_time=to_time(plan.create_time),
    )


def to_subscription(subscription: Subscription) -> plan_pb2.Subscription:
    """A subscription."""
    end_time = subscription.end_time
    return plan_pb2.Subscription(
        subscription_id=subscription.subscription_id,
        account_id=subscription.account_id,
        plan_id=subscription.plan_id or "",
        lines=[to_usage_line(line) for line in subscription.lines],
        start_time=to_time(subscription.start_time),
        end_time=None if end_time is None else to_time(end_time),
        create_time=to_time(subscription.create_time),
    )
