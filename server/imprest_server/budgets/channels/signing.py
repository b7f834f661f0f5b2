"""The signature of a webhook: HMAC-SHA256 over the time and the exact body.

    Imprest-Signature: t=1700000000,v1=<64 hexadecimal digits>

The signed text is the decimal Unix time, a full stop, and the body's bytes. A receiver recomputes it with its secret,
compares in constant time, and refuses a time more than five minutes off, so that nobody can replay an old one.
"""

from __future__ import annotations

import hashlib
import hmac

HEADER = "Imprest-Signature"


def signature(secret: str, unix_s: int, body: bytes) -> str:
    """The header's value."""
    digest = hmac.new(secret.encode(), f"{unix_s}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={unix_s},v1={digest}"
