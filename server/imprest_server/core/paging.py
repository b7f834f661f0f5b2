"""Pages of a list: how many items, and the opaque token that continues after the last one.

A token is bound to the list and the filters it was made for (its scope): the next page of another question
would silently leave items out. It is not a secret: whoever forges one only starts their own list elsewhere.
"""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from collections.abc import Callable, Sequence
from typing import TypeVar

from imprest_server.core.errors import InvalidArgument

DEFAULT_PAGE_SIZE = 100
MAX_PAGE_SIZE = 1000
#: Most bytes of items on a page, unless one alone is larger: gRPC clients accept messages of 4 MiB by default.
MAX_PAGE_BYTES = 3 * 1024 * 1024

_VERSION = "1"
_MAX_TOKEN_LENGTH = 1024

#: The list's name, its tenant and its filters: values that JSON can write.
Scope = Sequence[str | int | Sequence[str] | None]

T = TypeVar("T")
K = TypeVar("K")


def page_limit(page_size: int) -> int:
    """How many items a page has at most: 0 asks for the default, more than the maximum is cut to it.

    Raises InvalidArgument (`page_size`) when it is negative.
    """
    if page_size < 0:
        raise InvalidArgument(field="page_size", problem="must not be negative")
    return min(page_size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)


def cut_page(
    items: Sequence[T], limit: int, scope: Scope, key: Callable[[T], str], size: Callable[[T], int]
) -> tuple[list[T], str]:
    """The page, and the token of the next one ("" on the last), of up to `limit` + 1 items that were read.

    `key` names the place of an item in the list's order, `size` is how many bytes it takes at most.
    """
    page: list[T] = []
    room = MAX_PAGE_BYTES
    for item in items[:limit]:
        room -= size(item)
        if room < 0 and page:
            break
        page.append(item)
    return page, encode_token(scope, key(page[-1])) if len(items) > len(page) else ""


def encode_token(scope: Scope, key: str) -> str:
    """The token that continues after the item with this key, in a list of this scope."""
    content = json.dumps([_VERSION, list(scope), key], separators=(",", ":"))
    digest = hashlib.sha256(content.encode()).hexdigest()[:24]
    return urlsafe_b64encode(f"{_VERSION}.{digest}.{key}".encode()).decode().rstrip("=")


def decode_token(token: str, scope: Scope, parse: Callable[[str], K]) -> K | None:
    """The key to continue after, read by `parse`, which raises ValueError; None for "", the first page.

    Raises InvalidArgument (`page_token`) when it was not made by `encode_token` for the same scope.
    """
    if not token:
        return None
    try:
        if len(token) > _MAX_TOKEN_LENGTH:
            raise ValueError
        text = urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode()
        _version, _digest, key = text.split(".", 2)
        if encode_token(scope, key) != token:
            raise ValueError
        return parse(key)
    except (Error, ValueError):
        problem = "is not the next_page_token of a reply to the same request"
        raise InvalidArgument(field="page_token", problem=problem) from None
