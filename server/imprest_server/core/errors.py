"""Every error a caller can meet: one tree, one class per reason.

A class's docstring is its message; the fields named in it are the class's attributes, all strings, and
become the metadata of the gRPC error. `transport/errors.py` holds the one table from these classes to
status codes. Code below transport raises only these, or exceptions that mean a bug.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import ClassVar

MAX_VIOLATIONS = 25


@dataclass(eq=False)
class ImprestError(Exception):
    """Something went wrong."""

    reason: ClassVar[str] = "INTERNAL"
    #: Decided against a known account and kept with the key: a retry gets the same answer.
    stored: ClassVar[bool] = False

    def __post_init__(self) -> None:
        self.replayed = False
        super().__init__(self.message)

    @property
    def values(self) -> dict[str, str]:
        """The variables of the message, by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @property
    def message(self) -> str:
        """The docstring with its variables filled in, on one line."""
        return " ".join((type(self).__doc__ or "").format(**self.values).split())

    def __str__(self) -> str:
        return self.message


# ── malformed requests ───────────────────────────────────────────────────────────────────────────────


@dataclass(eq=False)
class InvalidArgument(ImprestError):
    """{field}: {problem}"""

    field: str
    problem: str
    reason: ClassVar[str] = "INVALID_ARGUMENT"

    def __post_init__(self) -> None:
        super().__post_init__()
        #: Every bad field with what is wrong with it, first the one in the message.
        self.violations = [(self.field, self.problem)]

    @classmethod
    def of(cls, violations: Sequence[tuple[str, str]]) -> InvalidArgument:
        """One error for all the problems (field, problem) found, at least one; it carries the first 25.

        A status travels in the trailers of a call, where there is room for a few kilobytes.
        """
        field, problem = violations[0]
        more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
        error = cls(field=field, problem=problem + more)
        error.violations = list(violations[:MAX_VIOLATIONS])
        return error


@dataclass(eq=False)
class AmountOutOfRange(ImprestError):
    """{what} would be beyond the range of google.type.Money."""

    what: str
    reason: ClassVar[str] = "OUT_OF_RANGE"


@dataclass(eq=False)
class ResumeTokenTooOld(ImprestError):
    """The alerts after the resume token are not kept any more; the oldest that are begin after {oldest_token}."""

    oldest_token: str
    reason: ClassVar[str] = "RESUME_TOKEN_TOO_OLD"


@dataclass(eq=False)
class NotFound(ImprestError):
    """There is no {resource} {id}."""

    resource: str
    id: str
    reason: ClassVar[str] = "NOT_FOUND"


# ── conflicts ────────────────────────────────────────────────────────────────────────────────────────


@dataclass(eq=False)
class IdempotencyKeyReused(ImprestError):
    """This idempotency key was used before with different content. Use a new key for a new request."""

    reason: ClassVar[str] = "IDEMPOTENCY_KEY_REUSED"


class StoredDenial(ImprestError):
    """A business rule said no; the answer is kept with the key."""

    stored: ClassVar[bool] = True


@dataclass(eq=False)
class ExternalReferenceUsed(StoredDenial):
    """External reference {external_reference} was used before for this kind of operation."""

    external_reference: str
    reason: ClassVar[str] = "EXTERNAL_REFERENCE_USED"


@dataclass(eq=False)
class UsageLineReused(StoredDenial):
    """Call {call_id} of account {account_id} has a usage line {line_id} with different content."""

    account_id: str
    call_id: str
    line_id: str
    reason: ClassVar[str] = "USAGE_LINE_REUSED"


@dataclass(eq=False)
class AccountExists(StoredDenial):
    """Account {account_id} exists already."""

    account_id: str
    reason: ClassVar[str] = "ACCOUNT_EXISTS"


@dataclass(eq=False)
class PriceBookExists(ImprestError):
    """Price book {price_book_id} exists already."""

    price_book_id: str
    reason: ClassVar[str] = "PRICE_BOOK_EXISTS"


@dataclass(eq=False)
class ChannelExists(ImprestError):
    """Channel {channel_id} exists already."""

    channel_id: str
    reason: ClassVar[str] = "CHANNEL_EXISTS"


# ── business denials: the state of the books forbids it ──────────────────────────────────────────────


@dataclass(eq=False)
class InsufficientFunds(StoredDenial):
    """Account {account_id} has {available} {currency_code} to spend; {required} {currency_code} is needed."""

    account_id: str
    currency_code: str
    available: str
    required: str
    reason: ClassVar[str] = "INSUFFICIENT_FUNDS"


@dataclass(eq=False)
class AccountFrozen(StoredDenial):
    """Account {account_id} is frozen."""

    account_id: str
    reason: ClassVar[str] = "ACCOUNT_FROZEN"


@dataclass(eq=False)
class AccountClosed(StoredDenial):
    """Account {account_id} is closed."""

    account_id: str
    reason: ClassVar[str] = "ACCOUNT_CLOSED"


@dataclass(eq=False)
class AccountNotEmpty(StoredDenial):
    """Account {account_id} cannot be closed: wallet {wallet}, held {held}, receivable {receivable}
    {currency_code}, {open_reservations} open reservations. A positive wallet needs forfeit."""

    account_id: str
    currency_code: str
    wallet: str
    held: str
    receivable: str
    open_reservations: str
    reason: ClassVar[str] = "ACCOUNT_NOT_EMPTY"


@dataclass(eq=False)
class ReceivableOpen(StoredDenial):
    """Account {account_id} owes {receivable} {currency_code}; credit must be added first."""

    account_id: str
    currency_code: str
    receivable: str
    reason: ClassVar[str] = "RECEIVABLE_OPEN"


@dataclass(eq=False)
class CallLimitReached(StoredDenial):
    """Account {account_id} has {open_reservations} calls running; {max_concurrent_calls} are allowed."""

    account_id: str
    open_reservations: str
    max_concurrent_calls: str
    reason: ClassVar[str] = "CALL_LIMIT_REACHED"


@dataclass(eq=False)
class CurrencyMismatch(StoredDenial):
    """Account {account_id} is in {account_currency_code}, not {currency_code}."""

    account_id: str
    account_currency_code: str
    currency_code: str
    reason: ClassVar[str] = "CURRENCY_MISMATCH"


@dataclass(eq=False)
class BudgetExceeded(StoredDenial):
    """Budget {budget_id} leaves {remaining} {currency_code} to spend; {required} {currency_code} is needed."""

    budget_id: str
    currency_code: str
    remaining: str
    required: str
    reason: ClassVar[str] = "BUDGET_EXCEEDED"


@dataclass(eq=False)
class CallsStopped(StoredDenial):
    """Budget {budget_id} has stopped calls; an admin can resume them."""

    budget_id: str
    reason: ClassVar[str] = "CALLS_STOPPED"


@dataclass(eq=False)
class PriceNotFound(StoredDenial):
    """There is no {side} {missing} for meter {meter}, provider "{provider}", model "{model}", destination
    "{destination}"."""

    side: str
    missing: str
    meter: str
    provider: str
    model: str
    destination: str
    reason: ClassVar[str] = "PRICE_NOT_FOUND"


@dataclass(eq=False)
class OverrunRejected(StoredDenial):
    """Reservation {reservation_id} has {remaining} {currency_code} left; the account's policy rejects {amount}."""

    reservation_id: str
    currency_code: str
    remaining: str
    amount: str
    reason: ClassVar[str] = "OVERRUN_REJECTED"


@dataclass(eq=False)
class ReservationCommitted(StoredDenial):
    """Reservation {reservation_id} is committed."""

    reservation_id: str
    reason: ClassVar[str] = "RESERVATION_COMMITTED"


@dataclass(eq=False)
class ReservationVoided(StoredDenial):
    """Reservation {reservation_id} is voided."""

    reservation_id: str
    reason: ClassVar[str] = "RESERVATION_VOIDED"


@dataclass(eq=False)
class ReservationExpired(StoredDenial):
    """Reservation {reservation_id} expired at {expire_time}."""

    reservation_id: str
    expire_time: str
    reason: ClassVar[str] = "RESERVATION_EXPIRED"


@dataclass(eq=False)
class RefundExceedsCapture(StoredDenial):
    """{refundable} {currency_code} of {target} is left to refund."""

    target: str
    currency_code: str
    refundable: str
    reason: ClassVar[str] = "REFUND_EXCEEDS_CAPTURE"


@dataclass(eq=False)
class ChannelNotConfigured(StoredDenial):
    """{kind} channels need the server's setting {setting}."""

    kind: str
    setting: str
    reason: ClassVar[str] = "CHANNEL_NOT_CONFIGURED"


# ── the service itself ───────────────────────────────────────────────────────────────────────────────


@dataclass(eq=False)
class Conflict(ImprestError):
    """The operation kept meeting conflicting work. Retry it with the same key."""

    reason: ClassVar[str] = "CONFLICT"


@dataclass(eq=False)
class Unavailable(ImprestError):
    """{problem} Try again; with the same key, if the request has one."""

    problem: str = "The database cannot be reached."
    reason: ClassVar[str] = "DATABASE_UNAVAILABLE"


@dataclass(eq=False)
class Draining(Unavailable):
    """{problem} Try again; with the same key, if the request has one."""

    problem: str = "The server is stopping."
    reason: ClassVar[str] = "DRAINING"


@dataclass(eq=False)
class QueueFull(Unavailable):
    """{problem} Try again; with the same key, if the request has one."""

    problem: str = "Too many requests are waiting."
    reason: ClassVar[str] = "QUEUE_FULL"


@dataclass(eq=False)
class SlowReader(ImprestError):
    """The stream's reader was too slow: more alerts wait than are kept for it. Resume after {resume_token}."""

    resume_token: str
    reason: ClassVar[str] = "SLOW_READER"


@dataclass(eq=False)
class DeadlineTooShort(ImprestError):
    """Too little of the deadline was left to start; nothing was done."""

    reason: ClassVar[str] = "DEADLINE_TOO_SHORT"


@dataclass(eq=False)
class ReplyTooLarge(ImprestError):
    """The replies of this batch do not fit into one message. Send this operation again with the same key: it may have
    been carried out, and the answer tells."""

    reason: ClassVar[str] = "REPLY_TOO_LARGE"


def _leaves(cls: type[ImprestError]) -> list[type[ImprestError]]:
    return [leaf for sub in cls.__subclasses__() for leaf in [sub, *_leaves(sub)]]


STORED_DENIALS: Mapping[str, type[ImprestError]] = {cls.reason: cls for cls in _leaves(StoredDenial)}


def restore_denial(reason: str, values: Mapping[str, str]) -> ImprestError:
    """The denial that was stored under a key, marked as replayed.

    An older version may have stored other variables: what is missing is shown as "?", what is unknown left out.
    """
    cls = STORED_DENIALS[reason]
    error = cls(**{f.name: values.get(f.name, "?") for f in fields(cls)})
    error.replayed = True
    return error
