"""Random programs over random budgets: calls with labels, in days and months whose turns the clock passes."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from imprest_client.testing.ledger.budgets import Budget, Threshold
from tests.oracle.strategies import ACCOUNTS, Program, programs
from tests.scenarios.contract import UNIT_METER

#: Shortly before the turn of a month, of a week, of a year, and of days that are 23 and 25 hours long somewhere.
STARTS = tuple(
    datetime.fromisoformat(text).replace(tzinfo=UTC)
    for text in (
        "2026-01-31T12:00",
        "2026-03-28T22:50",
        "2026-10-24T21:50",
        "2026-03-08T04:50",
        "2026-11-01T03:50",
        "2027-12-31T22:58",
        "2028-02-28T23:58",
    )
)
_ZONES = ("UTC", "Europe/Berlin", "America/New_York", "America/Havana", "Asia/Kathmandu")
_TEAMS = ("blue", "red")
_METERS = UNIT_METER.partition(".")[0] + "."
#: Whole minutes; see `strategies`.
_ADVANCES = (7_200, 43_200, 86_400)
_PERCENTS = st.lists(st.sampled_from((1, 50, 80, 100, 150)), min_size=1, max_size=3, unique=True).map(sorted)


@dataclass(frozen=True)
class Case:
    """A program, when it begins, and the budgets; those of accounts name them by their alias."""

    program: Program
    start: datetime
    budgets: tuple[Budget, ...]


@st.composite
def _budget(draw: st.DrawFn, number: int) -> Budget:
    scope = draw(st.sampled_from(("tenant", "account", "team")))
    actions = st.sampled_from(("NOTIFY", "NOTIFY", "BLOCK", "BLOCK", "STOP_CALLS"))
    return Budget(
        budget_id=f"b{number}",
        limit=draw(st.sampled_from((1, 10**9, 4 * 10**9, 10**10, 3 * 10**10 + 7))),
        thresholds=tuple(Threshold(percent, draw(actions)) for percent in draw(_PERCENTS)),
        period=draw(st.sampled_from(("DAY", "WEEK", "MONTH", "TOTAL"))),
        zone=draw(st.sampled_from(_ZONES)),
        account=draw(st.sampled_from(ACCOUNTS)) if scope == "account" else None,
        label=("team", draw(st.sampled_from(_TEAMS))) if scope == "team" else None,
        meters=_METERS if draw(st.integers(0, 2)) == 0 else "",
        of_cost=draw(st.integers(0, 2)) == 0,
    )


@st.composite
def cases(draw: st.DrawFn, max_stories: int = 12) -> Case:
    """A program whose calls belong to teams, with up to four budgets."""
    program = draw(programs(max_stories))
    steps: list[dict[str, Any]] = []
    teams: dict[str, str | None] = {}
    for step in program.steps:
        if step["op"] in ("reserve", "charge", "record_usage"):
            # By its key, so that a retry has the same.
            team = teams.setdefault(step["key"], draw(st.sampled_from((None, *_TEAMS))))
            steps.append(step | ({"labels": {"team": team}} if team else {}))
        elif step["op"] == "advance":
            steps.append({"op": "advance", "seconds": draw(st.sampled_from((step["seconds"], *_ADVANCES)))})
        else:
            steps.append(step)
    budgets = tuple(draw(_budget(number)) for number in range(draw(st.integers(1, 4))))
    return Case(Program(program.accounts, steps), draw(st.sampled_from(STARTS)), budgets)
