"""The one table from errors to gRPC statuses, and the statuses as they go over the wire.

docs/ERRORS.md tells callers the same; tests/contract/test_errors.py compares the two and the proto.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

import structlog
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc import StatusCode

from imprest_server.core import errors

DOMAIN: Final = "imprest"
INTERNAL_REASON: Final = "INTERNAL"
#: The metadata key that google.rpc.Status travels under.
DETAILS_KEY: Final = "grpc-status-details-bin"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Mapped:
    """What an error class becomes: its status code, and after how many seconds a retry makes sense, if told."""

    code: StatusCode
    retry_after_s: float | None = None


_DENIED: Final = Mapped(StatusCode.FAILED_PRECONDITION)
_EXISTS: Final = Mapped(StatusCode.ALREADY_EXISTS)

#: Every error a caller can be sent. Its reason is the class's `reason`.
TABLE: Final[Mapping[type[errors.ImprestError], Mapped]] = {
    errors.InvalidArgument: Mapped(StatusCode.INVALID_ARGUMENT),
    errors.AmountOutOfRange: Mapped(StatusCode.OUT_OF_RANGE),
    errors.ResumeTokenTooOld: Mapped(StatusCode.OUT_OF_RANGE),
    errors.NotFound: Mapped(StatusCode.NOT_FOUND),
    errors.IdempotencyKeyReused: _EXISTS,
    errors.ExternalReferenceUsed: _EXISTS,
    errors.AccountExists: _EXISTS,
    errors.PriceBookExists: _EXISTS,
    errors.ChannelExists: _EXISTS,
    errors.UsageLineReused: _EXISTS,
    errors.InsufficientFunds: _DENIED,
    errors.AccountFrozen: _DENIED,
    errors.AccountClosed: _DENIED,
    errors.AccountNotEmpty: _DENIED,
    errors.ReceivableOpen: _DENIED,
    errors.CallLimitReached: _DENIED,
    errors.CurrencyMismatch: _DENIED,
    errors.BudgetExceeded: _DENIED,
    errors.CallsStopped: _DENIED,
    errors.PriceNotFound: _DENIED,
    errors.OverrunRejected: _DENIED,
    errors.ReservationCommitted: _DENIED,
    errors.ReservationVoided: _DENIED,
    errors.ReservationExpired: _DENIED,
    errors.RefundExceedsCapture: _DENIED,
    errors.ChannelNotConfigured: _DENIED,
    errors.Conflict: Mapped(StatusCode.ABORTED),
    errors.Unavailable: Mapped(StatusCode.UNAVAILABLE, retry_after_s=1.0),
    errors.Draining: Mapped(StatusCode.UNAVAILABLE, retry_after_s=1.0),
    errors.QueueFull: Mapped(StatusCode.UNAVAILABLE, retry_after_s=0.1),
    errors.ReplyTooLarge: Mapped(StatusCode.RESOURCE_EXHAUSTED, retry_after_s=0.1),
    errors.SlowReader: Mapped(StatusCode.RESOURCE_EXHAUSTED, retry_after_s=1.0),
    errors.DeadlineTooShort: Mapped(StatusCode.DEADLINE_EXCEEDED),
}


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed call as it goes over the wire: `details` is a serialized google.rpc.Status."""

    code: StatusCode
    reason: str
    message: str
    details: bytes


def failure_of(error: Exception, method: str) -> Failure:
    """What the caller of `method` gets to see of an error.

    Errors that are not in the table are ours: the caller gets a generic text and an id, the log gets the
    error itself under that id.
    """
    mapped = TABLE.get(type(error)) if isinstance(error, errors.ImprestError) else None
    if mapped is None or not isinstance(error, errors.ImprestError):
        return _internal(error, method)
    metadata = error.values
    if error.replayed:
        metadata["replayed"] = "true"
    more: list[Message] = []
    if isinstance(error, errors.InvalidArgument):
        violations = [BadRequest.FieldViolation(field=name, description=text) for name, text in error.violations]
        more.append(BadRequest(field_violations=violations))
    if mapped.retry_after_s is not None:
        seconds, rest = divmod(mapped.retry_after_s, 1)
        more.append(RetryInfo(retry_delay=Duration(seconds=int(seconds), nanos=round(rest * 1e9))))
    return _failure(mapped.code, error.reason, error.message, metadata, more)


def _internal(error: Exception, method: str) -> Failure:
    error_id = uuid4().hex
    log.error("internal error", method=method, error_id=error_id, exc_info=error)
    message = f"Something unexpected went wrong. The server's log has the details under error id {error_id}."
    return _failure(StatusCode.INTERNAL, INTERNAL_REASON, message, {"error_id": error_id}, [])


def _failure(code: StatusCode, reason: str, message: str, metadata: Mapping[str, str], more: list[Message]) -> Failure:
    status = Status(code=code.value[0], message=message)
    for detail in (ErrorInfo(reason=reason, domain=DOMAIN, metadata=metadata), *more):
        packed = Any()
        packed.Pack(detail)
        status.details.append(packed)
    return Failure(code, reason, message, status.SerializeToString())
