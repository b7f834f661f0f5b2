"""Budgets and alerts of the fake: what BudgetService answers, channels left out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from itertools import pairwise
from typing import Any, Final
from zoneinfo import available_timezones

from google.protobuf.message import Message

from imprest.v1 import budget_pb2
from imprest.v1 import budget_service_pb2 as pb
from imprest_client.testing import budget_replies as replies
from imprest_client.testing.ledger import Tenant
from imprest_client.testing.ledger.alerts import Alert
from imprest_client.testing.ledger.budgets import EMERGENCY_STOP, WARN, Budget, Threshold
from imprest_client.testing.ledger.model import Denied, new_id
from imprest_client.testing.ledger.money import nanos_from_text
from imprest_client.testing.ledger.validation import check_key, check_shape, check_text
from imprest_client.testing.lists import page_of
from imprest_client.testing.requests import amount_of

LEVELS: Final = ("INFO", "WARNING", "CRITICAL", "EMERGENCY")
_PROFILES: Final[Mapping[int, tuple[Threshold, ...]]] = {
    budget_pb2.THRESHOLD_PROFILE_UNSPECIFIED: (),
    budget_pb2.THRESHOLD_PROFILE_WARN: WARN,
    budget_pb2.THRESHOLD_PROFILE_EMERGENCY_STOP: EMERGENCY_STOP,
}
_MAX_THRESHOLDS: Final = 20
_MAX_PERCENT: Final = 1000


class BudgetDesk:
    """Answers the requests of BudgetService that are not streams, each at the time `now`. All may raise Denied."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant
        self._seen: dict[str, tuple[int, str]] = {}  # when, and by whom, alerts were acknowledged
        self._answered: dict[tuple[str, str], tuple[bytes, str]] = {}
        self._rpcs: dict[str, Callable[[Any, int], Message]] = {
            "SetBudget": self._set_budget,
            "GetBudgetStatus": self._get_budget_status,
            "ListBudgets": self._list_budgets,
            "DeleteBudget": self._delete_budget,
            "ResumeCalls": self._resume_calls,
            "ListAlerts": self._list_alerts,
            "AcknowledgeAlert": self._acknowledge_alert,
        }

    def knows(self, rpc: str) -> bool:
        """Whether it answers this RPC."""
        return rpc in self._rpcs

    def answer(self, rpc: str, request: Any, now: int) -> Message:
        """The reply to a request."""
        self._tenant.expire_all(now)
        return self._rpcs[rpc](request, now)

    def _earlier(self, rpc: str, request: Any) -> str | None:
        """The id that the first request with this key was about; None when this is the first."""
        check_key(request.idempotency_key)
        content, about = self._answered.get((rpc, request.idempotency_key), (None, None))
        if content is not None and content != request.SerializeToString(deterministic=True):
            raise Denied("IDEMPOTENCY_KEY_REUSED")
        return about

    def _remember(self, rpc: str, request: Any, about: str) -> None:
        self._answered[rpc, request.idempotency_key] = request.SerializeToString(deterministic=True), about

    # ── budgets ──────────────────────────────────────────────────────────────────────────────────────

    def _set_budget(self, request: Any, now: int) -> Message:
        asked = _budget_of(request)
        earlier = self._earlier("SetBudget", request)
        if earlier is not None:
            reply = pb.SetBudgetResponse.FromString(bytes.fromhex(earlier))
            reply.replayed = True
            return reply
        if asked.account is not None:
            account = self._tenant.account(asked.account)
            if account.currency != asked.currency:
                raise Denied(
                    "CURRENCY_MISMATCH",
                    account_id=account.account_id,
                    account_currency_code=account.currency,
                    currency_code=asked.currency,
                )
        reply = pb.SetBudgetResponse(budget=replies.budget(self._tenant.budgets.put(self._tenant, asked, now)))
        self._remember("SetBudget", request, reply.SerializeToString().hex())
        return reply

    def _get_budget_status(self, request: Any, now: int) -> Message:
        check_shape("budget_id", request.budget_id)
        return pb.GetBudgetStatusResponse(status=self._status(request.budget_id, now))

    def _list_budgets(self, request: Any, _now: int) -> Message:
        found = [
            budget
            for budget in self._tenant.budgets.budgets
            if request.account_id in ("", budget.account)
            and request.label_key in ("", budget.label and budget.label[0])
        ]
        budgets, token = page_of(request, found, lambda budget: budget.budget_id)
        return pb.ListBudgetsResponse(budgets=map(replies.budget, budgets), next_page_token=token)

    def _delete_budget(self, request: Any, _now: int) -> Message:
        check_shape("budget_id", request.budget_id)
        earlier = self._earlier("DeleteBudget", request)
        if earlier is None:
            self._tenant.budgets.delete(self._tenant.budgets.find(request.budget_id))
            self._remember("DeleteBudget", request, request.budget_id)
        return pb.DeleteBudgetResponse(replayed=earlier is not None)

    def _resume_calls(self, request: Any, now: int) -> Message:
        check_shape("budget_id", request.budget_id)
        check_text(request.reason, "reason", 1024)
        earlier = self._earlier("ResumeCalls", request)
        if earlier is None:
            self._tenant.budgets.resume(self._tenant.budgets.find(request.budget_id), now)
            self._remember("ResumeCalls", request, request.budget_id)
        return pb.ResumeCallsResponse(status=self._status(request.budget_id, now), replayed=earlier is not None)

    def _status(self, budget_id: str, now: int) -> budget_pb2.BudgetStatus:
        budget = self._tenant.budgets.find(budget_id)
        return replies.status(budget, self._tenant.budgets.status(self._tenant, budget, now), now)

    # ── alerts ───────────────────────────────────────────────────────────────────────────────────────

    def alerts_after(self, sequence: int, request: Any) -> list[tuple[int, Alert]]:
        """The alerts after the one of this number that a request's filters let through, with their numbers."""
        return [
            (number, alert)
            for number, alert in enumerate(self._tenant.budgets.alerts, 1)
            if number > sequence and _passes(alert, request)
        ]

    @property
    def last_sequence(self) -> int:
        """The number of the newest alert."""
        return len(self._tenant.budgets.alerts)

    def sequence_before(self, micros: int) -> int:
        """The number of the newest alert before an instant."""
        return sum(alert.create_time < micros for alert in self._tenant.budgets.alerts)

    def alert(self, sequence: int, alert: Alert) -> budget_pb2.Alert:
        """An alert as a message."""
        return replies.alert(sequence, alert, self._seen.get(alert.alert_id))

    def _list_alerts(self, request: Any, _now: int) -> Message:
        check_filters(request)
        start = request.start_time.ToMicroseconds() if request.HasField("start_time") else None
        end = request.end_time.ToMicroseconds() if request.HasField("end_time") else None
        found = [
            (number, alert)
            for number, alert in reversed(self.alerts_after(0, request))
            if request.budget_id in ("", alert.budget and alert.budget.budget_id)
            and (start is None or alert.create_time >= start)
            and (end is None or alert.create_time < end)
            and not (request.unacknowledged and alert.alert_id in self._seen)
        ]
        alerts, token = page_of(request, found, lambda item: str(item[0]))
        return pb.ListAlertsResponse(alerts=[self.alert(*item) for item in alerts], next_page_token=token)

    def _acknowledge_alert(self, request: Any, now: int) -> Message:
        check_shape("alert_id", request.alert_id)
        check_text(request.acknowledged_by, "acknowledged_by", 255)
        earlier = self._earlier("AcknowledgeAlert", request)
        alerts = enumerate(self._tenant.budgets.alerts, 1)
        found = next((item for item in alerts if item[1].alert_id == request.alert_id), None)
        if found is None:
            raise Denied("NOT_FOUND", resource="alert", id=request.alert_id)
        self._seen.setdefault(request.alert_id, (now, request.acknowledged_by))
        self._remember("AcknowledgeAlert", request, request.alert_id)
        return pb.AcknowledgeAlertResponse(alert=self.alert(*found), replayed=earlier is not None)


# ── requests ─────────────────────────────────────────────────────────────────────────────────────────


def check_filters(request: Any) -> None:
    """Check which alerts are asked for. Raises Denied(INVALID_ARGUMENT)."""
    if request.account_id:
        check_shape("account_id", request.account_id)
    _name(budget_pb2.AlertLevel, request.min_level, "min_level", "")
    for number, kind in enumerate(request.kinds):
        if not _name(budget_pb2.AlertKind, kind, f"kinds[{number}]", ""):
            raise Denied("INVALID_ARGUMENT", field=f"kinds[{number}]", problem="must be a kind")


def _passes(alert: Alert, request: Any) -> bool:
    level = _name(budget_pb2.AlertLevel, request.min_level, "min_level", "INFO")
    kinds = [budget_pb2.AlertKind.Name(kind).removeprefix("ALERT_KIND_") for kind in request.kinds]
    return (
        request.account_id in ("", alert.account_id)
        and LEVELS.index(alert.level) >= LEVELS.index(level)
        and (not kinds or alert.kind in kinds)
    )


_PREFIXES: Final = {
    budget_pb2.AlertLevel: "ALERT_LEVEL_",
    budget_pb2.AlertKind: "ALERT_KIND_",
    budget_pb2.BudgetPeriod: "BUDGET_PERIOD_",
    budget_pb2.BudgetBasis: "BUDGET_BASIS_",
    budget_pb2.ThresholdAction: "THRESHOLD_ACTION_",
}


def _name(proto: Any, number: int, field: str, default: str) -> str:
    """The name of an enum's value; the default for zero. Raises Denied(INVALID_ARGUMENT)."""
    if number not in proto.values():
        raise Denied("INVALID_ARGUMENT", field=field, problem=f"has no value {number}")
    return proto.Name(number).removeprefix(_PREFIXES[proto]) if number else default


def _budget_of(request: Any) -> Budget:
    """The budget that is asked for, which is not yet one. Raises Denied(INVALID_ARGUMENT)."""
    message = request.budget
    if not message.HasField("limit"):
        raise Denied("INVALID_ARGUMENT", field="budget.limit", problem="is required")
    limit = nanos_from_text(amount_of("budget.limit", message.limit))
    if limit <= 0:
        raise Denied("INVALID_ARGUMENT", field="budget.limit", problem="must be above zero")
    period = _name(budget_pb2.BudgetPeriod, message.period, "budget.period", "")
    if not period:
        raise Denied("INVALID_ARGUMENT", field="budget.period", problem="is required")
    scope = message.WhichOneof("scope")
    if scope is None or (scope == "tenant" and not message.tenant):
        problem = "must be an account_id, a label, or tenant = true"
        raise Denied("INVALID_ARGUMENT", field="budget.scope", problem=problem)
    if scope == "account_id":
        check_shape("budget.account_id", message.account_id)
    if scope == "label" and not message.label.key:
        raise Denied("INVALID_ARGUMENT", field="budget.label.key", problem="is required")
    if message.budget_id:
        check_shape("budget.budget_id", message.budget_id)
    zone = message.time_zone or "UTC"
    if zone not in available_timezones() | {"UTC"}:
        raise Denied("INVALID_ARGUMENT", field="budget.time_zone", problem="must be the IANA name of a time zone")
    check_text(message.display_name, "budget.display_name", 255)
    return Budget(
        budget_id=message.budget_id or new_id("bdg"),
        limit=limit,
        currency=message.limit.currency_code,
        thresholds=_thresholds_of(message.thresholds, request.threshold_profile),
        period=period,
        zone=zone,
        account=message.account_id if scope == "account_id" else None,
        label=(message.label.key, message.label.value) if scope == "label" else None,
        meters=message.meter_prefix,
        of_cost=_name(budget_pb2.BudgetBasis, message.basis, "budget.basis", "CHARGED") == "COST",
        display_name=message.display_name,
    )


def _thresholds_of(messages: Iterable[budget_pb2.BudgetThreshold], profile: int) -> tuple[Threshold, ...]:
    if profile not in _PROFILES:
        raise Denied("INVALID_ARGUMENT", field="threshold_profile", problem=f"has no value {profile}")
    given = [_threshold_of(message, f"budget.thresholds[{n}]") for n, message in enumerate(messages)]
    if given and profile:
        problem = "must not be given beside budget.thresholds"
        raise Denied("INVALID_ARGUMENT", field="threshold_profile", problem=problem)
    if len(given) > _MAX_THRESHOLDS:
        raise Denied("INVALID_ARGUMENT", field="budget.thresholds", problem=f"must be at most {_MAX_THRESHOLDS}")
    for number, (one, other) in enumerate(pairwise(given), 1):
        if other.percent <= one.percent:
            field = f"budget.thresholds[{number}].percent"
            raise Denied("INVALID_ARGUMENT", field=field, problem="must be above the one before")
    return tuple(given) or _PROFILES[profile] or WARN


def _threshold_of(message: budget_pb2.BudgetThreshold, path: str) -> Threshold:
    try:
        percent = Decimal(message.percent.value)
    except ArithmeticError:
        problem = "must be a number" if message.HasField("percent") else "is required"
        raise Denied("INVALID_ARGUMENT", field=f"{path}.percent", problem=problem) from None
    if not (percent.is_finite() and 0 < percent <= _MAX_PERCENT and percent == round(percent, 2)):
        problem = f"must be above 0, at most {_MAX_PERCENT}, with at most two decimals"
        raise Denied("INVALID_ARGUMENT", field=f"{path}.percent", problem=problem)
    check_text(message.action_label, f"{path}.action_label", 63)
    return Threshold(
        percent=percent,
        action=_name(budget_pb2.ThresholdAction, message.action, f"{path}.action", "NOTIFY"),
        level=_name(budget_pb2.AlertLevel, message.level, f"{path}.level", "WARNING"),
        label=message.action_label,
    )
