"""What callers ask the ledger to do, and what it answers.

One value per operation. The fingerprint covers just the fields that differ from their default, so it
does not change when a field is added later: never change a default. Amounts are `Money` here: the rules check its
currency against the account's before they use its nanos.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime, timedelta
from enum import StrEnum
from json.encoder import encode_basestring_ascii as _text
from typing import Any, ClassVar, TypedDict
from uuid import UUID

from imprest_server.core.ids import AccountId, ReservationId, TenantId, TransactionId
from imprest_server.core.money import Money
from imprest_server.core.usage import RatedLine, UsageLine, UsageReport, format_decimal
from imprest_server.core.values import named_value, value
from imprest_server.ledger.hashing import unix_micros
from imprest_server.ledger.model import (
    Account,
    Balance,
    ChargeBreakdown,
    Labels,
    OnExpiry,
    OverrunPolicy,
    Reservation,
    Transaction,
)


class OperationKind(StrEnum):
    """The scope of an idempotency key, with the tenant. Values are stored; never rename one."""

    CREATE_ACCOUNT = "CREATE_ACCOUNT"
    UPDATE_ACCOUNT = "UPDATE_ACCOUNT"
    FREEZE_ACCOUNT = "FREEZE_ACCOUNT"
    UNFREEZE_ACCOUNT = "UNFREEZE_ACCOUNT"
    CLOSE_ACCOUNT = "CLOSE_ACCOUNT"
    ADD_CREDIT = "ADD_CREDIT"
    REVERSE_CREDIT = "REVERSE_CREDIT"
    GRANT_CREDIT = "GRANT_CREDIT"
    ADJUST = "ADJUST"
    WITHDRAW = "WITHDRAW"
    TRANSFER = "TRANSFER"
    RESERVE = "RESERVE"
    EXTEND = "EXTEND"
    COMMIT = "COMMIT"
    VOID = "VOID"
    CHARGE = "CHARGE"
    RECORD_USAGE = "RECORD_USAGE"
    REFUND = "REFUND"
    TRUE_UP_COST = "TRUE_UP_COST"
    RERATE = "RERATE"
    CHARGE_SUBSCRIPTION = "CHARGE_SUBSCRIPTION"
    EXPIRE = "EXPIRE"


@named_value
class Operation:
    """A mutating request: the tenant it belongs to and the key that makes it happen once."""

    kind: ClassVar[OperationKind]
    tenant_id: TenantId
    idempotency_key: str


class AccountSettings(TypedDict, total=False):
    """The settings of an account a caller may choose; a missing key means "leave it", None "no limit".

    No credit limit is one of zero.
    """

    customer_id: str
    display_name: str
    credit_limit: Money | None
    overrun_policy: OverrunPolicy
    max_overrun: Money | None
    max_concurrent_calls: int | None
    low_balance_threshold: Money | None
    time_zone: str
    labels: Labels


@named_value
class CreateAccount(Operation):
    """Open an account; without an id of the caller's choice one is made."""

    kind = OperationKind.CREATE_ACCOUNT
    account_id: AccountId | None = None
    currency_code: str
    parent_account_id: AccountId | None = None
    settings: AccountSettings


@named_value
class UpdateAccount(Operation):
    """Change the settings that are given, leave the others.

    Currency and parent never change; one that is given must be the account's.
    """

    kind = OperationKind.UPDATE_ACCOUNT
    account_id: AccountId
    currency_code: str | None = None
    parent_account_id: AccountId | None = None
    settings: AccountSettings


@named_value
class FreezeAccount(Operation):
    """Deny new calls and outgoing money; running calls settle."""

    kind = OperationKind.FREEZE_ACCOUNT
    account_id: AccountId


@named_value
class UnfreezeAccount(Operation):
    """Undo FreezeAccount."""

    kind = OperationKind.UNFREEZE_ACCOUNT
    account_id: AccountId


@named_value
class CloseAccount(Operation):
    """End an empty account for good; `forfeit` turns what is in the wallet into breakage."""

    kind = OperationKind.CLOSE_ACCOUNT
    account_id: AccountId
    forfeit: bool = False


@named_value
class CreditOperation(Operation):
    """What operations that move money in or out of one account share."""

    account_id: AccountId
    amount: Money
    external_reference: str | None = None
    reason: str | None = None
    labels: Labels | None = None


@named_value
class AddCredit(CreditOperation):
    """A purchase: money came in; `payment_fee` is what the payment provider keeps of it."""

    kind = OperationKind.ADD_CREDIT
    payment_fee: Money | None = None


@named_value
class ReverseCredit(CreditOperation):
    """A chargeback or failed payment: money went out again; may leave a receivable."""

    kind = OperationKind.REVERSE_CREDIT


@named_value
class GrantCredit(CreditOperation):
    """A promotion: credit without money."""

    kind = OperationKind.GRANT_CREDIT


@named_value
class Adjust(CreditOperation):
    """A signed correction; `reason` is required."""

    kind = OperationKind.ADJUST


@named_value
class Withdraw(CreditOperation):
    """Pay unused credit back to the customer."""

    kind = OperationKind.WITHDRAW


@named_value
class Transfer(Operation):
    """Move credit between two accounts of one tenant and currency."""

    kind = OperationKind.TRANSFER
    from_account_id: AccountId
    to_account_id: AccountId
    amount: Money
    reason: str | None = None


@named_value
class Reserve(Operation):
    """Set credit aside for a call: an amount, or the price of an estimate."""

    kind = OperationKind.RESERVE
    account_id: AccountId
    amount: Money | None = None
    estimate: UsageReport | None = None
    min_amount: Money | None = None
    call_id: str | None = None
    ttl: timedelta | None = None
    on_expiry: OnExpiry = OnExpiry.CAPTURE_USED
    labels: Labels | None = None


@named_value
class Extend(Operation):
    """Raise a hold, its high-water mark of use, its expiry: absolute values, so that retries are harmless.

    Total and use are amounts or the prices of usage, both from the start of the call.
    """

    kind = OperationKind.EXTEND
    reservation_id: ReservationId
    new_total: Money | None = None
    estimate_total: UsageReport | None = None
    used_so_far: Money | None = None
    used: UsageReport | None = None
    ttl: timedelta | None = None


@named_value
class Commit(Operation):
    """Spend (part of) a hold, an amount or the price of usage; `final` frees the rest."""

    kind = OperationKind.COMMIT
    reservation_id: ReservationId
    amount: Money | None = None
    usage: UsageReport | None = None
    final: bool = True
    effective_time: datetime | None = None


@named_value
class Void(Operation):
    """End a hold without spending what is left of it."""

    kind = OperationKind.VOID
    reservation_id: ReservationId
    reason: str | None = None


@named_value
class Charge(Operation):
    """Reserve and final commit in one step, of an amount or the price of usage; never overruns."""

    kind = OperationKind.CHARGE
    account_id: AccountId
    amount: Money | None = None
    usage: UsageReport | None = None
    call_id: str | None = None
    effective_time: datetime | None = None
    labels: Labels | None = None


@named_value
class RecordUsage(Operation):
    """Charge what has been used already, an amount or the price of usage: never denied for funds."""

    kind = OperationKind.RECORD_USAGE
    account_id: AccountId
    amount: Money | None = None
    usage: UsageReport | None = None
    call_id: str | None = None
    effective_time: datetime | None = None
    labels: Labels | None = None


@named_value
class Refund(Operation):
    """Give back posted money: of one transaction, or of a reservation's captures, newest first.

    Exactly one of the two targets is set. `amount` None means all that is left.
    """

    kind = OperationKind.REFUND
    transaction_id: TransactionId | None = None
    reservation_id: ReservationId | None = None
    amount: Money | None = None
    reason: str | None = None
    reverse_cost: bool = False


@named_value
class TrueUpCost(Operation):
    """Correct what providers charge for one transaction, or for a reservation's captures: to `cost` in all, or usage
    lines of theirs, by their ids, to `line_costs`.

    Exactly one of the two targets is set, and one of the two corrections.
    """

    kind = OperationKind.TRUE_UP_COST
    transaction_id: TransactionId | None = None
    reservation_id: ReservationId | None = None
    cost: Money | None = None
    line_costs: Mapping[str, Money] | None = None
    reason: str | None = None


@named_value
class Rerate(Operation):
    """Have the usage lines of one transaction cost what `lines` say, whatever they have cost before.

    With a `side`, SALE or COST, only the prices or only the costs: the others stay as they are when it is posted.
    Made by the server: nobody asks for it by name. The key stands for the lines, so they are not part of its content.
    """

    kind = OperationKind.RERATE
    account_id: AccountId
    transaction_id: TransactionId
    seq: int
    reservation_id: ReservationId | None
    call_id: str
    lines: tuple[RatedLine, ...]
    side: str | None = None
    reason: str | None = None


@named_value
class ChargeSubscription(Operation):
    """Internal: charge a subscription's lines for one calendar month, however long ago that began.

    `call_id` is what the transaction is called, its lines are not found by it.
    """

    kind = OperationKind.CHARGE_SUBSCRIPTION
    account_id: AccountId
    usage: UsageReport
    call_id: str


@named_value
class ExpireDue(Operation):
    """Internal: expire the due holds of one account. It has no key and no answer of its own."""

    kind = OperationKind.EXPIRE
    idempotency_key: str = ""
    account_id: AccountId


@named_value
class Reply:
    """The answer to a granted operation. Which fields are set depends on the operation (see its RPC).

    `denial_reason` is an Extend's: the reason why no more credit was given to a call that goes on.
    """

    balance: Balance | None = None
    to_balance: Balance | None = None
    account: Account | None = None
    reservation: Reservation | None = None
    charge: ChargeBreakdown | None = None
    transaction: Transaction | None = None
    transaction_id: TransactionId | None = None
    to_transaction_id: TransactionId | None = None
    refunded_total: int | None = None
    final_unit: bool = False
    affordable_duration: timedelta | None = None
    denial_reason: str | None = None
    late: bool = False


@value
class StoredOperation:
    """What is kept of a decided operation: granted when `denial_reason` is None.

    `payload` is JSON: the reply, or the values of the denial.
    """

    fingerprint: bytes
    denial_reason: str | None
    payload: str


@value
class Request:
    """An operation on its way through the engine, with the ids it may use if it is granted.

    The rules make no ids of their own, so that deciding is repeatable: `first_id` names the reservation,
    account or transaction made, `second_id` a Transfer's other transaction.
    """

    operation: Operation
    fingerprint: bytes
    first_id: UUID
    second_id: UUID | None = None


def fingerprint(operation: Operation) -> bytes:
    """SHA-256 over the fields that differ from their default, without tenant and key: equal content, equal fingerprint.

    A field given as its default means the same as an absent one.
    """
    content = [
        f'"{name}":{_plain(value)}'
        for name, default in _content_fields(type(operation))
        if (value := getattr(operation, name)) != default
    ]
    return hashlib.sha256(f"[{_text(operation.kind)},{{{','.join(content)}}}]".encode()).digest()


_to_json = json.JSONEncoder(sort_keys=True, separators=(",", ":"), check_circular=False).encode


_NO_CONTENT = frozenset({"tenant_id", "idempotency_key", "lines"})
_content_names: dict[type[Operation], tuple[tuple[str, Any], ...]] = {}


def _content_fields(cls: type[Operation]) -> tuple[tuple[str, Any], ...]:
    """The names and defaults of the fields that a fingerprint covers, by name; MISSING, no default, equals nothing."""
    if cls not in _content_names:
        named = ((f.name, f.default) for f in fields(cls))
        _content_names[cls] = tuple(sorted((f for f in named if f[0] not in _NO_CONTENT), key=_name))
    return _content_names[cls]


def _name(field: tuple[str, Any]) -> str:
    return field[0]


def _plain(value: Any) -> str:
    """A value as compact JSON with sorted keys, the same for equal values in every version."""
    if isinstance(value, str):  # also an enum
        return _text(value)
    if isinstance(value, Money):
        return f"[{_text(value.currency_code)},{value.nanos}]"
    if isinstance(value, UUID):
        return f'"{value.hex}"'
    if value is None or isinstance(value, int):  # a flag, a limit, one that is taken away
        return _to_json(value)
    if isinstance(value, datetime):
        return str(unix_micros(value))
    if isinstance(value, timedelta):
        return str(value // timedelta(microseconds=1))
    if isinstance(value, UsageReport):
        return _to_json(_plain_usage(value))
    if isinstance(value, Mapping):
        return "{" + ",".join([f"{_text(key)}:{_plain(value[key])}" for key in sorted(value)]) + "}"
    raise TypeError(f"no plain form for {type(value).__name__}")


def _plain_usage(usage: UsageReport) -> dict[str, Any]:
    """What was given; like an operation's, fields with their default are left out, and none may be added otherwise."""
    plain: dict[str, Any] = {"lines": [_plain_line(line) for line in usage.lines]}
    if usage.start_time is not None:
        plain["start_time"] = unix_micros(usage.start_time)
    if usage.end_time is not None:
        plain["end_time"] = unix_micros(usage.end_time)
    if usage.labels:
        plain["labels"] = dict(usage.labels)
    return plain


def _plain_line(line: UsageLine) -> dict[str, Any]:
    plain: dict[str, Any] = {"meter": line.meter, "quantity": format_decimal(line.quantity)}
    if line.line_id:
        plain["line_id"] = line.line_id
    if line.provider:
        plain["provider"] = line.provider
    if line.model:
        plain["model"] = line.model
    if line.destination:
        plain["destination"] = line.destination
    if line.operation:
        plain["operation"] = line.operation
    if line.labels:
        plain["labels"] = dict(line.labels)
    return plain
