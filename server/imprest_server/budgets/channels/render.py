"""An alert as JSON for webhooks, as text for Slack, and as an email. Pure; amounts are decimal strings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from email.message import EmailMessage
from html import escape
from typing import Any

from imprest_server.budgets.channels.model import is_test
from imprest_server.budgets.model import Alert, AlertKind, AlertLevel, StoredAlert
from imprest_server.core.ids import ReservationId, format_alert_id, format_reservation_id
from imprest_server.core.money import format_nanos

_HEADLINES = {
    AlertKind.BUDGET: "Budget {budget_id} has reached {percent} %",
    AlertKind.LOW_BALANCE: "The balance of account {account_id} is low",
    AlertKind.OVERRUN: "A call of account {account_id} cost more than was held",
    AlertKind.RECEIVABLE: "Account {account_id} owes money after a call",
    AlertKind.LATE_COMMIT: "A call of account {account_id} was committed after its hold had expired",
    AlertKind.RESERVATION_EXPIRED: "A hold of account {account_id} expired; what was used has been charged",
    AlertKind.ANOMALY: "Unusual spending of account {account_id}",
}
#: The fields of a test send, beside `test`.
_TESTED = ("alert_id", "sequence", "level", "create_time", "summary")
_EMOJI = {
    AlertLevel.INFO: ":information_source:",
    AlertLevel.WARNING: ":warning:",
    AlertLevel.CRITICAL: ":red_circle:",
    AlertLevel.EMERGENCY: ":rotating_light:",
}


def headline(stored: StoredAlert) -> str:
    """What happened, in one line."""
    if is_test(stored):
        return "This is a test: alerts of Imprest arrive here"
    alert = stored.alert
    percent = format(alert.threshold.percent.normalize(), "f") if alert.threshold else ""
    return _HEADLINES[alert.kind].format(budget_id=alert.budget_id, account_id=alert.account_id, percent=percent)


def payload(stored: StoredAlert) -> bytes:
    """A webhook's body: one JSON object. Fields that do not apply are absent; new ones may be added."""
    alert = stored.alert
    body: dict[str, Any] = {
        "alert_id": format_alert_id(alert.alert_id),
        "sequence": stored.sequence,
        "kind": alert.kind,
        "level": alert.level.name,
        "create_time": _time(alert.create_time),
        "summary": headline(stored),
        "currency_code": alert.currency_code,
        **dict(_facts(alert)),
    }
    if alert.call_ids:
        body["call_ids"] = list(alert.call_ids)
    if is_test(stored):
        body = {name: body[name] for name in _TESTED} | {"test": True}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def slack_text(stored: StoredAlert) -> bytes:
    """The body of a Slack-compatible webhook: `{"text": …}`, with what callers chose escaped."""
    alert = stored.alert
    facts = [f"*{_label(name)}:* {_slack(value)}" for name, value in _facts(alert, alert.currency_code)]
    title = f"{_EMOJI[alert.level]} *{_slack(headline(stored))}*"
    return json.dumps({"text": "\n".join([title, *facts])}, ensure_ascii=False).encode()


def email(stored: StoredAlert, sender: str, recipients: tuple[str, ...]) -> EmailMessage:
    """The email, with a plain and an HTML body. Its Message-ID is the alert's, so mail programs show a repeat once."""
    alert = stored.alert
    facts = [(_label(name), value) for name, value in _facts(alert, alert.currency_code)]
    facts += [("Calls", ", ".join(alert.call_ids))] if alert.call_ids else []
    facts.append(("Time", _time(alert.create_time)))
    message = EmailMessage()
    message["Subject"] = " ".join(f"[{alert.level.name}] {headline(stored)}".split())
    message["From"] = sender
    message["To"] = ", ".join(recipients)
    message["Date"] = alert.create_time
    message["Message-ID"] = f"<{format_alert_id(alert.alert_id)}@imprest>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content("\n".join([headline(stored), "", *(f"{name}: {value}" for name, value in facts)]) + "\n")
    rows = "".join(f"<tr><th align=left>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in facts)
    body = f"<h2>{escape(headline(stored))}</h2><table cellpadding=4>{rows}</table>"
    message.add_alternative(f"<!doctype html><html><body>{body}</body></html>", subtype="html")
    return message


def _facts(alert: Alert, unit: str = "") -> Iterator[tuple[str, str]]:
    """The fields that apply, as text; amounts with `unit` behind them."""
    if alert.account_id is not None:
        yield "account_id", alert.account_id
    if alert.reservation_id is not None:
        yield "reservation_id", format_reservation_id(ReservationId(alert.reservation_id))
    if alert.budget_id is not None:
        yield "budget_id", alert.budget_id
    if alert.threshold is not None:
        yield "threshold_percent", format(alert.threshold.percent.normalize(), "f")
        yield "action", alert.threshold.action
        if alert.threshold.action_label:
            yield "action_label", alert.threshold.action_label
    for name in ("spent", "held", "limit", "available", "amount"):
        nanos = getattr(alert, name)
        if nanos is not None:
            yield name, f"{format_nanos(nanos)} {unit}".rstrip()
    if alert.period is not None and alert.period.start is not None:
        yield "period_start", _time(alert.period.start)
    if alert.period is not None and alert.period.end is not None:
        yield "period_end", _time(alert.period.end)


def _time(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")


def _label(name: str) -> str:
    return name.removesuffix("_id").replace("_", " ").capitalize()


def _slack(value: str) -> str:
    """Slack's three control characters, escaped."""
    return value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
