"""The oracle behind the adapter contract."""

from collections.abc import Sequence
from decimal import Decimal
from uuid import uuid4

from imprest_client.testing.ledger import Outcome, UnitPrice, new_tenant
from imprest_client.testing.ledger import model as oracle
from imprest_client.testing.ledger.model import SECOND, Line, Usage
from imprest_client.testing.ledger.money import text_from_nanos
from tests.scenarios.contract import CODE_OF_REASON, UNIT_COST, UNIT_METER, UNIT_PRICE, Balance, Entry, Request, Result


class OracleAdapter:
    """Applies requests to a fresh oracle tenant.

    `tick_us` is what each operation takes by the oracle's clock. With 0 the clock stands still between
    operations; more imitates an implementation whose clock runs.
    """

    def __init__(self, tick_us: int = 0) -> None:
        self.tenant = new_tenant({UNIT_METER: UnitPrice(UNIT_PRICE, UNIT_COST)})
        self.now = 1_750_000_000 * SECOND
        self.frozen_clock = tick_us == 0
        self._tick_us = tick_us

    async def apply(self, request: Request) -> Result:
        """Carries out one operation."""
        self.now += self._tick_us
        fields = dict(request)
        for name, ago in (("effective_time", "effective_ago"), ("as_of", "as_of_ago")):
            if ago in fields:
                fields[name] = self.now - fields.pop(ago) * SECOND
        line_id = fields.pop("line", "")
        for name, usage in (("units", "usage"), ("total_units", "total_usage"), ("used_units", "used_usage")):
            if name in fields:
                fields[usage] = Usage((Line(UNIT_METER, Decimal(fields.pop(name)), line_id),))
        return _result(self.tenant.apply(fields, self.now))

    async def advance(self, seconds: Decimal) -> None:
        """Lets time pass."""
        self.now += int(seconds * SECOND)

    async def balance(self, account_id: str) -> Balance:
        """Reads the balance of now."""
        outcome = self.tenant.apply({"op": "get_balance", "account_id": account_id}, self.now)
        balance = _balance(outcome.balance)
        assert balance is not None, f"no account {account_id}"
        return balance

    async def journal(self, account_id: str) -> Sequence[Entry]:
        """Reads the book's transactions."""
        self.tenant.expire_all(self.now)
        return [
            Entry(
                transaction.transaction_id,
                transaction.seq,
                tuple(
                    f"{posting.debit}/{posting.credit} {text_from_nanos(posting.amount)}"
                    for posting in transaction.postings
                ),
            )
            for transaction in self.tenant.account(account_id).transactions
        ]

    def unknown_id(self, kind: str) -> str:
        """An id of the right shape that no oracle makes."""
        return f"{'rsv' if kind == 'reservation' else 'txn'}_{uuid4().hex}"


def _balance(balance: oracle.Balance | None) -> Balance | None:
    if balance is None:
        return None
    return Balance(
        wallet=text_from_nanos(balance.wallet),
        held=text_from_nanos(balance.held),
        available=text_from_nanos(balance.available),
        receivable=text_from_nanos(balance.receivable),
    )


def _result(outcome: Outcome) -> Result:
    if outcome.denied is not None:
        return Result(denied=outcome.denied, code=CODE_OF_REASON[outcome.denied], replayed=outcome.replayed)
    return Result(
        replayed=outcome.replayed,
        balance=_balance(outcome.balance),
        to_balance=_balance(outcome.to_balance),
        reservation_id=outcome.reservation.reservation_id if outcome.reservation else None,
        transaction_id=outcome.transaction_id,
        fields=_fields(outcome),
    )


def _fields(outcome: Outcome) -> dict[str, str | bool | None]:
    fields: dict[str, str | bool | None] = {}
    if outcome.account_state is not None:
        fields["account_state"] = outcome.account_state
    if outcome.reservation is not None:
        hold = outcome.reservation
        fields["state"] = hold.state
        fields["total"] = text_from_nanos(hold.amount)
        fields["captured"] = text_from_nanos(hold.captured)
        fields["used_so_far"] = text_from_nanos(hold.used)
    if outcome.charge is not None:
        for name in ("charged", "from_hold", "from_available", "receivable", "absorbed", "provider_cost"):
            fields[name] = text_from_nanos(getattr(outcome.charge, name))
    if outcome.final_unit is not None:
        fields["final_unit"] = outcome.final_unit
        fields["denial_reason"] = outcome.denial_reason
    if outcome.late is not None:
        fields["late"] = outcome.late
    if outcome.refunded_total is not None:
        fields["refunded_total"] = text_from_nanos(outcome.refunded_total)
    return fields
