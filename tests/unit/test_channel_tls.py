"""Certificates of webhooks and of the mail relay are checked, and an operator can add an authority."""

import asyncio
import ssl
from datetime import UTC, datetime
from typing import Any

import pytest

from imprest_server.budgets.channels.model import Attempt, Channel, ChannelId, ChannelKind, Sealed, alert_for_test
from imprest_server.budgets.channels.network import Gate, parse_networks
from imprest_server.budgets.channels.sealing import Sealer
from imprest_server.budgets.channels.send import Relay, Sender
from imprest_server.budgets.model import AlertId
from imprest_server.core.ids import TenantId, uuid7
from tests.support.authority import Authority
from tests.support.receivers import hook, mailbox

TENANT = TenantId("default")
NOW = datetime(2026, 3, 15, 12, tzinfo=UTC)
SEALER = Sealer(bytes(32))
LOOPBACK = parse_networks("127.0.0.0/8, ::1/128")
UNKNOWN = "the certificate is refused: unable to get local issuer certificate"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def known(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """The authority, known to servers that start from now on."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
    return authority


async def send(relay: Relay | None = None, **fields: Any) -> Attempt:
    kind = ChannelKind.WEBHOOK if relay is None else ChannelKind.EMAIL
    secret = Sealed(SEALER.seal("whsec_x", TENANT, "c"))
    channel = Channel(
        **{
            "tenant_id": TENANT,
            "channel_id": ChannelId("c"),
            "kind": kind,
            "secret": secret,
            "create_time": NOW,
            "update_time": NOW,
            **fields,
        }
    )
    return await Sender(Gate(LOOPBACK), relay, SEALER).send(channel, alert_for_test(TENANT, AlertId(uuid7()), NOW))


async def mail(host: str, port: int, security: str, **login: str) -> tuple[bool, str]:
    relay = Relay(host=host, port=port, sender="imprest@example.com", security=security, **login)
    attempt = await send(relay, recipients=("ops@example.com",))
    return attempt.delivered, attempt.detail


# ── webhooks ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_a_webhook_by_a_known_authority(known: Authority, host: str) -> None:
    async with hook(known.server("localhost", "127.0.0.1")) as receiver:
        attempt = await send(url=receiver.url.replace("127.0.0.1", host))
        assert (attempt.delivered, attempt.detail, len(receiver.got)) == (True, "HTTP 200", 1)


async def test_a_webhook_by_an_unknown_authority(authority: Authority) -> None:
    async with hook(authority.server("127.0.0.1")) as receiver:
        attempt = await send(url=receiver.url)
        assert (attempt.delivered, attempt.detail, receiver.got) == (False, UNKNOWN, [])


@pytest.mark.parametrize(
    ("hosts", "ended", "says"),
    [
        (["very-secret.example"], False, "IP address mismatch"),
        (["127.0.0.2"], False, "IP address mismatch"),
        (["127.0.0.1"], True, "certificate has expired"),
    ],
)
async def test_a_certificate_that_is_not_the_hosts_or_has_ended(
    known: Authority, hosts: list[str], ended: bool, says: str
) -> None:
    async with hook(known.server(*hosts, ended=ended)) as receiver:
        attempt = await send(url=receiver.url)
        assert (attempt.delivered, attempt.detail, receiver.got) == (False, f"the certificate is refused: {says}", [])


async def test_a_webhook_that_speaks_no_tls() -> None:
    async with hook() as receiver:
        attempt = await send(url=receiver.url.replace("http:", "https:"))
        assert (attempt.delivered, attempt.detail, receiver.got) == (False, "the TLS handshake failed", [])


# ── the relay ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("security", ["tls", "starttls"])
async def test_mail_by_a_relay_with_a_known_certificate(known: Authority, security: str) -> None:
    certificate: dict[str, Any] = {security: known.server("localhost")}
    async with mailbox(**certificate) as box:
        assert await mail("localhost", box.port, security) == (True, "accepted")
        assert await mail("127.0.0.1", box.port, security) == (
            False,
            "the certificate is refused: IP address mismatch",
        )
        assert len(box.got) == 1


@pytest.mark.parametrize("security", ["tls", "starttls"])
async def test_no_mail_by_a_relay_that_nobody_knows(authority: Authority, security: str) -> None:
    certificate: dict[str, Any] = {security: authority.server("localhost")}
    async with mailbox(**certificate) as box:
        assert await mail("localhost", box.port, security) == (False, UNKNOWN)
        assert not box.got


async def test_what_a_relay_does_not_offer_is_not_done_without() -> None:
    """Whoever stands between may have taken the offer out; neither mail nor password goes on in the clear."""
    lacks = "the relay does not offer the STARTTLS or the login that is asked of it"
    async with mailbox() as box:
        assert await mail("localhost", box.port, "starttls", username="u", password="p") == (False, lacks)
        assert await mail("localhost", box.port, "none", username="u", password="p") == (False, lacks)
        assert await mail("localhost", box.port, "tls") == (False, "the TLS handshake failed")
        assert not box.got


async def test_authorities_are_read_once(known: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes a tenth of a second in which nothing else happens."""
    async with mailbox(starttls=known.server("localhost")) as box:
        relay = Relay(host="localhost", port=box.port, sender="imprest@example.com")
        sender = Sender(Gate(), relay, None)
        monkeypatch.setattr(ssl, "create_default_context", None)
        channel = Channel(
            tenant_id=TENANT,
            channel_id=ChannelId("c"),
            kind=ChannelKind.EMAIL,
            recipients=("ops@example.com",),
            create_time=NOW,
            update_time=NOW,
        )
        test = alert_for_test(TENANT, AlertId(uuid7()), NOW)
        attempts = await asyncio.gather(*(sender.send(channel, test) for _ in range(5)))
        assert {attempt.detail for attempt in attempts} == {"accepted"}
        assert len(box.got) == 5
