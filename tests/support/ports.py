"""Ports that nobody listens on, or that somebody shall listen on later."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def reserved_port() -> Iterator[int]:
    """A port of this machine that nobody gets by chance: connections to it are refused, until a server of ours that
    asks for this very port listens there."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", 0))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        port: int = sock.getsockname()[1]
        yield port
