"""What the fields of budgets and alerts are called, and how they look. Names are those of the API."""

from __future__ import annotations

from typing import Final

from imprest_client.budget_model import (
    Alert,
    AlertKind,
    AlertReceipt,
    Budget,
    BudgetReceipt,
    BudgetStatus,
    DeleteBudgetReceipt,
    ResumeReceipt,
    Threshold,
    ThresholdAction,
)
from imprest_client.ctl.output import Column, Look, Row, Value, json_value
from imprest_client.ctl.price_rows import digits
from imprest_client.ctl.rows import Receipt
from imprest_client.ctl.values import money

# ── budgets ──────────────────────────────────────────────────────────────────────────────────────────


def scope_text(budget: Budget) -> str:
    """Whose spending counts, as people say it."""
    whose = "all accounts"
    if budget.account_id:
        whose = f"account {budget.account_id}"
    elif budget.label is not None:
        whose = f"label {budget.label[0]}={budget.label[1]}"
    return f"{whose}, {budget.meter_prefix}" if budget.meter_prefix else whose


def threshold_text(threshold: Threshold) -> str:
    """`80% WARNING`, `150% EMERGENCY stop-calls`."""
    words = [f"{digits(threshold.percent)}%", threshold.level]
    if threshold.action is not ThresholdAction.NOTIFY:
        words.append(threshold.action.lower().replace("_", "-"))
    if threshold.action_label:
        words.append(f"({threshold.action_label})")
    return " ".join(words)


def _threshold_object(threshold: Threshold) -> dict[str, Value]:
    return {
        "percent": json_value(threshold.percent),
        "level": threshold.level,
        "action": threshold.action,
        "action_label": threshold.action_label,
    }


def _label(budget: Budget) -> dict[str, str] | None:
    return None if budget.label is None else {"key": budget.label[0], "value": budget.label[1]}


BUDGET: Final = Row[Budget](
    (
        Column("budget_id", lambda b: b.budget_id, "budget"),
        Column("display_name", lambda b: b.display_name, "name"),
        Column("scope_words", scope_text, "of"),
        Column("account_id", lambda b: b.account_id),
        Column("label", _label),
        Column("meter_prefix", lambda b: b.meter_prefix),
        Column("basis", lambda b: b.basis, "counts"),
        Column("period", lambda b: b.period, "period"),
        Column("time_zone", lambda b: b.time_zone, "time zone"),
        Column("currency_code", lambda b: b.currency_code),
        Column("limit", lambda b: b.limit, "limit", Look.MONEY),
        Column("thresholds_words", lambda b: ", ".join(map(threshold_text, b.thresholds)), "thresholds"),
        Column("thresholds", lambda b: [_threshold_object(t) for t in b.thresholds]),
        Column("revision", lambda b: b.revision, "revision"),
        Column("create_time", lambda b: b.create_time, "set"),
    ),
    lambda b: b.currency_code,
)

BUDGET_LIST: Final = BUDGET.titled(
    budget_id="budget", scope_words="of", basis="counts", period="period", limit="limit", thresholds_words="thresholds"
)

STATUS: Final = Row[BudgetStatus](
    (
        *BUDGET.titled(
            budget_id="budget",
            display_name="name",
            scope_words="of",
            basis="counts",
            period="period",
            time_zone="time zone",
            thresholds_words="thresholds",
            limit="limit",
        ).nested("budget", lambda s: s.budget),
        Column("spent", lambda s: s.spent, "spent", Look.MONEY),
        Column("held", lambda s: s.held, "held", Look.MONEY),
        Column("remaining", lambda s: s.remaining, "remaining", Look.MONEY),
        Column("percent", lambda s: s.percent, "spent in %"),
        Column("stopped", lambda s: s.stopped, "calls stopped"),
        Column("fired_words", lambda s: ", ".join(map(threshold_text, s.fired_thresholds)), "reached"),
        Column("fired_thresholds", lambda s: [_threshold_object(t) for t in s.fired_thresholds]),
        Column("exhaustion_time", lambda s: s.exhaustion_time, "used up by then"),
        Column("period_start", lambda s: s.period_start, "period from"),
        Column("period_end", lambda s: s.period_end, "period to"),
        Column("as_of", lambda s: s.as_of, "as of"),
    ),
    lambda s: s.budget.currency_code,
)


# ── alerts ───────────────────────────────────────────────────────────────────────────────────────────


def alert_text(alert: Alert) -> str:
    """What has happened, in a line."""

    def amount(name: str) -> str:
        value = getattr(alert, name)
        return "?" if value is None else money(value, alert.currency_code)

    match alert.kind:
        case AlertKind.BUDGET if alert.threshold is not None:
            action = alert.threshold.action
            calls = "1 call" if len(alert.call_ids) == 1 else f"{len(alert.call_ids)} calls"
            stops = f", stops {calls}" if action is ThresholdAction.STOP_CALLS else ""
            blocks = ", blocks" if action is ThresholdAction.BLOCK else ""
            label = f" ({alert.threshold.action_label})" if alert.threshold.action_label else ""
            spent = f"{amount('spent')} of {amount('limit')} spent, {amount('held')} held"
            return f"budget {alert.budget_id} at {digits(alert.threshold.percent)}%{blocks}{stops}{label}: {spent}"
        case AlertKind.LOW_BALANCE:
            return f"{amount('balance')} available, below {amount('limit')}"
        case AlertKind.OVERRUN:
            return f"a call cost {amount('amount')} more than was held"
        case AlertKind.RECEIVABLE:
            return f"{amount('amount')} are owed"
        case AlertKind.LATE_COMMIT:
            return f"{amount('amount')} were committed after the hold had expired"
        case AlertKind.RESERVATION_EXPIRED:
            return f"a hold expired, {amount('amount')} were charged"
        case _:
            return amount("amount") if alert.amount is not None else ""


def _threshold_or_none(alert: Alert) -> dict[str, Value] | None:
    return None if alert.threshold is None else _threshold_object(alert.threshold)


ALERT: Final = Row[Alert](
    (
        Column("sequence", lambda a: a.sequence, "seq", Look.NUMBER),
        Column("create_time", lambda a: a.create_time, "time"),
        Column("level", lambda a: a.level, "level"),
        Column("kind", lambda a: a.kind, "kind"),
        Column("account_id", lambda a: a.account_id, "account"),
        Column("words", alert_text, "what happened"),
        Column("budget_id", lambda a: a.budget_id),
        Column("budget_revision", lambda a: a.budget_revision),
        Column("threshold", _threshold_or_none),
        Column("currency_code", lambda a: a.currency_code),
        Column("spent", lambda a: a.spent),
        Column("held", lambda a: a.held),
        Column("limit", lambda a: a.limit),
        Column("balance", lambda a: a.balance),
        Column("amount", lambda a: a.amount),
        Column("period_start", lambda a: a.period_start),
        Column("period_end", lambda a: a.period_end),
        Column("reservation_id", lambda a: a.reservation_id),
        Column("call_ids", lambda a: a.call_ids),
        Column("acknowledged_by", lambda a: a.acknowledged_by),
        Column("acknowledge_time", lambda a: a.acknowledge_time, "acknowledged"),
        Column("alert_id", lambda a: a.alert_id, "id", Look.ID),
    ),
    lambda a: a.currency_code,
)


ALERT_LINE: Final = ALERT.titled(
    create_time="time", level="level", kind="kind", account_id="account", words="what happened"
)


# ── receipts ─────────────────────────────────────────────────────────────────────────────────────────


BUDGET_RECEIPT: Final = Row[Receipt[BudgetReceipt]](
    (
        *BUDGET.titled(
            budget_id="budget", scope_words="of", period="period", limit="limit", thresholds_words="thresholds"
        ).nested("budget", lambda r: r.answer.budget),
        Column("replayed", lambda r: r.answer.replayed),
        Column("idempotency_key", lambda r: r.idempotency_key, "key", Look.ID),
    ),
    lambda r: r.answer.budget.currency_code,
)

DELETE_RECEIPT: Final = Row[Receipt[DeleteBudgetReceipt]](
    (
        Column("replayed", lambda r: r.answer.replayed),
        Column("idempotency_key", lambda r: r.idempotency_key, "key", Look.ID),
    ),
    lambda _: "",
)

RESUME_RECEIPT: Final = Row[Receipt[ResumeReceipt]](
    (
        *STATUS.titled(spent="spent", remaining="remaining", stopped="calls stopped").nested(
            "status", lambda r: r.answer.status
        ),
        Column("replayed", lambda r: r.answer.replayed),
        Column("idempotency_key", lambda r: r.idempotency_key, "key", Look.ID),
    ),
    lambda r: r.answer.status.budget.currency_code,
)

ALERT_RECEIPT: Final = Row[Receipt[AlertReceipt]](
    (
        *ALERT.titled(words="alert", acknowledged_by="by", acknowledge_time="acknowledged").nested(
            "alert", lambda r: r.answer.alert
        ),
        Column("replayed", lambda r: r.answer.replayed),
        Column("idempotency_key", lambda r: r.idempotency_key, "key", Look.ID),
    ),
    lambda r: r.answer.alert.currency_code,
)
