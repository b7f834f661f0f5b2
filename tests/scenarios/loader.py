"""Reads the scenario tables beside this module and checks their form.

A table is {"comment": …, "scenarios": [{"name", "steps", and optionally the settings of the main account
(currency, credit_limit, overrun_policy, max_overrun, max_concurrent_calls), "credit": its first credit,
"accounts": {alias: the same settings and credit}, "needs": [what the adapter must offer]}]}.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.scenarios.steps import CONTROL, EXPECTATIONS, INPUTS, MAIN, Step

SETTINGS = frozenset(["currency", "credit_limit", "overrun_policy", "max_overrun", "max_concurrent_calls"])
_ACCOUNT = SETTINGS | {"credit"}
_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Scenario:
    """One row of a table: accounts to set up, and the steps to take."""

    table: str
    name: str
    accounts: Mapping[str, Mapping[str, Any]]
    steps: tuple[Step, ...]
    needs: frozenset[str] = field(default_factory=frozenset[str])

    @property
    def id(self) -> str:
        """The id of its test."""
        return f"{self.table}: {self.name}"


def table_files() -> list[Path]:
    """All tables."""
    return [_HERE / "vectors_holds.json", *sorted((_HERE / "tables").glob("*.json"))]


def load_all() -> list[Scenario]:
    """All scenarios of all tables. Raises ValueError for a table that is not well-formed."""
    scenarios = [scenario for path in table_files() for scenario in load(path)]
    if len({scenario.id for scenario in scenarios}) != len(scenarios):
        raise ValueError("two scenarios of a table have the same name")
    return scenarios


def load(path: Path) -> list[Scenario]:
    """The scenarios of one table. Raises ValueError."""
    table = json.loads(path.read_text(encoding="utf-8"))
    return [_scenario(path.stem, entry) for entry in table["scenarios"]]


def _scenario(table: str, entry: Mapping[str, Any]) -> Scenario:
    where = f"{table}: {entry['name']}"
    accounts = {MAIN: {name: entry[name] for name in _ACCOUNT & entry.keys()}, **entry.get("accounts", {})}
    for settings in accounts.values():
        _refuse_unknown(where, settings.keys() - _ACCOUNT)
    _refuse_unknown(where, entry.keys() - _ACCOUNT - {"name", "steps", "accounts", "needs"})
    for number, step in enumerate(entry["steps"], 1):
        _refuse_unknown(f"{where}, step {number}", step.keys() - INPUTS[step["op"]] - CONTROL - EXPECTATIONS)
    return Scenario(table, entry["name"], accounts, tuple(entry["steps"]), frozenset(entry.get("needs", ())))


def _refuse_unknown(where: str, names: set[str]) -> None:
    if names:
        raise ValueError(f"{where}: unknown fields {sorted(names)}")
