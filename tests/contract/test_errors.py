"""One table of errors: the classes, the statuses, the proto's enum and docs/ERRORS.md say the same."""

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from structlog.testing import capture_logs

from imprest.v1.errors_pb2 import ErrorReason
from imprest_server.core import errors
from imprest_server.core.errors import ImprestError, InsufficientFunds, InvalidArgument, QueueFull
from imprest_server.transport.errors import INTERNAL_REASON, TABLE, failure_of

DOCUMENT = (Path(__file__).parents[2] / "docs" / "ERRORS.md").read_text()

#: The code of every reason, without asking the implementation.
CODES = {
    "INVALID_ARGUMENT": "INVALID_ARGUMENT",
    "OUT_OF_RANGE": "OUT_OF_RANGE",
    "RESUME_TOKEN_TOO_OLD": "OUT_OF_RANGE",
    "SLOW_READER": "RESOURCE_EXHAUSTED",
    "NOT_FOUND": "NOT_FOUND",
    "CONFLICT": "ABORTED",
    "DEADLINE_TOO_SHORT": "DEADLINE_EXCEEDED",
    "INTERNAL": "INTERNAL",
    "REPLY_TOO_LARGE": "RESOURCE_EXHAUSTED",
    **dict.fromkeys(
        [
            "IDEMPOTENCY_KEY_REUSED",
            "EXTERNAL_REFERENCE_USED",
            "ACCOUNT_EXISTS",
            "USAGE_LINE_REUSED",
            "PRICE_BOOK_EXISTS",
            "CHANNEL_EXISTS",
        ],
        "ALREADY_EXISTS",
    ),
    **dict.fromkeys(["DATABASE_UNAVAILABLE", "DRAINING", "QUEUE_FULL"], "UNAVAILABLE"),
    **dict.fromkeys(
        [
            "INSUFFICIENT_FUNDS",
            "ACCOUNT_FROZEN",
            "ACCOUNT_CLOSED",
            "ACCOUNT_NOT_EMPTY",
            "RECEIVABLE_OPEN",
            "CALL_LIMIT_REACHED",
            "CURRENCY_MISMATCH",
            "BUDGET_EXCEEDED",
            "CALLS_STOPPED",
            "PRICE_NOT_FOUND",
            "OVERRUN_REJECTED",
            "RESERVATION_COMMITTED",
            "RESERVATION_VOIDED",
            "RESERVATION_EXPIRED",
            "REFUND_EXCEEDS_CAPTURE",
            "CHANNEL_NOT_CONFIGURED",
        ],
        "FAILED_PRECONDITION",
    ),
}
#: In the proto, and sent by later releases only.
PLANNED = {"UNAUTHENTICATED", "PERMISSION_DENIED"}
RETRYABLE = {"ABORTED", "UNAVAILABLE", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED", "INTERNAL"}


def concrete(cls: type[ImprestError] = ImprestError) -> list[type[ImprestError]]:
    """All error classes that are raised: those with a reason of their own."""
    below = [found for sub in cls.__subclasses__() for found in concrete(sub)]
    return ([cls] if "reason" in vars(cls) and cls is not ImprestError else []) + below


def example(cls: type[ImprestError]) -> ImprestError:
    return cls(**{f.name: f"<{f.name}>" for f in fields(cls)})


def decoded(details: bytes) -> tuple[Status, ErrorInfo, BadRequest, RetryInfo]:
    status = Status.FromString(details)
    info, bad_request, retry = ErrorInfo(), BadRequest(), RetryInfo()
    for detail in status.details:
        assert detail.Is(info.DESCRIPTOR) or detail.Is(bad_request.DESCRIPTOR) or detail.Is(retry.DESCRIPTOR)
        for message in (info, bad_request, retry):
            detail.Unpack(message)
    return status, info, bad_request, retry


def documented() -> dict[str, list[str]]:
    """The rows of the table in docs/ERRORS.md, by reason."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in DOCUMENT.splitlines() if line[:1] == "|"]
    return {row[0]: row[1:] for row in rows[2:]}


def test_every_error_is_in_the_table() -> None:
    assert set(TABLE) == set(concrete())


def test_reasons_are_those_of_the_proto() -> None:
    reasons = [cls.reason for cls in TABLE]
    assert len(set(reasons)) == len(reasons)
    names = {name.removeprefix("ERROR_REASON_") for name in ErrorReason.keys()} - {"UNSPECIFIED"}  # noqa: SIM118
    assert {*reasons, INTERNAL_REASON} == names - PLANNED


def test_every_reason_has_its_code() -> None:
    assert {cls.reason: mapped.code.name for cls, mapped in TABLE.items()} == {
        reason: code for reason, code in CODES.items() if reason != INTERNAL_REASON
    }


def test_the_document_says_the_same() -> None:
    rows = documented()
    assert set(rows) == set(CODES)
    for cls, mapped in TABLE.items():
        code, stored, retry, variables = rows[cls.reason]
        assert code == mapped.code.name, cls
        assert stored == ("yes" if cls.stored else "no"), cls
        assert retry == ("yes" if code in RETRYABLE else "no"), cls
        assert variables.split(", ") == ([f.name for f in fields(cls)] or [""]), cls
    assert rows[INTERNAL_REASON] == ["INTERNAL", "no", "yes", "error_id"]
    explained = re.findall(r"\*\*([A-Z_]+)\*\*", DOCUMENT.partition("## When")[2])
    assert sorted(explained) == sorted(CODES)
    assert all(reason in DOCUMENT for reason in PLANNED)


def test_only_denials_by_the_state_of_the_books_are_stored() -> None:
    for cls, mapped in TABLE.items():
        expected = mapped.code is grpc.StatusCode.FAILED_PRECONDITION or cls in (
            errors.ExternalReferenceUsed,
            errors.AccountExists,
            errors.UsageLineReused,
        )
        assert cls.stored is expected, cls


@pytest.mark.parametrize("cls", TABLE, ids=lambda cls: cls.reason)
def test_the_wire_carries_every_variable(cls: type[ImprestError]) -> None:
    error = example(cls)
    failure = failure_of(error, "/m")
    status, info, bad_request, retry = decoded(failure.details)
    assert (status.code, status.message) == (failure.code.value[0], failure.message)
    assert (info.domain, info.reason) == ("imprest", cls.reason)
    assert dict(info.metadata) == error.values
    assert all(value in failure.message for value in error.values.values())
    assert "{" not in failure.message
    assert bool(bad_request.field_violations) is (cls is InvalidArgument)
    waits = failure.code is grpc.StatusCode.UNAVAILABLE or cls is errors.SlowReader
    assert retry.HasField("retry_delay") is waits


def test_a_bad_field_is_named() -> None:
    failure = failure_of(InvalidArgument(field="account.time_zone", problem="must be better"), "/m")
    (violation,) = decoded(failure.details)[2].field_violations
    assert (violation.field, violation.description) == ("account.time_zone", "must be better")


def test_the_delay_before_a_retry_is_exact() -> None:
    delay = decoded(failure_of(QueueFull(), "/m").details)[3].retry_delay
    assert (delay.seconds, delay.nanos) == (0, 100_000_000)


def test_a_replayed_denial_says_so() -> None:
    error = example(InsufficientFunds)
    assert "replayed" not in decoded(failure_of(error, "/m").details)[1].metadata
    error.replayed = True
    assert decoded(failure_of(error, "/m").details)[1].metadata["replayed"] == "true"
    assert "replayed" not in error.values


class Surprise(ImprestError):
    """Not in the table: {secret}"""

    def __init__(self) -> None:
        self.replayed = False

    @property
    def values(self) -> dict[str, str]:
        return {"secret": "row value"}


@pytest.mark.parametrize("error", [ValueError("row value"), Surprise(), AssertionError("row value")], ids=repr)
def test_what_is_unexpected_stays_in_the_log(error: Exception) -> None:
    with capture_logs() as logged:
        failure = failure_of(error, "/imprest.v1.LedgerService/Reserve")
    status, info, _, _ = decoded(failure.details)
    assert failure.code is grpc.StatusCode.INTERNAL
    assert (info.reason, list(info.metadata)) == (INTERNAL_REASON, ["error_id"])
    assert b"row value" not in failure.details
    assert "row value" not in status.message
    (entry,) = logged
    assert entry["error_id"] == info.metadata["error_id"]
    assert entry["exc_info"] is error


def test_the_largest_error_fits_into_the_headers_that_grpc_allows() -> None:
    # 8 KiB by default; the message is percent-encoded, the details are base64.
    widest = "\N{FACE WITH TEARS OF JOY}" * 255
    largest: Any = errors.ExternalReferenceUsed(external_reference=widest)
    failure = failure_of(largest, "/m")
    assert len(failure.message.encode()) * 3 + len(failure.details) * 4 / 3 < 7 * 1024
