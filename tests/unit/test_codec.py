"""Every field of every type in a stored reply comes back, and only those that differ from their default are stored."""

import itertools
import json
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import pytest

from imprest_server.ledger.codec import decode_reply, encode_reply
from imprest_server.ledger.model import Balance, ChargeBreakdown, Reservation, ReservationState
from imprest_server.ledger.operations import Reply

_numbers = itertools.count(1)
#: No two values are alike, so that none can be taken for another.
SCALARS: dict[type, Callable[[], object]] = {
    str: lambda: f'a "quoted" ü {next(_numbers)}',
    int: lambda: 2**70 + next(_numbers),
    bool: lambda: True,
    bytes: lambda: bytes([0, 255, next(_numbers) % 256]),
    UUID: lambda: UUID(int=UUID("0190163d8694739b94ea4c0f4d7f2a01").int + next(_numbers)),
    Decimal: lambda: Decimal(next(_numbers)).scaleb(-18),
    timedelta: lambda: timedelta(microseconds=next(_numbers)),
    datetime: lambda: datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC) + timedelta(microseconds=next(_numbers)),
}


def example(hint: Any) -> Any:
    """A value of this type that is no default: of an enum the last member, of a record one with all fields set."""
    hint = getattr(hint, "__supertype__", hint)
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return example(next(arg for arg in get_args(hint) if arg is not type(None)))
    if origin is tuple:
        return tuple(example(get_args(hint)[0]) for _ in range(2))
    if origin is not None and issubclass(origin, Mapping):
        return {"team": f"blue {next(_numbers)}"}
    if is_dataclass(hint):
        assert isinstance(hint, type)
        hints = get_type_hints(hint)
        return hint(**{f.name: example(hints[f.name]) for f in fields(hint)})
    if issubclass(hint, StrEnum):
        return list(hint)[-1]
    return SCALARS[hint]()


def records(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The records in a reply, itself first, with the way to each."""
    yield path, value
    for f in fields(value):
        if is_dataclass(inner := getattr(value, f.name)):
            yield from records(inner, (*path, f.name))


def default_of(f: Field[Any]) -> Any:
    return f.default_factory() if f.default_factory is not MISSING else f.default


def with_inner(reply: Any, path: tuple[str, ...], inner: Any) -> Any:
    """The reply with the record at the end of the way replaced."""
    if not path:
        return inner
    return replace(reply, **{path[0]: with_inner(getattr(reply, path[0]), path[1:], inner)})


FULL: Reply = example(Reply)
RECORDS = dict(records(FULL))
FIELDS = [
    pytest.param(path, f.name, default_of(f), id=".".join((*path, f.name)))
    for path, record in RECORDS.items()
    for f in fields(record)
    if f.compare  # what is not compared is no part of an answer
]


def test_a_reply_with_everything_comes_back() -> None:
    assert len(FIELDS) > 60
    assert decode_reply(encode_reply(FULL)) == FULL


def test_an_empty_reply_is_an_empty_object() -> None:
    assert encode_reply(Reply()) == "{}"
    assert decode_reply("{}") == Reply()


@pytest.mark.parametrize(("path", "name", "default"), FIELDS)
def test_a_field_comes_back_and_its_default_is_not_stored(path: tuple[str, ...], name: str, default: Any) -> None:
    stored = json.loads(encode_reply(FULL))
    for step in path:
        stored = stored[step]
    assert name in stored

    full_record = RECORDS[path]
    if default is MISSING and type(None) not in get_args(get_type_hints(type(full_record))[name]):
        return
    value = None if default is MISSING else default
    reply = with_inner(FULL, path, replace(full_record, **{name: value}))
    assert reply != FULL
    assert decode_reply(encode_reply(reply)) == reply
    stored = json.loads(encode_reply(reply))
    for step in path:
        stored = stored[step]
    assert (name in stored) == (default is MISSING)


@pytest.mark.parametrize("state", ReservationState)
def test_every_state_comes_back(state: ReservationState) -> None:
    assert FULL.reservation is not None
    reply = Reply(reservation=replace(FULL.reservation, state=state))
    assert decode_reply(encode_reply(reply)) == reply


def test_times_are_utc_and_amounts_may_be_negative() -> None:
    assert FULL.balance is not None
    at = datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
    reply = Reply(balance=replace(FULL.balance, as_of=at, available=-1), charge=ChargeBreakdown(receivable=-(2**70)))
    decoded = decode_reply(encode_reply(reply))
    assert decoded == reply
    assert decoded.balance is not None
    assert decoded.balance.as_of.utcoffset() == timedelta(0)


def test_what_was_stored_once_is_read_for_ever() -> None:
    """A name that is changed here, or a new meaning, would break the keys in every database."""
    stored = (
        '{"balance":{"account_id":"acme","currency_code":"USD","wallet":9000000000,"held":1,"available":8999999999,'
        '"receivable":0,"credit_limit":0,"as_of":1750000000000001},"reservation":{"tenant_id":"default",'
        '"reservation_id":"0190163d8694739b94ea4c0f4d7f2a01","account_id":"acme","call_id":"c","amount":1,'
        '"on_expiry":"RELEASE","create_time":1750000000000000,"expire_time":1750000000000002,"labels":{},'
        '"state":"COMMITTED","captured":2,"ended_by":"COMMIT","end_time":1750000000000001},"charge":{"from_hold":2},'
        '"transaction_id":"0190163d8694739b94ea4c0f4d7f2a02","of_a_later_version":{}}'
    )
    reply = decode_reply(stored)
    assert isinstance(reply.balance, Balance)
    assert isinstance(reply.reservation, Reservation)
    assert (reply.balance.available, reply.reservation.state) == (8_999_999_999, ReservationState.COMMITTED)
    assert reply.reservation.labels == {}
    assert reply.charge == ChargeBreakdown(from_hold=2)
    known = json.loads(stored)
    del known["of_a_later_version"], known["reservation"]["labels"]
    assert json.loads(encode_reply(reply)) == known
