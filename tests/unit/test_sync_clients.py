"""The blocking clients: the same methods, from code without an event loop, and from several threads."""

import asyncio
import contextlib
import inspect
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import grpc
import pytest

import imprest_client
from imprest_client import Ending, Spool, sync
from imprest_client.blocking import LOOP
from imprest_client.errors import InsufficientFunds, Retryable
from imprest_client.model import ReservationState
from imprest_client.spool import SpoolState
from imprest_client.testing import FakeImprest
from tests.support.patience import PATIENCE_S, SOON_S

NEVER = timedelta(hours=1)


@pytest.fixture
def server() -> Iterator[FakeImprest]:
    with FakeImprest() as fake:
        yield fake


@pytest.fixture
def admin(server: FakeImprest) -> Iterator[sync.AdminClient]:
    with sync.AdminClient(server.target, currency="USD") as client:
        client.create_account("acme")
        client.add_credit("acme", 10)
        yield client


@pytest.fixture
def controller(server: FakeImprest, admin: sync.AdminClient) -> Iterator[sync.CallController]:
    with sync.CallController(server.target, currency="USD") as client:
        yield client


@pytest.mark.parametrize(
    ("facade", "inner"),
    [
        (sync.LedgerClient, imprest_client.LedgerClient),
        (sync.AdminClient, imprest_client.AdminClient),
        (sync.BudgetClient, imprest_client.BudgetClient),
        (sync.ChannelClient, imprest_client.ChannelClient),
        (sync.PricingClient, imprest_client.PricingClient),
        (sync.Batch, imprest_client.Batch),
        (sync.AlertStream, imprest_client.AlertStream),
        (sync.CallController, imprest_client.CallController),
        (sync.AgentClient, imprest_client.AgentClient),
        (sync.Call, imprest_client.Call),
        (sync.UsageRecorder, imprest_client.UsageRecorder),
    ],
)
def test_nothing_is_missing(facade: type, inner: type) -> None:
    def public(cls: type) -> dict[str, Any]:
        return {name: value for name, value in inspect.getmembers(cls) if not name.startswith("_")}

    theirs, mine = public(inner), public(facade)
    attributes = {"reservation", "receipt", "is_spooled", "token"}  # no members of their class
    assert theirs.keys() == mine.keys() - attributes
    for name, member in theirs.items():
        if inspect.isfunction(member):
            assert inspect.signature(mine[name]).parameters.keys() == inspect.signature(member).parameters.keys(), name
            assert mine[name].__doc__, name


def test_a_call(admin: sync.AdminClient, controller: sync.CallController) -> None:
    with controller.call("acme", 2, call_id="c-1", heartbeat=NEVER) as call:
        call.used("0.25")
        call.add("0.1")
        assert call.used_so_far == Decimal("0.35")
        assert admin.get_balance("acme").held == 2
        assert (call.reservation.call_id, call.ending, call.is_spooled) == ("c-1", None, False)
    assert call.receipt is not None
    assert admin.get_balance("acme").wallet == Decimal("9.65")
    with controller.call("acme", 2, heartbeat=NEVER) as call:
        call.void("wrong number")
    assert admin.get_reservation(call.reservation_id).state is ReservationState.VOIDED
    with pytest.raises(InsufficientFunds), controller.call("acme", 11):
        raise AssertionError("the block must not run")


def test_an_exception_gives_nothing_away(admin: sync.AdminClient, controller: sync.CallController) -> None:
    with pytest.raises(ZeroDivisionError), controller.call("acme", 2, heartbeat=NEVER) as call:  # noqa: PT012
        call.used(1)
        raise ZeroDivisionError
    assert (admin.get_balance("acme").wallet, admin.get_balance("acme").held) == (9, 0)


def test_the_ending_is_told_in_a_thread_that_may_use_clients(
    admin: sync.AdminClient, controller: sync.CallController
) -> None:
    told = threading.Event()
    heard: list[tuple[Ending, Decimal]] = []

    def on_ending(ending: Ending) -> None:
        heard.append((ending, admin.get_balance("acme").wallet))
        told.set()

    with controller.call("acme", 2, heartbeat=NEVER, on_ending=on_ending) as call:
        admin.freeze_account("acme")
        call.used(1)
        assert call.wait_ending().reason == "ACCOUNT_FROZEN"
        assert told.wait(PATIENCE_S)
    assert [(ending.reason, wallet) for ending, wallet in heard] == [("ACCOUNT_FROZEN", 10)]


def test_an_agent(server: FakeImprest, admin: sync.AdminClient, tmp_path: Path) -> None:
    held = admin.reserve("acme", 2).reservation.reservation_id
    with sync.AgentClient(server.target, currency="USD", spool=tmp_path / "spool.db") as agent:
        with agent.join(held, heartbeat=NEVER) as call:
            call.used(1)
        with agent.recorder() as recorder:
            recorder.charge("acme", 1)
            assert recorder.flush(PATIENCE_S) == 0
            assert recorder.pending_count == 0
        other = admin.reserve("acme", 2).reservation.reservation_id
        with server.outage():
            assert agent.with_timeout(SOON_S).hang_up(other, 1) is None
        assert agent.flush(PATIENCE_S) == 0
    with Spool(tmp_path / "spool.db") as spool:
        assert spool.count(SpoolState.PENDING) == 0
    assert admin.get_balance("acme").wallet == 7


def test_threads_share_a_client(admin: sync.AdminClient) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: admin.charge("acme", "0.1", idempotency_key=str(number % 50)), range(100)))
    assert admin.get_balance("acme").wallet == 5


def test_errors_come_through(server: FakeImprest, admin: sync.AdminClient) -> None:
    with server.outage(), pytest.raises(Retryable):
        admin.with_timeout(SOON_S).get_balance("acme")


def test_lists_are_read_page_by_page(server: FakeImprest, admin: sync.AdminClient) -> None:
    for _ in range(4):
        admin.grant_credit("acme", 1)
    server.rpcs.clear()
    statement = admin.list_transactions("acme", page_size=2)
    assert [next(statement).seq, next(statement).seq] == [1, 2]
    assert server.rpcs == ["ListTransactions"]
    assert [transaction.seq for transaction in statement] == [3, 4, 5]


def test_ctrl_c_is_heard_also_when_the_system_tells_it_another_thread() -> None:
    cancelled = threading.Event()

    async def interrupted() -> None:
        caller = threading.main_thread().ident
        while sys._current_frames()[caller or 0].f_code is not threading.Condition.wait.__code__:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.01)  # it sleeps
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        try:
            await asyncio.sleep(PATIENCE_S)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    with pytest.raises(KeyboardInterrupt):
        LOOP.run(interrupted)
    assert cancelled.wait(PATIENCE_S)


def test_an_interrupt_before_anything_has_begun_leaves_no_coroutine(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that nobody awaits would be told about on stderr."""
    made = []

    async def nothing() -> None:
        pass

    def function() -> Coroutine[Any, Any, None]:
        made.append(nothing())
        return made[-1]

    def interrupted() -> asyncio.AbstractEventLoop:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(LOOP, "loop", interrupted)
        with pytest.raises(KeyboardInterrupt):
            LOOP.run(function)
    assert made == []
    LOOP.run(function)
    assert len(made) == 1


def test_a_mistake_in_the_arguments_is_raised() -> None:
    async def one(first: int) -> int:
        return first

    with pytest.raises(TypeError, match="second"):
        LOOP.run(one, 1, second=2)  # type: ignore[call-arg]
    assert LOOP.run(one, 1) == 1


def test_a_coroutines_own_timeout_is_raised() -> None:
    async def late() -> None:
        raise TimeoutError("mine")

    with pytest.raises(TimeoutError, match="mine"):
        LOOP.run(late)


def test_the_loop_cannot_wait_for_itself(admin: sync.AdminClient) -> None:
    async def nested() -> None:
        admin.get_balance("acme")

    with pytest.raises(RuntimeError, match="event loop that works for it"):
        LOOP.run(nested)


async def test_a_coroutine_may_use_one_in_a_thread(server: FakeImprest, admin: sync.AdminClient) -> None:
    async with imprest_client.AdminClient(server.target) as other:
        mine, theirs = await asyncio.gather(asyncio.to_thread(admin.get_balance, "acme"), other.get_balance("acme"))
    assert mine.wallet == theirs.wallet == 10


def test_endings_that_take_long_leave_the_spool_its_threads(
    server: FakeImprest, admin: sync.AdminClient, controller: sync.CallController, tmp_path: Path
) -> None:
    many = 33  # more than asyncio has threads for such things
    begun, released = threading.Semaphore(0), threading.Event()

    def on_ending(_: Ending) -> None:
        begun.release()
        released.wait()

    held = admin.reserve("acme", 1).reservation.reservation_id
    with (
        contextlib.ExitStack() as calls,
        sync.AgentClient(server.target, currency="USD", spool=tmp_path / "s") as agent,
    ):
        running = [
            calls.enter_context(controller.call("acme", "0.2", heartbeat=NEVER, on_ending=on_ending))
            for _ in range(many)
        ]
        admin.freeze_account("acme")
        for call in running:
            call.used("0.1")
        hanging_up = threading.Thread(target=agent.hang_up, args=(held, 1), daemon=True)
        hanging_up.start()
        hanging_up.join(PATIENCE_S)
        is_done = not hanging_up.is_alive()
        released.set()
        assert is_done
        for _ in range(many):
            begun.acquire()


PROGRAM = textwrap.dedent("""
    import signal, sys
    from datetime import timedelta
    from imprest_client.sync import CallController

    def tell(number, frame):
        print("interrupted", flush=True)
        signal.default_int_handler(number, frame)

    signal.signal(signal.SIGINT, tell)
    try:
        with CallController(sys.argv[1], currency="USD") as controller:
            with controller.call("acme", 2, heartbeat=timedelta(hours=1)) as call:
                call.used(1)
    except KeyboardInterrupt:
        print("charged", call.receipt and call.receipt.charge.charged)
""")


async def test_an_interrupt_while_a_call_is_committed_waits_for_it() -> None:
    committing, may_go_on = asyncio.Event(), asyncio.Event()

    class Slow(FakeImprest):
        def _handler(self, rpc: str, kind: Any) -> Any:
            handler = super()._handler(rpc, kind)

            async def slow(raw: bytes, context: Any) -> Any:
                if rpc == "Commit":
                    committing.set()
                    await may_go_on.wait()
                return await handler.unary_unary(raw, context)  # type: ignore[misc]

            return grpc.unary_unary_rpc_method_handler(slow)

    async with Slow() as server, imprest_client.AdminClient(server.target, currency="USD") as admin:
        await admin.create_account("acme")
        await admin.add_credit("acme", 10)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", PROGRAM, server.target), stdout=subprocess.PIPE
        )
        await committing.wait()
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        assert await process.stdout.readline() == b"interrupted\n"
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), 0.5)  # it must not end now
        may_go_on.set()
        assert await process.stdout.read() == b"charged 1\n"
        await process.wait()
        assert (await admin.get_balance("acme")).wallet == 9


ENDS = {
    "a call that is left open": """
        manager = CallController(sys.argv[1], currency="USD").call("acme", 2)
        manager.__enter__().used(1)
    """,
    "a stream that is left open": """
        BudgetClient(sys.argv[1]).alerts().begin()
    """,
    "a child that was forked": """
        client = AdminClient(sys.argv[1])
        client.get_balance("acme")
        if os.fork() == 0:
            try:
                AdminClient(sys.argv[1]).get_balance("acme")
            except RuntimeError as error:
                os._exit(7 if "forked" in str(error) else 8)
        assert os.waitstatus_to_exitcode(os.wait()[1]) == 7
    """,
}


@pytest.mark.parametrize("name", ENDS)
def test_a_process_ends(server: FakeImprest, admin: sync.AdminClient, name: str) -> None:
    program = "import os, sys\nfrom imprest_client.sync import *\n" + textwrap.dedent(ENDS[name])
    done = subprocess.run([sys.executable, "-c", program, server.target], capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
