"""The hashed form is written down in docs/INVARIANTS.md and must not change."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from imprest_server.core.ids import AccountId, ReservationId, TenantId, TransactionId
from imprest_server.ledger.chart import LedgerAccountCode as Code
from imprest_server.ledger.hashing import canonical, chain
from imprest_server.ledger.model import GENESIS_HASH, Posting, Transaction, TransactionKind

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DOC = Path(__file__).parents[2] / "docs" / "INVARIANTS.md"


def transaction(**changes: object) -> Transaction:
    fields: dict[str, object] = {
        "tenant_id": TenantId("default"),
        "transaction_id": TransactionId(UUID("0190163d8694739b94ea4c0f4d7f2a01")),
        "account_id": AccountId("acme"),
        "seq": 1,
        "kind": TransactionKind.ADD_CREDIT,
        "postings": (Posting(Code.CASH, Code.WALLET, 25 * 10**9),),
        "wallet_after": 25 * 10**9,
        "receivable_after": 0,
        "reservation_id": None,
        "call_id": "",
        "reason": "",
        "external_reference": "pi_1",
        "labels": {},
        "effective_time": EPOCH + timedelta(microseconds=1750000000000000),
        "create_time": EPOCH + timedelta(microseconds=1750000000000001),
    }
    return Transaction(**{**fields, **changes})  # type: ignore[arg-type]


def test_the_documented_example() -> None:
    found = re.search(r"```\n(\[1,.*\])\nchain_hash = ([0-9a-f]{64})\n```", DOC.read_text(encoding="utf-8"))
    assert found is not None
    assert canonical(transaction()) == found[1].encode()
    assert chain(GENESIS_HASH, transaction()).hex() == found[2]


def test_every_field_is_hashed() -> None:
    other: dict[str, object] = {
        "tenant_id": TenantId("other"),
        "transaction_id": TransactionId(UUID(int=1)),
        "account_id": AccountId("other"),
        "seq": 2,
        "kind": TransactionKind.ADJUST,
        "postings": (Posting(Code.CASH, Code.WALLET, 25 * 10**9 + 1),),
        "wallet_after": 1,
        "receivable_after": 1,
        "reservation_id": ReservationId(UUID(int=1)),
        "call_id": "c",
        "reason": "r",
        "external_reference": "",
        "labels": {"k": "v"},
        "effective_time": EPOCH,
        "create_time": EPOCH,
    }
    assert other.keys() == set(Transaction.__dataclass_fields__) - {"chain_hash"}
    forms = {canonical(transaction(**{name: value})) for name, value in other.items()}
    assert len(forms | {canonical(transaction())}) == len(other) + 1


def test_the_form_is_what_an_encoder_of_json_writes() -> None:
    text = 'a "quoted" \\ ü \U0001f600 \x7f\n\t'
    strange = transaction(
        tenant_id=text,
        account_id=text,
        call_id=text,
        reason=text,
        external_reference=text,
        labels={text: text, "a": ""},
        postings=(Posting(Code.CASH, Code.WALLET, 2**70), Posting(Code.WALLET, Code.REVENUE, 1)),
        wallet_after=-(2**70),
        reservation_id=ReservationId(UUID(int=1)),
    )
    form = canonical(strange)
    assert json.dumps(json.loads(form), separators=(",", ":")).encode() == form
    assert json.loads(form)[1] == text


def test_labels_are_hashed_in_one_order() -> None:
    one, two = transaction(labels={"b": "2", "a": "ä"}), transaction(labels={"a": "ä", "b": "2"})
    assert canonical(one) == canonical(two)
    assert rb'[["a","\u00e4"],["b","2"]]' in canonical(one)


def test_the_chain_depends_on_what_came_before() -> None:
    assert chain(GENESIS_HASH, transaction()) != chain(b"\x01" * 32, transaction())
