"""A call as the controller's and the agent's clients keep it, against the fake server."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from decimal import Decimal

import pytest

from imprest_client import AdminClient, AgentClient, Call, CallController, Connection, Denied, Ending, Retryable
from imprest_client.call import OnEnding
from imprest_client.errors import CallLimitReached, InsufficientFunds, OverrunRejected, ReservationExpired
from imprest_client.model import OverrunPolicy, ReservationState, TransactionKind
from imprest_client.testing import FakeImprest
from tests.support.patience import once, outage, patient

# ruff: noqa: PT012  # the block of a call is what is tested

NEVER = timedelta(hours=1)
OFTEN = timedelta(milliseconds=5)


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
async def connection(server: FakeImprest, admin: AdminClient) -> AsyncIterator[Connection]:
    async with patient(server) as opened:
        yield opened


@pytest.fixture
async def controller(connection: Connection) -> AsyncIterator[CallController]:
    async with CallController(connection, currency="USD") as client:
        yield client


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what another task does."""
    while not condition():  # noqa: ASYNC110  # there is no event for it
        await asyncio.sleep(0.001)


async def books(admin: AdminClient) -> tuple[Decimal, Decimal]:
    balance = await admin.get_balance("acme")
    return balance.wallet, balance.held


async def state(admin: AdminClient, call: Call) -> ReservationState:
    return (await admin.get_reservation(call.reservation_id)).state


# ── its end ──────────────────────────────────────────────────────────────────────────────────────────


async def test_what_was_used_is_committed_at_the_end(admin: AdminClient, controller: CallController) -> None:
    async with controller.call("acme", 2, call_id="c-1", heartbeat=NEVER) as call:
        assert await books(admin) == (10, 2)
        call.used("0.25")
        call.add(Decimal("0.1"))
        call.used("0.2")  # late: changes nothing
        assert call.used_so_far == Decimal("0.35")
    assert await books(admin) == (Decimal("9.65"), 0)
    assert call.receipt is not None
    assert (call.receipt.charge.charged, call.receipt.charge.from_hold) == (Decimal("0.35"), Decimal("0.35"))
    assert (call.reservation.state, call.reservation.call_id) == (ReservationState.COMMITTED, "c-1")


async def test_a_call_that_used_nothing_is_voided(admin: AdminClient, controller: CallController) -> None:
    async with controller.call("acme", 2, heartbeat=NEVER) as call:
        pass
    assert await state(admin, call) is ReservationState.VOIDED
    assert await books(admin) == (10, 0)
    assert call.receipt is None


@pytest.mark.parametrize("used", [Decimal(0), Decimal("1.5")])
async def test_an_exception_gives_nothing_away(admin: AdminClient, controller: CallController, used: Decimal) -> None:
    with pytest.raises(ZeroDivisionError):
        async with controller.call("acme", 2, heartbeat=NEVER) as call:
            call.used(used)
            raise ZeroDivisionError
    assert await state(admin, call) is (ReservationState.COMMITTED if used else ReservationState.VOIDED)
    assert await books(admin) == (10 - used, 0)


async def test_a_cancelled_call_is_committed(admin: AdminClient, controller: CallController) -> None:
    running = asyncio.Event()

    async def talk() -> None:
        async with controller.call("acme", 2, heartbeat=NEVER) as call:
            call.used(1)
            running.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(talk())
    await running.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await books(admin) == (9, 0)


async def test_a_second_cancellation_does_not_come_between(admin: AdminClient, controller: CallController) -> None:
    calls: list[Call] = []

    async def talk() -> None:
        async with controller.call("acme", 2, heartbeat=NEVER) as call:
            call.used(1)
            calls.append(call)
            await asyncio.Event().wait()

    task = asyncio.create_task(talk())
    await until(lambda: bool(calls))
    task.cancel()
    while calls[0]._settlement is None:  # noqa: ASYNC110  # not a moment later: the commit is not sent yet
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await calls[0]._settlement
    assert await books(admin) == (9, 0)


async def test_hanging_up_early(admin: AdminClient, controller: CallController) -> None:
    async with controller.call("acme", 2, heartbeat=NEVER) as call:
        receipt = await call.hang_up(used="0.5")
        assert receipt is not None
        assert await books(admin) == (Decimal("9.5"), 0)
    async with controller.call("acme", 2, heartbeat=NEVER) as call:
        call.used(1)
        await call.void("wrong number")
    assert await state(admin, call) is ReservationState.VOIDED
    assert await books(admin) == (Decimal("9.5"), 0)


async def test_costs_have_any_number_of_decimals_and_are_rounded_once(
    admin: AdminClient, controller: CallController
) -> None:
    async with controller.call("acme", 2, heartbeat=NEVER) as call:
        for _ in range(1000):
            call.add(Decimal("0.0000000000125"))
    assert await books(admin) == (10 - Decimal("0.000000012"), 0)  # 12.5 nanos, half to even
    async with controller.call("acme", 2, heartbeat=NEVER) as call:
        call.add("0.00000000025")
    assert await state(admin, call) is ReservationState.VOIDED


async def test_nonsense_is_refused(controller: CallController) -> None:
    async with controller.call("acme", 2, heartbeat=NEVER) as call:
        with pytest.raises(ValueError, match="only grows"):
            call.add(-1)
        with pytest.raises(TypeError, match="float"):
            call.used(0.5)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="finite"):
            call.used(Decimal("NaN"))


async def test_captures_before_are_not_charged_again(admin: AdminClient, controller: CallController) -> None:
    async with controller.call("acme", 4, heartbeat=NEVER) as call:
        part = await controller.commit(call.reservation_id, 1, final=False)
        call.reservation = part.reservation
        call.used(3)
    assert await books(admin) == (7, 0)


async def test_a_denied_reservation_does_not_start_the_call(controller: CallController) -> None:
    with pytest.raises(InsufficientFunds) as denied:
        async with controller.call("acme", 11):
            raise AssertionError("the block must not run")
    assert denied.value.available == 10


async def test_an_overrun_that_is_rejected_takes_the_hold(admin: AdminClient, controller: CallController) -> None:
    await admin.update_account("acme", overrun_policy=OverrunPolicy.REJECT)
    with pytest.raises(OverrunRejected) as rejected:
        async with controller.call("acme", 2, step=0, heartbeat=NEVER) as call:
            call.used(3)
    assert (rejected.value.remaining, rejected.value.amount) == (2, 3)
    assert rejected.value.__notes__ == ["2 USD were charged, the rest was not"]
    assert await books(admin) == (8, 0)
    assert call.receipt is not None


async def test_a_lost_answer_to_the_commit_charges_once(
    server: FakeImprest, admin: AdminClient, controller: CallController
) -> None:
    async with controller.call("acme", 2, heartbeat=NEVER) as call:
        call.used(1)
        server.rpcs.clear()
        server.lose_answers(3)
    assert server.rpcs == ["Commit"] * 4
    assert call.receipt is not None
    assert call.receipt.replayed
    assert await books(admin) == (9, 0)


async def test_without_a_spool_an_unanswered_commit_is_an_error_and_can_be_repeated(
    server: FakeImprest, admin: AdminClient, connection: Connection, controller: CallController
) -> None:
    with outage(server, connection), pytest.raises(Retryable):
        async with controller.call("acme", 2, heartbeat=NEVER) as call:
            pytest.fail("reserved during an outage")
    async with controller.call("acme", 2, heartbeat=NEVER) as call:
        call.used(1)
        server.lose_answers(1)
        with once(connection), pytest.raises(Retryable) as unanswered:
            await call.hang_up()
        receipt = await call.hang_up()
    assert unanswered.value.idempotency_key
    assert receipt is not None
    assert receipt.replayed
    assert await books(admin) == (9, 0)


# ── while it runs ────────────────────────────────────────────────────────────────────────────────────


async def test_heartbeats_prolong_the_hold_and_report_the_use(admin: AdminClient, controller: CallController) -> None:
    async with controller.call("acme", 4, ttl=timedelta(minutes=1), heartbeat=OFTEN) as call:
        first = call.reservation.expire_time
        call.used("0.5")
        await until(lambda: call.reservation.expire_time > first and call.reservation.used_so_far > 0)
        there = await admin.get_reservation(call.reservation_id)
        assert (there.used_so_far, there.amount) == (Decimal("0.5"), 4)
        await call.hang_up()


async def test_a_controller_that_dies_does_not_give_the_call_away(
    server: FakeImprest, admin: AdminClient, controller: CallController
) -> None:
    manager = controller.call("acme", 4, ttl=timedelta(minutes=1), heartbeat=OFTEN)
    call = await manager.__aenter__()
    call.used("0.5")
    await until(lambda: call.reservation.used_so_far != 0)
    await call._end()  # no heartbeat any more, no commit
    server.advance(timedelta(minutes=2))
    assert await books(admin) == (Decimal("9.5"), 0)
    late = await call.hang_up(used="0.75")
    assert late is not None
    assert late.late
    assert await books(admin) == (Decimal("9.25"), 0)


async def test_the_hold_grows_with_the_use(server: FakeImprest, admin: AdminClient, controller: CallController) -> None:
    async with controller.call("acme", 2, heartbeat=NEVER) as call:
        call.used("0.9")
        assert not call._wake.is_set()
        call.used(1)  # half of a step is left: at once, not at the next heartbeat
        await until(lambda: call.reservation.amount != 2)
        assert (call.reservation.amount, await books(admin)) == (3, (10, 3))
        assert server.rpcs.count("Extend") == 1
        call.used("2.5")
        await until(lambda: call.reservation.amount != 3)
        assert call.reservation.amount == Decimal("4.5")
        assert call.ending is None
    assert await books(admin) == (Decimal("7.5"), 0)


async def test_a_step_of_zero_never_asks_for_more(server: FakeImprest, controller: CallController) -> None:
    async with controller.call("acme", 2, step=0, heartbeat=OFTEN) as call:
        call.used("1.9")
        await until(lambda: call.reservation.used_so_far != 0)
        assert call.reservation.amount == 2


async def test_the_last_credit_is_taken_before_the_call_has_to_end(
    admin: AdminClient, controller: CallController
) -> None:
    heard: list[Ending] = []

    async def on_ending(ending: Ending) -> None:
        heard.append(ending)

    async with controller.call("acme", 4, heartbeat=NEVER, on_ending=on_ending) as call:
        call.used(6)  # wants 10, which there is
        await until(lambda: call.reservation.amount == 10)
        call.used(9)  # wants 13, of which there is nothing
        ending = await call.wait_ending()
        assert ending.reason == "INSUFFICIENT_FUNDS"
        assert call.ending == ending
        assert await books(admin) == (10, 10)
    assert heard == [ending]

    await admin.add_credit("acme", 2)
    async with controller.call("acme", 1, step=4, heartbeat=NEVER) as call:
        call.used("0.5")
        ending = await call.wait_ending()
        assert (ending.reason, call.reservation.amount) == ("INSUFFICIENT_FUNDS", 3)  # 4.5 was wanted
    assert await books(admin) == (Decimal("2.5"), 0)


async def test_the_seconds_left_are_those_at_the_rate_so_far(controller: CallController) -> None:
    async with controller.call("acme", 10, heartbeat=NEVER) as call:
        call._started_s -= 3600
        call.used(9)  # nine dollars an hour, one is left
        ending = await call.wait_ending()
        assert 200 < ending.seconds_left < 450


async def test_without_use_the_seconds_left_are_those_of_the_hold(controller: CallController) -> None:
    async with controller.call("acme", 20, min_amount=1, ttl=timedelta(hours=1), heartbeat=NEVER) as call:
        ending = await call.wait_ending()
        assert ending.reason == ""
        assert 3000 < ending.seconds_left <= 3600


async def test_new_credit_lets_the_call_go_on(admin: AdminClient, controller: CallController) -> None:
    async with controller.call("acme", 10, heartbeat=OFTEN) as call:
        call.used(9)
        await call.wait_ending()
        await admin.add_credit("acme", 90)
        await until(lambda: call.ending is None)
        assert call.reservation.amount == 19


async def test_a_frozen_account_ends_its_calls(admin: AdminClient, controller: CallController) -> None:
    async with controller.call("acme", 2, heartbeat=NEVER) as call:
        await admin.freeze_account("acme")
        call.used(1)
        assert (await call.wait_ending()).reason == "ACCOUNT_FROZEN"
    assert await books(admin) == (9, 0)


async def test_a_hold_that_is_gone_ends_the_call(
    server: FakeImprest, admin: AdminClient, controller: CallController
) -> None:
    async with controller.call("acme", 2, ttl=timedelta(minutes=1), heartbeat=OFTEN) as call:
        server.advance(timedelta(minutes=2))
        ending = await call.wait_ending()
        assert (ending.reason, ending.seconds_left) == ("RESERVATION_EXPIRED", 0)
        call.used(1)
    assert call.receipt is not None
    assert call.receipt.late
    assert await books(admin) == (9, 0)


async def test_a_server_that_stays_away_ends_the_call_when_its_hold_does(
    server: FakeImprest, admin: AdminClient, controller: CallController
) -> None:
    async with controller.call("acme", 2, ttl=timedelta(seconds=1), heartbeat=OFTEN) as call:
        call.used(1)
        with server.outage():
            ending = await call.wait_ending()
        assert ending.reason == "RESERVATION_EXPIRED"
    assert await books(admin) == (9, 0)


async def failing(ending: Ending) -> None:
    raise ZeroDivisionError


@pytest.mark.parametrize("on_ending", [lambda ending: 1 // 0, failing], ids=["function", "coroutine function"])
async def test_a_callback_that_fails_does_not_harm_the_call(
    admin: AdminClient, controller: CallController, caplog: pytest.LogCaptureFixture, on_ending: OnEnding
) -> None:
    async with controller.call("acme", 2, heartbeat=NEVER, on_ending=on_ending) as call:
        await admin.freeze_account("acme")
        call.used(1)
        await call.wait_ending()
        await until(lambda: "on_ending" in caplog.text)
    assert await books(admin) == (9, 0)


async def test_the_callback_knows_first(admin: AdminClient, controller: CallController) -> None:
    seen: list[Ending | None] = []
    async with controller.call("acme", 2, heartbeat=NEVER, on_ending=lambda ending: seen.append(ending)) as call:
        await admin.freeze_account("acme")
        call.used(1)
        while call.ending is None:  # noqa: ASYNC110  # as soon as anybody can know
            await asyncio.sleep(0)
        assert seen == [call.ending]


async def test_the_callback_may_hang_up(admin: AdminClient, controller: CallController) -> None:
    calls: list[Call] = []

    async def on_ending(ending: Ending) -> None:
        await calls[0].hang_up()

    async with controller.call("acme", 2, heartbeat=NEVER, on_ending=on_ending) as call:
        calls.append(call)
        await admin.freeze_account("acme")
        call.used(1)
        await until(lambda: call.receipt is not None)
    assert await books(admin) == (9, 0)


async def test_an_agent_joins_a_call_that_the_controller_has_begun(
    server: FakeImprest, admin: AdminClient, controller: CallController
) -> None:
    held = await controller.reserve("acme", 2, call_id="c-1", ttl=timedelta(seconds=5))
    async with AgentClient(server.target) as agent:
        async with agent.join(held.reservation.reservation_id, step=2, heartbeat=NEVER) as call:
            assert call.reservation.expire_time > held.reservation.expire_time
            call.used("1.5")
            await until(lambda: call.reservation.amount != 2)
            assert await books(admin) == (10, Decimal("3.5"))
        assert await books(admin) == (Decimal("8.5"), 0)
        with pytest.raises(Denied, match="RESERVATION_COMMITTED"):
            async with agent.join(held.reservation.reservation_id):
                raise AssertionError("the block must not run")
        statement = [t async for t in admin.list_transactions("acme")]
        assert [(t.kind, t.call_id) for t in statement[1:]] == [(TransactionKind.COMMIT, "c-1")]


async def test_calls_are_counted(admin: AdminClient, controller: CallController) -> None:
    await admin.update_account("acme", max_concurrent_calls=1)
    async with controller.call("acme", 1, heartbeat=NEVER):
        with pytest.raises(CallLimitReached) as limited:
            async with controller.call("acme", 1):
                raise AssertionError("the block must not run")
        assert (limited.value.open_reservations, limited.value.max_concurrent_calls) == (1, 1)


async def test_too_late_for_a_commit(server: FakeImprest, controller: CallController) -> None:
    with pytest.raises(ReservationExpired) as expired:
        async with controller.call("acme", 1, heartbeat=NEVER) as call:
            call.used("0.25")
            server.advance(timedelta(days=8))
    assert expired.value.expire_time.tzinfo is not None
