"""Replies as JSON, for the key they are kept under. Exact: nanos and microseconds are integers, decimals texts.

Fields that have their default value are left out, so a reply stored by an older version still decodes when
a field with a default is added. Never rename a field, or give an old one a new meaning.

Each type has its two functions here, field by field: every operation encodes its reply, and a loop over fields takes
four times as long. What most replies are made of is written as text at once, which takes half as long as making
dictionaries for an encoder. tests/unit/test_codec.py goes through all fields of all types and finds the forgotten one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from json.encoder import encode_basestring_ascii as _text
from typing import Any
from uuid import UUID

from imprest_server.core.ids import AccountId, ReservationId, TenantId, TransactionId
from imprest_server.core.usage import RatedLine, UsageLine
from imprest_server.ledger.chart import LedgerAccountCode
from imprest_server.ledger.hashing import unix_micros
from imprest_server.ledger.model import (
    Account,
    AccountState,
    Balance,
    ChargeBreakdown,
    EndedBy,
    OnExpiry,
    OverrunPolicy,
    Posting,
    ProvisionalCapture,
    Reservation,
    ReservationState,
    Transaction,
    TransactionKind,
)
from imprest_server.ledger.operations import Reply

#: A JSON object. Enums need no conversion: to the encoder they are their text.
Record = Mapping[str, Any]

_MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_to_json = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


def encode_reply(reply: Reply) -> str:
    """The reply as compact JSON."""
    parts = []
    if reply.balance is not None:
        parts.append(f'"balance":{_from_balance(reply.balance)}')
    if reply.to_balance is not None:
        parts.append(f'"to_balance":{_from_balance(reply.to_balance)}')
    if reply.account is not None:
        parts.append(f'"account":{_to_json(_from_account(reply.account))}')
    if reply.reservation is not None:
        parts.append(f'"reservation":{_from_reservation(reply.reservation)}')
    if reply.charge is not None:
        parts.append(f'"charge":{_from_charge(reply.charge)}')
    if reply.transaction is not None:
        parts.append(f'"transaction":{_to_json(_from_transaction(reply.transaction))}')
    if reply.transaction_id is not None:
        parts.append(f'"transaction_id":"{reply.transaction_id.hex}"')
    if reply.to_transaction_id is not None:
        parts.append(f'"to_transaction_id":"{reply.to_transaction_id.hex}"')
    if reply.refunded_total is not None:
        parts.append(f'"refunded_total":{reply.refunded_total}')
    if reply.final_unit:
        parts.append('"final_unit":true')
    if reply.affordable_duration is not None:
        parts.append(f'"affordable_duration":{reply.affordable_duration // _MICROSECOND}')
    if reply.denial_reason is not None:
        parts.append(f'"denial_reason":{_text(reply.denial_reason)}')
    if reply.late:
        parts.append('"late":true')
    return _object(parts)


def decode_reply(payload: str) -> Reply:
    """The reply stored as `payload`; what it names beyond the fields of today is left out."""
    record: Record = json.loads(payload)
    get = record.get
    return Reply(
        balance=_to_balance(record["balance"]) if "balance" in record else None,
        to_balance=_to_balance(record["to_balance"]) if "to_balance" in record else None,
        account=_to_account(record["account"]) if "account" in record else None,
        reservation=_to_reservation(record["reservation"]) if "reservation" in record else None,
        charge=_to_charge(record["charge"]) if "charge" in record else None,
        transaction=_to_transaction(record["transaction"]) if "transaction" in record else None,
        transaction_id=_transaction_id(get("transaction_id")),
        to_transaction_id=_transaction_id(get("to_transaction_id")),
        refunded_total=get("refunded_total"),
        final_unit=get("final_unit", False),
        affordable_duration=_optional_span(get("affordable_duration")),
        denial_reason=get("denial_reason"),
        late=get("late", False),
    )


def _object(parts: list[str]) -> str:
    """A JSON object with these members."""
    return "{" + ",".join(parts) + "}"


# ── single values ────────────────────────────────────────────────────────────────────────────────────


def _time(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)


def _optional_span(micros: int | None) -> timedelta | None:
    return None if micros is None else timedelta(microseconds=micros)


def _optional_time(micros: int | None) -> datetime | None:
    return None if micros is None else _time(micros)


def _reservation_id(digits: str) -> ReservationId:
    return ReservationId(UUID(int=int(digits, 16)))


def _transaction_id(digits: str | None) -> TransactionId | None:
    return None if digits is None else TransactionId(UUID(int=int(digits, 16)))


# ── balances and charges ─────────────────────────────────────────────────────────────────────────────


def _from_balance(b: Balance) -> str:
    return (
        f'{{"account_id":{_text(b.account_id)},"currency_code":{_text(b.currency_code)},"wallet":{b.wallet},'
        f'"held":{b.held},"available":{b.available},"receivable":{b.receivable},"credit_limit":{b.credit_limit},'
        f'"as_of":{unix_micros(b.as_of)}}}'
    )


def _to_balance(record: Record) -> Balance:
    return Balance(
        account_id=AccountId(record["account_id"]),
        currency_code=record["currency_code"],
        wallet=record["wallet"],
        held=record["held"],
        available=record["available"],
        receivable=record["receivable"],
        credit_limit=record["credit_limit"],
        as_of=_time(record["as_of"]),
    )


def _from_charge(c: ChargeBreakdown) -> str:
    parts = []
    if c.from_hold:
        parts.append(f'"from_hold":{c.from_hold}')
    if c.from_available:
        parts.append(f'"from_available":{c.from_available}')
    if c.receivable:
        parts.append(f'"receivable":{c.receivable}')
    if c.absorbed:
        parts.append(f'"absorbed":{c.absorbed}')
    if c.provider_cost:
        parts.append(f'"provider_cost":{c.provider_cost}')
    if c.lines:
        parts.append(f'"lines":[{",".join([_from_rated_line(line) for line in c.lines])}]')
    return _object(parts)


def _to_charge(record: Record) -> ChargeBreakdown:
    get = record.get
    return ChargeBreakdown(
        from_hold=get("from_hold", 0),
        from_available=get("from_available", 0),
        receivable=get("receivable", 0),
        absorbed=get("absorbed", 0),
        provider_cost=get("provider_cost", 0),
        lines=tuple(_to_rated_line(line) for line in get("lines", ())),
    )


def _from_rated_line(r: RatedLine) -> str:
    cost_version = "null" if r.cost_version is None else f'"{r.cost_version.hex}"'
    duplicate = ',"duplicate":true' if r.duplicate else ""
    return (
        f'{{"line":{_from_line(r.line)},"price":{r.price},"cost":{r.cost},"exact_price":"{r.exact_price}",'
        f'"exact_cost":"{r.exact_cost}","price_version":"{r.price_version.hex}","cost_version":{cost_version},'
        f'"match":{_text(r.match)}{duplicate}}}'
    )


def _to_rated_line(record: Record) -> RatedLine:
    return RatedLine(
        line=_to_line(record["line"]),
        price=record["price"],
        cost=record["cost"],
        exact_price=Decimal(record["exact_price"]),
        exact_cost=Decimal(record["exact_cost"]),
        price_version=UUID(hex=record["price_version"]),
        cost_version=None if record["cost_version"] is None else UUID(hex=record["cost_version"]),
        match=record["match"],
        duplicate=record.get("duplicate", False),
    )


def _from_line(u: UsageLine) -> str:
    parts = [f'"meter":{_text(u.meter)},"quantity":"{u.quantity}"']
    if u.line_id:
        parts.append(f'"line_id":{_text(u.line_id)}')
    if u.provider:
        parts.append(f'"provider":{_text(u.provider)}')
    if u.model:
        parts.append(f'"model":{_text(u.model)}')
    if u.destination:
        parts.append(f'"destination":{_text(u.destination)}')
    if u.operation:
        parts.append(f'"operation":{_text(u.operation)}')
    if u.labels:
        parts.append(f'"labels":{_to_json(dict(u.labels))}')
    return _object(parts)


def _to_line(record: Record) -> UsageLine:
    get = record.get
    return UsageLine(
        meter=record["meter"],
        quantity=Decimal(record["quantity"]),
        line_id=get("line_id", ""),
        provider=get("provider", ""),
        model=get("model", ""),
        destination=get("destination", ""),
        operation=get("operation", ""),
        labels=get("labels", {}),
    )


# ── reservations ─────────────────────────────────────────────────────────────────────────────────────


def _from_reservation(r: Reservation) -> str:
    always = (
        f'"tenant_id":{_text(r.tenant_id)},"reservation_id":"{r.reservation_id.hex}",'
        f'"account_id":{_text(r.account_id)},"call_id":{_text(r.call_id)},"amount":{r.amount},'
        f'"on_expiry":{_text(r.on_expiry)},"create_time":{unix_micros(r.create_time)},'
        f'"expire_time":{unix_micros(r.expire_time)}'
    )
    parts = [always]
    if r.labels:
        parts.append(f'"labels":{_to_json(dict(r.labels))}')
    if r.state is not ReservationState.ACTIVE:
        parts.append(f'"state":{_text(r.state)}')
    if r.captured:
        parts.append(f'"captured":{r.captured}')
    if r.absorbed:
        parts.append(f'"absorbed":{r.absorbed}')
    if r.used_so_far:
        parts.append(f'"used_so_far":{r.used_so_far}')
    if r.late:
        parts.append('"late":true')
    if r.end_time is not None:
        parts.append(f'"end_time":{unix_micros(r.end_time)}')
    if r.ended_by is not None:
        parts.append(f'"ended_by":{_text(r.ended_by)}')
    if r.provisional is not None:
        parts.append(f'"provisional":{_to_json(_from_provisional(r.provisional))}')
    if r.price_epoch is not None:
        parts.append(f'"price_epoch":{r.price_epoch}')
    if r.used_cost:
        parts.append(f'"used_cost":{r.used_cost}')
    if r.captured_cost:
        parts.append(f'"captured_cost":{r.captured_cost}')
    return _object(parts)


def _to_reservation(record: Record) -> Reservation:
    get = record.get
    return Reservation(
        tenant_id=TenantId(record["tenant_id"]),
        reservation_id=_reservation_id(record["reservation_id"]),
        account_id=AccountId(record["account_id"]),
        call_id=record["call_id"],
        amount=record["amount"],
        on_expiry=OnExpiry(record["on_expiry"]),
        create_time=_time(record["create_time"]),
        expire_time=_time(record["expire_time"]),
        labels=get("labels", {}),
        state=ReservationState(get("state", ReservationState.ACTIVE)),
        captured=get("captured", 0),
        absorbed=get("absorbed", 0),
        used_so_far=get("used_so_far", 0),
        late=get("late", False),
        end_time=_optional_time(get("end_time")),
        ended_by=EndedBy(record["ended_by"]) if "ended_by" in record else None,
        provisional=_to_provisional(record["provisional"]) if "provisional" in record else None,
        price_epoch=get("price_epoch"),
        used_cost=get("used_cost", 0),
        captured_cost=get("captured_cost", 0),
    )


def _from_provisional(p: ProvisionalCapture) -> Record:
    record: dict[str, Any] = {
        "hold": p.hold,
        "charged": p.charged,
        "absorbed": p.absorbed,
        "transaction_id": None if p.transaction_id is None else p.transaction_id.hex,
    }
    if p.cost:
        record["cost"] = p.cost
    return record


def _to_provisional(record: Record) -> ProvisionalCapture:
    return ProvisionalCapture(
        hold=record["hold"],
        charged=record["charged"],
        absorbed=record["absorbed"],
        transaction_id=_transaction_id(record["transaction_id"]),
        cost=record.get("cost", 0),
    )


# ── transactions ─────────────────────────────────────────────────────────────────────────────────────


def _from_transaction(t: Transaction) -> Record:
    record: dict[str, Any] = {
        "tenant_id": t.tenant_id,
        "transaction_id": t.transaction_id.hex,
        "account_id": t.account_id,
        "seq": t.seq,
        "kind": t.kind,
        "postings": [{"debit": p.debit, "credit": p.credit, "amount": p.amount} for p in t.postings],
        "wallet_after": t.wallet_after,
        "receivable_after": t.receivable_after,
        "reservation_id": None if t.reservation_id is None else t.reservation_id.hex,
        "call_id": t.call_id,
        "reason": t.reason,
        "external_reference": t.external_reference,
        "labels": dict(t.labels),
        "effective_time": unix_micros(t.effective_time),
        "create_time": unix_micros(t.create_time),
    }
    if t.chain_hash:
        record["chain_hash"] = t.chain_hash.hex()
    return record


def _to_transaction(record: Record) -> Transaction:
    reservation_id, transaction_id = record["reservation_id"], UUID(int=int(record["transaction_id"], 16))
    return Transaction(
        tenant_id=TenantId(record["tenant_id"]),
        transaction_id=TransactionId(transaction_id),
        account_id=AccountId(record["account_id"]),
        seq=record["seq"],
        kind=TransactionKind(record["kind"]),
        postings=tuple(
            Posting(LedgerAccountCode(p["debit"]), LedgerAccountCode(p["credit"]), p["amount"])
            for p in record["postings"]
        ),
        wallet_after=record["wallet_after"],
        receivable_after=record["receivable_after"],
        reservation_id=None if reservation_id is None else _reservation_id(reservation_id),
        call_id=record["call_id"],
        reason=record["reason"],
        external_reference=record["external_reference"],
        labels=record["labels"],
        effective_time=_time(record["effective_time"]),
        create_time=_time(record["create_time"]),
        chain_hash=bytes.fromhex(record.get("chain_hash", "")),
    )


# ── accounts ─────────────────────────────────────────────────────────────────────────────────────────


def _from_account(a: Account) -> Record:
    record: dict[str, Any] = {
        "tenant_id": a.tenant_id,
        "account_id": a.account_id,
        "currency_code": a.currency_code,
    }
    if a.customer_id:
        record["customer_id"] = a.customer_id
    if a.display_name:
        record["display_name"] = a.display_name
    if a.parent_account_id is not None:
        record["parent_account_id"] = a.parent_account_id
    if a.credit_limit:
        record["credit_limit"] = a.credit_limit
    if a.overrun_policy is not OverrunPolicy.COLLECT:
        record["overrun_policy"] = a.overrun_policy
    if a.max_overrun is not None:
        record["max_overrun"] = a.max_overrun
    if a.max_concurrent_calls is not None:
        record["max_concurrent_calls"] = a.max_concurrent_calls
    if a.low_balance_threshold is not None:
        record["low_balance_threshold"] = a.low_balance_threshold
    if a.time_zone != "UTC":
        record["time_zone"] = a.time_zone
    if a.labels:
        record["labels"] = dict(a.labels)
    if a.state is not AccountState.ACTIVE:
        record["state"] = a.state
    if a.create_time is not None:
        record["create_time"] = unix_micros(a.create_time)
    if a.update_time is not None:
        record["update_time"] = unix_micros(a.update_time)
    return record


def _to_account(record: Record) -> Account:
    get = record.get
    return Account(
        tenant_id=TenantId(record["tenant_id"]),
        account_id=AccountId(record["account_id"]),
        currency_code=record["currency_code"],
        customer_id=get("customer_id", ""),
        display_name=get("display_name", ""),
        parent_account_id=AccountId(record["parent_account_id"]) if "parent_account_id" in record else None,
        credit_limit=get("credit_limit", 0),
        overrun_policy=OverrunPolicy(get("overrun_policy", OverrunPolicy.COLLECT)),
        max_overrun=get("max_overrun"),
        max_concurrent_calls=get("max_concurrent_calls"),
        low_balance_threshold=get("low_balance_threshold"),
        time_zone=get("time_zone", "UTC"),
        labels=get("labels", {}),
        state=AccountState(get("state", AccountState.ACTIVE)),
        create_time=_optional_time(get("create_time")),
        update_time=_optional_time(get("update_time")),
    )
