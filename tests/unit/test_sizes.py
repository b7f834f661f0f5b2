"""Pages are cut by how large their items are at most: no message is larger than that, and not much smaller either."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from imprest_server.core.ids import AccountId, ReservationId, TenantId, TransactionId, uuid7
from imprest_server.core.money import MAX_NANOS
from imprest_server.ledger.chart import LedgerAccountCode as Code
from imprest_server.ledger.model import (
    Account,
    OnExpiry,
    OverrunPolicy,
    Posting,
    Reservation,
    ReservationState,
    Transaction,
    TransactionKind,
)
from imprest_server.ledger.views import size_of
from imprest_server.transport.resources import to_account, to_reservation, to_transaction

TENANT = TenantId("t")
WIDE = "\N{EARTH GLOBE EUROPE-AFRICA}"  # four bytes
FULL = WIDE * 255
LABELS = {f"{n:02}" + WIDE * 61: FULL for n in range(64)}
LONG_ID = AccountId("a" * 64)
ZONE = "America/Argentina/ComodRivadavia"
LATE = datetime(9999, 12, 31, 23, 59, 59, 999999, UTC)
#: A tag and a length, before each item of a list.
FRAME = 5


def account(labels: dict[str, str], text: str) -> Account:
    return Account(
        TENANT,
        LONG_ID,
        "USD",
        text,
        text,
        LONG_ID,
        MAX_NANOS,
        OverrunPolicy.REJECT,
        MAX_NANOS,
        2**31 - 1,
        MAX_NANOS,
        ZONE,
        labels,
        create_time=LATE,
        update_time=LATE,
    )


def reservation(labels: dict[str, str], text: str) -> Reservation:
    return Reservation(
        TENANT,
        ReservationId(uuid7()),
        LONG_ID,
        text,
        MAX_NANOS,
        OnExpiry.RELEASE,
        LATE,
        LATE,
        labels,
        ReservationState.EXPIRED,
        MAX_NANOS,
        MAX_NANOS,
        MAX_NANOS,
        late=True,
        end_time=LATE,
    )


def transaction(labels: dict[str, str], text: str, postings: int) -> Transaction:
    return Transaction(
        TENANT,
        TransactionId(uuid7()),
        LONG_ID,
        2**63 - 1,
        TransactionKind.UPDATE_ACCOUNT,
        (Posting(Code.CLEARING, Code.BREAKAGE, MAX_NANOS),) * postings,
        -MAX_NANOS,
        MAX_NANOS,
        ReservationId(uuid7()),
        text,
        text * 4,
        text,
        labels,
        LATE,
        LATE,
        bytes(32),
    )


@pytest.mark.parametrize("labels", [{}, LABELS], ids=["no labels", "all labels"])
@pytest.mark.parametrize("text", ["", FULL], ids=["no texts", "long texts"])
def test_no_message_is_larger_than_its_size(labels: dict[str, str], text: str) -> None:
    held, owned = reservation(labels, text), account(labels, text)
    sizes = [
        (to_account(owned).ByteSize(), size_of(owned)),
        (to_reservation(held, "USD").ByteSize(), size_of(held)),
    ]
    for postings in (0, 1, 12):
        posted = transaction(labels, text, postings)
        sizes.append((to_transaction(posted, "USD").ByteSize(), size_of(posted)))
    for actual, most in sizes:
        assert actual + FRAME <= most <= actual + 512
