"""Replies as JSON, for the key they are kept under. Exact: nanos and microseconds are integers, decimals texts.

Fields that have their default value are left out, so a reply stored by an older version still decodes when
a field with a default is added. Never rename a field, or give an old one a new meaning.
"""

from __future__ import annotations

import json
import types
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, Union, get_args, get_origin, get_type_hints
from uuid import UUID

from imprest_server.ledger.hashing import unix_micros
from imprest_server.ledger.operations import Reply

Convert = Callable[[Any], Any]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_to_json = json.JSONEncoder(separators=(",", ":")).encode


def encode_reply(reply: Reply) -> str:
    """The reply as compact JSON."""
    return _to_json(_encoder(Reply)(reply))


def decode_reply(payload: str) -> Reply:
    """The reply stored as `payload`."""
    reply = _decoder(Reply)(json.loads(payload))
    assert isinstance(reply, Reply)
    return reply


def _same(value: Any) -> Any:
    return value


def _time(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)


def _converter(hint: Any, scalars: Mapping[type, Convert], record: Callable[[type], Convert]) -> Convert:
    """How values annotated with `hint` are converted; every annotation of the model is covered or raises."""
    hint = getattr(hint, "__supertype__", hint)
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        (inner,) = (arg for arg in get_args(hint) if arg is not type(None))
        return _converter(inner, scalars, record)
    if origin is tuple:
        item = _converter(get_args(hint)[0], scalars, record)
        return lambda values: [item(value) for value in values]
    if origin is not None and issubclass(origin, Mapping):
        return dict
    if isinstance(hint, type):
        if is_dataclass(hint):
            return record(hint)
        if issubclass(hint, StrEnum):
            return hint
        if hint in scalars:
            return scalars[hint]
    raise TypeError(f"no JSON form for {hint!r}")


_ENCODE_SCALAR: Mapping[type, Convert] = {
    str: _same,
    int: _same,
    bool: _same,
    bytes: bytes.hex,
    UUID: lambda value: value.hex,
    datetime: unix_micros,
    timedelta: lambda value: value // _MICROSECOND,
    Decimal: str,
}
_DECODE_SCALAR: Mapping[type, Convert] = {
    str: _same,
    int: _same,
    bool: _same,
    bytes: bytes.fromhex,
    UUID: lambda value: UUID(hex=value),
    datetime: _time,
    timedelta: lambda micros: timedelta(microseconds=micros),
    Decimal: Decimal,
}
_encoders: dict[type, Convert] = {}
_decoders: dict[type, Convert] = {}


def _encoder(cls: type) -> Convert:
    """dataclass → dict without the fields that have their default; built once per class."""
    if cls not in _encoders:
        hints = get_type_hints(cls)
        plan = [
            (
                f.name,
                f.default,
                _converter(hints[f.name], _ENCODE_SCALAR, _encoder),
            )
            for f in fields(cls)
        ]

        def encode(record: Any) -> dict[str, Any]:
            result: dict[str, Any] = {}
            for name, default, convert in plan:
                value = getattr(record, name)
                if value != default:  # MISSING, for a field without a default, equals nothing
                    result[name] = None if value is None else convert(value)
            return result

        _encoders[cls] = encode
    return _encoders[cls]


def _decoder(cls: type) -> Convert:
    """dict → dataclass; the inverse of `_encoder`. Unknown names are left out."""
    if cls not in _decoders:
        hints = get_type_hints(cls)
        plan = {
            f.name: (
                _converter(hints[f.name], _DECODE_SCALAR, _decoder),
                tuple if get_origin(hints[f.name]) is tuple else _same,
            )
            for f in fields(cls)
        }

        def decode(record: Mapping[str, Any]) -> Any:
            known = {name: plan[name] for name in record if name in plan}
            return cls(
                **{
                    name: None if record[name] is None else wrap(convert(record[name]))
                    for name, (convert, wrap) in known.items()
                }
            )

        _decoders[cls] = decode
    return _decoders[cls]
