"""Budgets behind the adapters of scenarios: for the oracle, for the rules in memory, for a server."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from imprest_client.testing.ledger import budgets as oracle
from imprest_server.budgets import rules
from imprest_server.budgets.cache import BudgetSet
from imprest_server.budgets.model import (
    Alert,
    AlertLevel,
    Budget,
    BudgetBasis,
    BudgetId,
    BudgetKey,
    Counter,
    Scope,
    Threshold,
    ThresholdAction,
)
from imprest_server.core.ids import AccountId, TransactionId, uuid7
from imprest_server.core.periods import PeriodKind, period_at
from imprest_server.ledger.operations import Operation, Request, fingerprint
from imprest_server.ledger.store import Loaded
from imprest_server.ledger.working_set import Changes
from imprest_server.posting.batch import fold
from imprest_server.posting.limits import BatchLimits, alert_of
from tests.scenarios.compare import Player
from tests.scenarios.oracle_adapter import OracleAdapter
from tests.scenarios.rules_adapter import TENANT, RulesAdapter


def budget_of(given: oracle.Budget) -> Budget:
    """A budget of the independent model as one of ours."""
    return Budget(
        tenant_id=TENANT,
        budget_id=BudgetId(given.budget_id),
        revision=1,
        scope=Scope(
            None if given.account is None else AccountId(given.account),
            given.label,
            given.meters,
        ),
        currency_code="USD",
        basis=BudgetBasis.COST if given.of_cost else BudgetBasis.CHARGED,
        period=PeriodKind(given.period),
        time_zone=given.zone,
        limit=given.limit,
        thresholds=tuple(
            Threshold(Decimal(threshold.percent), AlertLevel.WARNING, ThresholdAction(threshold.action))
            for threshold in given.thresholds
        ),
    )


def told(alert: Alert) -> str:
    """An alert as the independent model writes it down."""
    if alert.threshold is not None:
        return f"{alert.budget_id} {alert.threshold.percent:.0f}% {alert.spent}/{alert.held}"
    return f"{alert.kind} {alert.amount}"


class OracleWithBudgets(OracleAdapter):
    """The independent model, from an instant on."""

    def __init__(self, start: datetime) -> None:
        super().__init__()
        self.now = int(start.timestamp()) * 1_000_000


class RulesWithBudgets(RulesAdapter):
    """The pure rules over counters in memory; the accounts' due holds end one account after the other."""

    def __init__(self, start: datetime) -> None:
        super().__init__()
        self.now = start
        self.budgets: list[Budget] = []
        self.counters: dict[BudgetKey, Counter] = {}
        self.alerts: list[Alert] = []

    def set_budgets(self, budgets: list[Budget]) -> None:
        """Count in these from now on."""
        self.budgets = budgets
        for budget in budgets:
            period = period_at(budget.period, budget.time_zone, self.now)
            self.counters[budget.key] = Counter(revision=1, period=period)

    def standing(self, budget: Budget) -> tuple[int, int]:
        """What a budget has spent and holds."""
        counter = rules.rolled(budget, self.counters[budget.key], self.now)
        return counter.spent, counter.held

    def _post(self, requested: list[Operation]) -> list[Any]:
        results: list[Any] = []
        accounts = sorted(self.ledger.accounts.values(), key=lambda account: self._opened.index(account.key))
        for account in accounts:
            held = [r for r in self.ledger.reservations.values() if r.account_key == account.key]
            self._fold([], [(r, TransactionId(uuid7())) for r in held])
        results = self._fold(requested, [])
        self._opened.extend(key for key in self.ledger.accounts if key not in self._opened)
        return results

    @property
    def _opened(self) -> list[Any]:
        return self.__dict__.setdefault("_opened_accounts", [])

    def _fold(self, requested: list[Operation], due: list[Any]) -> list[Any]:
        limits = BatchLimits({TENANT: BudgetSet(1, self.budgets)}, self.counters, self.now)
        self.ledger.limits = limits
        self.ledger.rating = self.prices.rating(self.ledger, requested, self.now)
        requests = [Request(op, fingerprint(op), uuid7(), uuid7()) for op in requested]
        results = fold(Loaded(self.ledger, self.now, due, set()), requests)
        self.transactions.extend(self.ledger.changes.transactions)
        self.alerts += [alert_of(happened, self.now).alert for happened in self.ledger.changes.happenings]
        self.ledger.changes = Changes()
        return results


def named(budgets: tuple[oracle.Budget, ...], player: Player) -> list[oracle.Budget]:
    """The budgets with the ids that their accounts have in a run."""
    ids = {alias: player.account_id(alias) for alias in player.accounts}
    return [replace(b, account=None if b.account is None else ids[b.account]) for b in budgets]
