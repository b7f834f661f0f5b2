"""Alerts reach real receivers on a real database: once per channel, again after failures, and after deaths."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from imprest_client.webhooks import SIGNATURE_HEADER, verify
from imprest_server.budgets.channels import send as sending
from imprest_server.budgets.channels import store
from imprest_server.budgets.channels.model import MAX_ATTEMPTS, Attempt, Channel, DeliveryState, Filter
from imprest_server.budgets.model import AlertKind, AlertLevel, StoredAlert
from imprest_server.budgets.store import transaction
from imprest_server.core.ids import AccountId
from imprest_server.jobs import deliver_alerts
from imprest_server.jobs.deliver_alerts import LEASE
from tests.conftest import Database
from tests.support import clock
from tests.support.budgets import alert
from tests.support.channels import Post, deliver, open_post
from tests.support.ledger import TENANT, house_on
from tests.support.patience import PATIENCE_S, SOON_S
from tests.support.receivers import CLOSED_PORT, Hook, hook

PENDING, DELIVERED, DEAD = DeliveryState
DAY_S = 86_400


@pytest.fixture
async def post(database: Database) -> AsyncIterator[Post]:
    clock.install(database.owner_dsn)
    async with open_post(database) as post:
        yield post


@pytest.fixture
async def receiver() -> AsyncIterator[Hook]:
    async with hook() as receiver:
        yield receiver


def amounts(receiver: Hook) -> list[str]:
    return sorted((json.loads(body).get("amount") for _, body in receiver.got), key=str)


# ── what arrives ─────────────────────────────────────────────────────────────────────────────────────


async def test_a_webhook_gets_a_signed_alert(post: Post, receiver: Hook) -> None:
    secret = (await post.create("hook", url=receiver.url)).signing_secret
    raised = alert(5_500_000_000)
    await post.raise_alerts(raised)
    await deliver(post.worker())
    ((headers, body),) = receiver.got
    verify(secret, headers[SIGNATURE_HEADER], body)
    assert json.loads(body) == {
        "alert_id": f"alt_{raised.alert_id.hex}",
        "sequence": 1,
        "kind": "OVERRUN",
        "level": "WARNING",
        "create_time": "2026-03-15T12:00:00Z",
        "summary": "A call of account a cost more than was held",
        "currency_code": "USD",
        "account_id": "a",
        "amount": "5.5",
    }
    assert headers["Imprest-Alert-Id"] == f"alt_{raised.alert_id.hex}"
    delivery = await post.only_delivery()
    assert (delivery.state, delivery.attempts, delivery.detail) == (DELIVERED, 1, "HTTP 200")
    assert delivery.alert_id == raised.alert_id and delivery.attempt_time is not None


async def test_a_channel_gets_what_is_raised_after_it_and_passes_its_filter(
    database: Database, post: Post, receiver: Hook
) -> None:
    async with house_on(database) as house:
        await house.open("b")
    await post.raise_alerts(alert(1))
    await post.create("all", url=receiver.url)
    await post.create("bad", url=receiver.url, filter=Filter(min_level=AlertLevel.CRITICAL))
    await post.create("low", url=receiver.url, filter=Filter(kinds=(AlertKind.LOW_BALANCE, AlertKind.RECEIVABLE)))
    await post.create("b", url=receiver.url, filter=Filter(account_id=AccountId("b")))
    await post.raise_alerts(
        alert(2, level=AlertLevel.CRITICAL),
        alert(3, kind=AlertKind.RECEIVABLE),
        alert(4, account_id=AccountId("b")),
        alert(5, level=AlertLevel.INFO, account_id=None),
    )
    await deliver(post.worker())
    found = {(d.channel_id, d.sequence) for d in await post.deliveries()}
    assert found == {
        *(("all", n) for n in (2, 3, 4, 5)), ("bad", 2), ("low", 3), ("b", 4),
    }  # fmt: skip
    assert len(receiver.got) == len(found)


async def test_a_disabled_channel_gets_nothing_and_begins_anew(post: Post, receiver: Hook) -> None:
    await post.create("hook", url=receiver.url, disabled=True)
    await post.raise_alerts(alert(1))
    await deliver(post.worker())
    await post.update("hook", url=receiver.url)
    await post.raise_alerts(alert(2))
    await deliver(post.worker())
    assert [d.sequence for d in await post.deliveries()] == [2] and len(receiver.got) == 1


async def test_many_alerts_pass_in_several_batches(post: Post, receiver: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliver_alerts, "BATCH", 3)
    await post.create("hook", url=receiver.url)
    await post.raise_alerts(*(alert(n * 10**9) for n in range(1, 11)))
    await deliver(post.worker())
    assert amounts(receiver) == sorted(str(n) for n in range(1, 11))
    assert await post.states() == [DELIVERED] * 10


# ── failures ─────────────────────────────────────────────────────────────────────────────────────────


async def tried_again(database: Database, post: Post, after_s: float) -> None:
    clock.advance(database.owner_dsn, after_s)
    await deliver(post.worker())


@pytest.mark.parametrize("status", [500, 503, 404, 302])
async def test_a_failure_is_tried_again_after_a_while(
    database: Database, post: Post, receiver: Hook, status: int
) -> None:
    clock.stop(database.owner_dsn)
    receiver.answers = [web.Response(status=status, text="secret words of the receiver")]
    await post.create("hook", url=receiver.url)
    await post.raise_alerts(alert(1))
    await deliver(post.worker())
    delivery = await post.only_delivery()
    assert (delivery.state, delivery.detail) == (PENDING, f"HTTP {status}")
    assert delivery.attempt_time is not None
    assert timedelta(seconds=5) <= delivery.next_time - delivery.attempt_time <= timedelta(seconds=10)
    await tried_again(database, post, 4)
    assert len(receiver.got) == 1
    await tried_again(database, post, 6)
    assert [(d.state, d.attempts) for d in await post.deliveries()] == [(DELIVERED, 2)]
    assert receiver.got[0][1] == receiver.got[1][1]


async def test_no_connection_and_no_answer_are_failures(
    database: Database, post: Post, receiver: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.answers = [None]
    await post.create("away", url=f"http://127.0.0.1:{CLOSED_PORT}/")
    await post.raise_alerts(alert(1))
    await deliver(post.worker())
    await post.update("away", url=f"http://127.0.0.1:{CLOSED_PORT}/", disabled=True)
    await post.create("slow", url=receiver.url)
    await post.raise_alerts(alert(2))
    with monkeypatch.context() as short:
        short.setattr(sending, "TIMEOUT_S", SOON_S)
        await deliver(post.worker())
    details = {d.channel_id: (d.state, d.detail) for d in await post.deliveries()}
    assert details == {"slow": (PENDING, "no answer within 0 s"), "away": (PENDING, "ClientConnectorError")}
    await post.update("away", url=receiver.url)
    await tried_again(database, post, 10)
    assert await post.states() == [DELIVERED] * 2


@pytest.mark.parametrize(("header", "wait_s"), [("120", 120), ("999999999", 4 * 3600), ("soon", 10), ("0", 10)])
async def test_retry_after_is_kept_to(database: Database, post: Post, receiver: Hook, header: str, wait_s: int) -> None:
    clock.stop(database.owner_dsn)
    if header == "999999999":
        header = "99999999"
    receiver.answers = [web.Response(status=429, headers={"Retry-After": header})]
    await post.create("hook", url=receiver.url)
    await post.raise_alerts(alert(1))
    await deliver(post.worker())
    delivery = await post.only_delivery()
    assert delivery.attempt_time is not None
    waited = (delivery.next_time - delivery.attempt_time).total_seconds()
    assert wait_s / 2 <= waited <= wait_s and (wait_s == 10 or waited == wait_s)


async def test_after_the_last_try_it_is_dead_until_it_is_resent(database: Database, post: Post, receiver: Hook) -> None:
    receiver.answers = [web.Response(status=500) for _ in range(MAX_ATTEMPTS + 1)]
    await post.create("hook", url=receiver.url)
    await post.raise_alerts(alert(1))
    with capture_logs() as logs:
        for _ in range(MAX_ATTEMPTS + 2):
            await tried_again(database, post, DAY_S)
    delivery = await post.only_delivery()
    assert (delivery.state, delivery.attempts, len(receiver.got)) == (DEAD, MAX_ATTEMPTS, MAX_ATTEMPTS)
    assert [(line["event"], line["detail"]) for line in logs] == [("alert not delivered", "HTTP 500")]
    resent = await post.resend(delivery)
    assert (resent.state, resent.last_attempt) == (PENDING, 2 * MAX_ATTEMPTS)
    await deliver(post.worker())
    assert (await post.only_delivery()).state is PENDING
    await tried_again(database, post, 10)
    assert ((await post.only_delivery()).state, len(receiver.got)) == (DELIVERED, MAX_ATTEMPTS + 2)


async def test_gone_is_dead_at_once(post: Post, receiver: Hook) -> None:
    receiver.answers = [web.Response(status=410)]
    await post.create("hook", url=receiver.url)
    await post.raise_alerts(alert(1))
    await deliver(post.worker())
    assert [(d.state, d.attempts) for d in await post.deliveries()] == [(DEAD, 1)]


async def test_what_was_delivered_can_be_sent_again(post: Post, receiver: Hook) -> None:
    await post.create("hook", url=receiver.url)
    await post.raise_alerts(alert(1))
    await deliver(post.worker())
    await post.resend(await post.only_delivery())
    await deliver(post.worker())
    assert receiver.got[0][1] == receiver.got[1][1]
    assert [(d.state, d.attempts) for d in await post.deliveries()] == [(DELIVERED, 2)]


async def test_a_bug_in_sending_counts_as_a_try_and_shows_no_secret(post: Post, receiver: Hook) -> None:
    async def broken(channel: Channel, stored: StoredAlert) -> Attempt:
        raise KeyError("secret")

    await post.create("hook", url=receiver.url)
    await post.raise_alerts(alert(1))
    with capture_logs() as logs:
        await deliver(post.worker(broken))
    delivery = await post.only_delivery()
    assert (delivery.state, delivery.detail) == (PENDING, "internal error: KeyError")
    assert [line["error"] for line in logs] == ["KeyError"] and "secret" not in str(logs)


# ── several workers ──────────────────────────────────────────────────────────────────────────────────


async def test_workers_share_the_work_and_each_alert_is_sent_once(
    database: Database, post: Post, receiver: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliver_alerts, "BATCH", 7)
    await post.create("one", url=receiver.url)
    await post.create("two", url=receiver.url)
    async with open_post(database) as other, open_post(database) as third:
        workers = [one.worker() for one in (post, other, third)]

        async def raise_some() -> None:
            for n in range(10):
                await post.raise_alerts(*(alert((n * 5 + m + 1) * 10**9) for m in range(5)))

        await asyncio.gather(raise_some(), *(deliver(worker) for worker in workers))
        await asyncio.gather(*map(deliver, workers))
    assert amounts(receiver) == sorted([str(n) for n in range(1, 51)] * 2)
    deliveries = await post.deliveries()
    assert len(deliveries) == 100 and {(d.state, d.attempts) for d in deliveries} == {(DELIVERED, 1)}


async def test_a_worker_that_dies_while_sending_is_replaced_when_its_lease_ends(
    database: Database, post: Post, receiver: Hook
) -> None:
    """The receiver has it, our note of that is lost: it gets it again, and knows it by its id."""
    receiver.answers = [None]
    await post.create("hook", url=receiver.url)
    await post.raise_alerts(alert(1))
    dying = post.worker()
    await dying.run_once()
    await receiver.wait_for(1)
    for running in dying._tries:
        running.cancel()
    await dying.idle()
    await deliver(post.worker())
    assert [(d.state, d.attempts, d.attempt_time) for d in await post.deliveries()] == [(PENDING, 1, None)]
    assert len(receiver.got) == 1
    await tried_again(database, post, LEASE.total_seconds())
    assert [(d.state, d.attempts) for d in await post.deliveries()] == [(DELIVERED, 2)]
    first, second = (json.loads(body)["alert_id"] for _, body in receiver.got)
    assert first == second


async def test_who_lost_the_lease_writes_nothing(database: Database, post: Post, receiver: Hook) -> None:
    await post.create("hook", url=receiver.url)
    await post.raise_alerts(alert(1))
    late = post.worker()
    async with transaction(post.pool, TENANT) as conn:
        await store.make_deliveries(conn, (TENANT, (await post.admin.get(TENANT, _id("hook"))).channel_id), 10)
        (stale,) = await store.claim(conn, TENANT, {_id("hook"): 1}, LEASE)
    clock.advance(database.owner_dsn, LEASE.total_seconds())
    receiver.answers = [web.Response(status=500)]
    await deliver(late)
    async with transaction(post.pool, TENANT) as conn:
        await store.settle(conn, TENANT, stale, DELIVERED, "late", timedelta())
    assert [(d.state, d.attempts, d.detail) for d in await post.deliveries()] == [(PENDING, 2, "HTTP 500")]


async def test_workers_that_never_live_to_tell_end_in_a_dead_letter(
    database: Database, post: Post, receiver: Hook
) -> None:
    await post.create("hook", url=receiver.url)
    await post.raise_alerts(alert(1))
    async with transaction(post.pool, TENANT) as conn:
        await store.make_deliveries(conn, (TENANT, _id("hook")), 10)
    for _ in range(MAX_ATTEMPTS):
        async with transaction(post.pool, TENANT) as conn:
            assert len(await store.claim(conn, TENANT, {_id("hook"): 1}, LEASE)) == 1
        clock.advance(database.owner_dsn, LEASE.total_seconds())
    await deliver(post.worker())
    assert await post.states() == [DEAD] and not receiver.got


async def test_a_receiver_that_hangs_keeps_no_other_waiting(
    post: Post, receiver: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "TIMEOUT_S", PATIENCE_S)
    async with hook() as hanging:
        hanging.answers = [None] * 50
        await post.create("hangs", url=hanging.url)
        await post.create("works", url=receiver.url)
        await post.raise_alerts(*(alert(n * 10**9) for n in range(1, 21)))
        worker = post.worker()
        async with worker.tries_end():
            while len(receiver.got) < 20:
                await worker.run_once()
            await hanging.wait_for(1)
            assert len(hanging.got) <= deliver_alerts.MOST_TRIES_PER_CHANNEL
            for running in worker._tries:
                running.cancel()


async def test_deliveries_go_with_their_alerts_and_channels(database: Database, post: Post, receiver: Hook) -> None:
    await post.create("one", url=receiver.url)
    await post.create("two", url=receiver.url)
    await post.raise_alerts(alert(1), alert(2))
    await deliver(post.worker())
    with psycopg.connect(database.app_dsn) as app:
        app.execute("SELECT set_config('imprest.tenants', %s, true)", [TENANT])
        app.execute("DELETE FROM alerts WHERE tenant_id = %s AND sequence = 1", [TENANT])
        app.execute("DELETE FROM alert_channels WHERE tenant_id = %s AND channel_id = 'two'", [TENANT])
    assert [(d.channel_id, d.sequence) for d in await post.deliveries()] == [("one", 2)]


def _id(name: str) -> Any:
    return name
