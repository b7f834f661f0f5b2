"""What went wrong: one tree of exceptions, one class per reason, with the values that Imprest sends along.

    ImprestError
    ├── Denied                 a rule said no; the answer is kept with the key (InsufficientFunds, AccountFrozen, …)
    ├── Retryable              not decided, or the answer was lost: the same request with the same key finds out
    └── InvalidArgument, NotFound, IdempotencyKeyReused, …     the request has to be changed

`docs/ERRORS.md` explains every reason. A reason that this release does not know yet becomes the class of its status.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final, Generic, TypeVar, cast, overload

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
    return _details(call.code(), call.details() or "", _status(call))


_CODES: Final[Mapping[int, grpc.StatusCode]] = {code.value[0]: code for code in grpc.StatusCode}


def details_in(status: Status) -> ErrorDetails:
    """Decode the error of one operation of a batch."""
    return _details(_CODES.get(status.code, grpc.StatusCode.UNKNOWN), status.message, status)


def details_here(code: grpc.StatusCode, message: str) -> ErrorDetails:
    """Of an error that was found in this process."""
    return ErrorDetails(code, message, "", {}, False, {}, None)


def _details(code: grpc.StatusCode, message: str, status: Status) -> ErrorDetails:
    info, bad_request, retry = ErrorInfo(), BadRequest(), RetryInfo()
    for detail in status.details:
        for kind in (info, bad_request, retry):
            detail.Unpack(kind)
    if info.domain != DOMAIN:
        info = ErrorInfo()
    metadata = dict(info.metadata)
    return ErrorDetails(
        code=code,
        message=message,
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


# ── the values of an error, by name and type ─────────────────────────────────────────────────────────

T = TypeVar("T")


class _Value(Generic[T]):
    """An attribute that reads the variable of its own name out of the error's metadata."""

    def __init__(self, parse: Callable[[str], T]) -> None:
        self._parse = parse

    def __set_name__(self, owner: type[ImprestError], name: str) -> None:
        self._name = name

    @overload
    def __get__(self, error: None, owner: type[ImprestError]) -> _Value[T]: ...
    @overload
    def __get__(self, error: ImprestError, owner: type[ImprestError]) -> T: ...
    def __get__(self, error: ImprestError | None, owner: type[ImprestError]) -> _Value[T] | T:
        if error is None:
            return self
        try:
            return self._parse(error.details.metadata[self._name])
        except KeyError:
            raise AttributeError(f"the server did not send {self._name}") from None


def _text() -> _Value[str]:
    return _Value(str)


def _amount() -> _Value[Decimal]:
    return _Value(Decimal)


def _count() -> _Value[int]:
    return _Value(int)


def _instant() -> _Value[datetime]:
    return _Value(datetime.fromisoformat)


# ── the tree ─────────────────────────────────────────────────────────────────────────────────────────


class ImprestError(Exception):
    """A request failed. `details` has all there is to know; `idempotency_key` is the key it was sent with, if any."""

    def __init__(self, details: ErrorDetails, idempotency_key: str | None = None) -> None:
        super().__init__(details, idempotency_key)
        self.details = details
        self.idempotency_key = idempotency_key

    def __str__(self) -> str:
        return f"{self.reason or self.code.name}: {self.details.message}"

    @property
    def reason(self) -> str:
        """The name of an ErrorReason, such as "INSUFFICIENT_FUNDS"; empty when gRPC itself failed."""
        return self.details.reason

    @property
    def code(self) -> grpc.StatusCode:
        """The status code."""
        return self.details.code

    @property
    def replayed(self) -> bool:
        """Whether this is the stored answer to an earlier request with the same key."""
        return self.details.replayed


class InvalidArgument(ImprestError):
    """A field is missing, malformed or outside its range. Fix the caller."""

    field = _text()
    problem = _text()


class AmountOutOfRange(ImprestError):
    """An amount, or the balance it would lead to, is beyond what google.type.Money can carry."""

    what = _text()


class ResumeTokenTooOld(ImprestError):
    """Alerts after the resume token are not kept any more; the stream of those that are begins with `oldest_token`."""

    oldest_token = _text()


class NotFound(ImprestError):
    """There is no such account, reservation or transaction."""

    resource = _text()
    id = _text()


class IdempotencyKeyReused(ImprestError):
    """The key was used before with other content."""


class Unauthenticated(ImprestError):
    """Credentials are missing or bad."""


class PermissionDenied(ImprestError):
    """The credentials do not allow this."""


class InternalError(ImprestError):
    """Something unexpected; the server's log has the error under `error_id`. Retrying with the same key is safe."""

    error_id = _text()


# ── a rule said no ───────────────────────────────────────────────────────────────────────────────────


class Denied(ImprestError):
    """A business rule said no. The answer is kept with the key: to try again after a change, use a new key."""


class InsufficientFunds(Denied):
    """`required` is more than the `available` credit."""

    account_id = _text()
    currency_code = _text()
    available = _amount()
    required = _amount()


class BudgetExceeded(Denied):
    """The budget leaves `remaining` to spend, and `required` is more."""

    budget_id = _text()
    currency_code = _text()
    remaining = _amount()
    required = _amount()


class CallsStopped(Denied):
    """The budget has stopped calls, until an admin resumes them, it is changed, or its next period begins."""

    budget_id = _text()


class AccountFrozen(Denied):
    """The account is frozen."""

    account_id = _text()


class AccountClosed(Denied):
    """The account is closed."""

    account_id = _text()


class AccountNotEmpty(Denied):
    """The account to close has holds, owes money, or has credit that `forfeit` does not give up."""

    account_id = _text()
    currency_code = _text()
    wallet = _amount()
    held = _amount()
    receivable = _amount()
    open_reservations = _count()


class ReceivableOpen(Denied):
    """The customer owes `receivable`, which has to be paid first."""

    account_id = _text()
    currency_code = _text()
    receivable = _amount()


class CallLimitReached(Denied):
    """As many reservations are active as the account allows."""

    account_id = _text()
    open_reservations = _count()
    max_concurrent_calls = _count()


class CurrencyMismatch(Denied):
    """An amount is not in the account's currency."""

    account_id = _text()
    account_currency_code = _text()
    currency_code = _text()


class PriceNotFound(Denied):
    """A usage line has no price, no cost to derive it from, or no exchange rate: `missing` on `side`."""

    side = _text()
    missing = _text()
    meter = _text()
    provider = _text()
    model = _text()
    destination = _text()


class OverrunRejected(Denied):
    """The commit exceeds the hold and the account's policy rejects that; commit at most `remaining`."""

    reservation_id = _text()
    currency_code = _text()
    remaining = _amount()
    amount = _amount()


class ReservationCommitted(Denied):
    """The reservation is committed already."""

    reservation_id = _text()


class ReservationVoided(Denied):
    """The reservation is voided already."""

    reservation_id = _text()


class ReservationExpired(Denied):
    """The reservation expired at `expire_time`; for a commit: too long ago. Post the usage with a charge."""

    reservation_id = _text()
    expire_time = _instant()


class RefundExceedsCapture(Denied):
    """Only `refundable` is left of what was paid or is owed."""

    target = _text()
    currency_code = _text()
    refundable = _amount()


class ExternalReferenceUsed(Denied):
    """The external reference was used before for this kind of operation."""

    external_reference = _text()


class AccountExists(Denied):
    """The tenant has an account with this id."""

    account_id = _text()


class PriceBookExists(Denied):
    """The tenant has a price book with this id."""

    price_book_id = _text()


class ChannelExists(Denied):
    """The tenant has a channel with this id."""

    channel_id = _text()


class ChannelNotConfigured(Denied):
    """The operator has not set up what channels of this kind need."""

    kind = _text()
    setting = _text()


class UsageLineReused(Denied):
    """The call has a usage line with this id and other content."""

    account_id = _text()
    call_id = _text()
    line_id = _text()


# ── not decided ──────────────────────────────────────────────────────────────────────────────────────


class Retryable(ImprestError):
    """Not decided, or the answer was lost: sending the same request with the same key finds out, and is harmless."""


class Unavailable(Retryable):
    """The server or its database cannot be reached, is stopping, or has too much to do."""


class Conflict(Retryable):
    """The database reported conflicting work too often in a row; nothing happened."""


class DeadlineExceeded(Retryable):
    """No answer came in time."""


class Cancelled(Retryable):
    """The server stopped before it answered."""


class RateLimited(Retryable):
    """Too many requests; the server said when to come back."""


class SlowReader(Retryable):
    """More alerts wait for the reader of the stream than are kept; the next one goes on after `resume_token`."""

    resume_token = _text()


class ReplyTooLarge(Retryable):
    """The operation's reply did not fit into that of its batch; sent again with the same key it is answered."""


BY_REASON: Final[Mapping[str, type[ImprestError]]] = {
    "INVALID_ARGUMENT": InvalidArgument,
    "INSUFFICIENT_FUNDS": InsufficientFunds,
    "BUDGET_EXCEEDED": BudgetExceeded,
    "CALLS_STOPPED": CallsStopped,
    "ACCOUNT_FROZEN": AccountFrozen,
    "ACCOUNT_CLOSED": AccountClosed,
    "ACCOUNT_NOT_EMPTY": AccountNotEmpty,
    "RECEIVABLE_OPEN": ReceivableOpen,
    "CALL_LIMIT_REACHED": CallLimitReached,
    "CURRENCY_MISMATCH": CurrencyMismatch,
    "PRICE_NOT_FOUND": PriceNotFound,
    "OVERRUN_REJECTED": OverrunRejected,
    "RESERVATION_COMMITTED": ReservationCommitted,
    "RESERVATION_VOIDED": ReservationVoided,
    "RESERVATION_EXPIRED": ReservationExpired,
    "REFUND_EXCEEDS_CAPTURE": RefundExceedsCapture,
    "IDEMPOTENCY_KEY_REUSED": IdempotencyKeyReused,
    "EXTERNAL_REFERENCE_USED": ExternalReferenceUsed,
    "ACCOUNT_EXISTS": AccountExists,
    "PRICE_BOOK_EXISTS": PriceBookExists,
    "CHANNEL_EXISTS": ChannelExists,
    "CHANNEL_NOT_CONFIGURED": ChannelNotConfigured,
    "USAGE_LINE_REUSED": UsageLineReused,
    "NOT_FOUND": NotFound,
    "UNAUTHENTICATED": Unauthenticated,
    "PERMISSION_DENIED": PermissionDenied,
    "CONFLICT": Conflict,
    "DATABASE_UNAVAILABLE": Unavailable,
    "DRAINING": Unavailable,
    "QUEUE_FULL": Unavailable,
    "REPLY_TOO_LARGE": ReplyTooLarge,
    "SLOW_READER": SlowReader,
    "OUT_OF_RANGE": AmountOutOfRange,
    "RESUME_TOKEN_TOO_OLD": ResumeTokenTooOld,
    "DEADLINE_TOO_SHORT": DeadlineExceeded,
    "INTERNAL": InternalError,
}
"""The class of every reason in the proto's ErrorReason."""

_BY_CODE: Final[Mapping[grpc.StatusCode, type[ImprestError]]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidArgument,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.ALREADY_EXISTS: Denied,
    grpc.StatusCode.FAILED_PRECONDITION: Denied,
    grpc.StatusCode.OUT_OF_RANGE: AmountOutOfRange,
    grpc.StatusCode.UNAUTHENTICATED: Unauthenticated,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDenied,
    grpc.StatusCode.ABORTED: Conflict,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    # A caller's own cancellation is asyncio's CancelledError: what arrives as a status came from the server.
    grpc.StatusCode.CANCELLED: Cancelled,
    grpc.StatusCode.INTERNAL: InternalError,
}


def error_of(details: ErrorDetails, idempotency_key: str | None = None) -> ImprestError:
    """The exception for a failed call."""
    cls = BY_REASON.get(details.reason)
    # Without a delay the server will not take the request later, either: it is too large.
    if cls is None and details.code is grpc.StatusCode.RESOURCE_EXHAUSTED and details.retry_after_s is not None:
        cls = RateLimited
    return (cls or _BY_CODE.get(details.code, ImprestError))(details, idempotency_key)
