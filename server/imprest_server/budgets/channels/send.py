"""One attempt to deliver one alert. What the receiver or the network does is its result, never an exception."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
import aiosmtplib

from imprest_server.budgets.channels import render
from imprest_server.budgets.channels.model import Attempt, Channel, ChannelKind
from imprest_server.budgets.channels.network import AddressRefused, Gate
from imprest_server.budgets.channels.signing import HEADER, signature
from imprest_server.budgets.model import StoredAlert

#: A receiver that has not answered by then counts as failed.
TIMEOUT_S = 10.0
_USER_AGENT = "Imprest-Alerts/1"
_MOST_RETRY_AFTER_S = 4 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """The SMTP server that sends email. `security`: TLS from the start, STARTTLS, or none (a relay on this machine)."""

    host: str
    port: int
    sender: str
    username: str = ""
    password: str = ""
    security: str = "starttls"

    def __repr__(self) -> str:
        return f"Relay({self.host}:{self.port})"


class Sender:
    """Sends alerts to channels. `gate` guards webhooks; the relay is the operator's own and may be anywhere."""

    def __init__(self, gate: Gate, relay: Relay | None) -> None:
        self._gate = gate
        self._relay = relay

    async def send(self, channel: Channel, stored: StoredAlert) -> Attempt:
        """Try once."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                match channel.kind:
                    case ChannelKind.WEBHOOK:
                        body = render.payload(stored)
                        unix_s = int(time.time())
                        headers = {HEADER: signature(channel.signing_secret, unix_s, body)}
                        headers["Imprest-Alert-Id"] = stored.alert.alert_id.hex
                        return await self._post(channel.url, body, headers)
                    case ChannelKind.SLACK:
                        return await self._post(channel.url, render.slack_text(stored), {})
                    case ChannelKind.EMAIL:
                        return await self._mail(channel, stored)
        except TimeoutError:
            return Attempt(delivered=False, detail=f"no answer within {TIMEOUT_S:.0f} s")
        except AddressRefused as error:
            return Attempt(delivered=False, detail=str(error))
        except ssl.SSLError:
            return Attempt(delivered=False, detail="the TLS handshake failed")
        except (OSError, aiohttp.ClientError, aiosmtplib.SMTPException) as error:
            return Attempt(delivered=False, detail=_named(error))

    async def _post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Attempt:
        sent = {"Content-Type": "application/json", "User-Agent": _USER_AGENT, **headers}
        async with (
            aiohttp.ClientSession(connector=self._gate.connector(), trust_env=False) as session,
            session.post(url, data=body, headers=sent, allow_redirects=False) as response,
        ):
            status = response.status
            if 200 <= status < 300:
                return Attempt(delivered=True, detail=f"HTTP {status}")
            if status == 410:
                return Attempt(delivered=False, detail="HTTP 410: gone", final=True)
            return Attempt(delivered=False, detail=f"HTTP {status}", retry_after_s=_retry_after(response))

    async def _mail(self, channel: Channel, stored: StoredAlert) -> Attempt:
        relay = self._relay
        if relay is None:
            return Attempt(delivered=False, detail="the server has no SMTP relay")
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
            timeout=TIMEOUT_S,
        )
        if refused:
            return Attempt(delivered=True, detail=f"refused for {len(refused)} of {len(channel.recipients)} recipients")
        return Attempt(delivered=True, detail="accepted")


def _retry_after(response: aiohttp.ClientResponse) -> int | None:
    """The seconds a receiver asks us to wait, when it says so in seconds; bounded."""
    text = response.headers.get("Retry-After", "")
    return min(int(text), _MOST_RETRY_AFTER_S) if text.isascii() and text.isdigit() and len(text) < 9 else None


def _named(error: Exception) -> str:
    """What kind of failure; its text may repeat the URL or the receiver's words."""
    cause = error.__cause__ if isinstance(error, aiohttp.ClientError) else None
    if isinstance(cause, AddressRefused) or isinstance(getattr(error, "os_error", None), AddressRefused):
        return str(cause or error.os_error)  # type: ignore[attr-defined]
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return f"SMTP {error.code}"
    return type(error).__name__
