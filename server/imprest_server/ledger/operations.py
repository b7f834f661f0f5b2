"""What callers ask the ledger to do, and what it answers.

One frozen dataclass per operation. The fingerprint covers just the fields that differ from their default, so it
does not change when a field is added later: never change a default. Amounts are `Money` here: the rules check its
currency against the account's before they use its nanos.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, ClassVar, TypedDict
from uuid import UUID

from imprest_server.core.ids import AccountId, ReservationId, TenantId, TransactionId
from imprest_server.core.money import Money
from imprest_server.core.usage import UsageLine, UsageReport, format_decimal
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
    EXPIRE = "EXPIRE"


@dataclass(frozen=True, slots=True, kw_only=True)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateAccount(Operation):
    """Open an account; without an id of the caller's choice one is made."""

    kind = OperationKind.CREATE_ACCOUNT
    account_id: AccountId | None = None
    currency_code: str
    parent_account_id: AccountId | None = None
    settings: AccountSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateAccount(Operation):
    """Change the settings that are given, leave the others.

    Currency and parent never change; one that is given must be the account's.
    """

    kind = OperationKind.UPDATE_ACCOUNT
    account_id: AccountId
    currency_code: str | None = None
    parent_account_id: AccountId | None = None
    settings: AccountSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class FreezeAccount(Operation):
    """Deny new calls and outgoing money; running calls settle."""

    kind = OperationKind.FREEZE_ACCOUNT
    account_id: AccountId


@dataclass(frozen=True, slots=True, kw_only=True)
class UnfreezeAccount(Operation):
    """Undo FreezeAccount."""

    kind = OperationKind.UNFREEZE_ACCOUNT
    account_id: AccountId


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseAccount(Operation):
    """End an empty account for good; `forfeit` turns what is in the wallet into breakage."""

    kind = OperationKind.CLOSE_ACCOUNT
    account_id: AccountId
    forfeit: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditOperation(Operation):
    """What operations that move money in or out of one account share."""

    account_id: AccountId
    amount: Money
    external_reference: str | None = None
    reason: str | None = None
    labels: Labels | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AddCredit(CreditOperation):
    """A purchase: money came in; `payment_fee` is what the payment provider keeps of it."""

    kind = OperationKind.ADD_CREDIT
    payment_fee: Money | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReverseCredit(CreditOperation):
    """A chargeback or failed payment: money went out again; may leave a receivable."""

    kind = OperationKind.REVERSE_CREDIT


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantCredit(CreditOperation):
    """A promotion: credit without money."""

    kind = OperationKind.GRANT_CREDIT


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjust(CreditOperation):
    """A signed correction; `reason` is required."""

    kind = OperationKind.ADJUST


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdraw(CreditOperation):
    """Pay unused credit back to the customer."""

    kind = OperationKind.WITHDRAW


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer(Operation):
    """Move credit between two accounts of one tenant and currency."""

    kind = OperationKind.TRANSFER
    from_account_id: AccountId
    to_account_id: AccountId
    amount: Money
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
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


@dataclass(frozen=True, slots=True, kw_only=True)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit(Operation):
    """Spend (part of) a hold, an amount or the price of usage; `final` frees the rest."""

    kind = OperationKind.COMMIT
    reservation_id: ReservationId
    amount: Money | None = None
    usage: UsageReport | None = None
    final: bool = True
    effective_time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Void(Operation):
    """End a hold without spending what is left of it."""

    kind = OperationKind.VOID
    reservation_id: ReservationId
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge(Operation):
    """Reserve and final commit in one step, of an amount or the price of usage; never overruns."""

    kind = OperationKind.CHARGE
    account_id: AccountId
    amount: Money | None = None
    usage: UsageReport | None = None
    call_id: str | None = None
    effective_time: datetime | None = None
    labels: Labels | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordUsage(Operation):
    """Charge what has been used already, an amount or the price of usage: never denied for funds."""

    kind = OperationKind.RECORD_USAGE
    account_id: AccountId
    amount: Money | None = None
    usage: UsageReport | None = None
    call_id: str | None = None
    effective_time: datetime | None = None
    labels: Labels | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueUpCost(Operation):
    """Correct what providers charge for one transaction, or for a reservation's captures, to `cost` in all.

    Exactly one of the two targets is set.
    """

    kind = OperationKind.TRUE_UP_COST
    transaction_id: TransactionId | None = None
    reservation_id: ReservationId | None = None
    cost: Money
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpireDue(Operation):
    """Internal: expire the due holds of one account. It has no key and no answer of its own."""

    kind = OperationKind.EXPIRE
    idempotency_key: str = ""
    account_id: AccountId


@dataclass(frozen=True, slots=True, kw_only=True)
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


@dataclass(frozen=True, slots=True)
class StoredOperation:
    """What is kept of a decided operation: granted when `denial_reason` is None.

    `payload` is JSON: the reply, or the values of the denial.
    """

    fingerprint: bytes
    denial_reason: str | None
    payload: str


@dataclass(frozen=True, slots=True)
class Request:
    """An operation on its way through the engine, with the ids it may use if it is granted.

    The rules make no ids of their own, so that deciding is repeatable: `first_id` names the reservation,
    account or transaction made, `second_id` a further transaction.
    """

    operation: Operation
    fingerprint: bytes
    first_id: UUID
    second_id: UUID


def fingerprint(operation: Operation) -> bytes:
    """SHA-256 over the fields that differ from their default, without tenant and key: equal content, equal fingerprint.

    A field given as its default means the same as an absent one.
    """
    content = {
        name: _plain(value)
        for name, default in _content_fields(type(operation))
        if (value := getattr(operation, name)) != default
    }
    return hashlib.sha256(_to_json([operation.kind, content]).encode()).digest()


_to_json = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


_content_names: dict[type[Operation], tuple[tuple[str, Any], ...]] = {}


def _content_fields(cls: type[Operation]) -> tuple[tuple[str, Any], ...]:
    """The names and defaults of the fields that a fingerprint covers; MISSING, for no default, equals nothing."""
    if cls not in _content_names:
        named = ((f.name, f.default) for f in fields(cls))
        _content_names[cls] = tuple(field for field in named if field[0] not in ("tenant_id", "idempotency_key"))
    return _content_names[cls]


def _plain(value: Any) -> Any:
    """A value as JSON has it, the same for equal values in every version."""
    match value:
        case Money():
            return [value.currency_code, value.nanos]
        case UUID():
            return value.hex
        case datetime():
            return unix_micros(value)
        case timedelta():
            return value // timedelta(microseconds=1)
        case Decimal():
            return format_decimal(value)
        case tuple():
            return [_plain(item) for item in value]
        case UsageReport() | UsageLine():
            return _plain_usage(value)
        case Mapping():
            return {key: _plain(item) for key, item in value.items()}
        case _:
            return value


def _plain_usage(value: UsageReport | UsageLine) -> dict[str, Any]:
    """The fields that were set; a quantity of 0 is one."""
    given = ((f.name, getattr(value, f.name)) for f in fields(value))
    return {name: _plain(item) for name, item in given if item is not None and item not in ("", {}, ())}
