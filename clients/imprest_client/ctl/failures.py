"""What can go wrong for who typed a command: exit codes, one line that says why, and what to do next.

The exit codes are a contract: docs/IMPRESTCTL.md lists them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

import grpc

from imprest_client.errors import (
    AmountOutOfRange,
    Denied,
    IdempotencyKeyReused,
    ImprestError,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResumeTokenTooOld,
    Retryable,
    Unauthenticated,
)


class ExitCode(IntEnum):
    """How a command ended."""

    DONE = 0
    DENIED = 1
    USAGE = 2
    NOT_FOUND = 3
    UNAVAILABLE = 4
    NOT_ALLOWED = 5
    NOT_CONFIRMED = 6
    BROKEN = 7
    INTERRUPTED = 130


class CtlError(Exception):
    """A command cannot go on; decided here, not by the server."""

    exit_code = ExitCode.BROKEN
    reason = "BROKEN"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(CtlError):
    """What was typed, or stands in the profiles or the environment, is not right."""

    exit_code = ExitCode.USAGE
    reason = "USAGE"


class NotConfirmed(CtlError):
    """The answer was no, or there was nobody to ask."""

    exit_code = ExitCode.NOT_CONFIRMED
    reason = "NOT_CONFIRMED"


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed command, as it is told. `reason` is the server's where it gave one."""

    exit_code: ExitCode
    reason: str
    message: str
    hint: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    violations: Mapping[str, str] = field(default_factory=dict)
    replayed: bool = False
    idempotency_key: str | None = None


def failure_of(
    error: CtlError | ImprestError, *, address: str = "", tls: bool = False, key: str | None = None
) -> Failure:
    """Tell an error.

    Args:
        error: What was raised.
        address: The server that was asked.
        tls: Whether the connection was to be encrypted.
        key: The idempotency key of the command, when it was about to change something.
    """
    if isinstance(error, CtlError):
        return Failure(error.exit_code, error.reason, error.message, error.hint)
    return Failure(
        exit_code=_exit_code(error),
        reason=error.reason or error.code.name,
        message=error.details.message,
        hint=_hint(error, address, tls, key),
        values=error.details.metadata,
        violations=error.details.violations,
        replayed=error.replayed,
        idempotency_key=key,
    )


def _exit_code(error: ImprestError) -> ExitCode:
    match error:
        case Denied() | IdempotencyKeyReused():
            return ExitCode.DENIED
        case InvalidArgument() | AmountOutOfRange() | ResumeTokenTooOld():
            return ExitCode.USAGE
        case NotFound():
            return ExitCode.NOT_FOUND
        case Retryable():
            return ExitCode.UNAVAILABLE
        case Unauthenticated() | PermissionDenied():
            return ExitCode.NOT_ALLOWED
        case _:
            return ExitCode.BROKEN


# What to do next, by reason. `{name}` is a variable of the error.
_HINTS: Final[Mapping[str, str]] = {
    "INSUFFICIENT_FUNDS": "`imprestctl balance {account_id}` shows what is there; `imprestctl credit add` adds to it",
    "BUDGET_EXCEEDED": "`imprestctl budgets show {budget_id}` shows what is left; `imprestctl budgets set` changes it",
    "CALLS_STOPPED": "`imprestctl budgets show {budget_id}` tells more; `imprestctl budgets resume` lifts it",
    "RESUME_TOKEN_TOO_OLD": "some alerts are lost to this reader; go on with --resume-token {oldest_token}",
    "ACCOUNT_FROZEN": "`imprestctl accounts unfreeze {account_id}` lifts the freeze",
    "ACCOUNT_CLOSED": "a closed account stays closed; it takes only chargebacks and the repayment of what is owed",
    "ACCOUNT_NOT_EMPTY": "end its calls (`imprestctl reservations list --account {account_id} --state active`), see to "
    "what is owed, and give up what is left with --forfeit",
    "RECEIVABLE_OPEN": "credit repays what is owed first: `imprestctl credit add {account_id} {receivable}`",
    "CURRENCY_MISMATCH": "the account is in {account_currency_code}",
    "RESERVATION_COMMITTED": "`imprestctl explain {reservation_id}` tells what became of it",
    "RESERVATION_VOIDED": "`imprestctl explain {reservation_id}` tells what became of it",
    "RESERVATION_EXPIRED": "`imprestctl explain {reservation_id}` tells what became of it",
    "REFUND_EXCEEDS_CAPTURE": "`imprestctl explain {target}` shows what was charged and refunded; without an amount "
    "all that is left is refunded",
    "EXTERNAL_REFERENCE_USED": "this has been posted before under that reference",
    "ACCOUNT_EXISTS": "`imprestctl accounts show {account_id}` shows it",
    "PRICE_NOT_FOUND": "`imprestctl prices books` lists the books, `imprestctl prices assign` says whom they price",
    "PRICE_BOOK_EXISTS": "`imprestctl prices show {price_book_id}` shows it",
    "CHANNEL_EXISTS": "choose another id",
    "CHANNEL_NOT_CONFIGURED": "the operator sets {setting} for the server",
    "IDEMPOTENCY_KEY_REUSED": "use a new key for a new request, or leave --key out",
    "UNAUTHENTICATED": "give a token with IMPRESTCTL_TOKEN or a profile (`imprestctl profiles set NAME --ask-token`)",
    "PERMISSION_DENIED": "the token does not allow this",
    "INTERNAL": "the server's log has the error under this id",
}


_WITH_TLS: Final = "its certificate has to be for this name, and trusted here or by --ca-file"


def _hint(error: ImprestError, address: str, tls: bool, key: str | None) -> str:
    if error.replayed:
        return "this is the stored answer to an earlier request with the same key; to try again use a new --key"
    if isinstance(error, Retryable):
        again = f"run it again with --key {key}: it cannot happen twice" if key else ""
        if error.code is grpc.StatusCode.UNAVAILABLE and not error.reason:
            there = f"is a server running on {address}? --address, IMPRESTCTL_ADDRESS or a profile name another one; "
            there += _WITH_TLS if tls else "one with TLS needs --tls"
            return f"{there}; {again}" if again else there
        return again or "try again in a moment"
    if error.code is grpc.StatusCode.UNIMPLEMENTED:
        return f"the server on {address} is older than this imprestctl, or no Imprest server"
    other = "docs/ERRORS.md explains this reason" if isinstance(error, Denied) else ""
    hint = _HINTS.get(error.reason or error.code.name, other)
    try:
        return hint.format_map(error.details.metadata)
    except KeyError:
        return ""
