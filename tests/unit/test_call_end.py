"""The end of a call when something comes between: cancellations, hang-ups from two sides, answers that are lost."""

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal

import pytest

from imprest_client import AdminClient, Call, CallController, Connection, Retryable
from imprest_client.call import Ending
from imprest_client.errors import ReservationCommitted, ReservationVoided
from imprest_client.model import ReservationState
from imprest_client.testing import FakeImprest
from imprest_client.wire import COMMIT, RESERVE, VOID

# ruff: noqa: PT012  # the block of a call is what is tested

NEVER = timedelta(hours=1)


class Gate(Connection):
    """A connection whose requests to one method are carried out, and their answers held back until it is opened."""

    def __init__(self, target: str) -> None:
        super().__init__(target, connections=1)
        self.closed_for = ""
        self.waiting = asyncio.Event()
        self.opened = asyncio.Event()

    async def call_bytes(
        self, path: str, request: bytes, *, key: str | None = None, timeout_s: float | None = None
    ) -> bytes:
        if path != self.closed_for:
            return await super().call_bytes(path, request, key=key, timeout_s=timeout_s)
        self.waiting.set()
        await self.opened.wait()
        return await super().call_bytes(path, request, key=key, timeout_s=timeout_s)


@pytest.fixture
async def server() -> AsyncIterator[FakeImprest]:
    async with FakeImprest() as fake:
        yield fake


@pytest.fixture
async def admin(server: FakeImprest) -> AsyncIterator[AdminClient]:
    async with AdminClient(server.target, currency="USD") as client:
        await client.create_account("acme")
        await client.add_credit("acme", 10)
        yield client


@pytest.fixture
async def gate(server: FakeImprest) -> AsyncIterator[Gate]:
    async with Gate(server.target) as connection:
        yield connection


@pytest.fixture
async def controller(gate: Gate, admin: AdminClient) -> AsyncIterator[CallController]:
    async with CallController(gate, currency="USD") as client:
        yield client


async def books(admin: AdminClient) -> tuple[Decimal, Decimal]:
    balance = await admin.get_balance("acme")
    return balance.wallet, balance.held


async def test_the_block_ends_when_the_hang_up_of_the_callback_has(
    admin: AdminClient, gate: Gate, controller: CallController
) -> None:
    calls: list[Call] = []

    async def on_ending(_: Ending) -> None:
        await calls[0].hang_up()

    async def talk() -> None:
        async with controller.call("acme", 2, heartbeat=NEVER, on_ending=on_ending) as call:
            calls.append(call)
            await admin.freeze_account("acme")
            gate.closed_for = COMMIT.path
            call.used(1)
            await gate.waiting.wait()
        assert call.receipt is not None

    talking = asyncio.create_task(talk())
    await gate.waiting.wait()
    for _ in range(10):
        await asyncio.sleep(0)
    assert not talking.done()
    gate.opened.set()
    await talking
    assert await books(admin) == (9, 0)


async def test_a_callback_that_hangs_up_when_it_is_cancelled(admin: AdminClient, controller: CallController) -> None:
    calls: list[Call] = []
    begun = asyncio.Event()

    async def on_ending(_: Ending) -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            await calls[0].hang_up()

    async with controller.call("acme", 2, heartbeat=NEVER, on_ending=on_ending) as call:
        calls.append(call)
        await admin.freeze_account("acme")
        call.used(1)
        await begun.wait()
    assert await books(admin) == (9, 0)


async def test_a_hang_up_that_is_cancelled_is_seen_to_its_end(
    admin: AdminClient, gate: Gate, controller: CallController
) -> None:
    calls: list[Call] = []

    async def talk() -> None:
        async with controller.call("acme", 2, heartbeat=NEVER) as call:
            calls.append(call)
            gate.closed_for = COMMIT.path
            await call.hang_up(used="0.5")

    talking = asyncio.create_task(talk())
    await gate.waiting.wait()
    talking.cancel()
    for _ in range(10):
        await asyncio.sleep(0)
    talking.cancel()
    gate.opened.set()
    with pytest.raises(asyncio.CancelledError):
        await talking
    assert calls[0].receipt is not None
    assert await books(admin) == (Decimal("9.5"), 0)


async def test_no_cancellation_comes_between_a_call_and_its_commit(
    admin: AdminClient, gate: Gate, controller: CallController
) -> None:
    calls: list[Call] = []

    async def talk() -> None:
        async with controller.call("acme", 2, heartbeat=NEVER) as call:
            calls.append(call)
            call.used(1)
            gate.closed_for = COMMIT.path

    talking = asyncio.create_task(talk())
    await gate.waiting.wait()
    for _ in range(3):
        talking.cancel()
        await asyncio.sleep(0)
    assert not talking.done()
    gate.opened.set()
    with pytest.raises(asyncio.CancelledError):
        await talking
    assert calls[0].receipt is not None
    assert await books(admin) == (9, 0)


async def test_a_hang_up_without_an_answer_is_repeated_at_the_end(
    server: FakeImprest, admin: AdminClient, controller: CallController
) -> None:
    async with controller.call("acme", 2, heartbeat=NEVER) as call:
        call._client = controller.with_timeout(0.05)
        with server.outage(), pytest.raises(Retryable):
            await call.hang_up(used="0.5")
        with pytest.raises(ValueError, match="the call is over"):
            call.used("0.75")  # the first attempt may have taken effect
        call._client = controller
    assert call.receipt is not None
    assert await books(admin) == (Decimal("9.5"), 0)


async def test_a_void_without_an_answer_is_repeated_at_the_end_and_no_commit(
    server: FakeImprest, admin: AdminClient, controller: CallController
) -> None:
    async with controller.call("acme", 2, heartbeat=NEVER) as call:
        call._client = controller.with_timeout(0.05)
        call.used(1)
        with server.outage(), pytest.raises(Retryable):
            await call.void("wrong number")
        call._client = controller
    assert (await admin.get_reservation(call.reservation_id)).state is ReservationState.VOIDED
    assert await books(admin) == (10, 0)


async def test_the_end_does_not_repeat_the_hang_up_whose_error_ends_the_block(
    server: FakeImprest, controller: CallController
) -> None:
    with pytest.raises(Retryable):
        async with controller.call("acme", 2, heartbeat=NEVER) as call:
            call._client = controller.with_timeout(0.05)
            server._is_down = True
            try:
                await call.hang_up(used="0.5")
            finally:
                server._is_down = False
    assert call.receipt is None


async def test_the_end_of_a_cancelled_call_is_a_cancellation_whatever_becomes_of_the_commit(
    server: FakeImprest, controller: CallController, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    running = asyncio.Event()

    async def talk() -> None:
        async with controller.call("acme", 2, heartbeat=NEVER) as call:
            call._client = controller.with_timeout(0.05)
            call.used(1)
            server._is_down = True
            running.set()
            await asyncio.Event().wait()

    talking = asyncio.create_task(talk())
    await running.wait()
    talking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await talking
    assert "the end of the call on rsv_" in caplog.text


async def test_ends_come_one_after_the_other(admin: AdminClient, gate: Gate, controller: CallController) -> None:
    async with controller.call("acme", 2, heartbeat=NEVER) as call:
        gate.closed_for = VOID.path
        voiding = asyncio.create_task(call.void())
        await gate.waiting.wait()
        hanging_up = asyncio.create_task(call.hang_up(used=1))
        await asyncio.sleep(0)
        gate.opened.set()
        await voiding
        with pytest.raises(ReservationVoided):
            await hanging_up
    assert await books(admin) == (10, 0)


@pytest.mark.parametrize("used", ["1e30", "1e60", "1e-70"])
async def test_a_use_that_cannot_be_sent_is_refused_at_once(
    admin: AdminClient, controller: CallController, used: str
) -> None:
    async with controller.call("acme", 2, heartbeat=NEVER) as call:
        call.used(1)
        if used != "1e-70":
            with pytest.raises(ValueError, match="range"):
                call.used(used)
        else:
            call.used(used)
    assert await books(admin) == (9, 0)


async def test_a_heartbeat_that_cannot_be_sent_is_not_the_last(
    controller: CallController, caplog: pytest.LogCaptureFixture
) -> None:
    async with controller.call("acme", 2, heartbeat=timedelta(milliseconds=5)) as call:
        call.used("9223372036854775807")  # a step more is no amount any more
        while caplog.text.count("a heartbeat of") < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        await call.void()


# ── its beginning ────────────────────────────────────────────────────────────────────────────────────


async def test_a_hold_whose_call_was_cancelled_before_it_began_is_freed(
    server: FakeImprest, admin: AdminClient, gate: Gate
) -> None:
    async with CallController(gate, currency="USD") as controller:

        async def talk() -> None:
            async with controller.call("acme", 2):
                raise AssertionError("the block must not run")

        gate.closed_for = RESERVE.path
        talking = asyncio.create_task(talk())
        await gate.waiting.wait()
        talking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await talking
        gate.opened.set()
        while controller._loose_ends:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    assert "Void" in server.rpcs
    assert await books(admin) == (10, 0)


async def test_a_key_whose_hold_has_ended_starts_no_call(admin: AdminClient, controller: CallController) -> None:
    async with controller.call("acme", 2, heartbeat=NEVER, idempotency_key="call-1") as call:
        call.used(1)
    with pytest.raises(ReservationCommitted):
        async with controller.call("acme", 2, heartbeat=NEVER, idempotency_key="call-1"):
            raise AssertionError("the block must not run")
    assert await books(admin) == (9, 0)


async def test_a_key_whose_hold_is_there_goes_on_with_its_call(
    server: FakeImprest, admin: AdminClient, controller: CallController
) -> None:
    """As after a crash of the controller."""
    manager = controller.call("acme", 2, heartbeat=NEVER, ttl=timedelta(minutes=5), idempotency_key="call-1")
    first = await manager.__aenter__()
    await first._end()
    server.advance(timedelta(minutes=4))
    async with controller.call("acme", 2, heartbeat=NEVER, ttl=timedelta(minutes=5), idempotency_key="call-1") as call:
        assert call.reservation_id == first.reservation_id
        assert call.reservation.expire_time >= first.reservation.expire_time + timedelta(minutes=4)
        call.used(1)
    assert await books(admin) == (9, 0)
