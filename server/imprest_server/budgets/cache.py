"""What a process keeps of budgets: the definitions in force, by the tenant's epoch, and who they may concern.

A tenant's budgets are those of its epoch, and epochs only grow: who needs a later one than the cached loads what came
since, and other processes need no message.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from imprest_server.budgets.model import Budget, BudgetId
from imprest_server.budgets.store import Connection, load_budgets
from imprest_server.core.ids import AccountId, TenantId


class BudgetSet:
    """A tenant's budgets in force at an epoch, found by what they count. Never changed."""

    def __init__(self, epoch: int = 0, budgets: Iterable[Budget] = ()) -> None:
        self.epoch = epoch
        self.budgets: Mapping[BudgetId, Budget] = {budget.budget_id: budget for budget in budgets}
        self._of_tenant: list[Budget] = []
        self._of_account: dict[AccountId, list[Budget]] = defaultdict(list)
        self._of_label: dict[tuple[str, str], list[Budget]] = defaultdict(list)
        for budget in self.budgets.values():
            if budget.scope.account_id is not None:
                self._of_account[budget.scope.account_id].append(budget)
            elif budget.scope.label is not None:
                self._of_label[budget.scope.label].append(budget)
            else:
                self._of_tenant.append(budget)
        self._of_tenant.sort(key=lambda budget: budget.budget_id)

    def matching(self, accounts: Iterable[AccountId], label_sets: Iterable[Mapping[str, str]]) -> list[Budget]:
        """The budgets that may count what these accounts do under these labels, in the order of their ids.

        Of any of the accounts, or of any of the label sets, or of the whole tenant; currency is not looked at.
        """
        if not self._of_account and not self._of_label:
            return self._of_tenant
        found = {budget.budget_id: budget for budget in self._of_tenant}
        if self._of_account:
            found |= {b.budget_id: b for account_id in accounts for b in self._of_account.get(account_id, ())}
        if self._of_label:
            pairs = {pair for labels in label_sets for pair in labels.items()}
            found |= {b.budget_id: b for pair in pairs for b in self._of_label.get(pair, ())}
        return [budget for _, budget in sorted(found.items())]

    def after(self, epoch: int, revisions: Sequence[tuple[Budget, bool]]) -> BudgetSet:
        """The set at a later epoch, by the revisions that came since, in order; True with those that delete."""
        budgets = dict(self.budgets)
        for budget, deleted in revisions:
            if deleted:
                budgets.pop(budget.budget_id, None)
            else:
                budgets[budget.budget_id] = budget
        return BudgetSet(epoch, budgets.values())


_NONE = BudgetSet()


class BudgetCache:
    """The sets of tenants. Safe to share between tasks of one event loop."""

    def __init__(self) -> None:
        self._sets: dict[TenantId, BudgetSet] = {}

    async def budgets(self, conn: Connection, tenant_id: TenantId, epoch: int) -> BudgetSet:
        """The tenant's budgets at `epoch`, one that was read in the open transaction, or later ones.

        Takes a round trip only when this process does not know that epoch yet. Who holds the tenant's row locked gets
        exactly those of its epoch, for there is no later one.
        """
        known = self._sets.get(tenant_id, _NONE)
        if known.epoch < epoch:
            loaded = known.after(epoch, await load_budgets(conn, tenant_id, known.epoch, epoch))
            known = self._sets.get(tenant_id, known)  # another task may have been quicker
            if known.epoch < epoch:
                known = self._sets[tenant_id] = loaded
        return known
