"""A call as the demo knows it: who spoke with whom, for how long, and what the AI agent used on the way."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

Direction = Literal["inbound", "outbound"]


@dataclass(frozen=True)
class Usage:
    """Measured quantities from the start of a call."""

    talk_s: int
    llm_input_tokens: int = 0
    llm_output_tokens: int = 0
    tts_characters: int = 0
    stt_seconds: int = 0

    def plus(self, other: Usage, times: int) -> Usage:
        """This and so many times the other."""
        return Usage(
            self.talk_s + other.talk_s * times,
            self.llm_input_tokens + other.llm_input_tokens * times,
            self.llm_output_tokens + other.llm_output_tokens * times,
            self.tts_characters + other.tts_characters * times,
            self.stt_seconds + other.stt_seconds * times,
        )

    def after(self, talk_s: int) -> Usage:
        """What was used when only `talk_s` seconds had passed, all quantities growing evenly."""
        if talk_s >= self.talk_s:
            return self
        return Usage(
            talk_s,
            self.llm_input_tokens * talk_s // self.talk_s,
            self.llm_output_tokens * talk_s // self.talk_s,
            self.tts_characters * talk_s // self.talk_s,
            self.stt_seconds * talk_s // self.talk_s,
        )


@dataclass(frozen=True)
class Call:
    """One row of the call file. A call without duration was not answered."""

    call_id: str
    start: datetime
    account: str
    agent: str
    from_number: str
    to_number: str
    direction: Direction
    usage: Usage

    @property
    def answered(self) -> bool:
        """Whether anybody picked up."""
        return self.usage.talk_s > 0

    def renamed(self, suffix: str) -> Call:
        """The same call under ids of its own, for a server that already has those of an earlier run."""
        return replace(self, call_id=self.call_id + suffix, account=self.account + suffix)
