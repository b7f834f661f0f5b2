"""One attempt to deliver one alert. What the receiver or the network does is its result, never an exception."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial

import aiohttp
import aiosmtplib
from aiohttp.client_proto import ResponseHandler

from imprest_server.budgets.channels import render
from imprest_server.budgets.channels.model import Attempt, Channel, ChannelKind, Sealed
from imprest_server.budgets.channels.network import AddressRefused, Gate
from imprest_server.budgets.channels.sealing import SealBroken, Sealer
from imprest_server.budgets.channels.signing import HEADER, signature
from imprest_server.budgets.model import StoredAlert
from imprest_server.core.ids import format_alert_id

#: A receiver that has not answered by then counts as failed.
TIMEOUT_S = 10.0
_USER_AGENT = "Imprest-Alerts/1"
_MOST_RETRY_AFTER_S = 4 * 3600
#: How much of an answer is looked at; what comes after a status and headers of that length is of no interest.
_MOST_BYTES = 32 * 1024


class NotConfigured(Exception):
    """The server lacks a setting that this kind of channel needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """The SMTP server that sends email. `security`: TLS from the start, STARTTLS, or none (a relay on this machine)."""

    host: str
    port: int
    sender: str
    username: str = ""
    password: str = field(default="", repr=False)
    security: str = "starttls"


class Sender:
    """Sends alerts to channels. `gate` guards webhooks; the relay is the operator's own and may be anywhere.

    Certificates are checked against the authorities of the system, SSL_CERT_FILE and SSL_CERT_DIR of the environment.
    """

    def __init__(self, gate: Gate, relay: Relay | None, sealer: Sealer | None) -> None:
        self._gate = gate
        self._relay = relay
        self._sealer = sealer
        self._tls = ssl.create_default_context()  # once: reading all authorities blocks for a tenth of a second

    async def send(self, channel: Channel, stored: StoredAlert) -> Attempt:
        """Try once."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                match channel.kind:
                    case ChannelKind.WEBHOOK:
                        body = render.payload(stored)
                        signed = signature(self._signing_secrets(channel), int(time.time()), body)
                        headers = {HEADER: signed, "Imprest-Alert-Id": format_alert_id(stored.alert.alert_id)}
                        return await self._post(channel.url, body, headers)
                    case ChannelKind.SLACK:
                        return await self._post(self._open(channel, channel.secret), render.slack_text(stored), {})
                    case ChannelKind.EMAIL:
                        return await self._mail(channel, stored)
        except TimeoutError:
            return Attempt(delivered=False, detail=f"no answer within {TIMEOUT_S:.0f} s")
        except (AddressRefused, NotConfigured) as error:
            return Attempt(delivered=False, detail=str(error))
        except SealBroken:
            return Attempt(delivered=False, detail="the secret was sealed with another IMPREST_SECRETS_KEY")
        # ValueError: a name that cannot be looked up. uvloop has RuntimeError for some of what is an OSError elsewhere.
        except (OSError, aiohttp.ClientError, aiosmtplib.SMTPException, ValueError, RuntimeError) as error:
            return Attempt(delivered=False, detail=_named(error))

    def _open(self, channel: Channel, secret: Sealed | None) -> str:
        if self._sealer is None:
            raise NotConfigured("IMPREST_SECRETS_KEY is not set")
        assert secret is not None, "such channels have one"
        return self._sealer.open(secret.value, *channel.key)

    def _signing_secrets(self, channel: Channel) -> list[str]:
        secrets = [self._open(channel, channel.secret)]
        if channel.previous_until is not None and datetime.now(UTC) < channel.previous_until:
            secrets.append(self._open(channel, channel.previous_secret))
        return secrets

    async def _post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Attempt:
        """Only the status and headers of the answer are read: its body may be anything, and of any length."""
        sent = {"Content-Type": "application/json", "User-Agent": _USER_AGENT, **headers}
        async with (
            aiohttp.ClientSession(
                connector=_guarded(self._gate, self._tls, tls=url.lower().startswith("https:")),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
            ) as session,
            session.post(url, data=body, headers=sent, allow_redirects=False) as response,
        ):
            status = response.status
            if 200 <= status < 300:
                return Attempt(delivered=True, detail=f"HTTP {status}")
            if status == 410:
                return Attempt(delivered=False, detail="HTTP 410: gone", final=True)
            retry_after_s = _retry_after(response.headers.get("Retry-After", ""), datetime.now(UTC))
            return Attempt(delivered=False, detail=f"HTTP {status}", retry_after_s=retry_after_s)

    async def _mail(self, channel: Channel, stored: StoredAlert) -> Attempt:
        relay = self._relay
        if relay is None:
            raise NotConfigured("IMPREST_SMTP_HOST is not set")
        message = render.email(stored, relay.sender, channel.recipients)
        refused, _ = await aiosmtplib.send(
            message,
            recipients=list(channel.recipients),
            sender=relay.sender,
            hostname=relay.host,
            port=relay.port,
            username=relay.username or None,
            password=relay.password or None,
            use_tls=relay.security == "tls",
            start_tls=relay.security == "starttls",
            tls_context=None if relay.security == "none" else self._tls,
            timeout=TIMEOUT_S,
        )
        if refused:
            return Attempt(delivered=True, detail=f"refused for {len(refused)} of {len(channel.recipients)} recipients")
        return Attempt(delivered=True, detail="accepted")


def _guarded(gate: Gate, context: ssl.SSLContext, *, tls: bool) -> aiohttp.TCPConnector:
    """A connector whose every socket passes the gate, however its address was found."""

    def make(found: tuple[int, int, int, str, tuple[object, ...]]) -> socket.socket:
        family, kind, protocol, _, address = found
        gate.check(str(address[0]), tls=tls)
        return socket.socket(family, kind, protocol)

    connector = aiohttp.TCPConnector(ssl=context, socket_factory=make, use_dns_cache=False, force_close=True)
    connector._factory = partial(_Beginning, loop=asyncio.get_running_loop())  # type: ignore[assignment]
    return connector


class _Beginning(ResponseHandler):
    """Receives the beginning of an answer, and no more.

    The library queues a receiver's interim answers (100, 103) as fast as they come: they would leave no time for
    anything else.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self._left = _MOST_BYTES

    def data_received(self, data: bytes) -> None:
        """What follows the beginning is not received any more."""
        super().data_received(data[: self._left])
        self._left = max(0, self._left - len(data))
        if not self._left:
            self.abort()


def _retry_after(text: str, now: datetime) -> int | None:
    """The seconds that a receiver asks us to wait, which it may say as a date; bounded. None when it says nothing."""
    if text.isascii() and text.isdigit() and len(text) < 9:
        return min(int(text), _MOST_RETRY_AFTER_S)
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0, min(int((at - now).total_seconds()), _MOST_RETRY_AFTER_S))


def _named(error: Exception) -> str:
    """What kind of failure; its text may repeat the URL or the receiver's words."""
    for inner in (error.__cause__, getattr(error, "os_error", None), error):
        if isinstance(inner, AddressRefused):
            return str(inner)
        if isinstance(inner, ssl.SSLCertVerificationError) and inner.verify_message:
            return f"the certificate is refused: {inner.verify_message.partition(',')[0]}"  # without the host's name
        if isinstance(inner, ssl.SSLError):
            return "the TLS handshake failed"
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return f"SMTP {error.code}"
    if type(error) is aiosmtplib.SMTPException:
        return "the relay does not offer the STARTTLS or the login that is asked of it"
    return type(error).__name__
