"""The exceptions of the client library."""

import copy
import pickle

import grpc
import pytest

from imprest.v1.errors_pb2 import ErrorReason
from imprest_client import errors
from imprest_client.errors import BY_REASON, ErrorDetails, ImprestError, error_of


def details(code: grpc.StatusCode, reason: str = "", retry_after_s: float | None = None, **values: str) -> ErrorDetails:
    return ErrorDetails(code, "a message", reason, values, False, {}, retry_after_s)


def test_every_reason_of_the_proto_has_its_class() -> None:
    names = {name.removeprefix("ERROR_REASON_") for name in ErrorReason.keys()} - {"UNSPECIFIED"}  # noqa: SIM118
    assert BY_REASON.keys() == names
    shared = {errors.Unavailable, errors.DeadlineExceeded}
    classes = [cls for cls in BY_REASON.values() if cls not in shared]
    assert len(set(classes)) == len(classes)


def test_exactly_what_is_worth_repeating_is_retryable() -> None:
    retryable = {reason for reason, cls in BY_REASON.items() if issubclass(cls, errors.Retryable)}
    assert retryable == {
        "CONFLICT",
        "DATABASE_UNAVAILABLE",
        "DRAINING",
        "QUEUE_FULL",
        "REPLY_TOO_LARGE",
        "SLOW_READER",
        "DEADLINE_TOO_SHORT",
    }


@pytest.mark.parametrize(
    ("code", "cls"),
    [
        (grpc.StatusCode.UNAVAILABLE, errors.Unavailable),
        (grpc.StatusCode.DEADLINE_EXCEEDED, errors.DeadlineExceeded),
        (grpc.StatusCode.ABORTED, errors.Conflict),
        (grpc.StatusCode.CANCELLED, errors.Cancelled),
        (grpc.StatusCode.FAILED_PRECONDITION, errors.Denied),
        (grpc.StatusCode.ALREADY_EXISTS, errors.Denied),
        (grpc.StatusCode.UNIMPLEMENTED, ImprestError),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, ImprestError),
    ],
)
def test_an_unknown_reason_is_taken_by_its_code(code: grpc.StatusCode, cls: type[ImprestError]) -> None:
    for reason in ("", "A_REASON_OF_A_LATER_RELEASE"):
        assert type(error_of(details(code, reason))) is cls


def test_a_rate_limit_that_says_when_to_come_back_is_retryable() -> None:
    limited = error_of(details(grpc.StatusCode.RESOURCE_EXHAUSTED, retry_after_s=1))
    assert type(limited) is errors.RateLimited
    slow = error_of(details(grpc.StatusCode.RESOURCE_EXHAUSTED, "SLOW_READER", 1, resume_token="t"))
    assert (type(slow), slow.details.metadata["resume_token"]) == (errors.SlowReader, "t")


def test_values_are_typed_and_missing_ones_are_no_attributes() -> None:
    code = grpc.StatusCode.FAILED_PRECONDITION
    error = error_of(details(code, "RESERVATION_EXPIRED", expire_time="2026-01-31T12:00:00+00:00"), "k")
    assert isinstance(error, errors.ReservationExpired)
    assert error.expire_time.isoformat() == "2026-01-31T12:00:00+00:00"
    assert not hasattr(error, "reservation_id")
    assert (error.idempotency_key, str(error)) == ("k", "RESERVATION_EXPIRED: a message")


def test_errors_can_be_copied_to_other_processes() -> None:
    error = error_of(details(grpc.StatusCode.FAILED_PRECONDITION, "INSUFFICIENT_FUNDS", available="1"), "k")
    for same in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(same) is errors.InsufficientFunds
        assert (same.details, same.idempotency_key) == (error.details, "k")
