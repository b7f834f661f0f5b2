"""The signature of a webhook: HMAC-SHA256 over the time and the exact body.

    Imprest-Signature: t=1700000000,v1=<64 hexadecimal digits>

The signed text is the decimal Unix time, a full stop, and the body's bytes. A receiver recomputes it with its secret,
compares in constant time with each `v1` there is, and refuses a time more than five minutes off, so that nobody can
replay an old one. `imprest_client.webhooks` does that.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

HEADER = "Imprest-Signature"


def signature(secrets: Sequence[str], unix_s: int, body: bytes) -> str:
    """The header's value: a `v1` for each secret, of which there are two while a new one replaces an old one."""
    signed = f"{unix_s}.".encode() + body
    digests = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in secrets]
    return ",".join([f"t={unix_s}", *(f"v1={digest}" for digest in digests)])
