"""The canonical form of a transaction and the chain over it. docs/INVARIANTS.md describes it for others.

The form is version 1. It never changes; a new form gets a new version number, and both stay verifiable.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from json.encoder import encode_basestring_ascii as _text

from imprest_server.ledger.model import Transaction

CANONICAL_VERSION = 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_to_json = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), check_circular=False).encode


def unix_micros(instant: datetime) -> int:
    """Whole microseconds since 1970-01-01T00:00:00Z."""
    since = instant - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def canonical(transaction: Transaction) -> bytes:
    """The bytes that are hashed: a JSON array in ASCII, no white space, fields in this fixed order.

    Amounts are integers of nanos, times integers of microseconds, ids lower-case hexadecimal, an absent
    reservation `null`, labels an array of [key, value] sorted by key.
    """
    t = transaction
    postings = ",".join([f"[{_text(p.debit)},{_text(p.credit)},{p.amount}]" for p in t.postings])
    reservation = f'"{t.reservation_id.hex}"' if t.reservation_id else "null"
    labels = _to_json(sorted(t.labels.items())) if t.labels else "[]"
    return (
        f'[{CANONICAL_VERSION},{_text(t.tenant_id)},{_text(t.account_id)},{t.seq},"{t.transaction_id.hex}",'
        f"{_text(t.kind)},[{postings}],{t.wallet_after},{t.receivable_after},{reservation},{_text(t.call_id)},"
        f"{_text(t.reason)},{_text(t.external_reference)},{labels},{unix_micros(t.effective_time)},"
        f"{unix_micros(t.create_time)}]"
    ).encode("ascii")


def chain(previous: bytes, transaction: Transaction) -> bytes:
    """sha256(previous chain hash ‖ canonical transaction): 32 bytes."""
    return hashlib.sha256(previous + canonical(transaction)).digest()
