"""Single values between the wire and the core: money, decimals, times, enums, ids, texts. Resources are in `resources`.

`parse_*` and `required_*` read a request and raise InvalidArgument, or AmountOutOfRange, naming the field;
`to_*` write a reply and cannot fail. Times on the wire finer than a microsecond are truncated: a Timestamp
towards the past, a Duration towards zero.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, Generic, TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.decimal_pb2 import Decimal as DecimalMessage
from google.type.money_pb2 import Money as MoneyMessage

from imprest_server.core.errors import InvalidArgument
from imprest_server.core.ids import (
    AccountId,
    ReservationId,
    TransactionId,
    parse_reservation_id,
    parse_transaction_id,
)
from imprest_server.core.money import NANOS_PER_UNIT, Money, check_range
from imprest_server.core.usage import format_decimal
from imprest_server.ledger.validation import check_account_id

#: The fields of a message by name.
Fields = Mapping[str, Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NANOS = NANOS_PER_UNIT - 1
#: The range of google.protobuf.Timestamp: 0001-01-01T00:00:00Z to 9999-12-31T23:59:59Z, in seconds.
_MIN_TIME_S, _MAX_TIME_S = -62_135_596_800, 253_402_300_799
#: The range of google.protobuf.Duration: about 10,000 years.
_MAX_DURATION_S = 315_576_000_000
#: Digits, one point, an exponent. Short: what a number means is checked elsewhere, its text must stay small.
_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,2})?", re.ASCII)
_MAX_DECIMAL_TEXT = 64


# ── amounts ──────────────────────────────────────────────────────────────────────────────────────────


def parse_money(message: MoneyMessage, field: str) -> Money:
    """The amount of a message that is present: units and nanos of one sign, within the range of Money."""
    units, nanos = message.units, message.nanos
    if not -_NANOS <= nanos <= _NANOS:
        raise InvalidArgument(field=f"{field}.nanos", problem="must be from -999,999,999 to 999,999,999")
    if (units > 0 > nanos) or (units < 0 < nanos):
        raise InvalidArgument(field=f"{field}.nanos", problem="must have the sign of units")
    return Money(message.currency_code, check_range(units * NANOS_PER_UNIT + nanos, field))


def parse_amount(request: Message, field: str, path: str = "") -> Money | None:
    """The amount in `field` of the request, or of a message that errors call `path`; None when it is absent."""
    return parse_money(getattr(request, field), path + field) if request.HasField(field) else None


def required_amount(request: Message, field: str = "amount", path: str = "") -> Money:
    """The amount in `field`, as `parse_amount`; an absent one is not a zero one."""
    amount = parse_amount(request, field, path)
    if amount is None:
        raise InvalidArgument(field=path + field, problem="is required (zero is given as an amount of zero)")
    return amount


def to_money(currency_code: str, nanos: int) -> MoneyMessage:
    """An amount as units and nanos of the same sign."""
    return MoneyMessage(**money_fields(currency_code, nanos))


def money_fields(currency_code: str, nanos: int) -> Fields:
    """`to_money` for the constructor of another message, which takes fields in half the time of a message."""
    if nanos >= 0:
        units, rest = divmod(nanos, NANOS_PER_UNIT)
        return {"currency_code": currency_code, "units": units, "nanos": rest}
    units, rest = divmod(-nanos, NANOS_PER_UNIT)
    return {"currency_code": currency_code, "units": -units, "nanos": -rest}


def parse_decimal(request: Message, field: str, path: str = "") -> Decimal | None:
    """The google.type.Decimal in `field`, exactly; None when it is absent. `path` is what errors call the message."""
    if not request.HasField(field):
        return None
    text: str = getattr(request, field).value
    if len(text) > _MAX_DECIMAL_TEXT or not _DECIMAL.fullmatch(text):
        raise InvalidArgument(field=path + field, problem="must be a decimal number, such as 0.0125 or 2.5e-06")
    return Decimal(text)


def to_decimal(value: Decimal) -> DecimalMessage:
    """A number in plain notation, without zeros at its end."""
    return DecimalMessage(value=format_decimal(value))


# ── times ────────────────────────────────────────────────────────────────────────────────────────────


def parse_time(request: Message, field: str, path: str = "") -> datetime | None:
    """The request's Timestamp of that name in whole microseconds, UTC; None when it is absent.

    `path` is what errors call the message, when it is not the request itself.
    """
    if not request.HasField(field):
        return None
    message: Timestamp = getattr(request, field)
    if not (_MIN_TIME_S <= message.seconds <= _MAX_TIME_S and 0 <= message.nanos <= _NANOS):
        raise InvalidArgument(
            field=path + field, problem="must be a time from year 1 to 9999, with nanos from 0 to 999,999,999"
        )
    return _EPOCH + timedelta(seconds=message.seconds, microseconds=message.nanos // 1000)


def parse_duration(request: Message, field: str) -> timedelta | None:
    """The request's Duration of that name in whole microseconds; None when it is absent."""
    if not request.HasField(field):
        return None
    message: Duration = getattr(request, field)
    seconds, nanos = message.seconds, message.nanos
    if abs(seconds) > _MAX_DURATION_S or abs(nanos) > _NANOS or (seconds > 0 > nanos) or (seconds < 0 < nanos):
        raise InvalidArgument(field=field, problem="must have seconds and nanos of one sign and within their ranges")
    micros = nanos // 1000 if nanos >= 0 else -(-nanos // 1000)
    return timedelta(seconds=seconds, microseconds=micros)


def to_time(instant: datetime) -> Timestamp:
    """A time in whole microseconds."""
    return Timestamp(**time_fields(instant))


def time_fields(instant: datetime) -> Fields:
    """`to_time` for the constructor of another message."""
    since = instant - _EPOCH
    return {"seconds": since.days * 86_400 + since.seconds, "nanos": since.microseconds * 1000}


def to_duration(span: timedelta | None) -> Duration | None:
    """A span in whole microseconds, not negative; absent when there is none."""
    if span is None:
        return None
    return Duration(seconds=span.days * 86_400 + span.seconds, nanos=span.microseconds * 1000)


# ── enums ────────────────────────────────────────────────────────────────────────────────────────────

E = TypeVar("E", bound=StrEnum)


class EnumMap(Generic[E]):
    """The values of a core enum and of its proto twin, which have the same names behind a prefix.

    Building one raises when the proto lacks a name: the two cannot drift apart unnoticed.
    """

    def __init__(self, core: type[E], proto: EnumTypeWrapper, prefix: str) -> None:
        # Any: every proto enum has a type of its own.
        self.to_proto: Mapping[E, Any] = {member: proto.Value(f"{prefix}_{member.value}") for member in core}
        self._from_proto = {number: member for member, number in self.to_proto.items()}

    def parse(self, number: int, field: str) -> E | None:
        """The value of a proto number; None for unspecified, InvalidArgument for a number without a name."""
        if number == 0:
            return None
        try:
            return self._from_proto[number]
        except KeyError:
            raise InvalidArgument(field=field, problem=f"has no value {number}") from None


# ── ids and texts ────────────────────────────────────────────────────────────────────────────────────


def parse_account_id(text: str, field: str = "account_id") -> AccountId:
    """An account's id of the right shape."""
    check_account_id(text, field)
    return AccountId(text)


def parse_reservation(text: str, field: str = "reservation_id") -> ReservationId:
    """A reservation's id of the right shape."""
    parsed = parse_reservation_id(text)
    if parsed is None:
        raise InvalidArgument(field=field, problem="must be rsv_ and 32 hexadecimal digits" if text else "is required")
    return parsed


def parse_transaction(text: str, field: str = "transaction_id") -> TransactionId:
    """A transaction's id of the right shape."""
    parsed = parse_transaction_id(text)
    if parsed is None:
        raise InvalidArgument(field=field, problem="must be txn_ and 32 hexadecimal digits" if text else "is required")
    return parsed
