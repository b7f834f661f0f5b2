"""The stories that `imprestctl explain` tells, sentence by sentence."""

# ruff: noqa: E501, ISC004  # a sentence is read best as a whole

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from imprest_client.ctl.stories import Event, story_of_hold, story_of_transaction
from imprest_client.ctl.stories.hold import charged_by
from imprest_client.model import (
    LedgerAccountCode,
    OnExpiry,
    Posting,
    RefundAllocation,
    Reservation,
    ReservationState,
    Transaction,
    TransactionKind,
    TransactionRefunds,
)
from imprest_client.pricing_model import RatedLine, Subscription, UsageLine

UTC_ZONE = ZoneInfo("UTC")
BORN = datetime(2026, 10, 31, 12, 0, tzinfo=UTC)
DUE = BORN + timedelta(minutes=15)
HOLD_ID = "rsv_" + "1" * 32


def minute(number: int) -> datetime:
    return BORN + timedelta(minutes=number)


def hold(state: str = "COMMITTED", amount: str = "5", **fields: Any) -> Reservation:
    for name in ("captured", "absorbed", "used_so_far"):
        fields[name] = Decimal(fields.get(name, 0))
    defaults: dict[str, Any] = {
        "call_id": "call-1",
        "on_expiry": OnExpiry.CAPTURE_USED,
        "labels": {},
        "end_time": None if state == "ACTIVE" else DUE if state == "EXPIRED" else minute(3),
        "late": False,
    }
    return Reservation(
        reservation_id=HOLD_ID,
        account_id="acme",
        state=ReservationState(state),
        currency_code="USD",
        amount=Decimal(amount),
        create_time=BORN,
        expire_time=DUE,
        **{**defaults, **fields},
    )


def transaction(kind: str, *postings: str, at: int = 3, **fields: Any) -> Transaction:
    """`postings` are written `WALLET REVENUE 1.50`."""
    moved = [posting.split() for posting in postings]
    time = fields.pop("time", minute(at))
    defaults: dict[str, Any] = {
        "transaction_id": "txn_" + "2" * 32,
        "seq": 7,
        "wallet_after": Decimal(20),
        "reservation_id": HOLD_ID,
        "call_id": "call-1",
        "reason": "",
        "external_reference": "",
        "labels": {},
        "effective_time": time,
    }
    return Transaction(
        account_id="acme",
        kind=TransactionKind(kind),
        currency_code="USD",
        postings=tuple(
            Posting(LedgerAccountCode(debit), LedgerAccountCode(credit), Decimal(amount))
            for debit, credit, amount in moved
        ),
        create_time=time,
        chain_hash=bytes.fromhex("ab" * 32),
        **{**defaults, **fields},
    )


def told(reservation: Reservation, *transactions: Transaction) -> list[str]:
    return [event.text for event in story_of_hold(reservation, transactions, UTC_ZONE)]


SET_ASIDE = "Credit of acme was set aside for call call-1: 5.00 USD with all extensions."


# ── holds ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_plain_call() -> None:
    story = story_of_hold(hold(captured="1.5"), [transaction("COMMIT", "WALLET REVENUE 1.5")], UTC_ZONE)
    assert story == [
        Event(BORN, SET_ASIDE),
        Event(
            minute(3),
            "A commit captured 1.50 USD: all from the hold. It was the final one; 3.50 USD of the hold was freed.",
        ),
        Event(None, "In all 1.50 USD was charged."),
    ]


def test_a_call_that_runs() -> None:
    running = hold("ACTIVE", used_so_far="1", labels={"b": "2", "a": "1"}, call_id="")
    assert told(running) == [
        "Credit of acme was set aside for a call without an id: 5.00 USD with all extensions. Labels: a=1, b=2. While the "
        "call ran, up to 1.00 USD was reported as used.",
        "Still open: 5.00 USD is held until 2026-10-31 12:15:00Z; then what is reported as used is charged. So far nothing "
        "was charged.",
    ]
    released = hold("ACTIVE", captured="2", on_expiry=OnExpiry.RELEASE)
    assert told(released, transaction("COMMIT", "WALLET REVENUE 2"))[1:] == [
        "A commit captured 2.00 USD: all from the wallet.",
        "Still open: 3.00 USD is held until 2026-10-31 12:15:00Z; then it is released. So far 2.00 USD was charged.",
    ]


def test_partial_captures_with_a_refund_between() -> None:
    """The refunds come when they came, and how the last capture was paid is known."""
    story = told(
        hold(captured="4"),
        transaction("COMMIT", "WALLET REVENUE 1", at=1),
        transaction("REFUND", "REFUNDS WALLET 0.25", at=2, reason="noise"),
        transaction("COMMIT", "WALLET REVENUE 3", at=3),
    )
    assert story[1:] == [
        "A commit captured 1.00 USD: all from the wallet.",
        "A refund gave back 0.25 USD: all to the wallet. Reason: noise.",
        "A commit captured 3.00 USD: all from the hold. It was the final one; 1.00 USD of the hold was freed.",
        "In all 4.00 USD was charged, 0.25 USD refunded: 3.75 USD remains.",
    ]


def test_an_overrun_is_split_in_the_order_it_was_paid() -> None:
    story = told(
        hold(captured="9", absorbed="2"),
        transaction("COMMIT", "WALLET REVENUE 1", at=1),
        transaction("COMMIT", "WALLET REVENUE 7", "RECEIVABLE REVENUE 1", "OVERRUN_LOSS REVENUE 2"),
    )
    assert story[2:] == [
        "A commit captured 10.00 USD: 4.00 USD from the hold, 3.00 USD from available credit beside it, 1.00 USD owed by the "
        "customer, 2.00 USD absorbed as a loss. It was the final one; nothing of the hold was left to free.",
        "In all 9.00 USD was charged, 2.00 USD absorbed as a loss.",
    ]


def test_what_the_commit_did_besides() -> None:
    story = told(
        hold(captured="1"),
        transaction("COMMIT", "WALLET REVENUE 1", "PROVIDER_COST PROVIDER_PAYABLE 0.4", "WALLET RECEIVABLE 2"),
    )
    assert story[1].endswith(
        "4.00 USD of the hold was freed. 2.00 USD of what the customer owed was repaid from the wallet. Providers charge "
        "0.40 USD for it."
    )


def test_ends_without_a_charge() -> None:
    voided = told(hold("VOIDED"))
    assert voided[1:] == [
        "The hold was voided: nothing was charged, 5.00 USD of the hold was freed.",
        "In all nothing was charged.",
    ]
    settling = told(hold("VOIDED"), transaction("VOID", "WALLET RECEIVABLE 2", reason="no answer"))
    assert settling[1] == (
        "The hold was voided: nothing was charged, 5.00 USD of the hold was freed. Reason: no answer. 2.00 USD of what the "
        "customer owed was repaid from the wallet."
    )
    zero = told(hold())
    assert zero[1] == "A commit of zero ended the hold: nothing was charged, 5.00 USD of the hold was freed."
    after_capture = told(hold(captured="1"), transaction("COMMIT", "WALLET REVENUE 1", at=1))
    assert after_capture[2] == (
        "The hold was ended without a further charge (a void, or a commit of zero); 4.00 USD of the hold was freed."
    )
    voided_after = told(
        hold(captured="1"),
        transaction("COMMIT", "WALLET REVENUE 1", at=1),
        transaction("VOID", "WALLET RECEIVABLE 3"),
    )
    assert voided_after[2].startswith("The hold was voided after its captures; 4.00 USD of the hold was freed.")


def test_a_final_commit_of_zero_that_only_settles() -> None:
    story = told(hold(), transaction("COMMIT", "WALLET RECEIVABLE 2"))
    assert story[1] == (
        "A commit captured nothing. It was the final one; 5.00 USD of the hold was freed. 2.00 USD of what the customer owed "
        "was repaid from the wallet."
    )


def test_expiries() -> None:
    until = "It may be committed late, by default until 2026-11-07 12:15:00Z."
    captured = told(
        hold("EXPIRED", captured="3", absorbed="0", used_so_far="3"),
        transaction("COMMIT", "WALLET REVENUE 1", at=1),
        transaction("EXPIRE", "WALLET REVENUE 2", at=16),
    )
    assert captured[2:] == [
        "The hold came due before anybody had ended it, so 2.00 USD that was reported as used, and not captured yet, was "
        "charged: all from the hold; 2.00 USD of the hold was freed.",
        f"In all 3.00 USD was charged. {until}",
    ]
    story = story_of_hold(hold("EXPIRED"), [], UTC_ZONE)
    assert story[1:] == [
        Event(
            DUE,
            "The hold came due before anybody had ended it, and no use was reported that was not captured yet, so nothing "
            "was charged; 5.00 USD of the hold was freed.",
        ),
        Event(None, f"In all nothing was charged. {until}"),
    ]
    released = told(hold("EXPIRED", on_expiry=OnExpiry.RELEASE, used_so_far="3"))
    assert "and it was to be released without a charge; 5.00 USD of the hold was freed." in released[1]
    settled = told(hold("EXPIRED"), transaction("EXPIRE", "WALLET RECEIVABLE 1", at=16))
    assert settled[1].endswith("1.00 USD of what the customer owed was repaid from the wallet.")


def test_late_commits() -> None:
    expiry = transaction("EXPIRE", "WALLET REVENUE 2", at=16)
    late: dict[str, Any] = {"late": True, "end_time": DUE, "used_so_far": "2"}
    less = told(
        hold(captured="0.5", **late),
        expiry,
        transaction("LATE_COMMIT", "REFUNDS RECEIVABLE 0.5", "REFUNDS WALLET 1", at=20),
    )
    assert less[2:] == [
        "A late commit told the true cost, 0.50 USD. 1.50 USD was given back: 0.50 USD off what the customer owed, 1.00 USD "
        "to the wallet.",
        "In all 0.50 USD was charged.",
    ]
    more = told(
        hold(captured="4", absorbed="1", **late),
        expiry,
        transaction("LATE_COMMIT", "WALLET REVENUE 1.5", "RECEIVABLE REVENUE 0.5", "OVERRUN_LOSS REVENUE 1", at=20),
    )
    assert more[2] == (
        "A late commit told the true cost, 5.00 USD. 3.00 USD more had been used: 1.50 USD from available credit, 0.50 USD "
        "owed by the customer, 1.00 USD absorbed as a loss."
    )
    recovered = told(
        hold(captured="2", **late),
        transaction("EXPIRE", "WALLET REVENUE 1", "OVERRUN_LOSS REVENUE 1", at=16),
        transaction("LATE_COMMIT", "WALLET REVENUE 1", "REVENUE OVERRUN_LOSS 1", at=20),
    )
    assert recovered[2] == (
        "A late commit told the true cost, 2.00 USD. 1.00 USD more had been used: all from available credit. 1.00 USD less is "
        "absorbed as a loss."
    )
    assert told(hold(captured="2", **late), expiry)[2] == "A late commit confirmed what the expiry had charged."
    after = told(
        hold(captured="3", **late),
        transaction("COMMIT", "WALLET REVENUE 1", at=1),
        transaction("LATE_COMMIT", "WALLET REVENUE 2", at=20),
    )
    assert after[3] == (
        "A late commit told the true cost since the captures before, 2.00 USD. 2.00 USD more had been used: all from "
        "available credit."
    )


def test_what_transactions_charge_by_themselves() -> None:
    transactions = [
        transaction("COMMIT", "WALLET REVENUE 1", "OVERRUN_LOSS REVENUE 7", at=1),
        transaction("REFUND", "REFUNDS WALLET 1"),
        transaction("EXPIRE", "WALLET REVENUE 2", "RECEIVABLE REVENUE 3", at=16),
        transaction("LATE_COMMIT", "REFUNDS RECEIVABLE 3", "REFUNDS WALLET 0.5", at=20),
    ]
    assert charged_by(transactions) == Decimal("2.5")
    assert charged_by([]) == 0


def test_corrections_count_in_what_remains() -> None:
    story = told(
        hold(captured="4"),
        transaction("COMMIT", "WALLET REVENUE 4"),
        transaction("RERATE", "WALLET REVENUE 1", at=4, reason="price list"),
        transaction("TRUE_UP", "PROVIDER_COST PROVIDER_PAYABLE 1", at=5, reason="invoice"),
        transaction("REFUND", "REFUNDS WALLET 2", at=6),
    )
    assert story[2:] == [
        "Other prices were applied to its usage. 1.00 USD more was charged: all from available credit. Reason: price list.",
        "The provider's cost was corrected. It costs 1.00 USD more. Reason: invoice.",
        "A refund gave back 2.00 USD: all to the wallet.",
        "In all 4.00 USD was charged, 1.00 USD more by other prices, 2.00 USD refunded: 3.00 USD remains.",
    ]
    assert charged_by([transaction("COMMIT", "WALLET REVENUE 4"), transaction("RERATE", "WALLET REVENUE 1")]) == 4


def test_a_month_of_a_subscription() -> None:
    begun = Subscription("sub_1", "acme", "pro", (), BORN, None, BORN)
    charge = transaction("USAGE", "WALLET REVENUE 9", reservation_id="", call_id="sub_1")
    line = RatedLine(
        UsageLine(meter="plan.months", quantity=Decimal(1), line_id="2026-10.1"),
        *(Decimal(9), None, Decimal(9), None, "ver_1", "", "", False),
    )
    found = TransactionRefunds(charge, (), (), (line,))
    assert [event.text for event in story_of_transaction(found, UTC_ZONE, begun)][:2] == [
        "The month 2026-10 of plan pro was charged: 9.00 USD, all from available credit.",
        "It belongs to subscription sub_1.",
    ]
    alone = replace(begun, plan_id="", end_time=DUE)
    assert [event.text for event in story_of_transaction(found, UTC_ZONE, alone)][:2] == [
        "The month 2026-10 of a subscription without a plan was charged: 9.00 USD, all from available credit.",
        "It belongs to subscription sub_1, which ends at 2026-10-31 12:15:00Z.",
    ]


def test_the_zone() -> None:
    story = story_of_hold(hold("ACTIVE"), [], ZoneInfo("America/New_York"))
    assert "until 2026-10-31 08:15:00-04:00" in story[-1].text


# ── transactions ─────────────────────────────────────────────────────────────────────────────────────

FREE: dict[str, Any] = {"reservation_id": "", "call_id": ""}


def deed(kind: str, *postings: str, **fields: Any) -> str:
    found = TransactionRefunds(transaction(kind, *postings, **{**FREE, **fields}), (), ())
    return story_of_transaction(found, UTC_ZONE)[0].text


@pytest.mark.parametrize(
    ("kind", "postings", "text"),
    [
        ("ADD_CREDIT", ["CASH WALLET 25"], "The customer bought 25.00 USD of credit."),
        (
            "ADD_CREDIT",
            ["CASH RECEIVABLE 5", "CASH WALLET 20", "FEE_COST FEE_PAYABLE 0.75"],
            "The customer bought 25.00 USD of credit, of which 5.00 USD repaid what was owed. The payment cost 0.75 USD in fees.",
        ),
        ("REVERSE_CREDIT", ["WALLET CASH 5"], "5.00 USD of bought credit was taken back: all from the wallet."),
        (
            "REVERSE_CREDIT",
            ["WALLET CASH 5", "RECEIVABLE CASH 2"],
            "7.00 USD of bought credit was taken back: 5.00 USD from the wallet, 2.00 USD owed by the customer.",
        ),
        ("GRANT_CREDIT", ["PROMOTION_COST WALLET 3"], "The customer was given 3.00 USD of credit."),
        (
            "ADJUST",
            ["ADJUSTMENTS RECEIVABLE 3"],
            "A correction added 3.00 USD of credit, of which 3.00 USD repaid what was owed.",
        ),
        ("ADJUST", ["WALLET ADJUSTMENTS 3"], "A correction took 3.00 USD from the wallet."),
        ("WITHDRAW", ["WALLET CASH 3"], "3.00 USD was paid out to the customer."),
        (
            "TRANSFER_OUT",
            ["WALLET CLEARING 3"],
            "3.00 USD was sent to another account, in whose book a TRANSFER_IN stands for it.",
        ),
        (
            "TRANSFER_IN",
            ["CLEARING RECEIVABLE 1", "CLEARING WALLET 2"],
            "Another account, in whose book a TRANSFER_OUT stands for it, sent 3.00 USD of credit, of which 1.00 USD repaid "
            "what was owed.",
        ),
        ("CHARGE", ["WALLET REVENUE 3"], "3.00 USD was charged at once, without a hold."),
        (
            "COMMIT",
            ["WALLET REVENUE 3", "RECEIVABLE REVENUE 1"],
            "A commit captured 4.00 USD: 3.00 USD from the wallet, 1.00 USD owed by the customer.",
        ),
        (
            "COMMIT",
            ["WALLET RECEIVABLE 1"],
            "A commit charged nothing. 1.00 USD of what the customer owed was repaid from the wallet.",
        ),
        (
            "EXPIRE",
            ["WALLET REVENUE 3"],
            "A hold came due, and its reported use of 3.00 USD was charged: all from the wallet.",
        ),
        (
            "EXPIRE",
            ["WALLET RECEIVABLE 1"],
            "A hold came due and was freed. 1.00 USD of what the customer owed was repaid from the wallet.",
        ),
        (
            "LATE_COMMIT",
            ["WALLET REVENUE 3", "OVERRUN_LOSS REVENUE 1"],
            "A commit came after its hold had expired, and put right what the expiry had charged. 4.00 USD more had been "
            "used: 3.00 USD from available credit, 1.00 USD absorbed as a loss.",
        ),
        (
            "LATE_COMMIT",
            ["REFUNDS WALLET 3", "REVENUE OVERRUN_LOSS 1"],
            "A commit came after its hold had expired, and put right what the expiry had charged. 3.00 USD was given back: "
            "all to the wallet. 1.00 USD less is absorbed as a loss.",
        ),
        (
            "VOID",
            ["WALLET RECEIVABLE 1"],
            "A hold was voided. 1.00 USD of what the customer owed was repaid from the wallet.",
        ),
        (
            "REFUND",
            ["REFUNDS RECEIVABLE 1", "REFUNDS WALLET 2", "PROVIDER_PAYABLE PROVIDER_COST 0.5"],
            "A refund gave back 3.00 USD: 1.00 USD off what the customer owed, 2.00 USD to the wallet. Providers give 0.50 "
            "USD of their part back.",
        ),
        (
            "UPDATE_ACCOUNT",
            ["WALLET RECEIVABLE 1"],
            "The credit limit was raised. 1.00 USD of what the customer owed was repaid from the wallet.",
        ),
        (
            "TRUE_UP",
            ["PROVIDER_PAYABLE PROVIDER_COST 0.5"],
            "The provider's cost was corrected. It costs 0.50 USD less.",
        ),
        (
            "RERATE",
            ["WALLET REVENUE 2", "RECEIVABLE REVENUE 1", "PROVIDER_COST PROVIDER_PAYABLE 0.5"],
            "Other prices were applied to its usage. 3.00 USD more was charged: 2.00 USD from available credit, 1.00 USD "
            "owed by the customer. It costs 0.50 USD more.",
        ),
        ("CLOSE", ["WALLET BREAKAGE 3"], "The account was closed, and 3.00 USD of credit was given up."),
        (
            "UNKNOWN",
            ["CASH WALLET 3"],
            "An operation that this imprestctl does not know (UNKNOWN) wrote the postings below.",
        ),
    ],
)
def test_what_a_transaction_did(kind: str, postings: list[str], text: str) -> None:
    assert deed(kind, *postings) == text
    assert deed(kind, *postings, reason="so") == f"{text} Reason: so."


def test_every_kind_has_its_words() -> None:
    for kind in TransactionKind:
        assert ("does not know" in deed(kind, "CASH WALLET 1")) is (kind is TransactionKind.UNKNOWN)


def part(captured: str, refund: str, amount: str) -> RefundAllocation:
    return RefundAllocation(captured, refund, Decimal(amount), Decimal(0))


def test_what_it_belongs_to_its_refunds_and_its_place() -> None:
    capture = transaction(
        "COMMIT",
        "WALLET REVENUE 3",
        "RECEIVABLE REVENUE 1",
        "OVERRUN_LOSS REVENUE 9",
        labels={"agent": "x"},
        effective_time=minute(2),
        external_reference="ref-1",
    )
    refunds = (part("txn_c", "txn_r1", "1"), part("txn_c", "txn_r2", "2.5"))
    story = story_of_transaction(TransactionRefunds(capture, refunds, ()), UTC_ZONE)
    assert story[0].time == minute(3)
    assert [event.time for event in story[1:]] == [None] * 8
    assert [event.text for event in story[1:]] == [
        f"It belongs to hold {HOLD_ID} for call call-1.",
        "Its id elsewhere is ref-1.",
        "Labels: agent=x.",
        "It took effect at 2026-10-31 12:02:00Z.",
        "1.00 USD of it was given back later by txn_r1.",
        "2.50 USD of it was given back later by txn_r2.",
        "0.50 USD of it can still be refunded.",
        "It is no. 7 in the book of acme (chain hash abababababababab…), and took the wallet from 23.00 USD to 20.00 USD.",
    ]


def test_a_refund_names_what_it_gave_back_and_all_of_it_may_be() -> None:
    refund = transaction("REFUND", "REFUNDS RECEIVABLE 4", reservation_id="", call_id="sms")
    found = TransactionRefunds(refund, (), (part("txn_a", "txn_r", "1"), part("txn_b", "txn_r", "3")))
    assert [event.text for event in story_of_transaction(found, UTC_ZONE)[1:]] == [
        "It belongs to call sms.",
        "1.00 USD of what txn_a had charged was given back.",
        "3.00 USD of what txn_b had charged was given back.",
        "It is no. 7 in the book of acme (chain hash abababababababab…), and left the wallet at 20.00 USD.",
    ]
    charge = transaction("CHARGE", "WALLET REVENUE 4", **FREE)
    whole = TransactionRefunds(charge, (part("txn_c", "txn_r", "4"),), ())
    assert "Nothing of it is left to refund." in [event.text for event in story_of_transaction(whole, UTC_ZONE)]
    untouched = TransactionRefunds(charge, (), ())
    assert "Nothing of it has been refunded; 4.00 USD of it can still be refunded." in [
        event.text for event in story_of_transaction(untouched, UTC_ZONE)
    ]
