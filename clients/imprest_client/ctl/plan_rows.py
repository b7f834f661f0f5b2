"""What the fields of plans and subscriptions are called, and how they look. Names are those of the API."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from imprest_client.ctl.output import Column, Look, Row, json_value
from imprest_client.ctl.price_rows import digits
from imprest_client.ctl.rows import Receipt
from imprest_client.pricing_model import Plan, PlanReceipt, Subscription, SubscriptionReceipt, UsageLine


def _no_currency(_: object) -> str:
    return ""


def line_text(line: UsageLine) -> str:
    """`1 telephony.did_months twilio/local`."""
    words = [digits(line.quantity), line.meter, "/".join(filter(None, (line.provider, line.model)))]
    return " ".join(filter(None, words))


def _lines_text(lines: Iterable[UsageLine]) -> str:
    return ", ".join(map(line_text, lines))


def _line_object(line: UsageLine) -> Mapping[str, Any]:
    return {
        "meter": line.meter,
        "provider": line.provider,
        "model": line.model,
        "destination": line.destination,
        "quantity": json_value(line.quantity),
        "operation": line.operation,
        "labels": line.labels,
    }


PLAN: Final = Row[Plan](
    (
        Column("plan_id", lambda p: p.plan_id, "plan"),
        Column("display_name", lambda p: p.display_name, "name"),
        Column("currency_code", lambda p: p.currency_code, "currency"),
        Column("price_book_id", lambda p: p.price_book_id, "book"),
        Column("lines_words", lambda p: _lines_text(p.lines), "every month"),
        Column("lines", lambda p: [_line_object(line) for line in p.lines]),
        Column("create_time", lambda p: p.create_time, "created"),
    ),
    _no_currency,
)

SUBSCRIPTION: Final = Row[Subscription](
    (
        Column("account_id", lambda s: s.account_id, "account"),
        Column("plan_id", lambda s: s.plan_id, "plan"),
        Column("lines_words", lambda s: _lines_text(s.lines), "every month"),
        Column("lines", lambda s: [_line_object(line) for line in s.lines]),
        Column("start_time", lambda s: s.start_time, "from"),
        Column("end_time", lambda s: s.end_time, "until"),
        Column("create_time", lambda s: s.create_time),
        Column("subscription_id", lambda s: s.subscription_id, "subscription", Look.ID),
    ),
    _no_currency,
)

# ── receipts ─────────────────────────────────────────────────────────────────────────────────────────

PLAN_RECEIPT: Final = Row[Receipt[PlanReceipt]](
    (
        *PLAN.titled(plan_id="plan", price_book_id="book", currency_code="currency", lines_words="every month").nested(
            "plan", lambda r: r.answer.plan
        ),
        Column("replayed", lambda r: r.answer.replayed),
        Column("idempotency_key", lambda r: r.idempotency_key, "key", Look.ID),
    ),
    _no_currency,
)

SUBSCRIPTION_RECEIPT: Final = Row[Receipt[SubscriptionReceipt]](
    (
        *SUBSCRIPTION.nested("subscription", lambda r: r.answer.subscription),
        Column("replayed", lambda r: r.answer.replayed),
        Column("idempotency_key", lambda r: r.idempotency_key, "key", Look.ID),
    ),
    _no_currency,
)
