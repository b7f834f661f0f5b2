"""When a request is sent again, and how long to wait before: exponential backoff with full jitter."""

from __future__ import annotations

from dataclasses import dataclass

from imprest_client.errors import ImprestError, Retryable


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Waits between attempts. How often is tried only the request's deadline limits.

    Only errors that leave the request undecided are retried (`errors.Retryable`), always with the same bytes and so
    with the same idempotency key: whether the first attempt had taken effect does not matter.
    """

    first_s: float = 0.05
    """Upper end of the first wait; it doubles with each attempt."""
    longest_s: float = 2.0
    """Upper end of every wait."""

    def wait_s(self, attempt: int, error: ImprestError, draw: float) -> float | None:
        """Seconds to wait after this attempt (1, 2, …) has failed; None: do not try again.

        `draw` is a random number in [0, 1). Full jitter keeps callers that failed together from coming back together;
        a delay that the server asks for comes on top.
        """
        if not isinstance(error, Retryable):
            return None
        return self.pause_s(attempt, error, draw)

    def pause_s(self, attempt: int, error: ImprestError, draw: float) -> float:
        """The same for whoever tries again after every error."""
        backoff_s = min(self.longest_s, self.first_s * float(1 << min(attempt - 1, 30)))
        return (error.details.retry_after_s or 0.0) + backoff_s * draw
