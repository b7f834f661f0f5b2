"""Usage through the client library against a server, and the fake beside it: both must answer the same."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from imprest_client import AdminClient, AgentClient, CallController, PricingClient, Spool, UsageLine
from imprest_client.errors import Denied, PriceNotFound, UsageLineReused
from imprest_client.pricing_model import BookSide, Price, RatedLine
from imprest_client.spool import SpoolState
from imprest_client.testing import FakeImprest, UnitPrice
from tests.conftest import Database
from tests.support.ctl import Ctl
from tests.support.patience import PATIENCE_S
from tests.support.server import running_server

TALK, TOKENS, SPEECH, SMS = "telephony.outbound_seconds", "llm.input_tokens", "tts.characters", "messaging.sms_segments"
PRICES = {
    TALK: UnitPrice("0.01", "0.004"),
    TOKENS: UnitPrice("0.0000000025", "0.0000000015"),
    SPEECH: UnitPrice("0.0002", "0.0001"),
}


def line(meter: str, quantity: Decimal | int | str, **more: Any) -> UsageLine:
    return UsageLine(meter=meter, quantity=Decimal(quantity), **more)


async def publish(target: str, prices: dict[str, UnitPrice]) -> None:
    """The fake's prices, on a real server."""
    async with PricingClient(target, currency="USD") as pricing:
        for side in (BookSide.SALE, BookSide.COST):
            book = side.lower()
            await pricing.create_price_book(book, side=side)
            await pricing.publish_prices(
                book,
                [
                    Price(meter=meter, unit_price=Decimal(unit.price if side is BookSide.SALE else unit.cost))
                    for meter, unit in prices.items()
                ],
            )
            await pricing.assign_price_book(book)


@pytest.fixture
async def target(database: Database) -> AsyncIterator[str]:
    async with running_server(database) as server:
        await publish(server.target, PRICES)
        async with AdminClient(server.target, currency="USD") as admin:
            await admin.create_account("acme")
            await admin.add_credit("acme", 10)
        yield server.target


def shown(rated: RatedLine) -> tuple[object, ...]:
    """What is the same wherever the line was rated."""
    plain = rated.line.meter, rated.line.quantity, rated.line.provider, rated.line.operation, dict(rated.line.labels)
    amounts = rated.price, rated.cost, rated.exact_price, rated.exact_cost
    return *plain, *amounts, rated.duplicate, rated.line.line_id.rpartition(".")[2]


@dataclass
class Program:
    """Does the same on any server, and notes what it is told."""

    target: str
    notes: list[object] = field(default_factory=list[object])

    async def run(self) -> list[object]:
        async with (
            AdminClient(self.target, currency="USD") as admin,
            CallController(self.target, currency="USD") as controller,
        ):
            await self.holds(admin, controller)
            await self.charges(admin, controller)
            balance = await admin.get_balance("acme")
            (books,) = await admin.get_trial_balance("acme")
            self.notes += [balance.wallet, balance.held, balance.receivable, books.lines]
        return self.notes

    async def holds(self, admin: AdminClient, client: CallController) -> None:
        estimate = [line(TALK, 600), line(TOKENS, 3333), line(SPEECH, 1)]
        held = await client.reserve("acme", estimate=estimate, call_id="c-1")
        hold = held.reservation.reservation_id
        self.notes += [held.reservation.amount, held.final_unit, held.affordable_duration]
        used = [line(TALK, "100.5"), line(TOKENS, 1001)]
        more = await client.extend(hold, used=used, estimate_total=[line(TALK, 800)])
        self.notes += [more.reservation.amount, more.reservation.used_so_far, more.affordable_duration]
        denied = await client.extend(hold, estimate_total=[line(TALK, 3000)])
        self.notes += [denied.final_unit, denied.denial_reason, denied.affordable_duration]
        labelled = line(TOKENS, 1, provider="openai", operation="summarize", labels={"agent": "a"}, line_id="mine")
        part = await client.commit(hold, usage=[labelled, line(TOKENS, 2)], final=False)
        await self.charged(admin, part.charge.lines, part.transaction_id)
        rest = await client.commit(hold, usage=[labelled, line(TALK, "100.5"), line(TOKENS, 1001)])
        await self.charged(admin, rest.charge.lines, rest.transaction_id)
        self.notes += [rest.charge.charged, rest.charge.provider_cost, rest.reservation.captured]
        refund = await client.refund(reservation_id=hold, amount="0.5", reverse_cost=True)
        found = await admin.get_transaction_refunds(refund.transaction.transaction_id)
        self.notes += [[(part.amount, part.provider_cost) for part in found.refund_of], found.lines]

    async def charged(self, admin: AdminClient, lines: tuple[RatedLine, ...], transaction_id: str) -> None:
        """Note the lines, which the transaction has, too: without those that are no news."""
        found = await admin.get_transaction_refunds(transaction_id)
        assert sorted(map(str, found.lines)) == sorted(str(one) for one in lines if not one.duplicate)
        self.notes.append([shown(one) for one in lines])

    async def charges(self, admin: AdminClient, client: CallController) -> None:
        own = line(TALK, 7, line_id="l-1")
        charged = await client.charge("acme", usage=[own], call_id="c-2")
        await self.charged(admin, charged.charge.lines, charged.transaction_id)
        again = await client.record_usage("acme", usage=[own], call_id="c-2")
        self.notes += [[shown(one) for one in again.charge.lines], again.transaction_id]
        await self.denied(UsageLineReused, client, [line(TALK, 8, line_id="l-1")])
        await self.denied(PriceNotFound, client, [line(TALK, 1), line(SMS, 1, provider="x", destination="4912")])
        owed = await client.record_usage("acme", usage=[line(TALK, 2000)])
        self.notes += [owed.charge.from_available, owed.charge.receivable, owed.charge.absorbed]

    async def denied(self, kind: type[Denied], client: CallController, usage: list[UsageLine]) -> None:
        for _ in range(2):  # the denial is kept with the key
            with pytest.raises(kind) as error:
                await client.charge("acme", usage=usage, call_id="c-2", idempotency_key=f"{kind.__name__}")
            self.notes += [error.value.reason, error.value.details.metadata]


async def test_the_fake_answers_as_the_server(target: str) -> None:
    real = await Program(target).run()
    async with FakeImprest(prices=PRICES) as fake:
        async with AdminClient(fake.target, currency="USD") as admin:
            await admin.create_account("acme")
            await admin.add_credit("acme", 10)
        for expected, got in zip(real, await Program(fake.target).run(), strict=True):
            assert got == expected


async def test_a_call_that_runs_out_of_credit(target: str) -> None:
    async with CallController(target) as controller:
        beat = timedelta(milliseconds=20)
        async with controller.call("acme", estimate=[line(TALK, 600)], heartbeat=beat) as call:
            for _ in range(50):
                call.usage.add(TALK, 10)
                call.usage.add(TOKENS, 1000, provider="openai")
            ending = await call.wait_ending()
            assert ending.reason == "INSUFFICIENT_FUNDS"
            # 0.01 a second and what the tokens of a second cost: there are 10 for all of it.
            assert 700 < ending.seconds_left <= 1000
    assert call.receipt is not None
    assert [(one.line.quantity, one.line.provider) for one in call.receipt.charge.lines] == [
        (500, ""),
        (50_000, "openai"),
    ]
    assert call.receipt.charge.charged == Decimal("5.000125")


async def test_what_has_no_price_can_be_sent_again_when_it_has(target: str, tmp_path: Path) -> None:
    with Spool(tmp_path / "spool.db") as spool:
        async with AgentClient(target, currency="USD", spool=spool) as agent:
            hold = (await agent.reserve("acme", 1)).reservation.reservation_id
            with pytest.raises(PriceNotFound):
                await agent.hang_up(hold, usage=[line(SMS, 3)])
            (entry,) = spool.entries(SpoolState.REFUSED)
            async with PricingClient(target) as pricing:
                await pricing.publish_prices("sale", [Price(meter=SMS, unit_price=Decimal("0.05"))])
            assert await agent.resend(entry.entry_id)
            assert await agent.flush(PATIENCE_S) == 0
            assert spool.entries() == []
            assert (await agent.get_reservation(hold)).captured == Decimal("0.15")


async def test_explain_shows_why_a_call_cost_what_it_cost(target: str) -> None:
    estimate = [line(TALK, 100)]
    async with CallController(target) as client, client.call("acme", estimate=estimate, call_id="c-1") as call:
        call.usage.add(TALK, 42)
        call.usage.add(SPEECH, 1000, provider="elevenlabs", model="turbo")
    assert call.receipt is not None
    ctl = Ctl(target)
    for named in (call.reservation_id, call.receipt.transaction_id):
        talk, speech = (await ctl.ok("explain", named, "--json")).json["lines"]
        assert (talk["meter"], talk["quantity"], talk["price"], talk["cost"]) == (TALK, "42", "0.42", "0.168")
        assert (speech["provider"], speech["price"], speech["margin"]) == ("elevenlabs", "0.2", "0.1")
        assert speech["match"]
        table = (await ctl.ok("explain", named)).output
        (row,) = (one.split() for one in table.splitlines() if SPEECH in one)
        amounts = ["0.20", "USD", "0.10", "USD", "0.10", "USD"]
        assert row[1:] == [SPEECH, "elevenlabs", "turbo", "-", "1000", *amounts, speech["line_id"]]
        (heading,) = (one.split() for one in table.splitlines() if "METER" in one)
        assert heading[-5:] == ["QUANTITY", "PRICE", "COST", "MARGIN", "LINE"]
        assert len((await ctl.ok("explain", named, "--csv")).rows) == 2, "its postings"


async def test_recorded_usage_is_explained(target: str) -> None:
    async with CallController(target) as controller:
        receipt = await controller.record_usage("acme", usage=[line(TALK, 1200)])
    told = (await Ctl(target).ok("explain", receipt.transaction_id, "--json")).json
    assert told["story"][0]["text"].startswith("12.00 USD of usage was recorded, which nothing was held for: ")
    assert [one["price"] for one in told["lines"]] == ["12"]
