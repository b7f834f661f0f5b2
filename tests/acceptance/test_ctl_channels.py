"""`imprestctl channels` against a server that delivers to receivers on this machine."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from imprest_client import ChannelClient
from imprest_client.channel_model import DeliveryState
from tests.conftest import Database
from tests.support.budgets import alert, open_desk
from tests.support.ctl import Ctl
from tests.support.receivers import Hook, hook
from tests.support.server import running_server

SETTINGS: dict[str, Any] = {
    "secrets_key": base64.b64encode(bytes(range(32))).decode(),
    "webhook_allowed_networks": "127.0.0.0/8",
    "delivery_interval_ms": 20,
    "smtp_host": "127.0.0.1",
    "smtp_security": "none",
}


@pytest.fixture
async def receiver() -> AsyncIterator[Hook]:
    async with hook() as receiver:
        yield receiver


@pytest.fixture
async def ctl(database: Database) -> AsyncIterator[Ctl]:
    async with running_server(database, **SETTINGS) as server:
        yield Ctl(server.target)


async def arrival(ctl: Ctl, state: DeliveryState) -> None:
    """Return when there is a delivery in this state."""
    async with ChannelClient(ctl.target) as client:
        while not [one async for one in client.list_deliveries(state=state)]:
            pass


async def test_a_webhook_from_its_creation_to_its_end(ctl: Ctl, receiver: Hook) -> None:
    assert (await ctl.ok("channels", "list")).output == "(no channels)\n"
    options = ("--level", "warning", "--kind", "low-balance", "--kind", "budget", "--name", "Ops")
    made = await ctl.ok("channels", "create", "ops", "--webhook", receiver.url, *options, "--json", "--key", "k")
    channel, secret = made.json["channel"], made.json["signing_secret"]
    assert (channel["kind"], channel["url"], channel["min_level"]) == ("WEBHOOK", receiver.url, "WARNING")
    assert (channel["kinds"], channel["display_name"]) == (["BUDGET", "LOW_BALANCE"], "Ops")
    assert secret
    again = await ctl.ok("channels", "create", "ops", "--webhook", receiver.url, *options, "--key", "k")
    assert secret not in again.output
    assert "`imprestctl channels rotate ops` makes a new one" in again.output
    shown = await ctl.ok("channels", "show", "ops")
    assert ["alerts", "budget,", "low-balance;", "warning", "and", "above"] in map(str.split, shown.output.splitlines())

    changed = await ctl.ok("channels", "update", "ops", "--level", "all", "--kind", "all", "--disable", "--json")
    channel = changed.json["channel"]
    assert (channel["min_level"], channel["kinds"], channel["disabled"]) == ("INFO", [], True)
    assert (channel["url"], channel["display_name"]) == (receiver.url, "Ops")
    table = await ctl.ok("channels", "list")
    assert [line.split() for line in table.output.splitlines()] == [
        ["CHANNEL", "KIND", "TO", "ALERTS", "DISABLED"],
        ["ops", "WEBHOOK", receiver.url, "all", "yes"],
    ]
    await ctl.ok("accounts", "create", "acme", "--currency", "USD")
    back = await ctl.ok("channels", "update", "ops", "--enable", "--account", "acme", "--json")
    assert (back.json["channel"]["disabled"], back.json["channel"]["account_id"]) == (False, "acme")

    rotated = await ctl.ok("channels", "rotate", "ops", "--yes", "--json")
    assert rotated.json["signing_secret"] not in ("", secret)
    assert rotated.json["channel"]["previous_secret_end_time"]
    assert (await ctl("channels", "delete", "ops")).status == 6
    await ctl.ok("channels", "delete", "ops", "--yes")
    assert (await ctl("channels", "show", "ops")).status == 3


async def test_a_test_tells_how_it_ended(ctl: Ctl, receiver: Hook) -> None:
    await ctl.ok("channels", "create", "ops", "--webhook", receiver.url)
    assert (await ctl.ok("channels", "test", "ops")).output.splitlines() == [
        "The test has reached ops.",
        "delivered  yes",
        "answer     HTTP 200",
    ]
    receiver.answers.append(web.Response(status=503))
    failed = await ctl("channels", "test", "ops", "--json")
    assert (failed.status, failed.error["reason"]) == (1, "NOT_DELIVERED")
    assert "HTTP 503" in failed.error["message"]


async def test_deliveries_and_dead_letters(ctl: Ctl, database: Database, receiver: Hook) -> None:
    await ctl.ok("channels", "create", "ops", "--webhook", receiver.url)
    assert (await ctl.ok("channels", "deliveries")).output == "(no deliveries)\n"
    receiver.answers.append(web.Response(status=410))  # gone: given up at once
    async with open_desk(database) as desk:
        await desk.add(alert(7_000_000_000))
    await arrival(ctl, DeliveryState.DEAD)  # while it is awaited the server logs to where the command would write
    (dead,) = (await ctl.ok("channels", "deliveries", "--state", "dead", "--json")).json
    assert (dead["channel_id"], dead["attempts"], dead["detail"]) == ("ops", 1, "HTTP 410: gone")
    table = (await ctl.ok("channels", "deliveries", "ops", "--state", "dead")).output.splitlines()
    assert table[0].split() == [
        "SEQ",
        "CHANNEL",
        "STATE",
        "TRIES",
        "LATEST",
        "TRY",
        "MADE",
        "TRIED",
        "NEXT",
        "TRY",
        "ALERT",
    ]
    resent = await ctl.ok("channels", "resend", "ops", dead["alert_id"], "--json")
    assert resent.json["delivery"]["state"] == "PENDING"
    await arrival(ctl, DeliveryState.DELIVERED)
    (arrived,) = (await ctl.ok("channels", "deliveries", "--state", "delivered", "--json")).json
    assert arrived["alert_id"] == dead["alert_id"]
    assert (await ctl("channels", "resend", "ops", "alt_" + "0" * 32)).status == 3


async def test_slacks_url_is_never_typed_nor_shown(ctl: Ctl, receiver: Hook, tmp_path: Path) -> None:
    secret = f"{receiver.url}/T000/B000/secret"
    typed = await ctl("channels", "create", "team", "--slack", secret)
    assert (typed.status, secret in typed.errors) == (2, False)
    assert "--slack takes the name of a file" in typed.errors
    file = tmp_path / "url"
    file.write_text(f"{secret}\n", "utf-8")
    made = await ctl.ok("channels", "create", "team", "--slack", str(file), "--json")
    assert (made.json["channel"]["kind"], made.json["channel"]["url"], made.json["signing_secret"]) == ("SLACK", "", "")
    assert secret not in made.output
    # It stays when it is not given.
    await ctl.ok("channels", "update", "team", "--name", "Team")
    await ctl.ok("channels", "test", "team")
    other = f"{receiver.url}/T000/B000/other"
    done = await ctl("channels", "update", "team", "--slack", "-", stdin=f"{other}\n")
    assert (done.status, other in done.output + done.errors) == (0, False)
    await ctl.ok("channels", "test", "team")
    assert len(receiver.got) == 2
    for content in ("", "\nhttps://late"):
        file.write_text(content, "utf-8")
        assert (await ctl("channels", "create", "x", "--slack", str(file))).status == 2
    assert (await ctl("channels", "create", "x", "--slack", "-", stdin="")).status == 2
    assert "cannot read" in (await ctl("channels", "create", "x", "--slack", str(tmp_path / "none"))).errors


async def test_email(ctl: Ctl) -> None:
    made = await ctl.ok("channels", "create", "--email", "a@example.com", "--email", "b@example.com", "--json")
    channel = made.json["channel"]
    assert channel["channel_id"].startswith("chn_")
    assert (channel["recipients"], channel["receiver_words"]) == (
        ["a@example.com", "b@example.com"],
        "a@example.com, b@example.com",
    )
    wrong = await ctl("channels", "update", channel["channel_id"], "--webhook", "https://example.com/")
    assert (wrong.status, "is a channel of kind email, for ever" in wrong.errors) == (2, True)


@pytest.mark.parametrize(
    "arguments",
    [
        ("create", "ops"),
        ("create", "ops", "--webhook", "https://example.com", "--email", "a@example.com"),
        ("create", "ops", "--email", "a@example.com", "--level", "loud"),
        ("create", "ops", "--email", "a@example.com", "--kind", "rain"),
        ("update", "ops"),
        ("deliveries", "--state", "lost"),
    ],
    ids=" ".join,
)
async def test_what_makes_no_sense_is_not_asked(arguments: tuple[str, ...]) -> None:
    done = await Ctl("127.0.0.1:1")("channels", *arguments, "--json")
    assert (done.status, done.error["reason"]) == (2, "USAGE")
