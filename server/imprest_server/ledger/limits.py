"""What the rules ask of limits on spending, and what they tell those who watch. `posting` answers over the budgets.

The ledger does not know what a budget is. It knows that something may forbid to hold or charge more, may have stopped
calls, and counts what is held and spent.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from imprest_server.core.errors import ImprestError
from imprest_server.core.usage import MeterAmount
from imprest_server.core.values import named_value
from imprest_server.ledger.model import Account, Labels, Reservation


@named_value
class Movement:
    """What one operation moves in one account: what is charged and what it costs, in nanos, and a hold.

    `usage` is what came as usage lines, by meter. `before` and `after` are the reservation that it changes, as it was
    and as it will be. What is given back is negative, and `charged_time` tells when it was charged; also of usage lines
    that come after their charge.
    """

    account: Account
    labels: Labels
    charged: int = 0
    cost: int = 0
    usage: Sequence[MeterAmount] = ()
    before: Reservation | None = None
    after: Reservation | None = None
    charged_time: datetime | None = None


class Happening:
    """Something that those who watch are told, in the order in which it happened. `Limits` has kinds of its own."""


class EventKind(StrEnum):
    """What has happened in an account."""

    LOW_BALANCE = "LOW_BALANCE"
    OVERRUN = "OVERRUN"
    RECEIVABLE = "RECEIVABLE"
    LATE_COMMIT = "LATE_COMMIT"
    RESERVATION_EXPIRED = "RESERVATION_EXPIRED"


@named_value
class Event(Happening):
    """Something worth an alert. `available` is what it left to spend, signed.

    `amount` is what exceeded the hold, or nobody pays (OVERRUN), is owed (RECEIVABLE), was charged late as a difference
    to the expiry (LATE_COMMIT), was charged (RESERVATION_EXPIRED), or below what the balance is low (LOW_BALANCE).
    """

    kind: EventKind
    account: Account
    available: int
    amount: int
    reservation: Reservation | None = None


class Limits(Protocol):
    """The limits of a batch's tenants: all that its operations may touch was loaded and locked before the fold.

    Labels are those of the reservation, or of the transaction without one. Only `count` changes anything.
    """

    def grant(self, account: Account, wanted: Reservation, least: int) -> int:
        """How much of the wanted hold's amount may be held, at least `least`. Raises BudgetExceeded, CallsStopped."""
        ...

    def require(self, movement: Movement) -> None:
        """There is room for what is about to be charged or held. Raises BudgetExceeded, CallsStopped."""
        ...

    def stop(self, account: Account, reservation: Reservation) -> ImprestError | None:
        """Why the call has to end, or None."""
        ...

    def count(self, movement: Movement) -> Sequence[Happening]:
        """Count what an operation has done; what that leads to."""
        ...
