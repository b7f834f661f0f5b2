"""What went wrong, out of a `grpc.RpcError`: the reason and the variables that Imprest sends with every error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

DOMAIN = "imprest"
_DETAILS_KEY = "grpc-status-details-bin"


@dataclass(frozen=True)
class ErrorDetails:
    """A failed call.

    `reason` is the name of an ErrorReason without its prefix ("INSUFFICIENT_FUNDS"); empty when the error does not
    come from Imprest but from gRPC itself, such as a connection that could not be made. `metadata` holds the
    variables of the message, without `replayed`. `violations` names the bad fields of INVALID_ARGUMENT.
    """

    code: grpc.StatusCode
    message: str
    reason: str
    metadata: Mapping[str, str]
    replayed: bool
    violations: Mapping[str, str]
    retry_after_s: float | None


def details_of(error: grpc.RpcError) -> ErrorDetails:
    """Decode the error of a call, made with `grpc` or `grpc.aio`."""
    call = cast(grpc.Call, error)  # the errors that calls raise are calls, too
    info, bad_request, retry = ErrorInfo(), BadRequest(), RetryInfo()
    for detail in _status(call).details:
        for message in (info, bad_request, retry):
            detail.Unpack(message)
    if info.domain != DOMAIN:
        info = ErrorInfo()
    metadata = dict(info.metadata)
    return ErrorDetails(
        code=call.code(),
        message=call.details() or "",
        reason=info.reason,
        replayed=metadata.pop("replayed", "") == "true",
        metadata=metadata,
        violations={violation.field: violation.description for violation in bad_request.field_violations},
        retry_after_s=(
            retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9 if retry.HasField("retry_delay") else None
        ),
    )


def _status(call: grpc.Call) -> Status:
    for key, value in call.trailing_metadata() or ():
        if key == _DETAILS_KEY and isinstance(value, bytes):
            try:
                return Status.FromString(value)
            except DecodeError:
                break
    return Status()
