"""How imprestctl tells errors: every reason has an exit code, and hints name what is there."""

import re
from pathlib import Path

import grpc
import pytest

from imprest_client.ctl.failures import CtlError, ExitCode, NotConfirmed, UsageError, failure_of
from imprest_client.errors import ErrorDetails, error_of

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| ([A-Z_]+) \| ([A-Z_]+) \| (?:yes|no) \| (?:yes|no) \| ([a-z_, ]*)\|$", re.MULTILINE)
REASONS = [
    (reason, status, [name.strip() for name in variables.split(",") if name.strip()])
    for reason, status, variables in ROW.findall((ROOT / "docs" / "ERRORS.md").read_text("utf-8"))
]
EXPECTED = {
    "INVALID_ARGUMENT": ExitCode.USAGE,
    "OUT_OF_RANGE": ExitCode.USAGE,
    "NOT_FOUND": ExitCode.NOT_FOUND,
    "ALREADY_EXISTS": ExitCode.DENIED,
    "FAILED_PRECONDITION": ExitCode.DENIED,
    "ABORTED": ExitCode.UNAVAILABLE,
    "UNAVAILABLE": ExitCode.UNAVAILABLE,
    "DEADLINE_EXCEEDED": ExitCode.UNAVAILABLE,
    "UNAUTHENTICATED": ExitCode.NOT_ALLOWED,
    "PERMISSION_DENIED": ExitCode.NOT_ALLOWED,
    "RESOURCE_EXHAUSTED": ExitCode.UNAVAILABLE,
    "INTERNAL": ExitCode.BROKEN,
}


def details(
    status: str, reason: str = "", values: dict[str, str] | None = None, *, replayed: bool = False
) -> ErrorDetails:
    return ErrorDetails(grpc.StatusCode[status], "What happened.", reason, values or {}, replayed, {}, None)


def test_the_document_is_read() -> None:
    assert len(REASONS) > 20


@pytest.mark.parametrize(("reason", "status", "variables"), REASONS, ids=[reason for reason, *_ in REASONS])
def test_every_reason_has_an_exit_code_and_a_hint_that_fits(reason: str, status: str, variables: list[str]) -> None:
    error = error_of(details(status, reason, {name: f"<{name}>" for name in variables}))
    failure = failure_of(error, address="here:1", key="k")
    assert failure.exit_code is EXPECTED[status]
    assert (failure.reason, failure.message) == (reason, "What happened.")
    assert "{" not in failure.hint
    if EXPECTED[status] is ExitCode.DENIED:
        assert failure.hint, "whoever is denied something is told what to do"


def test_a_lost_answer_names_the_key_that_finds_out() -> None:
    failure = failure_of(error_of(details("DEADLINE_EXCEEDED")), key="k-1")
    assert (failure.exit_code, failure.hint) == (
        ExitCode.UNAVAILABLE,
        "run it again with --key k-1: it cannot happen twice",
    )
    assert failure_of(error_of(details("UNAVAILABLE", "DRAINING"))).hint == "try again in a moment"


def test_an_absent_server_is_asked_for() -> None:
    failure = failure_of(error_of(details("UNAVAILABLE")), address="here:1")
    assert failure.hint.startswith("is a server running on here:1?")
    assert failure_of(error_of(details("UNAVAILABLE")), address="here:1", key="k-1").hint.endswith(
        "run it again with --key k-1: it cannot happen twice"
    )


def test_a_replayed_denial_says_so() -> None:
    error = error_of(details("FAILED_PRECONDITION", "ACCOUNT_FROZEN", {"account_id": "a"}, replayed=True))
    failure = failure_of(error, key="k-1")
    assert failure.replayed
    assert failure.hint.endswith("to try again use a new --key")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("UNAUTHENTICATED", ExitCode.NOT_ALLOWED),
        ("PERMISSION_DENIED", ExitCode.NOT_ALLOWED),
        ("UNIMPLEMENTED", ExitCode.BROKEN),
        ("UNKNOWN", ExitCode.BROKEN),
        ("FAILED_PRECONDITION", ExitCode.DENIED),  # a reason of a later release
        ("CANCELLED", ExitCode.UNAVAILABLE),
    ],
)
def test_errors_without_a_reason(status: str, expected: ExitCode) -> None:
    failure = failure_of(error_of(details(status)), address="here:1")
    assert (failure.exit_code, failure.reason) == (expected, status)


def test_errors_of_our_own() -> None:
    assert failure_of(UsageError("no", hint="yes")).exit_code is ExitCode.USAGE
    assert failure_of(NotConfirmed("no")).exit_code is ExitCode.NOT_CONFIRMED
    assert failure_of(CtlError("no")).exit_code is ExitCode.BROKEN


def test_the_exit_codes_are_those_of_the_document() -> None:
    document = (ROOT / "docs" / "IMPRESTCTL.md").read_text("utf-8")
    assert {int(code) for code in re.findall(r"^\| (\d+) \| ", document, re.MULTILINE)} == {*map(int, ExitCode)}
