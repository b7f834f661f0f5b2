"""For receivers of alert webhooks: is this request from my Imprest server, unchanged, and fresh?

    body = await request.read()                      # the exact bytes, before any parsing
    verify(secret, request.headers[SIGNATURE_HEADER], body)
    alert = json.loads(body)

An alert may arrive twice: do nothing for an `alert_id` that was seen before.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Sequence

#: The header that carries the signature.
SIGNATURE_HEADER = "Imprest-Signature"
#: How far the time of a signature may be off, in seconds.
TOLERANCE_S = 300.0

_MAX_HEADER = 1024


class WebhookError(Exception):
    """The request is not to be trusted: answer with status 400, and do nothing else."""


class MalformedSignature(WebhookError):
    """The header is missing, or not of the form `t=<seconds>,v1=<64 hexadecimal digits>`."""


class SignatureMismatch(WebhookError):
    """No signature in the header was made with the secret, for this time and body."""


class SignatureExpired(WebhookError):
    """The signature is right, but too old or from the future: an old request sent again, or a clock that is wrong."""


def verify(
    secret: str | Sequence[str],
    header: str | None,
    body: bytes,
    *,
    now: float | None = None,
    tolerance_s: float = TOLERANCE_S,
) -> None:
    """Return when one of the header's signatures is that of the body, and raise WebhookError when none is.

    Args:
        secret: the channel's signing secret; several when a rotation is under way and it is not known which is used.
        header: the value of SIGNATURE_HEADER.
        body: the exact bytes that arrived.
        now: Unix time in seconds; the clock's, unless a test says otherwise.
        tolerance_s: how far the signature's time may be off.

    Raises:
        MalformedSignature, SignatureMismatch, SignatureExpired.
    """
    timestamp, signatures = _parse(header)
    signed = f"{timestamp}.".encode() + body
    secrets = [secret] if isinstance(secret, str) else secret
    if not secrets or not all(secrets):
        raise ValueError("an empty secret verifies nothing")
    expected = [hmac.new(one.encode(), signed, hashlib.sha256).hexdigest() for one in secrets]
    # All are compared, each in constant time.
    if not sum(hmac.compare_digest(given, right) for given in signatures for right in expected):
        raise SignatureMismatch("no signature matches the secret, time and body")
    current = time.time() if now is None else now
    if abs(current - int(timestamp)) > tolerance_s:
        raise SignatureExpired(f"the signature's time is more than {tolerance_s:g} s off")


def _parse(header: str | None) -> tuple[str, list[str]]:
    """The time as it stands there, and the signatures. Unknown parts are left out: there may be a v2 one day."""
    malformed = MalformedSignature(f"{SIGNATURE_HEADER} must be t=<seconds>,v1=<64 hexadecimal digits>")
    if not header or len(header) > _MAX_HEADER:
        raise malformed
    parts = [part.strip().partition("=") for part in header.split(",")]
    times = [value for name, _, value in parts if name == "t"]
    signatures = [value for name, _, value in parts if name == "v1"]
    if len(times) != 1 or not (times[0].isascii() and times[0].isdigit() and len(times[0]) <= 12):
        raise malformed
    if not signatures or not all(len(s) == 64 and set(s) <= set("0123456789abcdef") for s in signatures):
        raise malformed
    return times[0], signatures
