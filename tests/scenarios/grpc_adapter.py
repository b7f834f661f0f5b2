"""A running server behind the adapter contract, reached through real gRPC."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import grpc
import psycopg
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.decimal_pb2 import Decimal as Quantity
from google.type.money_pb2 import Money

from imprest.v1 import (
    account_pb2,
    account_service_pb2,
    balance_pb2,
    errors_pb2,
    ledger_service_pb2,
    reservation_pb2,
    usage_service_pb2,
)
from imprest.v1.transaction_pb2 import LedgerAccountCode
from imprest.v1.usage_pb2 import UsageLine, UsageReport
from imprest_client.errors import details_of
from imprest_client.money import to_decimal, to_money
from tests.scenarios.contract import UNIT_METER, Balance, Entry, Request, Result
from tests.support import clock
from tests.support.server import Running

_METHODS: dict[str, tuple[str, Any]] = {
    "create_account": ("CreateAccount", account_service_pb2.CreateAccountRequest),
    "update_account": ("UpdateAccount", account_service_pb2.UpdateAccountRequest),
    "freeze": ("FreezeAccount", account_service_pb2.FreezeAccountRequest),
    "unfreeze": ("UnfreezeAccount", account_service_pb2.UnfreezeAccountRequest),
    "close": ("CloseAccount", account_service_pb2.CloseAccountRequest),
    "add_credit": ("AddCredit", account_service_pb2.AddCreditRequest),
    "reverse_credit": ("ReverseCredit", account_service_pb2.ReverseCreditRequest),
    "grant_credit": ("GrantCredit", account_service_pb2.GrantCreditRequest),
    "adjust": ("Adjust", account_service_pb2.AdjustRequest),
    "withdraw": ("Withdraw", account_service_pb2.WithdrawRequest),
    "transfer": ("Transfer", account_service_pb2.TransferRequest),
    "get_account": ("GetAccount", account_service_pb2.GetAccountRequest),
    "get_balance": ("GetBalance", account_service_pb2.GetBalanceRequest),
    "reserve": ("Reserve", ledger_service_pb2.ReserveRequest),
    "extend": ("Extend", ledger_service_pb2.ExtendRequest),
    "commit": ("Commit", ledger_service_pb2.CommitRequest),
    "void": ("Void", ledger_service_pb2.VoidRequest),
    "charge": ("Charge", ledger_service_pb2.ChargeRequest),
    "record_usage": ("RecordUsage", usage_service_pb2.RecordUsageRequest),
    "refund": ("Refund", ledger_service_pb2.RefundRequest),
    "true_up_cost": ("TrueUpCost", usage_service_pb2.TrueUpCostRequest),
    "get_reservation": ("GetReservation", ledger_service_pb2.GetReservationRequest),
}
_MONEY = frozenset(["amount", "min_amount", "payment_fee", "new_total", "used_so_far", "cost"])
_MONEY_SETTINGS = frozenset(["credit_limit", "max_overrun"])
_SETTINGS = _MONEY_SETTINGS | {"overrun_policy", "max_concurrent_calls"}
_CHARGE = ("charged", "from_hold", "from_available", "receivable", "absorbed", "provider_cost")
_USAGE = {"units": "usage", "total_units": "estimate_total", "used_units": "used"}


class GrpcAdapter:
    """Requests to the server on the other end of the channel; its database's clock can be moved.

    `frozen_clock` says that it was stopped, too (`clock.stop`).
    """

    def __init__(self, server: Running, owner_dsn: str, *, frozen_clock: bool = False) -> None:
        self.frozen_clock = frozen_clock
        self._server = server
        self._owner_dsn = owner_dsn

    async def apply(self, request: Request) -> Result:
        """Make one call."""
        fields = {"used_so_far" if name == "used" else name: value for name, value in request.items()}
        method, message = self._message(fields)
        try:
            return _result(await self._call(method, message))
        except grpc.RpcError as error:
            details = details_of(error)
            if not details.reason:
                raise
            return Result(denied=details.reason, code=details.code.name, replayed=details.replayed)

    def now(self) -> datetime:
        """The time by the server's clock."""
        with psycopg.connect(self._owner_dsn) as connection:
            row = connection.execute("SELECT clock_timestamp()").fetchone()
        assert row is not None
        moment: datetime = row[0]
        return moment.astimezone(UTC)

    async def advance(self, seconds: Decimal) -> None:
        """Move the database's clock."""
        clock.advance(self._owner_dsn, float(seconds))

    async def balance(self, account_id: str) -> Balance:
        """GetBalance."""
        reply = await self._server.accounts.GetBalance(account_service_pb2.GetBalanceRequest(account_id=account_id))
        return _balance(reply.balance)

    async def journal(self, account_id: str) -> Sequence[Entry]:
        """ListTransactions, in pages of a few."""
        entries: list[Entry] = []
        token = ""
        while True:
            page = await self._server.accounts.ListTransactions(
                account_service_pb2.ListTransactionsRequest(account_id=account_id, page_size=3, page_token=token)
            )
            entries.extend(
                Entry(
                    t.transaction_id,
                    t.seq,
                    tuple(f"{_code(p.debit)}/{_code(p.credit)} {_text(p.amount)}" for p in t.postings),
                )
                for t in page.transactions
            )
            token = page.next_page_token
            if not token:
                return entries

    def unknown_id(self, kind: str) -> str:
        """A well-formed id that nothing has."""
        return f"{'rsv' if kind == 'reservation' else 'txn'}_{uuid4().hex}"

    async def _call(self, method: str, message: Any) -> Any:
        services = (self._server.ledger, self._server.accounts, self._server.usage)
        stub: Callable[[Any], Any] = next(getattr(s, method) for s in services if hasattr(s, method))
        return await stub(message)

    def _message(self, fields: dict[str, Any]) -> tuple[str, Any]:
        method, message_type = _METHODS[fields.pop("op")]
        currency = fields.pop("currency", "USD")
        if method in ("CreateAccount", "UpdateAccount"):
            return method, _account_request(method, message_type, fields, currency)
        values: dict[str, Any] = {}
        line = fields.pop("line", "")
        for name, value in fields.items():
            if name in _USAGE:
                report = UsageReport(lines=[UsageLine(line_id=line, meter=UNIT_METER, quantity=Quantity(value=value))])
                values["estimate" if method == "Reserve" else _USAGE[name]] = report
            elif name in _MONEY:
                values[name] = _money(value, currency)
            elif name == "ttl":
                values[name] = Duration(seconds=value)
            elif name == "on_expiry":
                values[name] = reservation_pb2.OnExpiry.Value(f"ON_EXPIRY_{value}")
            elif name in ("effective_ago", "as_of_ago"):
                values[{"effective_ago": "effective_time", "as_of_ago": "as_of"}[name]] = self._ago(value)
            else:
                values[name] = value
        return method, message_type(**values)

    def _ago(self, seconds: int) -> Timestamp:
        stamp = Timestamp()
        stamp.FromDatetime(self.now() - timedelta(seconds=seconds))
        return stamp


def _account_request(method: str, message_type: Any, fields: Mapping[str, Any], currency: str) -> Any:
    account = account_pb2.Account(account_id=fields["account_id"])
    if method == "CreateAccount":
        account.currency_code = currency
    named = sorted(_SETTINGS & fields.keys())
    for name in named:
        value = fields[name]
        if value is None:
            continue
        if name in _MONEY_SETTINGS:
            getattr(account, name).CopyFrom(_money(value, currency))
        elif name == "overrun_policy":
            account.overrun_policy = account_pb2.OverrunPolicy.Value(f"OVERRUN_POLICY_{value}")
        else:
            account.max_concurrent_calls = value
    request = message_type(account=account, idempotency_key=fields["idempotency_key"])
    if method == "UpdateAccount":
        request.update_mask.paths.extend(named)
    return request


def _money(value: str, currency: str) -> Money:
    """Also of amounts that no honest client sends: those go out as close to the text as the message allows."""
    try:
        return to_money(value, currency)
    except ValueError:
        units, _, nanos = value.partition(".")
        return Money(currency_code=currency, units=int(units), nanos=int(nanos or "0"))


def _text(money: Money) -> str:
    return format(to_decimal(money), "f")


def _code(code: Any) -> str:
    return LedgerAccountCode.Name(code).removeprefix("LEDGER_ACCOUNT_CODE_")


def _balance(balance: balance_pb2.Balance) -> Balance:
    return Balance(_text(balance.wallet), _text(balance.held), _text(balance.available), _text(balance.receivable))


def _result(reply: Any) -> Result:
    """What a reply of any kind holds."""
    names = reply.DESCRIPTOR.fields_by_name
    fields: dict[str, str | bool | None] = {}
    reservation_id = None
    if "reservation" in names:
        reservation = reply.reservation
        reservation_id = reservation.reservation_id
        fields["state"] = reservation_pb2.ReservationState.Name(reservation.state).removeprefix("RESERVATION_STATE_")
        fields["total"] = _text(reservation.amount)
        fields["captured"] = _text(reservation.captured)
        fields["used_so_far"] = _text(reservation.used_so_far)
    if "charge" in names:
        fields.update({name: _text(getattr(reply.charge, name)) for name in _CHARGE})
    if "difference" in names:
        # A true-up has no charge to tell: it moves no money of the customer's.
        fields.update(dict.fromkeys(_CHARGE, "0") | {"provider_cost": _text(reply.difference)})
    if "final_unit" in names:
        fields["final_unit"] = reply.final_unit
    if "denial_reason" in names and reply.denial_reason:
        fields["denial_reason"] = errors_pb2.ErrorReason.Name(reply.denial_reason).removeprefix("ERROR_REASON_")
    elif "denial_reason" in names:
        fields["denial_reason"] = None
    if "late" in names:
        fields["late"] = reply.late
    if "refunded_total" in names:
        fields["refunded_total"] = _text(reply.refunded_total)
    if "account" in names:
        fields["account_state"] = account_pb2.AccountState.Name(reply.account.state).removeprefix("ACCOUNT_STATE_")
    transaction_id = reply.transaction_id if "transaction_id" in names else None
    if "transaction" in names:
        transaction_id = reply.transaction.transaction_id
    return Result(
        replayed=reply.replayed if "replayed" in names else False,
        balance=_balance(reply.balance) if "balance" in names and reply.HasField("balance") else None,
        to_balance=_balance(reply.to_balance) if "to_balance" in names else None,
        reservation_id=reservation_id,
        transaction_id=transaction_id or None,
        fields=fields,
    )
