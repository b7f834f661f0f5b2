"""BudgetService over gRPC: each RPC, and the stream from its first message to its end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.type.decimal_pb2 import Decimal as DecimalMessage

from imprest.v1 import budget_pb2
from imprest.v1.account_pb2 import Account
from imprest.v1.account_service_pb2 import AddCreditRequest, CreateAccountRequest
from imprest.v1.budget_pb2 import Budget, BudgetLabel, BudgetThreshold
from imprest.v1.budget_service_pb2 import (
    AcknowledgeAlertRequest,
    BudgetAlertsRequest,
    BudgetAlertsResponse,
    DeleteBudgetRequest,
    GetBudgetStatusRequest,
    ListAlertsRequest,
    ListBudgetsRequest,
    ResumeCallsRequest,
    SetBudgetRequest,
)
from imprest.v1.budget_service_pb2_grpc import BudgetServiceStub
from imprest.v1.ledger_service_pb2 import ChargeRequest, ReserveRequest
from imprest_client.errors import details_of
from imprest_client.money import to_decimal, to_money
from tests.conftest import Database
from tests.support.budgets import open_desk
from tests.support.server import Running, running_server


@pytest.fixture
async def server(database: Database) -> AsyncIterator[Running]:
    """A server with an account `a` that has spent 9 and holds 5."""
    async with running_server(database) as server:
        account = Account(account_id="a", currency_code="USD")
        await server.accounts.CreateAccount(CreateAccountRequest(account=account, idempotency_key="a"))
        await server.accounts.AddCredit(
            AddCreditRequest(account_id="a", amount=to_money(100, "USD"), idempotency_key="a")
        )
        await server.ledger.Charge(
            ChargeRequest(account_id="a", amount=to_money(9, "USD"), idempotency_key="c", labels={"agent": "x"})
        )
        await server.ledger.Reserve(
            ReserveRequest(account_id="a", amount=to_money(5, "USD"), idempotency_key="r", call_id="call 1")
        )
        yield server


def budget(budget_id: str, limit: int, **fields: Any) -> Budget:
    scope = {} if {"account_id", "label"} & set(fields) else {"tenant": True}
    period = fields.pop("period", budget_pb2.BUDGET_PERIOD_MONTH)
    return Budget(budget_id=budget_id, limit=to_money(limit, "USD"), period=period, **scope, **fields)


async def set_budget(server: Running, key: str, asked: Budget, **fields: Any) -> Any:
    return await server.budgets.SetBudget(SetBudgetRequest(budget=asked, idempotency_key=key, **fields))


async def refused(call: Any) -> tuple[str, str]:
    """The code and the reason that a call, or the next message of a stream, fails with."""
    with pytest.raises(grpc.RpcError) as error:
        await call
    return error.value.code().name, details_of(error.value).reason  # type: ignore[attr-defined]


@asynccontextmanager
async def stream(server: Running, **fields: Any) -> AsyncIterator[Any]:
    call = server.budgets.BudgetAlerts(BudgetAlertsRequest(**fields))
    try:
        yield call
    finally:
        call.cancel()


async def test_a_budgets_life(server: Running) -> None:
    asked = budget("b", 10, label=BudgetLabel(key="agent", value="x"), display_name="Agent x", time_zone="Asia/Kolkata")
    made = (await set_budget(server, "1", asked)).budget
    levels = [budget_pb2.AlertLevel.Name(t.level) for t in made.thresholds]
    assert [t.percent.value for t in made.thresholds] == ["80", "95", "100"]
    assert levels == ["ALERT_LEVEL_WARNING", "ALERT_LEVEL_CRITICAL", "ALERT_LEVEL_CRITICAL"]
    assert {t.action for t in made.thresholds} == {budget_pb2.THRESHOLD_ACTION_NOTIFY}
    assert (made.revision, made.label.key, made.WhichOneof("scope")) == (1, "agent", "label")
    assert made.basis == budget_pb2.BUDGET_BASIS_CHARGED
    assert (await set_budget(server, "1", asked)).replayed

    status = (await server.budgets.GetBudgetStatus(GetBudgetStatusRequest(budget_id="b"))).status
    assert status.budget == made
    assert [str(to_decimal(m)) for m in (status.spent, status.held, status.remaining)] == ["9", "0", "1"]
    assert (status.percent.value, [t.percent.value for t in status.fired_thresholds]) == ("90", ["80"])
    assert status.period_start.ToDatetime() < status.as_of.ToDatetime() < status.period_end.ToDatetime()

    await set_budget(server, "2", budget("whole", 100, period=budget_pb2.BUDGET_PERIOD_TOTAL))
    whole = (await server.budgets.GetBudgetStatus(GetBudgetStatusRequest(budget_id="whole"))).status
    assert [str(to_decimal(m)) for m in (whole.spent, whole.held, whole.remaining)] == ["9", "5", "86"]
    assert not whole.HasField("period_start") and not whole.HasField("exhaustion_time")

    listed = await server.budgets.ListBudgets(ListBudgetsRequest(page_size=1))
    more = await server.budgets.ListBudgets(ListBudgetsRequest(page_size=1, page_token=listed.next_page_token))
    assert [b.budget_id for reply in (listed, more) for b in reply.budgets] == ["b", "whole"]
    assert more.next_page_token == ""
    by_label = await server.budgets.ListBudgets(ListBudgetsRequest(label_key="agent"))
    assert [b.budget_id for b in by_label.budgets] == ["b"]
    assert not (await server.budgets.ListBudgets(ListBudgetsRequest(account_id="a"))).budgets

    await server.budgets.DeleteBudget(DeleteBudgetRequest(budget_id="b", idempotency_key="d"))
    asked_again = GetBudgetStatusRequest(budget_id="b")
    assert await refused(server.budgets.GetBudgetStatus(asked_again)) == ("NOT_FOUND", "NOT_FOUND")


async def test_an_emergency_stop_and_its_end(server: Running) -> None:
    stop = budget_pb2.THRESHOLD_PROFILE_EMERGENCY_STOP
    made = (await set_budget(server, "1", budget("b", 6, account_id="a"), threshold_profile=stop)).budget
    assert [(t.percent.value, t.action_label) for t in made.thresholds] == [
        ("80", ""),
        ("100", "scale-down"),
        ("150", ""),
    ]
    alerts = (await server.budgets.ListAlerts(ListAlertsRequest())).alerts
    assert [a.sequence for a in alerts] == [3, 2, 1]
    assert alerts[0].threshold.action == budget_pb2.THRESHOLD_ACTION_STOP_CALLS
    assert (list(alerts[0].call_ids), alerts[0].level) == (["call 1"], budget_pb2.ALERT_LEVEL_EMERGENCY)
    assert (await server.budgets.GetBudgetStatus(GetBudgetStatusRequest(budget_id="b"))).status.stopped
    resume = ResumeCallsRequest(budget_id="b", reason="checked", idempotency_key="r")
    for replayed in (False, True):
        reply = await server.budgets.ResumeCalls(resume)
        assert (reply.status.stopped, reply.replayed) == (False, replayed)


async def test_alerts_are_listed_and_acknowledged(server: Running) -> None:
    await set_budget(server, "1", budget("one", 10))
    await set_budget(server, "2", budget("two", 1, account_id="a"))

    async def listed(**fields: Any) -> list[int]:
        return [a.sequence for a in (await server.budgets.ListAlerts(ListAlertsRequest(**fields))).alerts]

    assert await listed() == [4, 3, 2, 1]
    assert await listed(budget_id="one") == [1]
    assert await listed(account_id="a") == [4, 3, 2]
    assert await listed(min_level=budget_pb2.ALERT_LEVEL_CRITICAL) == [4, 3]
    assert await listed(kinds=[budget_pb2.ALERT_KIND_OVERRUN]) == []
    first = (await server.budgets.ListAlerts(ListAlertsRequest(page_size=3))).next_page_token
    assert await listed(page_size=3, page_token=first) == [1]
    newest = (await server.budgets.ListAlerts(ListAlertsRequest(page_size=1))).alerts[0]
    assert newest.alert_id.startswith("alt_")
    assert await listed(end_time=newest.create_time) == [1]
    assert await listed(start_time=newest.create_time) == [4, 3, 2]

    request = AcknowledgeAlertRequest(alert_id=newest.alert_id, acknowledged_by="ann", idempotency_key="k")
    acknowledged = (await server.budgets.AcknowledgeAlert(request)).alert
    assert (acknowledged.acknowledged_by, acknowledged.HasField("acknowledge_time")) == ("ann", True)
    assert await listed(unacknowledged=True) == [3, 2, 1]


async def test_the_stream_goes_on_where_it_broke_off(server: Running, database: Database) -> None:
    async with stream(server) as alerts:
        first: BudgetAlertsResponse = await alerts.read()
        assert (first.WhichOneof("event"), first.checkpoint.sequence) == ("checkpoint", 0)
        await set_budget(server, "1", budget("b", 10))
        message: BudgetAlertsResponse = await alerts.read()
        assert (message.alert.sequence, message.alert.budget_id) == (1, "b")
        assert [str(to_decimal(m)) for m in (message.alert.spent, message.alert.held)] == ["9", "5"]
    await set_budget(server, "2", budget("b", 9))
    async with running_server(database) as other, stream(other, resume_token=message.resume_token) as alerts:
        seen = [(await alerts.read()).alert for _ in range(3)]
        assert [(a.sequence, a.budget_revision, a.threshold.percent.value) for a in seen] == [
            (2, 2, "80"),
            (3, 2, "95"),
            (4, 2, "100"),
        ]
        assert (await alerts.read()).checkpoint.sequence == 4
        # what the first server writes reaches the second one's subscribers, too
        await set_budget(server, "3", budget("c", 11))
        assert (await alerts.read()).alert.sequence == 5
    async with stream(server, start_time=seen[0].create_time, min_level=budget_pb2.ALERT_LEVEL_CRITICAL) as alerts:
        assert [(await alerts.read()).alert.sequence for _ in range(2)] == [3, 4]


async def test_a_quiet_stream_says_that_it_lives(server: Running) -> None:
    async with stream(server, checkpoint_interval=Duration(seconds=1)) as alerts:
        assert [(await alerts.read()).WhichOneof("event") for _ in range(2)] == ["checkpoint"] * 2


async def test_a_stopping_server_ends_streams_and_says_why(database: Database) -> None:
    async with running_server(database) as server:
        channel = grpc.aio.insecure_channel(server.target)  # the server's own is closed before it stops
        calls = [BudgetServiceStub(channel).BudgetAlerts(BudgetAlertsRequest()) for _ in range(20)]
        for call in calls:
            await call.read()
    assert {await refused(call.read()) for call in calls} == {("UNAVAILABLE", "DRAINING")}
    await channel.close()


async def test_a_reader_that_does_not_read_is_told(database: Database) -> None:
    """The windows of HTTP/2 fill up first, then the buffer."""
    async with running_server(database) as server, open_desk(database) as desk:
        call = server.budgets.BudgetAlerts(BudgetAlertsRequest())
        await call.read()
        async with stream(server) as reader:
            await reader.read()
            seen, wave = 0, 400
            for n in range(1, 21):
                await desk.add_many(wave, call_ids=tuple(f"{n:0200}" for n in range(5)))
                while seen < n * wave:
                    seen = (await reader.read()).alert.sequence
        last, error = 0, None
        while error is None:
            try:
                last = (await call.read()).alert.sequence
            except grpc.RpcError as end:
                error = end
        details = details_of(error)
        assert (error.code().name, details.reason) == ("RESOURCE_EXHAUSTED", "SLOW_READER")  # type: ignore[attr-defined]
        assert 0 < last < 20 * wave
        async with stream(server, resume_token=details.metadata["resume_token"]) as again:
            assert (await again.read()).alert.sequence == last + 1


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"resume_token": "x"}, "resume_token"),
        ({"resume_token": ""}, "resume_token"),
        ({"kinds": [0]}, "kinds[0]"),
        ({"kinds": [99]}, "kinds[0]"),
        ({"min_level": 99}, "min_level"),
        ({"account_id": "ä"}, "account_id"),
        ({"checkpoint_interval": Duration(nanos=1)}, "checkpoint_interval"),
        ({"checkpoint_interval": Duration(seconds=301)}, "checkpoint_interval"),
    ],
)
async def test_what_is_no_stream(server: Running, fields: dict[str, Any], field: str) -> None:
    async with stream(server, **fields) as alerts:
        with pytest.raises(grpc.RpcError) as error:
            await alerts.read()
    details = details_of(error.value)
    assert (details.reason, details.metadata["field"]) == ("INVALID_ARGUMENT", field)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"limit": None}, "budget.limit"),
        ({"period": 0}, "budget.period"),
        ({"period": 9}, "budget.period"),
        ({"tenant": False}, "budget.scope"),
        ({"basis": 9}, "budget.basis"),
        ({"thresholds": [BudgetThreshold()]}, "budget.thresholds[0].percent"),
        ({"thresholds": [BudgetThreshold(percent=DecimalMessage(value="1e3x"))]}, "budget.thresholds[0].percent"),
        ({"threshold_profile": 9}, "threshold_profile"),
        (
            {"thresholds": [BudgetThreshold(percent=DecimalMessage(value="80"))], "threshold_profile": 1},
            "threshold_profile",
        ),
    ],
)
async def test_what_is_no_budget(server: Running, changed: dict[str, Any], field: str) -> None:
    # The same dict comes again where the test is run with another server.
    changed = changed.copy()
    profile = changed.pop("threshold_profile", 0)
    fields = {"limit": to_money(1, "USD"), "period": budget_pb2.BUDGET_PERIOD_DAY, "tenant": True, **changed}
    request = SetBudgetRequest(budget=Budget(**fields), threshold_profile=profile, idempotency_key="k")
    with pytest.raises(grpc.RpcError) as error:
        await server.budgets.SetBudget(request)
    details = details_of(error.value)
    assert (details.reason, details.metadata["field"]) == ("INVALID_ARGUMENT", field)


async def test_many_streams_share_what_is_sent(server: Running) -> None:
    async def listen() -> list[int]:
        async with stream(server) as alerts:
            await alerts.read()
            ready.release()
            return [(await alerts.read()).alert.sequence for _ in range(4)]

    ready = asyncio.Semaphore(0)
    tasks = [asyncio.create_task(listen()) for _ in range(50)]
    for _ in tasks:
        await ready.acquire()
    await set_budget(server, "1", budget("one", 10))
    await set_budget(server, "2", budget("two", 1))
    assert await asyncio.gather(*tasks) == [[1, 2, 3, 4]] * 50


async def test_sums_beyond_what_an_amount_can_carry(server: Running) -> None:
    """Each account fits, all together do not: the budget is shown as far as it goes, and its alerts can be read."""
    most = 2**63 - 1
    for name in "xyz":
        account = Account(account_id=name, currency_code="USD")
        await server.accounts.CreateAccount(CreateAccountRequest(account=account, idempotency_key=name))
        amount = to_money(most, "USD")
        await server.accounts.AddCredit(AddCreditRequest(account_id=name, amount=amount, idempotency_key=name))
    await server.budgets.SetBudget(SetBudgetRequest(budget=budget("all", most), idempotency_key="all"))
    for name in "xyz":
        amount = to_money(most - 10, "USD")
        await server.ledger.Charge(ChargeRequest(account_id=name, amount=amount, idempotency_key=name))
    status = (await server.budgets.GetBudgetStatus(GetBudgetStatusRequest(budget_id="all"))).status
    assert (status.spent.units, status.remaining.units) == (most, -most)
    alerts = (await server.budgets.ListAlerts(ListAlertsRequest())).alerts
    assert {alert.spent.units for alert in alerts} == {most - 1, most}
