"""What a user would write instead of Imprest: SQLAlchemy ORM, one transaction per request, SELECT … FOR UPDATE.

The same tables with the same constraints, the same rows per operation: the key with its reply, the hold, the
transaction with its posting and hash. It leaves out what such code leaves out (due holds, overrun policies, currency
and state checks), so it has less to do than the engine. Sessions, eager defaults and the identity map are as
SQLAlchemy recommends them; tenants are set once per connection, not once per transaction.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import random
import threading
import time
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import create_engine, event, func, select
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.orm import DeclarativeBase, Session, relationship

from benchmarks.control import Control, Order
from benchmarks.seed import TENANT, account_id
from imprest_server.core.ids import uuid7
from imprest_server.db import tables
from imprest_server.db.data_dir import APP_ROLE

_HOLD, _ACTUAL = Decimal(1), Decimal("0.75")
_TTL = timedelta(minutes=15)


class _Base(DeclarativeBase):
    metadata = tables.metadata


class Account(_Base):
    """A customer's settings."""

    __table__ = tables.accounts


class Book(_Base):
    """An account's balances: the row that is locked."""

    __table__ = tables.books


class Reservation(_Base):
    """A hold."""

    __table__ = tables.reservations


class Posting(_Base):
    """One amount from one code to another."""

    __table__ = tables.postings


class Transaction(_Base):
    """What one operation posted in one book."""

    __table__ = tables.transactions
    postings = relationship(Posting)


class Operation(_Base):
    """A decided request under its key."""

    __table__ = tables.operations


def reserve(session: Session, key: str, account: str, call_id: str, amount: Decimal) -> dict[str, Any]:
    """Set credit aside; the same key again gets the first answer."""
    book = session.get_one(Book, (TENANT, account), with_for_update=True)
    fingerprint = _sha256([account, call_id, str(amount)])
    if (known := _replay(session, "RESERVE", key, fingerprint)) is not None:
        return known
    settings = session.get_one(Account, (TENANT, account))
    if book.wallet - book.held + settings.credit_limit < amount:
        raise ValueError("insufficient funds")
    now = session.scalars(select(func.clock_timestamp())).one()
    book.held += amount
    book.open_count += 1
    hold = Reservation(
        tenant_id=TENANT,
        reservation_id=uuid7(),
        account_id=account,
        call_id=call_id,
        state="ACTIVE",
        amount=amount,
        captured=Decimal(0),
        absorbed=Decimal(0),
        used_so_far=Decimal(0),
        on_expiry="CAPTURE_USED",
        labels={},
        create_time=now,
        expire_time=now + _TTL,
        late=False,
    )
    session.add(hold)
    return _keep(session, "RESERVE", key, fingerprint, _reply(book, settings, hold), now)


def commit(session: Session, key: str, reservation_id: UUID, amount: Decimal) -> dict[str, Any]:
    """Spend a hold and free its rest; the same key again gets the first answer."""
    owner = select(Reservation.account_id).where(
        Reservation.tenant_id == TENANT, Reservation.reservation_id == reservation_id
    )
    book = session.get_one(Book, (TENANT, session.scalars(owner).one()), with_for_update=True)
    fingerprint = _sha256([reservation_id.hex, str(amount)])
    if (known := _replay(session, "COMMIT", key, fingerprint)) is not None:
        return known
    settings = session.get_one(Account, (TENANT, book.account_id))
    hold = session.get_one(Reservation, (TENANT, reservation_id))
    if hold.state != "ACTIVE" or amount > hold.amount:
        raise ValueError("cannot be committed")
    now = session.scalars(select(func.clock_timestamp())).one()
    hold.state, hold.captured, hold.end_time, hold.ended_by = "COMMITTED", amount, now, "COMMIT"
    book.held -= hold.amount
    book.open_count -= 1
    book.wallet -= amount
    book.revenue += amount
    book.seq += 1
    book.last_time = now
    entry = [book.account_id, book.seq, reservation_id.hex, str(amount), now.isoformat()]
    book.chain_hash = _sha256([book.chain_hash.hex(), entry])
    transaction = Transaction(
        tenant_id=TENANT,
        transaction_id=uuid7(),
        account_id=book.account_id,
        seq=book.seq,
        kind="COMMIT",
        wallet_after=book.wallet,
        receivable_after=book.receivable,
        reservation_id=reservation_id,
        call_id=hold.call_id,
        reason="",
        labels={},
        effective_time=now,
        create_time=now,
        chain_hash=book.chain_hash,
    )
    transaction.postings = [Posting(line=1, debit="WALLET", credit="REVENUE", amount=amount)]
    session.add(transaction)
    reply = _reply(book, settings, hold) | {"transaction_id": transaction.transaction_id.hex}
    return _keep(session, "COMMIT", key, fingerprint, reply, now)


def _replay(session: Session, kind: str, key: str, fingerprint: bytes) -> dict[str, Any] | None:
    known = session.get(Operation, (TENANT, kind, key))
    if known is None:
        return None
    if known.fingerprint != fingerprint:
        raise ValueError("the key was used for another request")
    reply: dict[str, Any] = json.loads(known.payload)
    return reply


def _keep(session: Session, kind: str, key: str, fingerprint: bytes, reply: dict[str, Any], now: Any) -> dict[str, Any]:
    session.add(
        Operation(
            tenant_id=TENANT,
            kind=kind,
            idempotency_key=key,
            fingerprint=fingerprint,
            payload=json.dumps(reply),
            create_time=now,
        )
    )
    return reply


def _reply(book: Any, settings: Any, hold: Any) -> dict[str, Any]:
    return {
        "reservation": {
            "reservation_id": hold.reservation_id.hex,
            "account_id": hold.account_id,
            "call_id": hold.call_id,
            "state": hold.state,
            "amount": str(hold.amount),
            "captured": str(hold.captured),
            "create_time": hold.create_time.isoformat(),
            "expire_time": hold.expire_time.isoformat(),
        },
        "balance": {
            "currency_code": settings.currency_code,
            "wallet": str(book.wallet),
            "held": str(book.held),
            "available": str(book.wallet - book.held + settings.credit_limit),
            "receivable": str(book.receivable),
        },
    }


def _sha256(content: list[Any]) -> bytes:
    return hashlib.sha256(json.dumps(content).encode()).digest()


def run(order: Order, control: Control) -> None:
    """As many threads as connections, each a request at a time."""
    engine = _make_engine(order)
    numbers = itertools.count()

    def call() -> None:
        while not control.stopping:
            number = next(numbers)
            key, account = f"call-{number:08d}", account_id(random.randrange(order.accounts))
            started = time.perf_counter()
            with Session(engine) as session, session.begin():
                held = reserve(session, key, account, key, _HOLD)
            reserved = time.perf_counter()
            control.note(reserved - started)
            with Session(engine) as session, session.begin():
                commit(session, key, UUID(hex=held["reservation"]["reservation_id"]), _ACTUAL)
            control.note(time.perf_counter() - reserved)

    control.ready()
    threads = [threading.Thread(target=call) for _ in range(order.in_flight)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    engine.dispose()


def _make_engine(order: Order) -> Engine:
    engine = create_engine(
        make_url(order.dsn).set(drivername="postgresql+psycopg"), pool_size=order.connections, max_overflow=0
    )

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, record: Any) -> None:
        connection.autocommit = True
        connection.execute("SELECT set_config('role', %s, false)", [APP_ROLE])
        connection.execute("SELECT set_config('imprest.tenants', %s, false)", [TENANT])
        connection.execute("SELECT set_config('TimeZone', 'UTC', false)")
        connection.autocommit = False

    return engine
