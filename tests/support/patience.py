"""How long tests wait.

Machines may be slow and busy with other things: a time limit in a test is there for what would never come, and costs
nothing when it does come. Only what must not come, as an answer of a server that is away, is waited for shortly.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from imprest_client import Connection
from imprest_client.testing import FakeImprest

#: For what comes, sooner or later.
PATIENCE_S: Final = 120.0
#: For what does not come.
SOON_S: Final = 0.1


def patient(server: FakeImprest) -> Connection:
    """A connection on which no attempt is given up, so that each request is sent once."""
    return Connection(server.target, connections=1, timeout_s=PATIENCE_S, attempt_timeout_s=PATIENCE_S)


@contextmanager
def hurry(connection: Connection) -> Iterator[None]:
    """Requests that are made meanwhile have little time."""
    before, connection.timeout_s = connection.timeout_s, SOON_S
    try:
        yield
    finally:
        connection.timeout_s = before


@contextmanager
def outage(server: FakeImprest, connection: Connection) -> Iterator[None]:
    """The server is away, which is noticed soon."""
    with server.outage(), hurry(connection):
        yield
