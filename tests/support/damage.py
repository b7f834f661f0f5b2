"""Damage to the ledger that tests/integration/test_verify.py builds, and where `imprest verify` must find it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import TupleRow

from imprest_server.core.ids import TransactionId, uuid7
from imprest_server.core.money import format_nanos
from imprest_server.db.data_dir import SUPERUSER
from imprest_server.db.embedded import EmbeddedPostgres
from imprest_server.ledger.chart import LedgerAccountCode, apply_posting
from imprest_server.ledger.hashing import chain
from imprest_server.ledger.model import Posting, TransactionKind
from imprest_server.ledger.queries import SQL
from imprest_server.ledger.rows import book_of, entry_of
from tests.conftest import Database

#: Account, seq (None: the book), and what differs.
Place = tuple[str, int | None, str]

_ANN = "account_id = 'ann'"
_BOB = "account_id = 'bob'"
_HOLD = """
INSERT INTO reservations SELECT tenant_id, gen_random_uuid(), account_id, call_id, 'ACTIVE', {amount}, 0, 0, 0,
    on_expiry, labels, create_time, expire_time, NULL, NULL, false
FROM reservations WHERE state = 'ACTIVE'
"""
_ALLOCATION = """
INSERT INTO refunds SELECT c.tenant_id, c.transaction_id, t.transaction_id, t.account_id, 'REFUND', 1, 0
FROM transactions c, transactions t WHERE c.account_id = 'ann' AND c.seq = 5 AND t.account_id = 'ann' AND t.seq = 10
"""
_POINT_TO = """
UPDATE refunds SET captured_transaction_id = t.transaction_id FROM transactions t
WHERE t.account_id = '{account}' AND t.seq = {seq} AND refunds.amount = 2
"""


def _set(table: str, change: str, where: str) -> str:
    return f"UPDATE {table} SET {change} WHERE {where}"


CASES: dict[str, tuple[Place, list[str]]] = {
    "another cost of a usage line": (
        ("gus", 2, "provider cost"),
        [_set("usage_lines", "cost = cost + 0.000000001", "seq = 2")],
    ),
    "another price of a usage line": (
        ("gus", 2, "charge for usage"),
        [_set("usage_lines", "price = price - 1", "seq = 2")],
    ),
    "a usage line missing": (
        ("gus", 2, "provider cost"),
        ["DELETE FROM usage_lines WHERE seq = 2"],
    ),
    "a usage line of another transaction": (
        ("gus", 1, "usage lines"),
        [_set("usage_lines", "seq = 1", "seq = 2")],
    ),
    "a counter that is behind": (
        ("gus", None, "counter of SALE telephony.outbound_seconds in {month}"),
        [_set("usage_counters", "quantity = quantity - 1", "true")],
    ),
    "a counter missing": (
        ("gus", None, "counter of SALE telephony.outbound_seconds in {month}"),
        ["DELETE FROM usage_counters"],
    ),
    "another captured cost": (
        ("gus", None, "captured_cost of reservation {reservation}"),
        [_set("reservations", "captured_cost = captured_cost + 1", "account_id = 'gus'")],
    ),
    "an amount changed": (
        ("ann", 5, "wallet_after"),
        [_set("postings", "amount = amount + 1", f"{_ANN} AND seq = 5")],
    ),
    "an amount changed by one nano": (
        ("ann", 1, "chain_hash"),
        [_set("postings", "amount = amount + 0.000000001", f"{_ANN} AND seq = 1 AND line = 2")],
    ),
    "a posting missing": (
        ("ann", 1, "chain_hash"),
        [f"DELETE FROM postings WHERE {_ANN} AND seq = 1 AND line = 2"],
    ),
    "all postings missing": (
        ("ann", 5, "postings"),
        [f"DELETE FROM postings WHERE {_ANN} AND seq = 5"],
    ),
    "a posting more": (
        ("ann", 5, "chain_hash"),
        ["INSERT INTO postings VALUES ('default', 'ann', 5, 9, 'PROVIDER_COST', 'PROVIDER_PAYABLE', 1)"],
    ),
    "two postings swapped": (
        ("ann", 1, "chain_hash"),
        [_set("postings", "line = line + 10", f"{_ANN} AND seq = 1 AND line = 1")],
    ),
    "another code": (
        ("ann", 10, "chain_hash"),
        [_set("postings", "debit = 'ADJUSTMENTS'", f"{_ANN} AND seq = 10")],
    ),
    "postings without a transaction": (
        ("dan", 1, "transaction"),
        ["INSERT INTO postings VALUES ('default', 'dan', 1, 1, 'CASH', 'WALLET', 1)"],
    ),
    "postings of no account at all": (
        ("zoe", 1, "transaction"),
        ["INSERT INTO postings VALUES ('other', 'zoe', 1, 1, 'CASH', 'WALLET', 1)"],
    ),
    "a transaction missing": (
        ("ann", 11, "seq"),
        [f"DELETE FROM {table} WHERE {_ANN} AND seq = 10" for table in ("postings", "transactions")],
    ),
    "the newest transaction missing": (
        ("bob", None, "seq of the book"),
        [f"DELETE FROM {table} WHERE {_BOB} AND seq = 3" for table in ("postings", "transactions")],
    ),
    "a whole journal missing": (
        ("eve", None, "seq of the book"),
        [f"DELETE FROM {table} WHERE account_id = 'eve'" for table in ("postings", "transactions")],
    ),
    "a hash changed": (
        ("ann", 3, "chain_hash"),
        [_set("transactions", "chain_hash = sha256('x')", f"{_ANN} AND seq = 3")],
    ),
    "written earlier": (
        ("ann", 3, "chain_hash"),
        [_set("transactions", "create_time = create_time - interval '1 us'", f"{_ANN} AND seq = 3")],
    ),
    "happened earlier": (
        ("ann", 3, "chain_hash"),
        [_set("transactions", "effective_time = effective_time - interval '1 us'", f"{_ANN} AND seq = 3")],
    ),
    "another kind": (
        ("ann", 10, "chain_hash"),
        [_set("transactions", "kind = 'ADJUST'", f"{_ANN} AND seq = 10")],
    ),
    "another reason": (
        ("ann", 6, "chain_hash"),
        [_set("transactions", "reason = 'good line'", f"{_ANN} AND seq = 6")],
    ),
    "other labels": (
        ("ann", 3, "chain_hash"),
        [_set("transactions", "labels = '{}'", f"{_ANN} AND seq = 3")],
    ),
    "another reference": (
        ("ann", 1, "chain_hash"),
        [_set("transactions", "external_reference = NULL", f"{_ANN} AND seq = 1")],
    ),
    "another call": (
        ("ann", 4, "chain_hash"),
        [_set("transactions", "call_id = ''", f"{_ANN} AND seq = 4")],
    ),
    "another id": (
        ("eve", 1, "chain_hash"),
        [_set("transactions", "transaction_id = gen_random_uuid()", "account_id = 'eve'")],
    ),
    "the wallet after it changed": (
        ("ann", 4, "wallet_after"),
        [_set("transactions", "wallet_after = wallet_after + 1", f"{_ANN} AND seq = 4")],
    ),
    "the receivable after it changed": (
        ("bob", 2, "receivable_after"),
        [_set("transactions", "receivable_after = 0", f"{_BOB} AND seq = 2")],
    ),
    "a book changed within its equation": (
        ("ann", None, "balance of CASH"),
        [_set("books", "cash = cash + 1, wallet = wallet + 1", _ANN)],
    ),
    "a book's hash changed": (
        ("ann", None, "chain_hash of the book"),
        [_set("books", "chain_hash = sha256('x')", _ANN)],
    ),
    "a book's time changed": (
        ("ann", None, "last_time of the book"),
        [_set("books", "last_time = NULL", _ANN)],
    ),
    "a book ahead of its journal": (
        ("ann", None, "seq of the book"),
        [_set("books", "seq = seq + 1", _ANN)],
    ),
    "a book missing": (
        ("dan", None, "account and book"),
        ["DELETE FROM books WHERE account_id = 'dan'"],
    ),
    "an account missing": (
        ("bob", None, "account and book"),
        [f"DELETE FROM accounts WHERE {_BOB}"],
    ),
    "more held than reserved": (
        ("ann", None, "held"),
        [_set("books", "held = held + 1", _ANN)],
    ),
    "a hold nobody counted": (
        ("ann", None, "held"),
        [_HOLD.format(amount=1)],
    ),
    "an empty hold nobody counted": (
        ("ann", None, "open_count"),
        [_HOLD.format(amount=0)],
    ),
    "a hold ended behind the book's back": (
        ("ann", None, "held"),
        [_set("reservations", "state = 'VOIDED', ended_by = 'VOID'", "state = 'ACTIVE'")],
    ),
    "a hold raised behind the book's back": (
        ("ann", None, "held"),
        [_set("reservations", "amount = amount + 1", "state = 'ACTIVE'")],
    ),
    "a reservation missing": (
        ("ann", 3, "reservation"),
        ["DELETE FROM reservations WHERE call_id = 'call-1'"],
    ),
    "a reservation given to another account": (
        ("ann", 3, "reservation"),
        [_set("reservations", "account_id = 'bob'", "call_id = 'call-1'")],
    ),
    "a receivable left beside credit": (
        ("bob", None, "available credit beside a receivable"),
        [_set("accounts", "credit_limit = 1", _BOB)],
    ),
    "an allocation missing": (
        ("ann", 7, "refund allocations"),
        ["DELETE FROM refunds WHERE amount = 2"],
    ),
    "an allocation changed": (
        ("ann", 6, "refund allocations"),
        [_set("refunds", "amount = 7", "amount = 6")],
    ),
    "an allocation's cost changed": (
        ("ann", 6, "refund allocations' cost"),
        [_set("refunds", "cost = 1", "amount = 6")],
    ),
    "an allocation of no refund": (
        ("ann", 10, "refund allocations"),
        [_ALLOCATION],
    ),
    "an allocation to another book": (
        ("ann", 7, "captured transaction of a refund"),
        [_POINT_TO.format(account="bob", seq=2)],
    ),
    "an allocation to what charged nothing": (
        ("ann", 7, "refunded in all of seq 1"),
        [_POINT_TO.format(account="ann", seq=1)],
    ),
    "an allocation of another kind": (
        ("ann", 9, "kind of a refund allocation"),
        [_set("refunds", "kind = 'REFUND'", "kind = 'LATE_COMMIT'")],
    ),
}


def damage(database: Database, cluster: EmbeddedPostgres, *statements: str) -> None:
    """Change rows as only a superuser can, past the foreign keys; each statement must change something."""
    with psycopg.connect(cluster.dsn(database.name, SUPERUSER)) as superuser:
        superuser.execute("SET session_replication_role = replica")
        for statement in statements:
            assert superuser.execute(statement.encode()).rowcount > 0


def append(
    database: Database,
    account: str,
    kind: TransactionKind,
    debit: LedgerAccountCode,
    credit: LedgerAccountCode,
    amount: int,
    earlier: timedelta = timedelta(0),
) -> UUID:
    """Add a transaction to a book as a thief would who knows the chain: nothing is wrong with the book by itself.

    Its create_time is the last one's, or `earlier`. Returns its id.
    """
    with psycopg.connect(database.owner_dsn) as owner:
        book = book_of(_one(owner, "SELECT * FROM books WHERE account_id = %s", [account]))
        newest = "SELECT transaction_id FROM transactions WHERE account_id = %s ORDER BY seq DESC"
        (last_id,) = _one(owner, newest, [account])
        row = _one(
            owner, SQL["get_transaction"], {"tenant": book.tenant_id, "transaction": last_id, "refunds_limit": 1}
        )
        apply_posting(book.balances, debit, credit, amount)
        forged = replace(
            entry_of(row[1:]),
            transaction_id=TransactionId(uuid7()),
            seq=book.seq + 1,
            kind=kind,
            postings=(Posting(debit, credit, amount),),
            wallet_after=book.wallet,
            receivable_after=book.receivable,
            reservation_id=None,
            create_time=entry_of(row[1:]).create_time - earlier,
        )
        chain_hash = chain(book.chain_hash, forged)
        owner.execute(
            """
            INSERT INTO transactions
            SELECT tenant_id, %s, account_id, %s, %s, %s, %s, NULL, call_id, reason, external_reference, labels,
                effective_time, %s, %s
            FROM transactions WHERE transaction_id = %s
            """,
            [
                forged.transaction_id,
                forged.seq,
                kind.value,
                format_nanos(forged.wallet_after),
                format_nanos(forged.receivable_after),
                forged.create_time,
                chain_hash,
                last_id,
            ],
        )
        owner.execute(
            "INSERT INTO postings VALUES (%s, %s, %s, 1, %s, %s, %s)",
            [book.tenant_id, account, forged.seq, debit.value, credit.value, format_nanos(amount)],
        )
        balances = ", ".join(f"{code.lower()} = {format_nanos(balance)}" for code, balance in book.balances.items())
        owner.execute(
            f"UPDATE books SET {balances}, seq = %s, chain_hash = %s, last_time = %s WHERE account_id = %s".encode(),
            [forged.seq, chain_hash, forged.create_time, account],
        )
    return forged.transaction_id


def _one(connection: psycopg.Connection, query: Any, parameters: Any) -> TupleRow:
    row = connection.execute(query, parameters).fetchone()
    assert row is not None
    return row
