"""Usage in operations and replies: every field counts for the fingerprint, and a stored reply comes back as it was."""

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from imprest_server.core.ids import ReservationId, TenantId
from imprest_server.core.usage import RatedLine, UsageLine, UsageReport, format_decimal
from imprest_server.ledger.codec import decode_reply, encode_reply
from imprest_server.ledger.model import ChargeBreakdown
from imprest_server.ledger.operations import Commit, Reply, fingerprint

LINE = UsageLine(meter="stt.seconds", quantity=Decimal("1.5"))
REPORT = UsageReport(lines=(LINE,))
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
OTHER_LINE: dict[str, Any] = {
    "meter": "tts.seconds",
    "quantity": Decimal("1.25"),
    "line_id": "l",
    "provider": "p",
    "model": "m",
    "destination": "49",
    "operation": "o",
    "labels": {"a": "b"},
}
OTHER_REPORT: dict[str, Any] = {
    "lines": (LINE, LINE),
    "start_time": NOON,
    "end_time": NOON,
    "labels": {"a": "b"},
}


def print_of(usage: UsageReport) -> bytes:
    return fingerprint(
        Commit(tenant_id=TenantId("t"), idempotency_key="k", reservation_id=ReservationId(UUID(int=1)), usage=usage)
    )


def test_the_tables_name_every_field() -> None:
    assert OTHER_LINE.keys() == {f.name for f in fields(UsageLine)}
    assert OTHER_REPORT.keys() == {f.name for f in fields(UsageReport)}


@pytest.mark.parametrize("name", OTHER_LINE)
def test_a_line_with_another_field_is_other_content(name: str) -> None:
    changed = replace(LINE, **{name: OTHER_LINE[name]})
    assert print_of(UsageReport(lines=(changed,))) != print_of(REPORT)


@pytest.mark.parametrize("name", OTHER_REPORT)
def test_a_report_with_another_field_is_other_content(name: str) -> None:
    assert print_of(replace(REPORT, **{name: OTHER_REPORT[name]})) != print_of(REPORT)


def test_equal_quantities_are_the_same_content() -> None:
    written_otherwise = replace(LINE, quantity=Decimal("15.000E-1"))
    assert print_of(UsageReport(lines=(written_otherwise,))) == print_of(REPORT)


def test_a_fingerprint_stays_as_it_is() -> None:
    """Stored ones are compared with those of later versions."""
    assert print_of(REPORT).hex() == "73794e4b7f90b6527916466515b6d95407719e2c79ddae3dd39f99d443e58fd3"


@pytest.mark.parametrize(
    ("number", "text"),
    [("0", "0"), ("0.00", "0"), ("100", "100"), ("1E+3", "1000"), ("1.50", "1.5"), ("5e-18", "0." + "0" * 17 + "5")],
)
def test_decimals_have_one_form(number: str, text: str) -> None:
    assert format_decimal(Decimal(number)) == text


def test_a_reply_comes_back_as_it_was() -> None:
    rated = RatedLine(
        line=replace(LINE, **OTHER_LINE),
        price=7,
        cost=3,
        exact_price=Decimal("0.000000007000000000"),
        exact_cost=Decimal("0.000000002999999999"),
        price_version=UUID(int=5),
        cost_version=None,
        match="price: book a",
    )
    reply = Reply(
        charge=ChargeBreakdown(from_hold=7, provider_cost=3, lines=(rated, replace(rated, duplicate=True))),
        affordable_duration=timedelta(days=1, seconds=2),
    )
    assert decode_reply(encode_reply(reply)) == reply
