"""Channel secrets at rest: AES-256-GCM with a key from the environment, bound to the tenant and channel they belong to.

A sealed secret is one version byte, a 12-byte nonce, and the ciphertext with its tag. Another channel's sealed secret
put in its place does not open.
"""

from __future__ import annotations

import base64
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_VERSION = b"\x01"
_NONCE = 12


class SealBroken(Exception):
    """A sealed secret does not open: another key, another channel, or damaged."""


class Sealer:
    """Seals and opens with one key of 32 bytes."""

    def __init__(self, key: bytes) -> None:
        self._aead = AESGCM(key)

    @classmethod
    def of(cls, text: str) -> Sealer:
        """From 32 bytes in base64. Raises ValueError, without repeating the text."""
        try:
            key = base64.b64decode(text, validate=True)
        except ValueError:
            key = b""
        if len(key) != 32:
            raise ValueError("must be 32 random bytes in base64: make one with `openssl rand -base64 32`")
        return cls(key)

    def seal(self, secret: str, *owner: str) -> bytes:
        """The secret for the row of `owner`, the parts of its key."""
        nonce = os.urandom(_NONCE)
        return _VERSION + nonce + self._aead.encrypt(nonce, secret.encode(), _bound(owner))

    def open(self, sealed: bytes, *owner: str) -> str:
        """The secret again. Raises SealBroken."""
        if sealed[:1] != _VERSION:
            raise SealBroken
        try:
            nonce, text = sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :]
            return self._aead.decrypt(nonce, text, _bound(owner)).decode()
        except (InvalidTag, ValueError) as error:
            raise SealBroken from error


def _bound(owner: tuple[str, ...]) -> bytes:
    return b"".join(len(part.encode()).to_bytes(4, "big") + part.encode() for part in owner)
