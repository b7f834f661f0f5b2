"""Times and lengths of time as `datetime` and `timedelta` here and as messages on the wire."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def to_time(instant: datetime) -> Timestamp:
    """An aware datetime as a message.

    Raises:
        ValueError: it has no time zone, so nobody knows which instant it is.
    """
    if instant.tzinfo is None:
        raise ValueError(f"{instant} has no time zone")
    since = instant - _EPOCH
    return Timestamp(seconds=since.days * 86_400 + since.seconds, nanos=since.microseconds * 1000)


def to_duration(length: timedelta) -> Duration:
    """A length of time as a message."""
    message = Duration()
    message.FromTimedelta(length)
    return message


def from_duration(message: Duration) -> timedelta:
    """A message as a length of time, to the microsecond."""
    return timedelta(seconds=message.seconds, microseconds=message.nanos // 1000)


def from_time(message: Timestamp) -> datetime:
    """A message as an aware datetime, to the microsecond."""
    return _EPOCH + timedelta(seconds=message.seconds, microseconds=message.nanos // 1000)
