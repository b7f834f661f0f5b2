"""How long tests wait.

Machines may be slow and busy with other things: a time limit in a test is there for what would never come, and costs
nothing when it does come. Only what must not come, as an answer of a server that is away, is waited for shortly.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from imprest_client import Connection, ImprestError, RetryPolicy
from imprest_client.testing import FakeImprest

#: For what comes, sooner or later.
PATIENCE_S: Final = 120.0
#: For what does not come.
SOON_S: Final = 0.1


def patient(server: FakeImprest) -> Connection:
    """A connection on which no attempt is given up, so that each request is sent once."""
    return Connection(server.target, connections=1, timeout_s=PATIENCE_S, attempt_timeout_s=PATIENCE_S)


class Once(RetryPolicy):
    """No request is sent a second time."""

    def wait_s(self, attempt: int, error: ImprestError, draw: float) -> float | None:
        return None


@contextmanager
def once(connection: Connection) -> Iterator[None]:
    """What the server does not do, or does without an answer, is told at once.

    A short deadline would do so, too, and leave a request on its way that may arrive when all is well again.
    """
    before, connection.retry = connection.retry, Once()
    try:
        yield
    finally:
        connection.retry = before


@contextmanager
def outage(server: FakeImprest, connection: Connection) -> Iterator[None]:
    """The server is away, which is told at once."""
    with server.outage(), once(connection):
        yield
