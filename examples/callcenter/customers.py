"""The customers of `calls.csv`: each has an account with settings of its own, so each shows something else.

A customer of another call file gets an ordinary prepaid account.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from imprest.v1.account_pb2 import Account, OverrunPolicy
from imprest_client.money import to_money

COLLECT = OverrunPolicy.OVERRUN_POLICY_COLLECT
CAP = OverrunPolicy.OVERRUN_POLICY_CAP
REJECT = OverrunPolicy.OVERRUN_POLICY_REJECT


@dataclass(frozen=True)
class Customer:
    """How one customer pays, and what happens to the account during the day.

    `freeze` and `top_up` name the share of the day's calls, from 0 to 1, after which the operator acts.
    """

    name: str
    currency: str = "USD"
    credit: Decimal = Decimal(1000)
    promotion: Decimal = Decimal(0)
    credit_limit: Decimal = Decimal(0)
    policy: OverrunPolicy = COLLECT
    max_overrun: Decimal | None = None
    max_calls: int | None = None
    min_minutes: int | None = None
    """The shortest call worth starting when the credit does not cover the usual hold."""
    extends: bool = True
    """False: an old telephone system that reserves once and never asks for more."""
    freeze: tuple[float, float] | None = None
    top_up: tuple[float, Decimal] | None = None
    budget: Decimal | None = None
    """What it means to spend in a month: whoever watches is told when most of it is gone."""

    def account(self, account_id: str) -> Account:
        """The account to create."""
        return Account(
            account_id=account_id,
            customer_id=self.name,
            display_name=self.name.replace("-", " ").title(),
            currency_code=self.currency,
            credit_limit=to_money(self.credit_limit, self.currency),
            overrun_policy=self.policy,
            max_overrun=None if self.max_overrun is None else to_money(self.max_overrun, self.currency),
            max_concurrent_calls=self.max_calls,
        )


_CUSTOMERS = (
    # Ordinary prepaid customers.
    Customer("northwind-dental", credit=Decimal(120)),
    # Has a budget, which it spends.
    Customer("harbor-realty", credit=Decimal(250), budget=Decimal("1.50")),
    Customer("lakeside-clinic", "EUR", credit=Decimal(120)),
    # Runs out at noon, and buys more in the afternoon.
    Customer("bluebird-taxi", credit=Decimal("9.50"), top_up=(0.7, Decimal(20))),
    # Lives on a promotion. Short calls are started even when the credit does not cover the usual hold.
    Customer("atelier-rosa", "EUR", credit=Decimal(0), promotion=Decimal(10), min_minutes=1),
    # May go below zero.
    Customer("kiezbad-berlin", "EUR", credit=Decimal(5), credit_limit=Decimal(60)),
    # Has two lines; a third call at the same time is refused.
    Customer("one-line-legal", credit=Decimal(60), max_calls=2),
    # Is frozen for a part of the day.
    Customer("night-owl-media", credit=Decimal(80), freeze=(0.4, 0.6)),
    # Never extend a hold, so longer calls overrun it; the policy says who pays. This one owes what the wallet lacks,
    # may not call until it is paid, and pays late in the day.
    Customer("quickfix-plumbing", "GBP", credit=Decimal(14), extends=False, top_up=(0.95, Decimal(15))),
    # This one may owe little; the operator absorbs the rest.
    Customer("corner-books", "GBP", credit=Decimal("3.20"), max_overrun=Decimal("0.10"), extends=False),
    # This one never pays more than was held.
    Customer("parcel-express", "GBP", credit=Decimal(90), policy=CAP, extends=False),
    # This one refuses a commit beyond the hold; the agent then commits what is held.
    Customer("summit-insurance", credit=Decimal(90), policy=REJECT, extends=False),
)


def customers_of(names: Iterable[str]) -> dict[str, Customer]:
    """The customers with these names, in the order of this file; unknown ones last, as ordinary prepaid customers."""
    wanted = set(names)
    known = {customer.name: customer for customer in _CUSTOMERS if customer.name in wanted}
    return known | {name: Customer(name) for name in sorted(wanted - known.keys())}
