"""The pure rules behind the adapter contract: no database, no gRPC, thousands of operations a second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, replace
from dataclasses import fields as dataclass_fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

from imprest_server.core.errors import ImprestError, InvalidArgument
from imprest_server.core.ids import (
    AccountId,
    ReservationId,
    TenantId,
    TransactionId,
    format_reservation_id,
    format_transaction_id,
    parse_reservation_id,
    parse_transaction_id,
    uuid7,
)
from imprest_server.core.money import Money, format_nanos, nanos_of
from imprest_server.ledger import model, operations
from imprest_server.ledger.operations import Operation, Request, fingerprint
from imprest_server.ledger.rules import Outcome
from imprest_server.ledger.rules.draft import balance_of
from imprest_server.ledger.store import Loaded
from imprest_server.ledger.validation import validate
from imprest_server.ledger.working_set import Changes, Ledger, Terms
from imprest_server.posting.batch import fold
from tests.scenarios import contract
from tests.scenarios.contract import CODE_OF_REASON, Balance, Entry, Result
from tests.support.prices import UNIT_PRICES, units

TENANT = TenantId("default")

_OPERATIONS: dict[str, type[Operation]] = {
    "create_account": operations.CreateAccount,
    "update_account": operations.UpdateAccount,
    "freeze": operations.FreezeAccount,
    "unfreeze": operations.UnfreezeAccount,
    "close": operations.CloseAccount,
    "add_credit": operations.AddCredit,
    "reverse_credit": operations.ReverseCredit,
    "grant_credit": operations.GrantCredit,
    "adjust": operations.Adjust,
    "withdraw": operations.Withdraw,
    "transfer": operations.Transfer,
    "reserve": operations.Reserve,
    "extend": operations.Extend,
    "commit": operations.Commit,
    "void": operations.Void,
    "charge": operations.Charge,
    "record_usage": operations.RecordUsage,
    "refund": operations.Refund,
    "true_up_cost": operations.TrueUpCost,
}
_MONEY = frozenset(["amount", "min_amount", "payment_fee", "new_total", "used", "cost"])
_USAGE = {"units": "usage", "total_units": "estimate_total", "used_units": "used"}
_SETTINGS = frozenset(["credit_limit", "max_overrun", "overrun_policy", "max_concurrent_calls"])


class RulesAdapter:
    """One tenant's whole ledger in memory; the clock stands still but for `advance`."""

    frozen_clock = True

    def __init__(self) -> None:
        self.ledger = Ledger(Terms())
        self.now = datetime(2026, 1, 31, 12, tzinfo=UTC)
        self.transactions: list[model.Transaction] = []
        self.prices = UNIT_PRICES

    async def apply(self, request: contract.Request) -> Result:
        """Carry out one operation as a batch of its own."""
        fields = dict(request)
        try:
            if fields["op"] in ("get_account", "get_balance", "get_reservation"):
                return self._read(fields)
            operation = self._operation(fields)
            validate(operation)
            result = self._post([operation])[0]
            if isinstance(result, ImprestError):
                raise result
            return _result(result)
        except ImprestError as denial:
            return Result(denied=denial.reason, code=CODE_OF_REASON[denial.reason], replayed=denial.replayed)

    async def advance(self, seconds: Decimal) -> None:
        """Let time pass."""
        self.now += timedelta(microseconds=int(seconds * 1_000_000))

    async def balance(self, account_id: str) -> Balance:
        """The balance of now, due holds ended."""
        self._post([])
        key = (TENANT, AccountId(account_id))
        return _balance(balance_of(self.ledger.account(key), self.ledger.books[key], self.now))

    async def journal(self, account_id: str) -> Sequence[Entry]:
        """All transactions of the book."""
        self._post([])
        return [
            Entry(
                format_transaction_id(t.transaction_id),
                t.seq,
                tuple(f"{p.debit}/{p.credit} {format_nanos(p.amount)}" for p in t.postings),
            )
            for t in self.transactions
            if t.account_id == account_id
        ]

    def unknown_id(self, kind: str) -> str:
        """A well-formed id that nothing has."""
        if kind == "reservation":
            return format_reservation_id(ReservationId(uuid4()))
        return format_transaction_id(TransactionId(uuid4()))

    def _post(self, requested: list[Operation]) -> list[Any]:
        due = [(r, TransactionId(uuid7())) for r in self.ledger.reservations.values()]
        requests = [Request(op, fingerprint(op), uuid7(), uuid7()) for op in requested]
        self.ledger.rating = self.prices.rating(self.ledger, requested, self.now)
        results = fold(Loaded(self.ledger, self.now, due, set()), requests)
        self.transactions.extend(self.ledger.changes.transactions)
        self.ledger.changes = Changes()
        return results

    def _operation(self, fields: dict[str, Any]) -> Operation:
        cls = _OPERATIONS[fields.pop("op")]
        currency = fields.pop("currency", "USD")
        values: dict[str, Any] = {"tenant_id": TENANT, "idempotency_key": fields.pop("idempotency_key", "")}
        if cls in (operations.CreateAccount, operations.UpdateAccount):
            values["settings"] = {
                name: _setting(name, fields.pop(name), currency) for name in sorted(_SETTINGS & fields.keys())
            }
            if cls is operations.CreateAccount:
                values["currency_code"] = currency
        line = fields.pop("line", "")
        for name, value in fields.items():
            if name in _USAGE:
                field = "estimate" if cls is operations.Reserve else _USAGE[name]
                values[field] = units(Decimal(value), line)
                continue
            values["used_so_far" if name == "used" else _renamed(name)] = self._value(name, value, currency)
        if issubclass(cls, operations.CreditOperation):
            values.setdefault("reason", None)
        for required in dataclass_fields(cls):
            if required.default is MISSING and required.name not in values:
                raise InvalidArgument(field=required.name, problem="is required")
        return cls(**values)

    def _value(self, name: str, value: Any, currency: str) -> Any:
        if name in _MONEY:
            return Money(currency, nanos_of(Decimal(value)))
        match name:
            case "reservation_id":
                return parse_reservation_id(value)
            case "transaction_id":
                return parse_transaction_id(value)
            case "ttl":
                return timedelta(seconds=value)
            case "on_expiry":
                return model.OnExpiry(value)
            case "effective_ago":
                return self.now - timedelta(seconds=value)
            case _:
                return value

    def _read(self, fields: dict[str, Any]) -> Result:
        self._post([])
        if fields["op"] == "get_reservation":
            reservation_id = parse_reservation_id(fields["reservation_id"])
            assert reservation_id is not None
            reservation = self.ledger.reservation((TENANT, reservation_id))
            return Result(
                reservation_id=fields["reservation_id"],
                fields=_reservation_fields(reservation),
            )
        key = (TENANT, AccountId(fields["account_id"]))
        account = self.ledger.account(key)
        if fields["op"] == "get_account":
            return Result(fields={"account_state": account.state.value})
        balance = balance_of(account, self.ledger.books[key], self.now)
        if "as_of_ago" in fields:
            balance = self._balance_as_of(balance, self.now - timedelta(seconds=fields["as_of_ago"]))
        return Result(balance=_balance(balance))

    def _balance_as_of(self, balance: model.Balance, as_of: datetime) -> model.Balance:
        if as_of > self.now:
            raise InvalidArgument(field="as_of", problem="must not be in the future")
        wallet = receivable = 0
        for t in self.transactions:
            if t.account_id == balance.account_id and t.create_time <= as_of:
                wallet, receivable = t.wallet_after, t.receivable_after
        return replace(balance, wallet=wallet, receivable=receivable)


def _renamed(name: str) -> str:
    return {"effective_ago": "effective_time"}.get(name, name)


def _setting(name: str, value: Any, currency: str) -> Any:
    if value is None or name == "max_concurrent_calls":
        return value
    if name == "overrun_policy":
        return model.OverrunPolicy(value)
    return Money(currency, nanos_of(Decimal(value)))


def _balance(balance: model.Balance) -> Balance:
    return Balance(
        wallet=format_nanos(balance.wallet),
        held=format_nanos(balance.held),
        available=format_nanos(balance.available),
        receivable=format_nanos(balance.receivable),
    )


def _reservation_fields(reservation: model.Reservation) -> dict[str, str | bool | None]:
    return {
        "state": reservation.state.value,
        "total": format_nanos(reservation.amount),
        "captured": format_nanos(reservation.captured),
        "used_so_far": format_nanos(reservation.used_so_far),
    }


def _result(outcome: Outcome) -> Result:
    reply = outcome.reply
    fields: dict[str, str | bool | None] = {
        "final_unit": reply.final_unit,
        "denial_reason": reply.denial_reason,
        "late": reply.late,
    }
    if reply.reservation is not None:
        fields.update(_reservation_fields(reply.reservation))
    if reply.account is not None:
        fields["account_state"] = reply.account.state.value
    if reply.charge is not None:
        for name in ("charged", "from_hold", "from_available", "receivable", "absorbed", "provider_cost"):
            fields[name] = format_nanos(getattr(reply.charge, name))
    if reply.refunded_total is not None:
        fields["refunded_total"] = format_nanos(reply.refunded_total)
    return Result(
        replayed=outcome.replayed,
        balance=_balance(reply.balance) if reply.balance else None,
        to_balance=_balance(reply.to_balance) if reply.to_balance else None,
        reservation_id=format_reservation_id(reply.reservation.reservation_id) if reply.reservation else None,
        transaction_id=format_transaction_id(reply.transaction_id) if reply.transaction_id else None,
        fields=fields,
    )
