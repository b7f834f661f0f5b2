"""Channels: what an admin does with them, what stands in the database, and how Slack and email arrive."""

import io
import json
import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
import structlog

from imprest_client.webhooks import SIGNATURE_HEADER, SignatureMismatch, verify
from imprest_server.budgets.channels.model import MAX_ATTEMPTS, ChannelId, DeliveryState, Filter
from imprest_server.budgets.channels.network import Gate
from imprest_server.budgets.channels.operations import DeleteChannel, ResendDelivery, RotateChannelSecret
from imprest_server.budgets.channels.sealing import SealBroken, Sealer
from imprest_server.budgets.channels.send import Relay
from imprest_server.budgets.model import AlertId, AlertKind, AlertLevel, BudgetId, Threshold, ThresholdAction
from imprest_server.core.errors import (
    ChannelExists,
    ChannelNotConfigured,
    IdempotencyKeyReused,
    InvalidArgument,
    NotFound,
)
from imprest_server.core.ids import AccountId, uuid7
from imprest_server.core.periods import Period
from imprest_server.logs import show_exception
from tests.conftest import Database
from tests.support import clock
from tests.support.budgets import NOW, alert
from tests.support.channels import SEALER, Post, deliver, open_post
from tests.support.ledger import TENANT
from tests.support.receivers import CLOSED_PORT, Hook, Mailbox, hook, mailbox

SLACK_PATH = "services/T000/B000/very-secret"


@pytest.fixture
async def box() -> AsyncIterator[Mailbox]:
    async with mailbox() as box:
        yield box


@pytest.fixture
async def post(database: Database, box: Mailbox) -> AsyncIterator[Post]:
    clock.install(database.owner_dsn)
    relay = Relay(host="127.0.0.1", port=box.port, sender="imprest@example.com", security="none")
    async with open_post(database, relay=relay) as post:
        yield post


@pytest.fixture
async def receiver() -> AsyncIterator[Hook]:
    async with hook() as receiver:
        yield receiver


def rotation(channel_id: str, key: str) -> RotateChannelSecret:
    return RotateChannelSecret(tenant_id=TENANT, idempotency_key=key, channel_id=ChannelId(channel_id))


# ── keys and writes ──────────────────────────────────────────────────────────────────────────────────


async def test_a_channel_is_created_once_per_key_and_its_secret_shown_once(post: Post) -> None:
    first = await post.create_written("c", url="https://hooks.example/", idempotency_key="k")
    again = await post.create_written("c", url="https://hooks.example/", idempotency_key="k")
    assert first.value.signing_secret.startswith("whsec_") and len(first.value.signing_secret) > 40
    assert (again.replayed, again.value.channel, again.value.signing_secret) == (True, first.value.channel, "")
    assert first.value.signing_secret not in repr(first)
    with pytest.raises(IdempotencyKeyReused):
        await post.create_written("c", url="https://other.example/", idempotency_key="k")
    with pytest.raises(ChannelExists):
        await post.create("c", url="https://hooks.example/")
    made = await post.create_written(None, url="https://hooks.example/")
    assert made.value.channel.channel_id.startswith("chn_")
    channels, token = await post.admin.list_channels(TENANT, page_size=1)
    more, end = await post.admin.list_channels(TENANT, page_size=1, page_token=token)
    assert [c.channel_id for c in (*channels, *more)] == ["c", made.value.channel.channel_id] and end == ""


async def test_an_update_is_of_the_whole_and_slack_keeps_its_url(post: Post, receiver: Hook) -> None:
    await post.create("s", "SLACK", url=f"{receiver.url}/{SLACK_PATH}", display_name="old")
    changed = await post.update("s", display_name="new", filter=Filter(min_level=AlertLevel.CRITICAL))
    assert (changed.display_name, changed.filter.min_level, changed.url) == ("new", AlertLevel.CRITICAL, "")
    assert (await post.admin.test(TENANT, ChannelId("s"))).delivered
    moved = f"http://127.0.0.1:{CLOSED_PORT}/"
    await post.update("s", url=moved)
    assert not (await post.admin.test(TENANT, ChannelId("s"))).delivered
    await post.create("w", url="https://hooks.example/")
    with pytest.raises(InvalidArgument, match="url"):
        await post.update("w")
    with pytest.raises(NotFound):
        await post.update("x", url="https://hooks.example/")


async def test_a_deleted_channel_is_gone(post: Post) -> None:
    await post.create("c", url="https://hooks.example/")
    operation = DeleteChannel(tenant_id=TENANT, idempotency_key="d", channel_id=ChannelId("c"))
    assert [(await post.admin.delete(operation)).replayed for _ in range(2)] == [False, True]
    with pytest.raises(NotFound):
        await post.admin.get(TENANT, ChannelId("c"))


async def test_a_rotated_secret_signs_beside_the_old_one_for_a_day(
    database: Database, post: Post, receiver: Hook
) -> None:
    old = (await post.create("c", url=receiver.url)).signing_secret
    new = (await post.admin.rotate_secret(rotation("c", "r"))).value.signing_secret
    assert (await post.admin.rotate_secret(rotation("c", "r"))).value.signing_secret == "" != new
    await post.admin.test(TENANT, ChannelId("c"))
    headers, body = receiver.got[-1]
    for secret in (old, new):
        verify(secret, headers[SIGNATURE_HEADER], body)
    with psycopg.connect(database.owner_dsn) as owner:
        owner.execute("UPDATE alert_channels SET previous_until = now()")
    await post.admin.test(TENANT, ChannelId("c"))
    headers, body = receiver.got[-1]
    verify(new, headers[SIGNATURE_HEADER], body)
    with pytest.raises(SignatureMismatch):
        verify(old, headers[SIGNATURE_HEADER], body)
    await post.create("s", "SLACK", url=receiver.url)
    with pytest.raises(InvalidArgument, match="signs nothing"):
        await post.admin.rotate_secret(rotation("s", "x"))


@pytest.mark.parametrize(
    ("kind", "fields", "says"),
    [
        ("EMAIL", {}, "recipients"),
        ("EMAIL", {"recipients": ("a@b.example\nBcc: x@y.example",)}, r"recipients\[0\]"),
        ("EMAIL", {"recipients": ("a@b.example, c@d.example",)}, r"recipients\[0\]"),
        ("EMAIL", {"recipients": ("a@b.example", "<x>@b.example")}, r"recipients\[1\]"),
        ("EMAIL", {"recipients": tuple(f"a{n}@b.example" for n in range(21))}, "at most 20"),
        ("EMAIL", {"recipients": ("a@b.example",), "url": "https://x.example"}, "url"),
        ("WEBHOOK", {"url": "https://x.example", "recipients": ("a@b.example",)}, "recipients"),
        ("SLACK", {}, "url"),
        ("WEBHOOK", {"url": "https://x.example", "display_name": "a\nb"}, "display_name"),
        ("WEBHOOK", {"url": "https://x.example", "idempotency_key": "ü"}, "idempotency_key"),
        ("WEBHOOK", {"url": "https://x.example", "idempotency_key": ""}, "idempotency_key"),
    ],
)
async def test_what_is_wrong_is_named(post: Post, kind: str, fields: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidArgument, match=says):
        await post.create("c", kind, **fields)


async def test_an_id_of_the_wrong_shape_is_refused(post: Post) -> None:
    with pytest.raises(InvalidArgument, match=r"channel\.channel_id"):
        await post.create("a b", url="https://x.example")


async def test_resending_what_is_not_there_is_not_found(post: Post) -> None:
    await post.create("c", url="https://hooks.example/")
    operation = ResendDelivery(
        tenant_id=TENANT, idempotency_key="r", channel_id=ChannelId("c"), alert_id=AlertId(uuid7())
    )
    with pytest.raises(NotFound):
        await post.admin.resend(operation)
    with pytest.raises(NotFound):
        await post.create("d", url="https://hooks.example/", filter=Filter(account_id=AccountId("nobody")))


async def test_the_delivery_log_is_filtered_and_paged(post: Post, receiver: Hook) -> None:
    await post.create("one", url=receiver.url)
    await post.create("two", url=f"http://127.0.0.1:{CLOSED_PORT}/")
    await post.raise_alerts(*(alert(n) for n in range(1, 4)))
    await deliver(post.worker())
    found, token = [], ""
    for _ in range(3):
        page, token = await post.admin.list_deliveries(TENANT, page_size=2, page_token=token)
        found += page
    assert [(d.sequence, d.channel_id) for d in found] == [(n, c) for n in (3, 2, 1) for c in ("two", "one")]
    assert token == ""
    assert [d.sequence for d in await post.deliveries(channel_id="one")] == [3, 2, 1]
    assert {d.channel_id for d in await post.deliveries(state=DeliveryState.PENDING)} == {"two"}
    assert not await post.deliveries(channel_id="one", state=DeliveryState.DEAD)


# ── secrets ──────────────────────────────────────────────────────────────────────────────────────────


async def test_secrets_are_sealed_in_the_row_and_bound_to_it(database: Database, post: Post, receiver: Hook) -> None:
    url = f"{receiver.url}/{SLACK_PATH}"
    secret = (await post.create("w", url=receiver.url)).signing_secret
    await post.create("s", "SLACK", url=url)
    with psycopg.connect(database.owner_dsn) as owner:
        rows = owner.execute("SELECT * FROM alert_channels ORDER BY channel_id").fetchall()
        kept = owner.execute("SELECT * FROM operations").fetchall()
        sealed = dict(owner.execute("SELECT channel_id, secret FROM alert_channels").fetchall())
        for clear in (secret, SLACK_PATH):
            assert clear not in str(rows) + str(kept) and clear.encode() not in b"".join(sealed.values())
        assert SEALER.open(sealed["w"], TENANT, "w") == secret and SEALER.open(sealed["s"], TENANT, "s") == url
        with pytest.raises(SealBroken):
            SEALER.open(sealed["w"], TENANT, "s")
        owner.execute("UPDATE alert_channels SET secret = %s WHERE channel_id = 's'", [sealed["w"]])
    attempt = await post.admin.test(TENANT, ChannelId("s"))
    assert (attempt.delivered, "IMPREST_SECRETS_KEY" in attempt.detail) == (False, True)


async def test_with_another_key_it_says_so_and_a_rotation_helps(database: Database, post: Post, receiver: Hook) -> None:
    await post.create("w", url=receiver.url)
    await post.raise_alerts(alert(1))
    async with open_post(database, sealer=Sealer(bytes(32))) as changed:
        await deliver(changed.worker())
        detail = "the secret was sealed with another IMPREST_SECRETS_KEY"
        assert [(d.state, d.detail) for d in await changed.deliveries()] == [(DeliveryState.PENDING, detail)]
        signing = (await changed.admin.rotate_secret(rotation("w", "r"))).value
        assert signing.channel.previous_secret is None
        assert (await changed.admin.test(TENANT, ChannelId("w"))).delivered


async def test_without_a_key_or_relay_such_channels_are_refused(database: Database, post: Post) -> None:
    await post.create("old", url="https://hooks.example/")
    async with open_post(database, sealer=None) as bare:
        for kind, setting in (("WEBHOOK", "SECRETS_KEY"), ("SLACK", "SECRETS_KEY"), ("EMAIL", "SMTP_HOST")):
            more = {"recipients": ("a@b.example",)} if kind == "EMAIL" else {"url": "https://hooks.example/"}
            with pytest.raises(ChannelNotConfigured, match=f"IMPREST_{setting}"):
                await bare.create("c", kind, **more)
        assert (await bare.admin.test(TENANT, ChannelId("old"))).detail == "IMPREST_SECRETS_KEY is not set"


@pytest.mark.parametrize("text", ["", "short", "AAAA", "a" * 44 + "!", "ä" * 44])
def test_a_bad_key_is_not_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="openssl rand") as raised:
        Sealer.of(text)
    assert not text or text not in str(raised.value)


@pytest.mark.parametrize("damage", [b"", b"\x01", b"\x02" + bytes(40), b"\x01" + bytes(40)])
def test_what_is_damaged_does_not_open(damage: bytes) -> None:
    with pytest.raises(SealBroken):
        SEALER.open(damage, "t", "c")


async def test_no_secret_is_in_the_logs(
    database: Database, receiver: Hook, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Everything that is logged at any level, by us and by libraries, while deliveries fail in every way."""
    written = io.StringIO()
    structlog.configure(
        processors=[structlog.processors.add_log_level, show_exception, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        logger_factory=structlog.WriteLoggerFactory(written),
        cache_logger_on_first_use=False,
    )
    caplog.set_level(logging.DEBUG)
    try:
        relay = Relay(host="127.0.0.1", port=CLOSED_PORT, sender="i@b.example", password="relay-password")
        async with open_post(database, relay=relay, gate=Gate()) as closed:
            monkeypatch.setattr("imprest_server.jobs.deliver_alerts.wait_before", lambda *_: timedelta())
            await closed.create("s", "SLACK", url=f"https://localhost:{CLOSED_PORT}/{SLACK_PATH}")
            secret = (await closed.create("w", url="https://localhost/")).signing_secret
            await closed.create("e", "EMAIL", recipients=("a@b.example",))
            await closed.raise_alerts(alert(1))
            for _ in range(MAX_ATTEMPTS):
                await deliver(closed.worker())
            assert await closed.states() == [DeliveryState.DEAD] * 3
            shown = repr(await closed.admin.list_channels(TENANT)) + repr(await closed.deliveries()) + repr(relay)
    finally:
        structlog.reset_defaults()
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    logged = written.getvalue() + caplog.text
    assert "alert not delivered" in logged
    for clear in (SLACK_PATH, secret, "relay-password"):
        assert clear not in logged + shown


# ── Slack and email ──────────────────────────────────────────────────────────────────────────────────


async def test_slack_gets_text_with_its_control_characters_escaped(post: Post, receiver: Hook) -> None:
    await post.create("s", "SLACK", url=f"{receiver.url}/{SLACK_PATH}")
    label = "<!channel> & <https://evil.example|click>"
    await post.raise_alerts(budget_alert(label))
    await deliver(post.worker())
    ((headers, body),) = receiver.got
    text = json.loads(body)["text"]
    assert SIGNATURE_HEADER not in headers
    assert text.startswith(":red_circle: *Budget agents has reached 99.5 %*\n")
    assert "&lt;!channel&gt; &amp; &lt;https://evil.example|click&gt;" in text and "<" not in text
    assert "*Spent:* 497.5 USD" in text


async def test_email_has_a_plain_and_an_html_body(post: Post, box: Mailbox) -> None:
    await post.create("e", "EMAIL", recipients=("a@b.example", "c@d.example"))
    raised = budget_alert("<script>alert(1)</script>", call_ids=("call-1", "call\r\nBcc: x@y.example"))
    await post.raise_alerts(raised)
    await deliver(post.worker())
    ((recipients, message),) = box.got
    assert recipients == ["a@b.example", "c@d.example"] and message["To"] == "a@b.example, c@d.example"
    assert message["Subject"] == "[CRITICAL] Budget agents has reached 99.5 %"
    assert message["From"] == "imprest@example.com" and message["Bcc"] is None
    assert message["Message-ID"] == f"<alt_{raised.alert_id.hex}@imprest>" and message["Date"].datetime == NOW
    plain, html = message.get_body(("plain",)), message.get_body(("html",))
    assert plain is not None and html is not None
    assert "Spent: 497.5 USD" in plain.get_content() and "Calls: call-1, call" in plain.get_content()
    assert "&lt;script&gt;alert(1)" in html.get_content() and "<script>" not in html.get_content()


async def test_a_mailbox_that_is_not_there(post: Post, box: Mailbox) -> None:
    await post.create("none", "EMAIL", recipients=("a@refused.example",))
    await post.create("some", "EMAIL", recipients=("a@refused.example", "b@b.example"))
    refused = await post.admin.test(TENANT, ChannelId("none"))
    assert (refused.delivered, refused.detail) == (False, "SMTPRecipientsRefused")
    partly = await post.admin.test(TENANT, ChannelId("some"))
    assert (partly.delivered, partly.detail) == (True, "refused for 1 of 2 recipients")
    assert [recipients for recipients, _ in box.got] == [["b@b.example"]]


async def test_a_test_is_marked_and_leaves_no_delivery(post: Post, receiver: Hook, box: Mailbox) -> None:
    secret = (await post.create("w", url=receiver.url, disabled=True)).signing_secret
    await post.create("s", "SLACK", url=receiver.url)
    await post.create("e", "EMAIL", recipients=("a@b.example",))
    for channel_id in ("w", "s", "e"):
        assert (await post.admin.test(TENANT, ChannelId(channel_id))).delivered
    (headers, body), (_, slack) = receiver.got
    verify(secret, headers[SIGNATURE_HEADER], body)
    sent = json.loads(body)
    assert sent.pop("test") is True and sorted(sent) == ["alert_id", "create_time", "level", "sequence", "summary"]
    assert "This is a test" in json.loads(slack)["text"] and "This is a test" in box.got[0][1]["Subject"]
    assert not await post.deliveries()
    with pytest.raises(NotFound):
        await post.admin.test(TENANT, ChannelId("x"))


def budget_alert(action_label: str, **fields: Any) -> Any:
    return alert(
        **{
            "kind": AlertKind.BUDGET,
            "level": AlertLevel.CRITICAL,
            "account_id": None,
            "amount": None,
            "budget_id": BudgetId("agents"),
            "revision": 1,
            "threshold": Threshold(Decimal("99.50"), AlertLevel.CRITICAL, ThresholdAction.BLOCK, action_label),
            "period": Period(None, None),
            "spent": 497_500_000_000,
            "limit": 500_000_000_000,
            **fields,
        },
    )
