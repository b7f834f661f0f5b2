"""A port that several processes of ours listen on, and nobody else."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from imprest_server.transport.server import ListenError

_NOT_HERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


@contextmanager
def held_port(listen: str) -> Iterator[str]:
    """Hold `host:port` without listening; gives the address, with the port that a 0 became.

    While this is open, processes of this user may listen there with SO_REUSEPORT, and no other server of any kind,
    another `imprest serve` included, gets the port. Connections are made to those who listen only.

    Raises:
        ListenError: the port is in use, or the address is not ours.
    """
    host, _, port_text = listen.rpartition(":")
    port = int(port_text)
    with ExitStack() as held:
        bound = False
        for family, address in _addresses(host, listen):
            sock = held.enter_context(socket.socket(family, socket.SOCK_STREAM))
            # Connections of an earlier run may linger; a server that listens is refused all the same.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                sock.bind((address, port))
            except OSError as error:
                if error.errno in _NOT_HERE:  # `localhost` may name ::1 on a machine without IPv6
                    continue
                raise ListenError(listen) from error
            bound, port = True, sock.getsockname()[1]
            # Bound without SO_REUSEPORT, so nobody was there. From here on only sockets with it may join.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if not bound:
            raise ListenError(listen)
        yield f"{host}:{port}"


def _addresses(host: str, listen: str) -> Iterator[tuple[socket.AddressFamily, str]]:
    try:
        found = socket.getaddrinfo(host.strip("[]"), None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise ListenError(listen) from error
    for family, _, _, _, address in found:
        yield family, str(address[0])
