"""From a request message to an operation of the model: a dict of the fields that are set."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

from google.protobuf.message import Message
from google.type.money_pb2 import Money

from imprest.v1 import account_pb2, reservation_pb2
from imprest.v1.usage_pb2 import UsageLine, UsageReport
from imprest.v1.usage_service_pb2 import LineCost
from imprest_client.testing.ledger.model import Denied, Line, Usage
from imprest_client.testing.ledger.money import NANOS_PER_UNIT, text_from_nanos

OPERATIONS: Final[Mapping[str, str]] = {
    "CreateAccount": "create_account",
    "UpdateAccount": "update_account",
    "FreezeAccount": "freeze",
    "UnfreezeAccount": "unfreeze",
    "CloseAccount": "close",
    "AddCredit": "add_credit",
    "ReverseCredit": "reverse_credit",
    "GrantCredit": "grant_credit",
    "Adjust": "adjust",
    "Withdraw": "withdraw",
    "Transfer": "transfer",
    "Reserve": "reserve",
    "Extend": "extend",
    "Commit": "commit",
    "Void": "void",
    "Charge": "charge",
    "RecordUsage": "record_usage",
    "Refund": "refund",
    "TrueUpCost": "true_up_cost",
    "GetAccount": "get_account",
    "GetBalance": "get_balance",
    "GetReservation": "get_reservation",
}
"""The operation of each RPC that is one."""

#: Sent even when they are empty, for the model to refuse.
_REQUIRED: Final = frozenset(["account_id", "from_account_id", "to_account_id", "idempotency_key"])
_CHANGEABLE: Final = (
    *("customer_id", "display_name", "credit_limit", "overrun_policy", "max_overrun", "max_concurrent_calls"),
    *("low_balance_threshold", "time_zone", "labels"),
)
_DEFAULTS: Final[Mapping[str, Any]] = {
    "overrun_policy": "COLLECT",
    "credit_limit": "0",
    "time_zone": "UTC",
    "labels": {},
    "customer_id": "",
    "display_name": "",
}
_USAGE: Final[Mapping[str, str]] = {
    "estimate": "usage",
    "usage": "usage",
    "estimate_total": "total_usage",
    "used": "used_usage",
}
"""What the model calls the fields that hold usage."""
_MAX_LINES: Final = 200
_QUANTITY: Final = re.compile(r"\d{1,16}(\.\d{1,9})?", re.ASCII)

_ENUMS: Final[Mapping[str, tuple[Any, str]]] = {
    "on_expiry": (reservation_pb2.OnExpiry, "ON_EXPIRY_"),
    "overrun_policy": (account_pb2.OverrunPolicy, "OVERRUN_POLICY_"),
}


def operation_of(rpc: str, request: Message) -> dict[str, Any]:
    """The operation that a request asks for. Raises Denied(INVALID_ARGUMENT)."""
    found: dict[str, Any] = {"op": OPERATIONS[rpc]}
    currencies: list[str] = []
    if rpc in ("CreateAccount", "UpdateAccount"):
        _add_account(rpc, request, found, currencies)
    _add_fields(request, found, currencies)
    if rpc in ("Commit", "Extend", "Void", "GetReservation"):
        found.setdefault("reservation_id", "")
    if currencies:
        found.setdefault("currency", currencies[0])
        found["more_currencies"] = tuple(currencies)
    return found


def _add_fields(message: Message, found: dict[str, Any], currencies: list[str]) -> None:
    for field in message.DESCRIPTOR.fields:
        name = field.name
        if name in ("account", "update_mask"):
            continue
        given = message.HasField(name) if field.has_presence else bool(getattr(message, name))
        if given or name in _REQUIRED:
            value = getattr(message, name)
            if name == "lines":
                found["line_costs"] = _line_costs(value, currencies)
            elif isinstance(value, UsageReport):
                found[_USAGE[name]] = _usage(name, value)
            else:
                found["used" if name == "used_so_far" else name] = _value(name, value, currencies)


def _add_account(rpc: str, request: Any, found: dict[str, Any], currencies: list[str]) -> None:
    account: account_pb2.Account = request.account
    if rpc == "CreateAccount":
        found["currency"] = account.currency_code
        if account.parent_account_id:
            found["parent_account_id"] = account.parent_account_id
    if account.account_id or rpc == "UpdateAccount":
        found["account_id"] = account.account_id
    names = list(request.update_mask.paths) if rpc == "UpdateAccount" else []
    for name in names:
        if name not in _CHANGEABLE:
            raise Denied("INVALID_ARGUMENT", field="update_mask", problem=f"cannot name {name}")
        found[name] = _DEFAULTS.get(name)
    for field in account.DESCRIPTOR.fields:
        name = field.name
        if name in (names or _CHANGEABLE):
            given = account.HasField(name) if field.has_presence else bool(getattr(account, name))
            if given:
                found[name] = _value(name, getattr(account, name), currencies)


def _value(name: str, value: Any, currencies: list[str]) -> Any:
    """A field's value as the model takes it."""
    if isinstance(value, Money):
        currencies.append(value.currency_code)
        return amount_of(name, value)
    if name == "ttl":
        return (value.seconds * 1_000_000 + value.nanos // 1000) / 1_000_000
    if name in ("effective_time", "as_of"):
        return value.seconds * 1_000_000 + value.nanos // 1000
    if name in _ENUMS:
        proto, prefix = _ENUMS[name]
        if value not in proto.values():
            raise Denied("INVALID_ARGUMENT", field=name, problem=f"has no value {value}")
        return proto.Name(value).removeprefix(prefix)
    if name == "labels":
        return dict(value)
    return value


def _line_costs(lines: Iterable[LineCost], currencies: list[str]) -> dict[str, str]:
    costs: dict[str, str] = {}
    for n, line in enumerate(lines):
        if not line.line_id or line.line_id in costs:
            problem = "must differ from those before" if line.line_id else "is required"
            raise Denied("INVALID_ARGUMENT", field=f"lines[{n}].line_id", problem=problem)
        if not line.HasField("cost"):
            problem = "is required (zero is given as an amount of zero)"
            raise Denied("INVALID_ARGUMENT", field=f"lines[{n}].cost", problem=problem)
        costs[line.line_id] = _value(f"lines[{n}].cost", line.cost, currencies)
    return costs


def _usage(name: str, report: UsageReport) -> Usage:
    if len(report.lines) > _MAX_LINES:
        raise Denied("INVALID_ARGUMENT", field=f"{name}.lines", problem=f"must be at most {_MAX_LINES}")
    lines = tuple(_line(f"{name}.lines[{n}]", line, report.labels) for n, line in enumerate(report.lines))
    ids = [line.line_id for line in lines if line.line_id]
    if len(set(ids)) < len(ids):
        raise Denied("INVALID_ARGUMENT", field=f"{name}.lines", problem="must have different ids")
    start, end = (
        getattr(report, field).ToMicroseconds() if report.HasField(field) else None
        for field in ("start_time", "end_time")
    )
    if start is not None and end is not None and end < start:
        raise Denied("INVALID_ARGUMENT", field=f"{name}.end_time", problem="must not be before start_time")
    return Usage(lines, start, end)


def _line(path: str, line: UsageLine, labels: Mapping[str, str]) -> Line:
    if not line.meter:
        raise Denied("INVALID_ARGUMENT", field=f"{path}.meter", problem="is required")
    if not _QUANTITY.fullmatch(line.quantity.value):
        problem = "must be a number from 0 to 10^15 with at most nine decimals"
        raise Denied("INVALID_ARGUMENT", field=f"{path}.quantity", problem=problem)
    return Line(
        meter=line.meter,
        quantity=Decimal(line.quantity.value),
        line_id=line.line_id,
        provider=line.provider,
        model=line.model,
        destination=line.destination,
        operation=line.operation,
        labels=tuple(sorted({**labels, **line.labels}.items())),
    )


def amount_of(name: str, money: Money) -> str:
    """An amount as text. Raises Denied(INVALID_ARGUMENT)."""
    if not re.fullmatch("[A-Z]{3}", money.currency_code):
        problem = "must be three upper-case letters (ISO 4217)"
        raise Denied("INVALID_ARGUMENT", field=f"{name}.currency_code", problem=problem)
    if abs(money.nanos) >= NANOS_PER_UNIT or money.units * money.nanos < 0:
        problem = "must be from -999,999,999 to 999,999,999, with the sign of units"
        raise Denied("INVALID_ARGUMENT", field=f"{name}.nanos", problem=problem)
    return text_from_nanos(money.units * NANOS_PER_UNIT + money.nanos)
