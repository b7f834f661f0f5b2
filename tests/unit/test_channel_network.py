"""Which addresses alerts are sent to, and that nothing else is ever connected to."""

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
import uvloop
from aiohttp import web

from imprest_server.budgets.channels.model import Channel, ChannelId, ChannelKind, Filter, Sealed, alert_for_test
from imprest_server.budgets.channels.network import AddressRefused, Gate, is_public, parse_networks
from imprest_server.budgets.channels.operations import CreateChannel
from imprest_server.budgets.channels.sealing import Sealer
from imprest_server.budgets.channels.send import Sender, _retry_after
from imprest_server.budgets.channels.validation import check_channel
from imprest_server.budgets.model import AlertId
from imprest_server.core.errors import InvalidArgument
from imprest_server.core.ids import TenantId, uuid7
from tests.support.receivers import Hook, hook

TENANT = TenantId("default")
NOW = datetime(2026, 3, 15, 12, tzinfo=UTC)
SEALER = Sealer(bytes(32))
LOOPBACK = parse_networks("127.0.0.0/8")
REFUSED = "the address is not public"

PRIVATE = [
    "0.0.0.0", "10.1.2.3", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254", "168.63.129.16",
    "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.168.1.1", "198.18.0.1", "203.0.113.5",
    "224.0.0.1", "240.0.0.1", "255.255.255.255", "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
    "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::808:808",
    "2002:7f00:1::", "2002:a00:1::1", "2001:0:4136:e378:8000:63bf:80ff:fffe", "2001:db8::1", "fc00::1", "fd00:ec2::254",
    "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1",
]  # fmt: skip
PUBLIC = ["1.1.1.1", "8.8.8.8", "172.32.0.1", "::ffff:8.8.8.8", "2606:4700:4700::1111", "64:ff9b::808:808"]


@pytest.mark.parametrize("host", PRIVATE)
def test_what_is_not_public_is_refused(host: str) -> None:
    with pytest.raises(AddressRefused):
        Gate().check(host, tls=True)


@pytest.mark.parametrize("host", PUBLIC)
def test_public_addresses_pass_with_tls_only(host: str) -> None:
    assert is_public(ipaddress.ip_address(host))
    Gate().check(host, tls=True)
    with pytest.raises(AddressRefused, match="http"):
        Gate(LOOPBACK).check(host, tls=False)


def test_the_allow_list_lets_through_what_it_names_alone() -> None:
    gate = Gate(parse_networks("10.1.0.0/16, fd00::/8"))
    for host in ("10.1.2.3", "::ffff:10.1.2.3", "fd00::1"):
        gate.check(host, tls=False)
    for host in ("10.2.0.1", "127.0.0.1", "::1"):
        with pytest.raises(AddressRefused):
            gate.check(host, tls=True)


# ── what is connected to ─────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def receiver() -> AsyncIterator[Hook]:
    async with hook() as receiver:
        yield receiver


def webhook(url: str) -> Channel:
    key = (TENANT, ChannelId("c"))
    return Channel(
        tenant_id=TENANT,
        channel_id=key[1],
        kind=ChannelKind.WEBHOOK,
        url=url,
        secret=Sealed(SEALER.seal("whsec_x", *key)),
        create_time=NOW,
        update_time=NOW,
    )


async def send(url: str, gate: Gate) -> tuple[bool, str]:
    attempt = await Sender(gate, None, SEALER).send(webhook(url), alert_for_test(TENANT, AlertId(uuid7()), NOW))
    return attempt.delivered, attempt.detail


LITERALS = ["127.0.0.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "[::ffff:127.0.0.1]", "localhost"]


@pytest.mark.parametrize("host", LITERALS)
async def test_no_spelling_of_loopback_gets_past_the_gate(receiver: Hook, host: str) -> None:
    port = receiver.url.rsplit(":")[-1]
    for scheme in ("http", "https"):
        delivered, detail = await send(f"{scheme}://{host}:{port}", Gate())
        # What the URL's parser takes for no host does not even get to the gate.
        assert not delivered and detail in (REFUSED, "InvalidUrlClientError")
    assert not receiver.got


@pytest.mark.parametrize("host", ["127.0.0.1", "0x7f000001", "localhost"])
async def test_the_allow_list_lets_them_through(receiver: Hook, host: str) -> None:
    port = receiver.url.rsplit(":")[-1]
    gate = Gate((*LOOPBACK, *parse_networks("::1/128")))
    assert await send(f"http://{host}:{port}", gate) == (True, "HTTP 200")


@pytest.mark.parametrize(
    "answers", [["127.0.0.1"], ["169.254.169.254"], ["::1", "127.0.0.1"], ["10.0.0.1", "::ffff:127.0.0.1"]]
)
async def test_a_name_that_leads_inside_is_refused(
    receiver: Hook, monkeypatch: pytest.MonkeyPatch, answers: list[str]
) -> None:
    """Whatever the name service says, and whether it says so the first or the second time."""
    port = int(receiver.url.rsplit(":")[-1].split("/")[0])

    async def lookup(*_: Any, **__: Any) -> list[Any]:
        families = {4: socket.AF_INET, 6: socket.AF_INET6}
        return [
            (
                families[ipaddress.ip_address(a).version],
                socket.SOCK_STREAM,
                6,
                "",
                (a, port) if ":" not in a else (a, port, 0, 0),
            )
            for a in answers
        ]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", lookup)
    assert await send("https://hooks.example/x", Gate()) == (False, REFUSED)
    assert not receiver.got


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(receiver: Hook, status: int) -> None:
    inside = receiver.url.replace("alerts", "inside")
    receiver.answers = [web.Response(status=status, headers={"Location": inside})]
    assert await send(receiver.url, Gate(LOOPBACK)) == (False, f"HTTP {status}")
    assert len(receiver.got) == 1


async def test_proxies_of_the_environment_are_not_used(receiver: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, receiver.url)
    assert await send("http://10.0.0.1/x", Gate(LOOPBACK)) == (False, REFUSED)
    assert not receiver.got


async def test_an_answer_without_end_is_not_read() -> None:
    """The try ends with the answer's headers; the connection is closed."""
    closed = asyncio.Event()

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while True:
                writer.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")
                await writer.drain()
        except ConnectionError:
            closed.set()

    server = await asyncio.start_server(endless, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    assert await send(f"http://127.0.0.1:{port}/", Gate(LOOPBACK)) == (True, "HTTP 200")
    await closed.wait()
    server.close()


@pytest.mark.parametrize("interim", [b"HTTP/1.1 100 \r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n"])
async def test_interim_answers_without_end_are_not_read(interim: bytes) -> None:
    """The connection is cut, long before the time is over in which nothing else would be done."""

    def flood(listener: socket.socket) -> None:
        taken, _ = listener.accept()
        with taken:
            taken.recv(65_536)
            try:
                while True:
                    taken.send(interim * 10_000)
            except ConnectionError:
                pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        flooding = asyncio.create_task(asyncio.to_thread(flood, listener))
        answer = await send(f"http://127.0.0.1:{listener.getsockname()[1]}/", Gate(LOOPBACK))
        await flooding
    assert answer == (False, "ServerDisconnectedError")


async def test_a_failure_repeats_neither_the_url_nor_the_answer() -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"very-secret babble\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    for url in (f"http://127.0.0.1:{port}/very-secret", "https://127.1/very-secret", "https://very-secret.invalid/"):
        delivered, detail = await send(url, Gate(LOOPBACK))
        assert not delivered and detail and "secret" not in detail
    server.close()


async def test_a_host_that_cannot_be_looked_up_is_a_result() -> None:
    for host in ("a" * 64 + ".example", "nowhere.invalid", "a..b"):
        delivered, detail = await send(f"https://{host}/x", Gate())
        assert not delivered and host not in detail


def test_the_gate_holds_under_uvloop() -> None:
    """The loop that the server runs on has its own name service and sockets."""

    async def both() -> None:
        async with hook() as receiver:
            port = receiver.url.rsplit(":")[-1].split("/")[0]
            for host in ("127.0.0.1", "localhost", "0x7f000001"):
                assert await send(f"https://{host}:{port}/", Gate()) == (False, REFUSED)
            assert not receiver.got
            assert await send(receiver.url, Gate(LOOPBACK)) == (True, "HTTP 200")

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(both())


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("٣", None),
        ("0", 0),
        ("90", 90),
        ("99999999", 4 * 3600),
        ("999999999999999999", None),
        ("Sun, 15 Mar 2026 12:01:30 GMT", 90),
        ("Sun, 15 Mar 2026 12:01:30 -0000", 90),
        ("Sun, 15 Mar 2026 11:00:00 GMT", 0),
        ("Sun, 15 Mar 2099 12:00:00 GMT", 4 * 3600),
        ("Sun, 15 Mar 99999 12:00:00 GMT", None),
        ("Sun, 15 Mar 2026 12:00:00 +999999", None),
        ("Sun, 15 Mar 2026 12:00:00 +99999999999999999999", None),
    ],
)
def test_retry_after_in_all_its_forms(text: str, seconds: int | None) -> None:
    assert _retry_after(text, NOW) == seconds


# ── URLs ─────────────────────────────────────────────────────────────────────────────────────────────


def problem(url: str, gate: Gate) -> str | None:
    op = CreateChannel(
        tenant_id=TENANT,
        idempotency_key="k",
        channel_id=None,
        channel_kind=ChannelKind.WEBHOOK,
        url=url,
        filter=Filter(),
    )
    try:
        check_channel(op, ChannelKind.WEBHOOK, gate)
    except InvalidArgument as error:
        return f"{error.field}: {error.problem}"
    return None


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example/x?y=z",
        "https://hooks.example:8443",
        "https://xn--bcher-kva.example/",
        "HTTPS://8.8.8.8/",
        "https://[2606:4700:4700::1111]/",
    ],
)
def test_good_urls(url: str) -> None:
    assert problem(url, Gate()) is None


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "required"),
        ("http://hooks.example/", "https"),
        ("ftp://hooks.example/", "https"),
        ("file:///etc/passwd", "https"),
        ("hooks.example/x", "https"),
        ("https://user:password@hooks.example/", "password"),
        ("https://hooks.example@127.0.0.1/", "password"),
        ("https://hooks.example/#x", "fragment"),
        ("https://hooks.example:0/", "port"),
        ("https://hooks.example:99999/", "URL"),
        ("https://bücher.example/", "ASCII"),
        ("https://127。0。0。1/", "ASCII"),
        ("https://hooks.example/\r\nX: y", "ASCII"),
        ("https://hooks.example\\@127.0.0.1/", "ASCII"),
        ("https:///x", "host"),
        ("https://2130706433/", "host"),
        ("https://0x7f000001/", "host"),
        ("https://0177.0.0.1/", "host"),
        ("https://127.1/", "host"),
        ("https://127.0.0.1./", "host"),
        ("https://a..b/", "host"),
        ("https://[::1]/", "public"),
        ("https://[fe80::1%25eth0]/", ""),
        ("https://169.254.169.254/latest", "public"),
        ("https://hooks.example/" + "x" * 2048, "2048"),
    ],
)
def test_bad_urls(url: str, says: str) -> None:
    found = problem(url, Gate())
    assert found is not None and found.startswith("channel.url: ") and says in found
    assert not url or url not in found


def test_http_needs_an_allowed_network() -> None:
    assert problem("http://10.1.2.3/", Gate(parse_networks("10.0.0.0/8"))) is None
    assert problem("http://inside.example/", Gate(parse_networks("10.0.0.0/8"))) is None
    assert problem("http://8.8.8.8/", Gate(parse_networks("10.0.0.0/8"))) is not None


def test_the_library_still_lets_us_make_the_sockets() -> None:
    """Without this parameter nothing would be checked."""
    import inspect

    assert "socket_factory" in inspect.signature(aiohttp.TCPConnector).parameters
