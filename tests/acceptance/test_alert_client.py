"""Budgets and alerts through the client, async and blocking: against a server, and through its deaths."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from imprest_client import AdminClient, AlertStream, BudgetClient, CallController, Connection, sync
from imprest_client.budget_model import (
    AlertKind,
    AlertLevel,
    Budget,
    BudgetBasis,
    BudgetPeriod,
    Threshold,
    ThresholdAction,
    ThresholdProfile,
)
from imprest_client.errors import BudgetExceeded, CallsStopped, NotFound
from tests.conftest import Database
from tests.crash.serve import Serve
from tests.support.command import finished
from tests.support.ctl import Ctl
from tests.support.patience import PATIENCE_S
from tests.support.server import Running, running_server

STREAMS = 50


@pytest.fixture
async def server(database: Database) -> AsyncIterator[Running]:
    """A server with an account, acme, that has 100 USD."""
    async with running_server(database) as server, AdminClient(server.target, currency="USD") as admin:
        await admin.create_account("acme")
        await admin.add_credit("acme", 100)
        yield server


@pytest.fixture
async def client(server: Running) -> AsyncIterator[BudgetClient]:
    async with BudgetClient(server.target, currency="USD") as client:
        yield client


async def test_a_budgets_life(client: BudgetClient) -> None:
    thresholds = (
        Threshold(Decimal("12.5")),
        Threshold(Decimal(100), AlertLevel.CRITICAL, ThresholdAction.BLOCK, "page"),
    )
    made = await client.set_budget(
        "ann",
        20,
        period=BudgetPeriod.WEEK,
        label=("agent", "ann"),
        time_zone="Europe/Berlin",
        thresholds=thresholds,
        display_name="Ann",
    )
    assert made.budget == Budget(
        budget_id="ann",
        display_name="Ann",
        account_id="",
        label=("agent", "ann"),
        meter_prefix="",
        basis=BudgetBasis.CHARGED,
        period=BudgetPeriod.WEEK,
        time_zone="Europe/Berlin",
        limit=Decimal(20),
        currency_code="USD",
        thresholds=thresholds,
        revision=1,
        create_time=made.budget.create_time,
    )
    await client.charge("acme", "2.5", labels={"agent": "ann"})
    await client.charge("acme", 7, labels={"agent": "bob"})
    status = await client.get_budget_status("ann")
    assert (status.spent, status.held, status.remaining, status.percent) == (Decimal("2.5"), 0, Decimal("17.5"), 12.5)
    assert (status.fired_thresholds, status.stopped, status.budget) == (thresholds[:1], False, made.budget)
    with pytest.raises(BudgetExceeded) as denied:
        await client.reserve("acme", 18, labels={"agent": "ann"})
    assert (denied.value.budget_id, denied.value.remaining, denied.value.required) == ("ann", Decimal("17.5"), 18)

    await client.set_budget("all", 500, period=BudgetPeriod.TOTAL, basis=BudgetBasis.COST, meter_prefix="llm.")
    acme = await client.set_budget("acme", 1, period=BudgetPeriod.DAY, account_id="acme", idempotency_key="k")
    again = await client.set_budget("acme", 1, period=BudgetPeriod.DAY, account_id="acme", idempotency_key="k")
    assert (again.replayed, again.budget, len(again.budget.thresholds)) == (True, acme.budget, 3)
    assert [b.budget_id async for b in client.list_budgets(page_size=1)] == ["acme", "all", "ann"]
    assert [b.budget_id async for b in client.list_budgets(account_id="acme")] == ["acme"]
    assert [b.budget_id async for b in client.list_budgets(label_key="agent")] == ["ann"]
    assert not (await client.delete_budget("all")).replayed
    with pytest.raises(NotFound):
        await client.get_budget_status("all")

    alerts = [alert async for alert in client.list_alerts(page_size=1)]
    assert [(a.sequence, a.budget_id, a.account_id) for a in alerts] == [
        (4, "acme", "acme"),
        (3, "acme", "acme"),
        (2, "acme", "acme"),
        (1, "ann", ""),
    ]
    assert (alerts[-1].threshold, alerts[-1].spent, alerts[-1].limit) == (thresholds[0], Decimal("2.5"), 20)
    assert [a.sequence async for a in client.list_alerts(budget_id="acme", min_level=AlertLevel.CRITICAL)] == [4, 3]
    assert [a.sequence async for a in client.list_alerts(kinds=[AlertKind.OVERRUN, AlertKind.ANOMALY])] == []
    seen = await client.acknowledge_alert(alerts[0].alert_id, acknowledged_by="ann")
    assert (seen.alert.acknowledged_by, seen.alert.acknowledge_time is not None) == ("ann", True)
    assert [a.sequence async for a in client.list_alerts(unacknowledged=True)] == [3, 2, 1]


async def test_a_stop_ends_calls_and_is_lifted(server: Running, client: BudgetClient) -> None:
    """What the stream tells, and what a running call's controller hears."""
    async with CallController(server.target, currency="USD") as controller, client.alerts() as alerts:
        await alerts.begin()
        stop = [Threshold(Decimal(150), AlertLevel.EMERGENCY, ThresholdAction.STOP_CALLS, "halt")]
        await client.set_budget("b", 10, period=BudgetPeriod.DAY, thresholds=stop)
        async with controller.call("acme", 2, call_id="call 1") as call:
            await client.charge("acme", 15)
            alert = await anext(alerts)
            assert (alert.kind, alert.level, alert.call_ids) == (AlertKind.BUDGET, AlertLevel.EMERGENCY, ("call 1",))
            call.used("1.5")  # asks for more
            assert (await asyncio.wait_for(call.wait_ending(), PATIENCE_S)).reason == "CALLS_STOPPED"
        with pytest.raises(CallsStopped) as denied:
            await client.reserve("acme", 1)
        assert denied.value.budget_id == "b"
        resumed = await client.resume_calls("b", reason="checked")
        assert (resumed.status.stopped, resumed.status.spent) == (False, Decimal("16.5"))
        await client.void((await client.reserve("acme", 1)).reservation.reservation_id)


async def test_a_used_up_budget_ends_a_call(server: Running, client: BudgetClient) -> None:
    block = [Threshold(Decimal(100), AlertLevel.CRITICAL, ThresholdAction.BLOCK)]
    await client.set_budget("b", 3, period=BudgetPeriod.DAY, thresholds=block)
    async with CallController(server.target, currency="USD") as controller, controller.call("acme", 2) as call:
        call.used("1.5")  # a step above it is more than 3
        assert (await asyncio.wait_for(call.wait_ending(), PATIENCE_S)).reason == "BUDGET_EXCEEDED"


async def test_without_an_event_loop(server: Running) -> None:
    def work() -> list[tuple[int, Decimal | None]]:
        with sync.BudgetClient(server.target, currency="USD") as client, client.alerts() as alerts:
            alerts.begin()
            client.set_budget("b", 10, period=BudgetPeriod.DAY, profile=ThresholdProfile.EMERGENCY_STOP)
            client.charge("acme", 8)
            client.charge("acme", 8)
            return [(alert.sequence, alert.spent) for _, alert in zip(range(3), alerts, strict=False)]

    assert await asyncio.to_thread(work) == [(1, 8), (2, 16), (3, 16)]


# ── imprestctl ───────────────────────────────────────────────────────────────────────────────────────


async def test_following_goes_on_where_it_ended(server: Running, client: BudgetClient, tmp_path: Path) -> None:
    """A process that is interrupted, and its successor: JSON lines, each flushed at once."""
    file = tmp_path / "token"
    command = [str(Path(sys.executable).with_name("imprestctl")), "alerts", "--follow", "--json"]
    options = ["--address", server.target, "--token-file", str(file)]
    seen = []
    for first in (1, 3):
        process = await asyncio.create_subprocess_exec(*command, *options, stdout=PIPE, stderr=PIPE)
        assert process.stdout is not None and process.stderr is not None
        while not file.exists():  # noqa: ASYNC110  # another process makes it
            await asyncio.sleep(0.01)
        for number in (first, first + 1):
            await client.set_budget(f"b{number}", 1, period=BudgetPeriod.DAY, thresholds=[Threshold(Decimal(100))])
            if number == 1:
                await client.charge("acme", 1)
            alert = json.loads(await asyncio.wait_for(process.stdout.readline(), PATIENCE_S))
            seen.append(alert["sequence"])
            while file.read_text("ascii").strip() != alert["resume_token"]:  # noqa: ASYNC110  # another process does
                await asyncio.sleep(0.01)
        process.send_signal(signal.SIGINT)
        output, errors = await asyncio.wait_for(process.communicate(), PATIENCE_S)
        assert (process.returncode, output, errors) == (0, b"", b"")
    assert seen == [1, 2, 3, 4]


async def test_what_is_no_following(server: Running) -> None:
    ctl = Ctl(server.target)
    for arguments in (
        ["alerts"],
        ["alerts", "--follow", "list"],
        ["alerts", "--follow", "--since", "1h", "--resume-token", "x"],
        ["alerts", "--follow", "--resume-token", "x"],
        ["alerts", "list", "--kind", "none"],
        ["budgets", "set", "b", "5", "--period", "day"],
        ["budgets", "set", "b", "5USD", "--period", "day", "--at", "x"],
        ["budgets", "set", "b", "5USD", "--period", "day", "--at", "80", "--thresholds", "warn"],
        ["budgets", "set", "b", "5USD", "--period", "day", "--account", "a", "--label", "k=v"],
    ):
        assert (await ctl(*arguments)).status == 2, arguments


# ── through deaths ───────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def served(scratch_dir: Path) -> Iterator[tuple[Serve, Path]]:
    data_dir = scratch_dir / f"alerts-{time.monotonic_ns()}"
    serve = Serve("--data-dir", str(data_dir))
    serve.start()
    try:
        yield serve, data_dir
        assert serve.stop() == 0, serve.log
    finally:
        serve.close()


async def follow(alerts: AlertStream, last: int) -> list[int]:
    """What comes up to the last one."""
    seen = [0]
    while seen[-1] < last:
        seen.append((await anext(alerts)).sequence)
    return seen[1:]


async def test_nothing_is_missed_or_repeated_when_server_and_postgres_die(served: tuple[Serve, Path]) -> None:
    """The server is killed; then its Postgres, with which it goes; alerts are written all the time."""
    serve, data_dir = served
    rounds, each = 3, 8
    async with Connection(serve.target, timeout_s=PATIENCE_S) as connection:
        admin, client = AdminClient(connection, currency="USD"), BudgetClient(connection, currency="USD")
        await admin.create_account("acme")
        await admin.add_credit("acme", 100)
        await client.charge("acme", 5)
        streams = [client.alerts() for _ in range(STREAMS)]
        await asyncio.gather(*(alerts.begin(PATIENCE_S) for alerts in streams))
        following = [asyncio.create_task(follow(alerts, rounds * each)) for alerts in streams]

        async def write(number: int) -> None:
            for n in range(each):
                threshold = [Threshold(Decimal(100))]
                await client.set_budget(f"{number}-{n}", 1, period=BudgetPeriod.TOTAL, thresholds=threshold)

        for number, victim in enumerate(("server", "postgres", "nobody")):
            writing = asyncio.create_task(write(number))
            await asyncio.sleep(0)
            if victim == "server":
                await asyncio.to_thread(serve.restart)
            elif victim == "postgres":
                pid = int((data_dir / "postgres" / "postmaster.pid").read_text().splitlines()[0])
                os.kill(pid, signal.SIGKILL)
                assert await asyncio.to_thread(serve.wait) == 1
                await asyncio.to_thread(serve.start)
            await writing
        assert await asyncio.gather(*following) == [list(range(1, rounds * each + 1))] * STREAMS
    assert (await asyncio.to_thread(finished, "verify", "--data-dir", str(data_dir)))[0] == 0
