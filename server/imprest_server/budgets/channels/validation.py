"""What can be wrong with a request about channels by itself."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from imprest_server.budgets.channels.model import ChannelId, ChannelKind
from imprest_server.budgets.channels.network import AddressRefused, Gate
from imprest_server.budgets.channels.operations import CreateChannel, UpdateChannel
from imprest_server.core.errors import InvalidArgument

#: Ids of channels that the server makes begin with this.
CHANNEL_PREFIX = "chn_"
MAX_TEXT = 255
MAX_URL = 2048
MAX_RECIPIENTS = 20

_KEY = re.compile(r"[ -~]{1,255}")
_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_URL = re.compile(r"[!-~]+")
# A name that ends in a number is an address in one of its old spellings, as in 127.1 or 0x7f000001.
_HOST = re.compile(r"(?=.{1,253}\Z)([A-Za-z0-9_-]{1,63}\.)*(?!([0-9]+|0[xX][0-9A-Fa-f]*)\.?\Z)[A-Za-z0-9_-]{1,63}\.?")
# The local part as RFC 5321 has it without quotes: nothing in it can end a header or begin another address.
_EMAIL = re.compile(r"(?=.{3,254}\Z)[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*")


def check_key(idempotency_key: str) -> None:
    """A request's key."""
    if not _KEY.fullmatch(idempotency_key):
        raise InvalidArgument(field="idempotency_key", problem="must be 1–255 printable ASCII characters")


def check_channel_id(channel_id: str, field: str = "channel_id") -> ChannelId:
    """A channel's id of the right shape."""
    if not _ID.fullmatch(channel_id):
        problem = "must be 1–64 characters of A-Z a-z 0-9 . _ : -" if channel_id else "is required"
        raise InvalidArgument(field=field, problem=problem)
    return ChannelId(channel_id)


def check_channel(op: CreateChannel | UpdateChannel, kind: ChannelKind, gate: Gate) -> None:
    """The content of a channel of this kind; raises InvalidArgument.

    Addresses are refused here only where they stand in the URL; what decides is the gate, when a socket is made.
    """
    if len(op.display_name) > MAX_TEXT:
        raise InvalidArgument(field="channel.display_name", problem=f"must be at most {MAX_TEXT} characters")
    if _CONTROL.search(op.display_name):
        raise InvalidArgument(field="channel.display_name", problem="must not hold control characters")
    if kind is ChannelKind.EMAIL:
        if op.url:
            raise InvalidArgument(field="channel.url", problem="is for WEBHOOK and SLACK")
        _recipients(op.recipients)
        return
    if op.recipients:
        raise InvalidArgument(field="channel.recipients", problem="are for EMAIL")
    if op.url:
        _url(op.url, gate)
    elif kind is ChannelKind.WEBHOOK or isinstance(op, CreateChannel):
        raise InvalidArgument(field="channel.url", problem="is required")


def _recipients(recipients: tuple[str, ...]) -> None:
    if not recipients:
        raise InvalidArgument(field="channel.recipients", problem="are required")
    if len(recipients) > MAX_RECIPIENTS:
        problem = f"must be at most {MAX_RECIPIENTS}, not {len(recipients)}"
        raise InvalidArgument(field="channel.recipients", problem=problem)
    for n, recipient in enumerate(recipients):
        if not _EMAIL.fullmatch(recipient):
            raise InvalidArgument(field=f"channel.recipients[{n}]", problem="must be an address such as a@example.com")


def _url(url: str, gate: Gate) -> None:
    """Never repeats the URL, which may be a secret."""
    problem = _url_problem(url, gate)
    if problem is not None:
        raise InvalidArgument(field="channel.url", problem=problem)


def _url_problem(url: str, gate: Gate) -> str | None:
    if len(url) > MAX_URL:
        return f"must be at most {MAX_URL} characters, not {len(url)}"
    if not _URL.fullmatch(url) or "\\" in url:
        return "must be ASCII without blanks or backslashes; an international name is written with xn--"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "is not a URL"
    if parts.scheme not in ("https", "http"):
        return "must begin with https://"
    if parts.scheme == "http" and not gate.may_be_plain:
        return "must begin with https://: IMPREST_WEBHOOK_ALLOWED_NETWORKS allows no network without TLS"
    if "@" in parts.netloc:
        return "must not hold a user name or password"
    if "#" in url:
        return "must not hold a fragment"
    if port == 0:
        return "must not name port 0"
    try:
        gate.check(host, tls=parts.scheme == "https")
    except AddressRefused as error:
        return str(error)
    except ValueError:  # a name
        return None if _HOST.fullmatch(host) and "[" not in parts.netloc else "must name a host"
    return None
