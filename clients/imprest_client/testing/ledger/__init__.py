"""A slow and plain model of Imprest's ledger, in memory, written from its design alone.

`FakeImprest` answers with it, and Imprest's own tests compare the server with it: every scenario and thousands of
random programs must come out equal. It shares no code with the server, so that a disagreement is a bug in one of the
two. `READINGS.md` lists where the design left a choice, and the choice made here.
"""

from imprest_client.testing.ledger import accounts, costs, funds, holds, refunds
from imprest_client.testing.ledger.model import Outcome, Request
from imprest_client.testing.ledger.tenant import Rule, Tenant
from imprest_client.testing.ledger.usage import Prices, UnitPrice

RULES: dict[str, Rule] = {
    "create_account": accounts.create_account,
    "update_account": accounts.update_account,
    "freeze": accounts.freeze,
    "unfreeze": accounts.unfreeze,
    "close": accounts.close,
    "get_account": accounts.get_account,
    "get_balance": accounts.get_balance,
    "add_credit": funds.add_credit,
    "reverse_credit": funds.reverse_credit,
    "grant_credit": funds.grant_credit,
    "adjust": funds.adjust,
    "withdraw": funds.withdraw,
    "transfer": funds.transfer,
    "reserve": holds.reserve,
    "extend": holds.extend,
    "commit": holds.commit,
    "void": holds.void,
    "charge": holds.charge,
    "record_usage": holds.record_usage,
    "get_reservation": holds.get_reservation,
    "refund": refunds.refund,
    "true_up_cost": costs.true_up_cost,
}
"""Every operation of this release, by the name it has in scenario tables."""


def new_tenant(prices: Prices) -> Tenant:
    """An empty tenant that prices usage by these."""
    return Tenant(RULES, prices)


__all__ = ["RULES", "Outcome", "Prices", "Request", "Tenant", "UnitPrice", "new_tenant"]
