"""The canonical form of a transaction and the chain over it. docs/INVARIANTS.md describes it for others.

The form is version 1. It never changes; a new form gets a new version number, and both stay verifiable.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime

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
    return _to_json(
        [
            CANONICAL_VERSION,
            t.tenant_id,
            t.account_id,
            t.seq,
            t.transaction_id.hex,
            t.kind,
            [[p.debit, p.credit, p.amount] for p in t.postings],
            t.wallet_after,
            t.receivable_after,
            t.reservation_id.hex if t.reservation_id else None,
            t.call_id,
            t.reason,
            t.external_reference,
            sorted(t.labels.items()),
            unix_micros(t.effective_time),
            unix_micros(t.create_time),
        ]
    ).encode("ascii")


def chain(previous: bytes, transaction: Transaction) -> bytes:
    """sha256(previous chain hash ‖ canonical transaction): 32 bytes."""
    return hashlib.sha256(previous + canonical(transaction)).digest()
