"""What is typed about budgets, and how alerts are told in a line."""

import csv
import io
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from imprest_client.budget_model import Alert, AlertKind, AlertLevel, Threshold, ThresholdAction
from imprest_client.ctl.budget_rows import ALERT_LINE, alert_text
from imprest_client.ctl.failures import UsageError
from imprest_client.ctl.groups.budgets import parse_threshold
from imprest_client.ctl.output import Format, Output

MIDNIGHT = datetime(2026, 3, 1, tzinfo=UTC)


def alert(kind: AlertKind, **fields: Any) -> Alert:
    none = dict.fromkeys(("spent", "held", "limit", "balance", "amount", "period_start", "period_end", "threshold"))
    texts = dict.fromkeys(("account_id", "budget_id", "reservation_id", "acknowledged_by"), "")
    rest = {"budget_revision": 0, "call_ids": (), "acknowledge_time": None, "currency_code": "USD"}
    made = {
        "alert_id": "alt_1",
        "sequence": 7,
        "level": AlertLevel.WARNING,
        "create_time": datetime(2026, 3, 1, tzinfo=UTC),
    }
    return Alert(**{**none, **texts, **rest, **made, "kind": kind, **fields})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("80", Threshold(Decimal(80))),
        ("95.5, critical", Threshold(Decimal("95.5"), AlertLevel.CRITICAL)),
        ("100,block", Threshold(Decimal(100), AlertLevel.WARNING, ThresholdAction.BLOCK)),
        (
            "150,emergency,stop-calls,label=scale-down",
            Threshold(Decimal(150), AlertLevel.EMERGENCY, ThresholdAction.STOP_CALLS, "scale-down"),
        ),
    ],
)
def test_thresholds_as_they_are_typed(text: str, expected: Threshold) -> None:
    assert parse_threshold(text) == expected


@pytest.mark.parametrize("text", ["", "x", "80%", "-1", "80,loud", "1e3", "80,"])
def test_what_is_no_threshold(text: str) -> None:
    with pytest.raises(UsageError):
        parse_threshold(text)


def test_all_words_of_a_threshold_are_named() -> None:
    with pytest.raises(UsageError, match="'loud' is no level or action") as refused:
        parse_threshold("80,loud")
    assert refused.value.hint == (
        "choose from info, warning, critical, emergency, notify, block, stop-calls, label=WORD"
    )


@pytest.mark.parametrize(
    ("kind", "fields", "expected"),
    [
        (AlertKind.LOW_BALANCE, {"balance": Decimal(1), "limit": Decimal(5)}, "1.00 USD available, below 5.00 USD"),
        (AlertKind.OVERRUN, {"amount": Decimal("0.5")}, "a call cost 0.50 USD more than was held"),
        (AlertKind.RECEIVABLE, {"amount": Decimal(3)}, "3.00 USD are owed"),
        (AlertKind.LATE_COMMIT, {"amount": Decimal(3)}, "3.00 USD were committed after the hold had expired"),
        (AlertKind.RESERVATION_EXPIRED, {"amount": Decimal(3)}, "a hold expired, 3.00 USD were charged"),
        (AlertKind.UNKNOWN, {}, ""),
        (
            AlertKind.BUDGET,
            {
                "budget_id": "b",
                "threshold": Threshold(Decimal(150), AlertLevel.EMERGENCY, ThresholdAction.STOP_CALLS, "halt"),
                "spent": Decimal(15),
                "held": Decimal(2),
                "limit": Decimal(10),
                "call_ids": ("x", "y"),
            },
            "budget b at 150%, stops 2 calls (halt): 15.00 USD of 10.00 USD spent, 2.00 USD held",
        ),
        (
            AlertKind.BUDGET,
            {
                "budget_id": "b",
                "threshold": Threshold(Decimal(150), AlertLevel.EMERGENCY, ThresholdAction.STOP_CALLS, ""),
                "spent": Decimal(15),
                "held": Decimal(2),
                "limit": Decimal(10),
                "call_ids": ("x",),
            },
            "budget b at 150%, stops 1 call: 15.00 USD of 10.00 USD spent, 2.00 USD held",
        ),
    ],
)
def test_an_alert_in_words(kind: AlertKind, fields: dict[str, Any], expected: str) -> None:
    assert alert_text(alert(kind, **fields)) == expected


def test_lines_for_people_and_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    told = alert(AlertKind.OVERRUN, account_id="acme", amount=Decimal("0.5"))
    shown = {}
    for form in Format:
        write = Output(form, ZoneInfo("Europe/Berlin")).lines(ALERT_LINE)
        write(told, "t1")
        write(told, "t2")
        shown[form] = capsys.readouterr().out
    line = "2026-03-01 01:00:00+01:00  WARNING  OVERRUN  acme  a call cost 0.50 USD more than was held\n"
    assert shown[Format.TABLE] == line * 2
    objects = [json.loads(text) for text in shown[Format.JSON].splitlines()]
    assert [(o["sequence"], o["amount"], o["resume_token"]) for o in objects] == [(7, "0.5", "t1"), (7, "0.5", "t2")]
    rows = list(csv.DictReader(io.StringIO(shown[Format.CSV])))
    assert [(row["alert_id"], row["amount"], row["resume_token"]) for row in rows] == [
        ("alt_1", "0.5", "t1"),
        ("alt_1", "0.5", "t2"),
    ]
