"""Writes calls.csv: a made-up working day, always the same.

All telephone numbers are reserved for fiction: 555-01xx in North America, and those that Ofcom (United Kingdom) and the
Bundesnetzagentur (Germany) keep free for drama.
"""

from __future__ import annotations

import csv
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TextIO

COLUMNS = (
    *("start", "account", "agent", "from", "to", "direction", "duration_s"),
    *("llm_input_tokens", "llm_output_tokens", "tts_characters", "stt_seconds"),
)
CALL_COUNT = 3000
_SEED = "imprest"
_DAY = datetime(2026, 3, 2, tzinfo=UTC)
#: How busy each hour from 7:00 to 19:59 is.
_HOURS = (2, 5, 9, 11, 11, 8, 7, 9, 10, 9, 7, 5, 3)


@dataclass(frozen=True)
class Profile:
    """How one customer telephones."""

    account: str
    weight: int
    region: str
    agents: tuple[str, ...]
    inbound_percent: int
    median_s: int


PROFILES = (
    Profile("northwind-dental", 12, "us", ("reception", "recall"), 80, 130),
    Profile("harbor-realty", 18, "us", ("lead-qualifier", "viewings"), 20, 190),
    Profile("lakeside-clinic", 13, "de", ("reception", "triage"), 85, 160),
    Profile("bluebird-taxi", 10, "us", ("dispatch",), 95, 70),
    Profile("atelier-rosa", 5, "de", ("bookings",), 70, 110),
    Profile("kiezbad-berlin", 8, "de", ("front-desk",), 90, 90),
    Profile("one-line-legal", 6, "us", ("intake",), 75, 260),
    Profile("night-owl-media", 7, "us", ("support", "renewals"), 60, 200),
    Profile("quickfix-plumbing", 7, "uk", ("emergency",), 85, 150),
    Profile("corner-books", 3, "uk", ("orders",), 70, 100),
    Profile("parcel-express", 7, "uk", ("delivery",), 40, 120),
    Profile("summit-insurance", 4, "us", ("claims", "quotes"), 50, 280),
)


def main() -> None:
    """Write the file beside this script, or where the first argument says."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("calls.csv")
    with path.open("w", encoding="utf-8", newline="") as stream:
        write(stream)


def write(stream: TextIO) -> None:
    """Write the day as CSV."""
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(sorted(_rows(random.Random(_SEED))))


def _rows(rng: random.Random) -> Iterator[tuple[str, ...]]:
    for profile in rng.choices(PROFILES, [profile.weight for profile in PROFILES], k=CALL_COUNT):
        hour = rng.choices(range(7, 7 + len(_HOURS)), _HOURS)[0]
        start = _DAY + timedelta(hours=hour, seconds=rng.randrange(3600))
        inbound = rng.randrange(100) < profile.inbound_percent
        business, customer = _business(profile), _customer(rng, profile.region)
        from_number, to_number = (customer, business) if inbound else (business, customer)
        yield (
            start.strftime("%Y-%m-%dT%H:%M:%SZ"),
            profile.account,
            rng.choice(profile.agents),
            from_number,
            to_number,
            "inbound" if inbound else "outbound",
            *map(str, _usage(rng, profile, inbound)),
        )


def _usage(rng: random.Random, profile: Profile, inbound: bool) -> tuple[int, int, int, int, int]:
    """Duration, language model tokens in and out, spoken characters, and transcribed seconds."""
    if rng.randrange(100) < (2 if inbound else 14):
        return (0, 0, 0, 0, 0)  # nobody answered
    duration_s = max(4, min(3600, round(profile.median_s * rng.lognormvariate(0, 0.75))))
    turns = max(1, round(duration_s / rng.uniform(9, 14)))
    # Every turn sends the conversation so far: a longer call costs more a minute.
    llm_input = sum(850 + 45 * min(turn, 60) for turn in range(turns))
    llm_output = turns * rng.randint(30, 60)
    return (duration_s, llm_input, llm_output, round(llm_output * 2.7), duration_s)


def _business(profile: Profile) -> str:
    """The customer's own number, always the same."""
    number = PROFILES.index(profile)
    return {
        "us": f"+1 212-555-01{number:02}",
        "uk": f"+44 20 7946 0{number:03}",
        "de": f"+49 30 23125 {number:03}",
    }[profile.region]


def _customer(rng: random.Random, region: str) -> str:
    """Somebody's number."""
    if region == "us":
        return f"+1 {rng.choice((206, 312, 415, 617, 718))}-555-01{rng.randrange(100):02}"
    if region == "uk":
        return f"+44 7700 900{rng.randrange(1000):03}"
    return f"+49 40 66969 {rng.randrange(1000):03}"


if __name__ == "__main__":
    main()
