"""Identifiers: one type per kind, time-ordered, shown with a prefix.

Reservations and transactions are UUIDv7 (RFC 9562): 48 bits of Unix milliseconds, then a counter and
random bits, so new rows land at the right edge of their indexes. On the wire they read `rsv_` or `txn_`
followed by 32 hexadecimal digits, versions of price books likewise `ver_` and alerts `alt_`. Tenants and accounts
carry the caller's own names.
"""

from __future__ import annotations

import io
import os
import re
import threading
import time
from typing import NewType
from uuid import UUID

TenantId = NewType("TenantId", str)
AccountId = NewType("AccountId", str)
ReservationId = NewType("ReservationId", UUID)
TransactionId = NewType("TransactionId", UUID)

#: One account of one tenant: the key of its book, and the unit of locking.
AccountKey = tuple[TenantId, AccountId]

RESERVATION_PREFIX = "rsv_"
TRANSACTION_PREFIX = "txn_"
PRICE_VERSION_PREFIX = "ver_"
ALERT_PREFIX = "alt_"
ACCOUNT_PREFIX = "acc_"

_DIGITS = re.compile("[0-9a-f]{32}")

_VERSION_AND_VARIANT = (0x7 << 76) | (0b10 << 62)
_RANDOM_BITS = 0x0FFF_3FFF_FFFF_FFFF_FFFF
_RANDOM_BYTES = 10
#: Randomness is fetched for so many ids at once: a system call for each would take longer than all the rest.
_IDS_PER_FETCH = 400

_lock = threading.Lock()
_last = 0
_randomness = io.BytesIO()


def uuid7() -> UUID:
    """A new UUIDv7, greater than every one made before it by this process."""
    global _last, _randomness
    with _lock:
        random_bytes = _randomness.read(_RANDOM_BYTES)
        if not random_bytes:
            _randomness = io.BytesIO(os.urandom(_IDS_PER_FETCH * _RANDOM_BYTES))
            random_bytes = _randomness.read(_RANDOM_BYTES)
        millis = time.time_ns() // 1_000_000
        value = (millis << 80) | _VERSION_AND_VARIANT | (int.from_bytes(random_bytes, "big") & _RANDOM_BITS)
        if value <= _last:
            value = _successor(_last)
        _last = value
    return UUID(int=value)


def _forget_randomness() -> None:
    """In a forked child: it must not make the ids that its parent makes."""
    global _lock, _randomness
    _lock, _randomness = threading.Lock(), io.BytesIO()


os.register_at_fork(after_in_child=_forget_randomness)


def _successor(value: int) -> int:
    """The next UUIDv7 value: the lowest 62 bits count, carrying over the variant into the 12 bits above."""
    low = (value & (2**62 - 1)) + 1
    if low < 2**62:
        return (value & ~(2**62 - 1)) | low
    return ((value >> 64) + 1 << 64) | (0b10 << 62)


def format_reservation_id(reservation_id: ReservationId) -> str:
    """`rsv_` and 32 hexadecimal digits."""
    return RESERVATION_PREFIX + reservation_id.hex


def format_transaction_id(transaction_id: TransactionId) -> str:
    """`txn_` and 32 hexadecimal digits."""
    return TRANSACTION_PREFIX + transaction_id.hex


def format_price_version_id(version_id: UUID) -> str:
    """`ver_` and 32 hexadecimal digits."""
    return PRICE_VERSION_PREFIX + version_id.hex


def format_alert_id(alert_id: UUID) -> str:
    """`alt_` and 32 hexadecimal digits."""
    return ALERT_PREFIX + alert_id.hex


def parse_reservation_id(text: str) -> ReservationId | None:
    """The reservation id written as `text`, or None when it is not one."""
    parsed = _parse(text, RESERVATION_PREFIX)
    return None if parsed is None else ReservationId(parsed)


def parse_transaction_id(text: str) -> TransactionId | None:
    """The transaction id written as `text`, or None when it is not one."""
    parsed = _parse(text, TRANSACTION_PREFIX)
    return None if parsed is None else TransactionId(parsed)


def parse_price_version_id(text: str) -> UUID | None:
    """The price version id written as `text`, or None when it is not one."""
    return _parse(text, PRICE_VERSION_PREFIX)


def parse_alert_id(text: str) -> UUID | None:
    """The alert id written as `text`, or None when it is not one."""
    return _parse(text, ALERT_PREFIX)


def _parse(text: str, prefix: str) -> UUID | None:
    digits = text[len(prefix) :]
    if not text.startswith(prefix) or not _DIGITS.fullmatch(digits):
        return None
    return UUID(int=int(digits, 16))
