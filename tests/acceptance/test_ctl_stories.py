"""`imprestctl explain` on what a server made: the story of every way in which a hold can end, and of transactions.

tests/unit/test_ctl_stories.py has each sentence; here it is told from what really stands in the books.
"""

# ruff: noqa: E501  # a sentence is read best as a whole

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

import pytest

from imprest_client import AdminClient
from imprest_client.model import OnExpiry
from tests.conftest import Database
from tests.support import clock
from tests.support.ctl import Ctl
from tests.support.server import running_server


@dataclass
class House:
    """A server whose clock the test moves, with an account acme that has 20 USD."""

    admin: AdminClient
    ctl: Ctl
    owner_dsn: str

    def later(self, minutes: int) -> None:
        clock.advance(self.owner_dsn, 60 * minutes)

    async def reserve(self, amount: int = 5, *, on_expiry: OnExpiry | None = None) -> str:
        receipt = await self.admin.reserve(
            "acme", amount, call_id="call-1", ttl=timedelta(minutes=10), on_expiry=on_expiry
        )
        return receipt.reservation.reservation_id

    async def story(self, target: str) -> list[str]:
        """The sentences, whose postings add up to what the hold or the transaction says."""
        told = (await self.ctl.ok("explain", target, "--json")).json
        if "reservation" in told:
            charged = Decimal(0)
            for transaction in told["transactions"]:
                for p in transaction["postings"]:
                    if p["credit"] == "REVENUE" and p["debit"] != "OVERRUN_LOSS":
                        charged += Decimal(p["amount"])
                    elif p["debit"] == "REFUNDS" and transaction["kind"] == "LATE_COMMIT":
                        charged -= Decimal(p["amount"])
            assert charged == Decimal(told["reservation"]["captured"])
        times = [event["time"] for event in told["story"] if event["time"]]
        assert times == sorted(times)
        return [event["text"] for event in told["story"]]


@pytest.fixture
async def house(database: Database) -> AsyncIterator[House]:
    clock.install(database.owner_dsn)
    async with running_server(database) as server, AdminClient(server.target, currency="USD") as admin:
        await admin.create_account("acme")
        await admin.add_credit("acme", 20)
        yield House(admin, Ctl(server.target), database.owner_dsn)


SET_ASIDE = "Credit of acme was set aside for call call-1: 5.00 USD with all extensions."


async def test_a_plain_call(house: House) -> None:
    hold = await house.reserve()
    assert (await house.story(hold))[1].startswith("Still open: 5.00 USD is held until ")
    house.later(1)
    await house.admin.commit(hold, "1.5")
    assert await house.story(hold) == [
        SET_ASIDE,
        "A commit captured 1.50 USD: all from the hold. It was the final one; 3.50 USD of the hold was freed.",
        "In all 1.50 USD was charged.",
    ]


async def test_partial_captures_an_extension_and_refunds(house: House) -> None:
    hold = await house.reserve(2)
    await house.admin.commit(hold, 1, final=False)
    house.later(1)
    await house.admin.refund(reservation_id=hold, amount="0.25", reason="noise")
    await house.admin.extend(hold, new_total=5, used_so_far=3)
    house.later(1)
    await house.admin.commit(hold, "2.5")
    await house.admin.refund(reservation_id=hold, amount=3, reason="bad line")
    assert await house.story(hold) == [
        f"{SET_ASIDE} While the call ran, up to 3.00 USD was reported as used.",
        "A commit captured 1.00 USD: all from the wallet.",
        "A refund gave back 0.25 USD: all to the wallet. Reason: noise.",
        "A commit captured 2.50 USD: all from the hold. It was the final one; 1.50 USD of the hold was freed.",
        "A refund gave back 3.00 USD: all to the wallet. Reason: bad line.",
        "In all 3.50 USD was charged, 3.25 USD refunded: 0.25 USD remains.",
    ]


async def test_an_overrun(house: House) -> None:
    await house.admin.update_account("acme", max_overrun=3)
    hold = await house.reserve()
    charge = await house.admin.commit(hold, 30)
    assert (charge.charge.from_hold, charge.charge.from_available) == (5, 15), "what the server itself says"
    assert (charge.charge.receivable, charge.charge.absorbed) == (3, 7)
    assert await house.story(hold) == [
        SET_ASIDE,
        "A commit captured 30.00 USD: 5.00 USD from the hold, 15.00 USD from available credit beside it, 3.00 USD owed by the customer, 7.00 USD absorbed as a loss. It was the final one; nothing of the hold was left to free.",
        "In all 23.00 USD was charged, 7.00 USD absorbed as a loss.",
    ]
    await house.admin.refund(reservation_id=hold, amount=4)
    assert (await house.story(hold))[2] == (
        "A refund gave back 4.00 USD: 3.00 USD off what the customer owed, 1.00 USD to the wallet."
    )


async def test_a_void_that_settles_and_one_that_does_not(house: House) -> None:
    unanswered = await house.reserve()
    await house.admin.void(unanswered, reason="no answer")
    assert await house.story(unanswered) == [
        SET_ASIDE,
        "The hold was voided: nothing was charged, 5.00 USD of the hold was freed.",
        "In all nothing was charged.",
    ]
    held, overrun = await house.reserve(), await house.reserve(15)
    await house.admin.commit(overrun, 17)  # 2 owed: the rest is held
    await house.admin.void(held, reason="no answer")
    assert (await house.story(held))[1] == (
        "The hold was voided: nothing was charged, 5.00 USD of the hold was freed. Reason: no answer. 2.00 USD of what the customer owed was repaid from the wallet."
    )
    settling = (await house.ctl.ok("explain", held, "--json")).json["transactions"][0]["transaction_id"]
    assert (await house.story(settling))[0].startswith(
        "A hold was voided. 2.00 USD of what the customer owed was repaid"
    )


async def test_a_void_after_captures_and_a_commit_of_zero(house: House) -> None:
    captured = await house.reserve()
    await house.admin.commit(captured, 1, final=False)
    house.later(1)
    await house.admin.void(captured)
    assert (await house.story(captured))[2] == (
        "The hold was ended without a further charge (a void, or a commit of zero); 4.00 USD of the hold was freed."
    )
    unused = await house.reserve()
    await house.admin.commit(unused, 0)
    assert (await house.story(unused))[1] == (
        "A commit of zero ended the hold: nothing was charged, 5.00 USD of the hold was freed."
    )


async def test_an_expiry_with_a_capture_and_then_a_late_commit(house: House) -> None:
    hold = await house.reserve()
    await house.admin.commit(hold, 1, final=False)
    await house.admin.extend(hold, used_so_far=3)
    house.later(11)
    expired = await house.story(hold)
    assert expired[2] == (
        "The hold came due before anybody had ended it, so 2.00 USD that was reported as used, and not captured yet, was charged: all from the hold; 2.00 USD of the hold was freed."
    )
    assert expired[3].startswith("In all 3.00 USD was charged. It may be committed late, by default until ")
    house.later(60)
    await house.admin.commit(hold, "0.5")
    assert (await house.story(hold))[3:] == [
        "A late commit told the true cost since the captures before, 0.50 USD. 1.50 USD was given back: all to the wallet.",
        "In all 1.50 USD was charged.",
    ]
    assert (await house.ctl.ok("explain", hold)).output.startswith(
        f"Reservation {hold} of account acme: COMMITTED, late\n"
    )


async def test_an_expiry_without_a_charge_and_then_a_late_commit(house: House) -> None:
    released, unreported = await house.reserve(on_expiry=OnExpiry.RELEASE), await house.reserve()
    await house.admin.extend(released, used_so_far=3)
    house.later(11)
    assert (await house.story(released))[1] == (
        "The hold came due before anybody had ended it, and it was to be released without a charge; 5.00 USD of the hold was freed."
    )
    assert (await house.story(unreported))[1] == (
        "The hold came due before anybody had ended it, and no use was reported that was not captured yet, so nothing was charged; 5.00 USD of the hold was freed."
    )
    await house.admin.update_account("acme", max_overrun=2)
    await house.admin.commit(released, 30)
    assert (await house.story(released))[2] == (
        "A late commit told the true cost, 30.00 USD. 30.00 USD more had been used: 20.00 USD from available credit, 2.00 USD owed by the customer, 8.00 USD absorbed as a loss."
    )
    await house.admin.commit(unreported, 0)
    assert (await house.story(unreported))[2] == "A late commit confirmed what the expiry had charged."


async def test_a_transfer_from_both_sides(house: House) -> None:
    await house.admin.create_account("other")
    moved = await house.admin.transfer("acme", "other", 4, reason="gift")
    sent, received = await house.story(moved.transaction_id), await house.story(moved.to_transaction_id)
    assert sent[0] == "4.00 USD was sent to another account, in whose book a TRANSFER_IN stands for it. Reason: gift."
    assert sent[1].endswith("and took the wallet from 20.00 USD to 16.00 USD.")
    assert received[0] == (
        "Another account, in whose book a TRANSFER_OUT stands for it, sent 4.00 USD of credit. Reason: gift."
    )
    assert received[1].startswith("It is no. 1 in the book of other (chain hash ")
    assert received[1].endswith("and took the wallet from 0.00 USD to 4.00 USD.")


async def test_a_charge_and_its_refunds(house: House) -> None:
    charge = await house.admin.charge("acme", 3, call_id="sms-1", labels={"agent": "x"})
    assert (await house.story(charge.transaction_id))[:4] == [
        "3.00 USD was charged at once, without a hold.",
        "It belongs to call sms-1.",
        "Labels: agent=x.",
        "Nothing of it has been refunded; 3.00 USD of it can still be refunded.",
    ]
    refund = await house.admin.refund(transaction_id=charge.transaction_id, amount=1, reason="not sent")
    refund_id = refund.transaction.transaction_id
    assert (await house.story(charge.transaction_id))[3:5] == [
        f"1.00 USD of it was given back later by {refund_id}.",
        "2.00 USD of it can still be refunded.",
    ]
    assert (await house.story(refund_id))[:3] == [
        "A refund gave back 1.00 USD: all to the wallet. Reason: not sent.",
        "It belongs to call sms-1.",
        f"1.00 USD of what {charge.transaction_id} had charged was given back.",
    ]
    await house.admin.refund(transaction_id=charge.transaction_id)
    assert "Nothing of it is left to refund." in await house.story(charge.transaction_id)
