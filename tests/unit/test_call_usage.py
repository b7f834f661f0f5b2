"""A call that is measured in usage: counted while it runs, reported, committed line by line; against the fake."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from imprest_client import AdminClient, AgentClient, CallController, Connection, Ending, Spool, UsageLine, UsageReport
from imprest_client import sync as blocking
from imprest_client.errors import OverrunRejected, PriceNotFound, Retryable, UsageLineReused
from imprest_client.metering import UsageCounter
from imprest_client.model import OverrunPolicy, ReservationState
from imprest_client.pricing_model import RatedLine
from imprest_client.spool import SpoolState
from imprest_client.testing import FakeImprest, UnitPrice
from tests.support.patience import PATIENCE_S, once, outage, patient

# the block of a call is what is tested

TALK, TOKENS, SPEECH = "telephony.outbound_seconds", "llm.input_tokens", "tts.characters"
PRICES = {TALK: UnitPrice("0.01", "0.004"), TOKENS: UnitPrice("0.000002", "0.0000015")}
NEVER = timedelta(hours=1)
OFTEN = timedelta(milliseconds=5)


def talk(seconds: int) -> list[UsageLine]:
    return [UsageLine(meter=TALK, quantity=Decimal(seconds))]


@pytest.fixture
async def server() -> AsyncIterator[FakeImprest]:
    async with FakeImprest(prices=PRICES) as fake:
        yield fake


@pytest.fixture
async def admin(server: FakeImprest) -> AsyncIterator[AdminClient]:
    async with AdminClient(server.target, currency="USD") as client:
        await client.create_account("acme")
        await client.add_credit("acme", 10)
        yield client


@pytest.fixture
async def connection(server: FakeImprest, admin: AdminClient) -> AsyncIterator[Connection]:
    async with patient(server) as opened:
        yield opened


@pytest.fixture
async def controller(connection: Connection) -> AsyncIterator[CallController]:
    async with CallController(connection) as client:  # without a currency: usage has none
        yield client


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    with Spool(tmp_path / "spool.db") as opened:
        yield opened


@pytest.fixture
async def careful(connection: Connection, spool: Spool) -> AsyncIterator[AgentClient]:
    """An agent with a spool."""
    async with AgentClient(connection, spool=spool) as client:
        yield client


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what another task does."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110  # there is no event for it
            await asyncio.sleep(0.001)


async def books(admin: AdminClient) -> tuple[Decimal, Decimal]:
    balance = await admin.get_balance("acme")
    return balance.wallet, balance.held


def facts(line: RatedLine) -> tuple[str, Decimal, Decimal, Decimal]:
    return line.line.meter, line.line.quantity, line.price, line.cost


# ── counting ─────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_alike_is_counted_together() -> None:
    counter = UsageCounter(lambda: None, lambda: None)
    assert not counter
    for _ in range(2):
        counter.add(TOKENS, 120, provider="openai", model="gpt-4o")
        counter.add(TOKENS, "0.5", provider="openai", model="gpt-4o-mini")
        counter.add(TOKENS, 7, provider="openai", model="gpt-4o", labels={"agent": "a"})
    assert [(line.model, line.quantity, line.labels) for line in counter.lines] == [
        ("gpt-4o", 240, {}),
        ("gpt-4o-mini", 1, {}),
        ("gpt-4o", 14, {"agent": "a"}),
    ]


def test_what_is_no_quantity_is_refused() -> None:
    counter = UsageCounter(lambda: None, lambda: None)
    with pytest.raises(TypeError):
        counter.add(TOKENS, 0.1)  # type: ignore[arg-type]
    for wrong in (-1, "1e-10", "NaN", 10**15 + 1, "many"):
        with pytest.raises(ValueError, match=r"amount|quantity"):
            counter.add(TOKENS, wrong)
    assert counter.lines == ()
    for number in range(200):
        counter.add(TOKENS, 1, model=str(number))
    counter.add(TOKENS, 1, model="7")
    with pytest.raises(ValueError, match="200"):
        counter.add(TOKENS, 1, model="another")


# ── a call ───────────────────────────────────────────────────────────────────────────────────────────


async def test_a_call_from_its_estimate_to_its_itemised_end(admin: AdminClient, controller: CallController) -> None:
    async with controller.call("acme", estimate=talk(100), call_id="c-1", heartbeat=NEVER) as call:
        assert await books(admin) == (10, 1)
        call.usage.add(TALK, 30)
        call.usage.add(TOKENS, 1000, provider="openai")
        call.usage.add(TALK, 12)
    assert call.receipt is not None
    charge = call.receipt.charge
    assert [facts(line) for line in charge.lines] == [
        (TALK, 42, Decimal("0.42"), Decimal("0.168")),
        (TOKENS, 1000, Decimal("0.002"), Decimal("0.0015")),
    ]
    assert (charge.charged, charge.provider_cost) == (Decimal("0.422"), Decimal("0.1695"))
    assert [line.line.line_id for line in charge.lines] == [f"{call.receipt.transaction_id}.{n}" for n in (1, 2)]
    assert await books(admin) == (Decimal("9.578"), 0)
    found = await admin.get_transaction_refunds(call.receipt.transaction_id)
    assert found.lines == charge.lines
    (books_now,) = await admin.get_trial_balance("acme")
    costs = {line.code.value: line.debit_balance for line in books_now.lines}
    assert costs["PROVIDER_COST"] == Decimal("0.1695")


async def test_a_call_that_counted_nothing_is_voided(admin: AdminClient, controller: CallController) -> None:
    async with controller.call("acme", estimate=talk(100), heartbeat=NEVER) as call:
        pass
    assert (await admin.get_reservation(call.reservation_id)).state is ReservationState.VOIDED


async def test_usage_and_amounts_do_not_mix(controller: CallController) -> None:
    async with controller.call("acme", estimate=talk(10), heartbeat=NEVER) as call:
        call.usage.add(TALK, 1)
        with pytest.raises(ValueError, match="in usage"):
            call.used(1)
    with pytest.raises(ValueError, match="is over"):
        call.usage.add(TALK, 1)
    async with controller.call("acme", estimate=talk(10), heartbeat=NEVER, currency="USD") as other:
        other.add("0.05")
        with pytest.raises(ValueError, match="in amounts"):
            other.usage.add(TALK, 1)
    assert other.receipt is not None
    assert (other.receipt.charge.charged, other.receipt.charge.lines) == (Decimal("0.05"), ())
    for wrong in ({}, {"amount": 1, "estimate": talk(1)}):
        with pytest.raises(ValueError, match="amount"):
            await controller.reserve("acme", **wrong, currency="USD")  # type: ignore[arg-type]


async def test_heartbeats_report_what_was_used(
    server: FakeImprest, admin: AdminClient, controller: CallController
) -> None:
    async with controller.call("acme", estimate=talk(100), heartbeat=OFTEN, ttl=timedelta(seconds=30)) as call:
        call.usage.add(TALK, 5)
        await until(lambda: call.used_so_far == Decimal("0.05"))
        call.usage.add(TALK, 5)
        call.usage.add(TOKENS, 10_000)
        await until(lambda: call.used_so_far == Decimal("0.12"))
        assert call.ending is None
    # What it reported is charged, with its cost, when this process is gone.
    receipt = await controller.reserve("acme", estimate=talk(100), ttl=timedelta(seconds=10))
    await controller.extend(receipt.reservation.reservation_id, used=talk(50))
    before, _ = await books(admin)
    server.advance(timedelta(minutes=1))
    assert await books(admin) == (before - Decimal("0.5"), 0)


async def test_more_is_asked_for_when_half_of_a_step_is_left(
    server: FakeImprest, admin: AdminClient, controller: CallController
) -> None:
    async with controller.call("acme", estimate=talk(100), heartbeat=NEVER) as call:
        call.usage.add(TALK, 49)
        assert not call._wake.is_set(), "more than half is left"
        call.usage.add(TALK, 1)
        await until(lambda: call.reservation.amount == Decimal("1.5"))
        assert server.rpcs.count("Extend") == 1
        call.usage.add(TALK, 50)
        await until(lambda: call.reservation.amount == 2)
        assert call.ending is None


async def test_the_grant_lasts_as_long_as_the_server_says(
    server: FakeImprest, admin: AdminClient, controller: CallController
) -> None:
    heard: list[Ending] = []
    async with controller.call("acme", estimate=talk(700), heartbeat=OFTEN, on_ending=heard.append) as call:
        call.usage.add(TALK, 400)  # 1,100 s would cost 11: the rest of the 10 is taken
        ending = await asyncio.wait_for(call.wait_ending(), PATIENCE_S)
        await until(lambda: call.reservation.amount == 10)
        assert ending.reason == "INSUFFICIENT_FUNDS"
        assert 700 < ending.seconds_left <= 1000, "counted from the start of the call"
        await admin.add_credit("acme", 10)
        await until(lambda: call.ending is None)
        assert call.reservation.amount == 11
    assert [ending.reason for ending in heard] == ["INSUFFICIENT_FUNDS"]


async def test_less_than_the_estimate_to_begin_with(controller: CallController) -> None:
    options = {"currency": "USD", "heartbeat": NEVER}
    async with controller.call("acme", estimate=talk(2000), min_amount=1, **options) as call:  # type: ignore[arg-type]
        assert call.reservation.amount == 10
        assert call.ending is not None
        assert 700 < call.ending.seconds_left <= 1000


async def test_an_estimate_may_have_a_length_of_its_own(controller: CallController, server: FakeImprest) -> None:
    tokens = UsageLine(meter=TOKENS, quantity=Decimal(1_000_000))
    start = server.now
    minute = UsageReport((tokens,), start, start + timedelta(minutes=1))
    receipt = await controller.reserve("acme", estimate=minute)
    assert (receipt.reservation.amount, receipt.affordable_duration) == (2, timedelta(minutes=1))
    plain = await controller.reserve("acme", estimate=[tokens])
    assert plain.affordable_duration is None


async def test_usage_without_a_price_ends_the_call_and_keeps_its_hold(
    admin: AdminClient, controller: CallController
) -> None:
    async with controller.call("acme", estimate=talk(100), heartbeat=OFTEN) as call:
        call.usage.add(TALK, 10)
        await until(lambda: call.used_so_far == Decimal("0.1"))
        call.usage.add(SPEECH, 10)
        assert (await asyncio.wait_for(call.wait_ending(), PATIENCE_S)).reason == "PRICE_NOT_FOUND"
        due = call.reservation.expire_time
        await until(lambda: call.reservation.expire_time > due)
        await call.void()


async def test_an_agent_joins_and_counts(admin: AdminClient, careful: AgentClient, controller: CallController) -> None:
    receipt = await controller.reserve("acme", estimate=talk(10))
    hold = receipt.reservation.reservation_id
    async with careful.join(hold, estimate=talk(100), heartbeat=NEVER) as call:
        call.usage.add(TALK, 3)
        await until(lambda: call.reservation.amount == Decimal("1.03"))
    assert await books(admin) == (Decimal("9.97"), 0)


async def test_an_overrun_that_is_rejected_charges_the_hold(admin: AdminClient, controller: CallController) -> None:
    await admin.update_account("acme", overrun_policy=OverrunPolicy.REJECT)
    with pytest.raises(OverrunRejected):
        async with controller.call("acme", estimate=talk(100), step=0, heartbeat=NEVER) as call:
            call.usage.add(TALK, 150)
    assert await books(admin) == (9, 0)


# ── commits that cannot be delivered ─────────────────────────────────────────────────────────────────


async def test_a_lost_answer_is_asked_for_with_the_same_bytes(
    server: FakeImprest, admin: AdminClient, controller: CallController, connection: Connection
) -> None:
    async with controller.call("acme", estimate=talk(100), heartbeat=NEVER) as call:
        call.usage.add(TALK, 20)
        server.lose_answers(1)
        with once(connection), pytest.raises(Retryable):
            await call.hang_up()
        receipt = await call.hang_up()
    assert receipt is not None
    assert receipt.replayed
    assert await books(admin) == (Decimal("9.8"), 0)


async def test_the_lines_wait_in_the_spool_without_a_network(
    server: FakeImprest, admin: AdminClient, connection: Connection, spool: Spool
) -> None:
    async with AgentClient(connection, spool=spool) as agent:
        hold = (await agent.reserve("acme", estimate=talk(100))).reservation.reservation_id
        with outage(server, connection):
            receipt = await agent.hang_up(hold, usage=talk(25))
            assert receipt is None
    async with AgentClient(connection, spool=spool) as later:
        assert await later.flush(PATIENCE_S) == 0
    assert await books(admin) == (Decimal("9.75"), 0)
    history = [entry async for entry in admin.list_transactions("acme", reservation_id=hold)]
    found = await admin.get_transaction_refunds(history[0].transaction_id)
    assert [facts(line) for line in found.lines] == [(TALK, 25, Decimal("0.25"), Decimal("0.1"))]


async def test_what_has_no_price_is_kept_as_refused_until_it_has_one(
    server: FakeImprest, admin: AdminClient, careful: AgentClient, spool: Spool
) -> None:
    hold = (await careful.reserve("acme", 1, currency="USD")).reservation.reservation_id
    with pytest.raises(PriceNotFound) as refused:
        async with careful.join(hold, heartbeat=NEVER) as call:
            call.usage.add(SPEECH, 500)
    assert (refused.value.meter, refused.value.side) == (SPEECH, "SALE")
    (entry,) = spool.entries(SpoolState.REFUSED)
    assert f"entry {entry.entry_id}" in refused.value.__notes__[-1]
    assert SPEECH in entry.error
    assert await books(admin) == (10, 1)

    assert await careful.resend(entry.entry_id)
    await until(lambda: bool(spool.entries(SpoolState.REFUSED)))
    assert await books(admin) == (10, 1), "there is still no price"
    server.prices[SPEECH] = UnitPrice("0.0002", "0.0001")
    assert await careful.resend(entry.entry_id)
    await until(lambda: not spool.entries())
    assert await books(admin) == (Decimal("9.9"), 0)
    assert not await careful.resend(entry.entry_id)


# ── without a hold ───────────────────────────────────────────────────────────────────────────────────


async def test_charges_and_recorded_usage(admin: AdminClient, controller: CallController) -> None:
    line = UsageLine(meter=TALK, quantity=Decimal(60), line_id="l-1")
    first = await controller.charge("acme", usage=[line], call_id="c-1")
    assert (first.charge.charged, first.charge.provider_cost) == (Decimal("0.6"), Decimal("0.24"))
    again = await controller.record_usage("acme", usage=[line], call_id="c-1")
    assert (again.charge.charged, [one.duplicate for one in again.charge.lines]) == (0, [True])
    with pytest.raises(UsageLineReused) as reused:
        await controller.charge(
            "acme", usage=[UsageLine(meter=TALK, quantity=Decimal(1), line_id="l-1")], call_id="c-1"
        )
    assert reused.value.line_id == "l-1"
    much = await controller.record_usage("acme", usage=talk(2000))
    assert (much.charge.from_available, much.charge.receivable) == (Decimal("9.4"), Decimal("10.6"))


async def test_a_recorder_takes_usage(server: FakeImprest, admin: AdminClient, careful: AgentClient) -> None:
    async with careful.recorder() as recorder:
        recorder.charge("acme", usage=talk(10), call_id="c-1")
        recorder.record_usage("acme", usage=talk(20))
        recorder.record_usage("acme", "0.5", currency="USD")
    assert await books(admin) == (Decimal("9.2"), 0)
    assert sorted(rpc for rpc in server.rpcs if rpc in ("Charge", "RecordUsage")) == [
        "Charge",
        "RecordUsage",
        "RecordUsage",
    ]


def test_the_blocking_clients_take_usage() -> None:
    with (
        FakeImprest(prices=PRICES) as server,
        blocking.AdminClient(server.target, currency="USD") as admin,
        blocking.CallController(server.target) as controller,
    ):
        admin.create_account("acme")
        admin.add_credit("acme", 10)
        with controller.call("acme", estimate=talk(100)) as call:
            call.usage.add(TALK, 10)
            assert call.usage.lines == tuple(talk(10))
        assert call.receipt is not None
        assert call.receipt.charge.charged == Decimal("0.1")
        assert controller.record_usage("acme", usage=talk(1)).charge.charged == Decimal("0.01")


async def test_prices_stay_with_a_hold_that_was_priced(
    server: FakeImprest, admin: AdminClient, controller: CallController
) -> None:
    hold = (await controller.reserve("acme", estimate=talk(100))).reservation.reservation_id
    server.prices[TALK] = UnitPrice(5)
    receipt = await controller.commit(hold, usage=talk(10))
    assert receipt.charge.charged == Decimal("0.1")
    assert (await controller.charge("acme", usage=talk(1))).charge.charged == 5


async def test_rounding_is_up_for_estimates_and_to_even_for_charges(
    server: FakeImprest, controller: CallController
) -> None:
    server.prices[TOKENS] = UnitPrice("0.0000000005")
    three = [UsageLine(meter=TOKENS, quantity=Decimal(3)), UsageLine(meter=TOKENS, quantity=Decimal(5))]
    held = await controller.reserve("acme", estimate=three)
    assert held.reservation.amount == Decimal("0.000000005"), "2 and 3: each line is rounded up"
    receipt = await controller.commit(held.reservation.reservation_id, usage=three)
    assert [line.price for line in receipt.charge.lines] == [Decimal("0.000000002"), Decimal("0.000000002")]
    assert [line.exact_price for line in receipt.charge.lines] == [Decimal("0.0000000015"), Decimal("0.0000000025")]
