"""What one version stored, a later one understands: fingerprints of requests, and denials."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest

from imprest_server.core import errors
from imprest_server.core.errors import restore_denial
from imprest_server.core.ids import AccountId, ReservationId, TenantId, uuid7
from imprest_server.core.money import Money
from imprest_server.core.values import named_value
from imprest_server.ledger import operations as ops
from imprest_server.ledger.model import OnExpiry
from imprest_server.ledger.operations import fingerprint

HOLD = ReservationId(uuid7())


def commit(**fields: Any) -> ops.Commit:
    return ops.Commit(
        tenant_id=TenantId("t"), idempotency_key="k", reservation_id=HOLD, amount=Money("USD", 1), **fields
    )


def reserve(**fields: Any) -> ops.Reserve:
    return ops.Reserve(
        tenant_id=TenantId("t"), idempotency_key="k", account_id=AccountId("a"), amount=Money("USD", 1), **fields
    )


@named_value
class LaterCommit(ops.Commit):
    """A Commit as a later version has it."""

    rounding: str = "HALF_EVEN"
    audited: bool = False


TEXT = 'a "quoted" \\ ü \U0001f600 \x7f\n'
SETTINGS: ops.AccountSettings = {
    "time_zone": "UTC",
    "max_concurrent_calls": 0,
    "credit_limit": None,
    "max_overrun": Money("USD", -(2**70)),
    "labels": {"b": TEXT, TEXT: "", "a": "1"},
}
FORMS: list[tuple[ops.Operation, list[Any]]] = [
    (
        reserve(
            call_id=TEXT, labels={"b": TEXT, "a": ""}, ttl=timedelta(milliseconds=1500), on_expiry=OnExpiry.RELEASE
        ),
        [
            "RESERVE",
            {
                "account_id": "a",
                "amount": ["USD", 1],
                "call_id": TEXT,
                "labels": {"b": TEXT, "a": ""},
                "ttl": 1_500_000,
                "on_expiry": "RELEASE",
            },
        ],
    ),
    (
        commit(final=False, effective_time=datetime(1970, 1, 1, 0, 0, 1, 2, tzinfo=UTC)),
        [
            "COMMIT",
            {"reservation_id": HOLD.hex, "amount": ["USD", 1], "final": False, "effective_time": 1_000_002},
        ],
    ),
    (
        ops.UpdateAccount(tenant_id=TenantId("t"), idempotency_key="k", account_id=AccountId("a"), settings=SETTINGS),
        [
            "UPDATE_ACCOUNT",
            {"account_id": "a", "settings": {**SETTINGS, "max_overrun": ["USD", -(2**70)]}},
        ],
    ),
]


@pytest.mark.parametrize(("operation", "form"), FORMS)
def test_a_fingerprint_is_the_hash_of_json_with_sorted_keys(operation: ops.Operation, form: list[Any]) -> None:
    """Stored fingerprints are compared with those of today for ever."""
    text = json.dumps(form, sort_keys=True, separators=(",", ":"))
    assert fingerprint(operation) == hashlib.sha256(text.encode()).digest()


def test_a_field_added_with_a_default_keeps_the_fingerprint() -> None:
    later = LaterCommit(tenant_id=TenantId("t"), idempotency_key="k", reservation_id=HOLD, amount=Money("USD", 1))
    assert fingerprint(later) == fingerprint(commit())


def test_a_field_given_as_its_default_means_the_same_as_an_absent_one() -> None:
    assert fingerprint(commit(final=True)) == fingerprint(commit())
    assert fingerprint(reserve(on_expiry=OnExpiry.CAPTURE_USED)) == fingerprint(reserve())


def test_other_content_has_another_fingerprint() -> None:
    different = [
        commit(),
        commit(final=False),
        reserve(),
        reserve(on_expiry=OnExpiry.RELEASE),
        reserve(min_amount=Money("USD", 1)),
        reserve(call_id="c"),
    ]
    assert len({fingerprint(operation) for operation in different}) == len(different)


def test_a_denial_with_variables_of_then_is_still_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass(eq=False)
    class Broke(errors.StoredDenial):
        """Account {account_id} lacks {missing}."""

        account_id: str
        missing: str
        reason: ClassVar[str] = "BROKE"

    monkeypatch.setattr(errors, "STORED_DENIALS", {"BROKE": Broke})
    denial = restore_denial("BROKE", {"account_id": "a", "lacking": "5"})
    assert denial.replayed
    assert denial.values == {"account_id": "a", "missing": "?"}
    assert denial.message == "Account a lacks ?."
