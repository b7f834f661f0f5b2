"""A step of a story."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Event:
    """What happened, and when; without a time when the server does not keep it, or it is about the whole."""

    time: datetime | None
    text: str
