"""A hold that was priced keeps its prices; what these do not know is priced by those of now. Rules and model alike."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from imprest_client.testing.ledger import UnitPrice, new_tenant
from imprest_client.testing.ledger.model import Line, Usage
from imprest_server.core.errors import PriceNotFound
from imprest_server.core.ids import AccountId
from imprest_server.core.money import Money
from imprest_server.core.usage import UsageLine, UsageReport
from imprest_server.ledger import operations as ops
from tests.scenarios.rules_adapter import TENANT, RulesAdapter
from tests.support.prices import COST, SALE, MemoryPrices, unit, units

ANN = AccountId("ann")
CALL, SPEECH = "telephony.outbound_seconds", "stt.seconds"
BOTH = UsageReport(
    lines=(UsageLine(meter=CALL, quantity=Decimal(3)), UsageLine(meter=SPEECH, quantity=Decimal(2))),
)


class Books(RulesAdapter):
    """Ann has 100 and a hold for 4 seconds of a call, which cost her 1 each and us 0.25."""

    def __init__(self) -> None:
        super().__init__()
        self.prices = MemoryPrices()
        self.prices.publish(SALE, [unit("1", CALL)])
        self.prices.publish(COST, [unit("0.25", CALL)])
        self.do(ops.CreateAccount, account_id=ANN, currency_code="USD", settings={})
        self.do(ops.AddCredit, account_id=ANN, amount=Money("USD", 100 * 10**9))
        reservation = self.do(ops.Reserve, account_id=ANN, estimate=units(4, meter=CALL)).reservation
        assert reservation is not None
        self.hold = reservation.reservation_id

    def do(self, kind: type[ops.Operation], **fields: Any) -> ops.Reply:
        """Post one operation, a second later. Raises its denial."""
        self.now += timedelta(seconds=1)
        (result,) = self._post([kind(tenant_id=TENANT, idempotency_key=str(self.now), **fields)])
        if isinstance(result, Exception):
            raise result
        reply: ops.Reply = result.reply
        return reply

    def sell(self, *, call: str, speech: str) -> None:
        """Other prices, from now on."""
        self.prices.publish(SALE, [unit(call, CALL), unit(speech, SPEECH)], self.now)


def charged(reply: ops.Reply) -> list[int]:
    assert reply.charge is not None
    assert reply.charge.charged == sum(line.price for line in reply.charge.lines)
    return [line.price for line in reply.charge.lines]


def test_what_had_no_price_has_that_of_the_commit_and_the_rest_its_own() -> None:
    books = Books()
    with pytest.raises(PriceNotFound):
        books.do(ops.Commit, reservation_id=books.hold, usage=BOTH)
    books.sell(call="7", speech="5")
    reply = books.do(ops.Commit, reservation_id=books.hold, usage=BOTH)
    assert charged(reply) == [3 * 10**9, 10 * 10**9]
    assert reply.charge is not None and reply.charge.provider_cost == 750_000_000
    first, second = reply.charge.lines
    assert first.price_version != second.price_version
    assert first.match.startswith("price:") and second.match.startswith("by later prices: price:")


def test_it_is_the_price_of_the_commit_and_not_one_of_between() -> None:
    books = Books()
    books.sell(call="7", speech="5")
    used = books.do(ops.Extend, reservation_id=books.hold, used=BOTH, estimate_total=BOTH)
    assert used.reservation is not None
    assert (used.reservation.used_so_far, used.reservation.amount) == (13 * 10**9, 13 * 10**9)
    books.sell(call="8", speech="6")
    assert charged(books.do(ops.Commit, reservation_id=books.hold, usage=BOTH)) == [3 * 10**9, 12 * 10**9]


def test_a_call_that_began_before_there_was_a_price_can_be_committed() -> None:
    books = Books()
    began = books.now
    books.now += timedelta(seconds=60)
    books.sell(call="7", speech="5")
    usage = UsageReport(lines=BOTH.lines, start_time=began)
    assert charged(books.do(ops.Commit, reservation_id=books.hold, usage=usage)) == [3 * 10**9, 10 * 10**9]


def test_without_a_price_now_either_it_is_refused() -> None:
    books = Books()
    books.sell(call="7", speech="5")
    books.prices.publish(SALE, [unit("9", CALL)], books.now)
    with pytest.raises(PriceNotFound) as denial:
        books.do(ops.Commit, reservation_id=books.hold, usage=BOTH)
    assert denial.value.meter == SPEECH


def test_a_price_that_was_taken_away_is_still_the_holds() -> None:
    books = Books()
    books.prices.publish(SALE, [unit("5", SPEECH)], books.now)
    assert charged(books.do(ops.Commit, reservation_id=books.hold, usage=BOTH)) == [3 * 10**9, 10 * 10**9]


def test_the_model_says_the_same() -> None:
    prices = {CALL: UnitPrice(price="1", cost="0.25")}
    tenant = new_tenant(prices)

    def do(op: str, **fields: Any) -> Any:
        return tenant.apply({"op": op, "idempotency_key": f"{op} {len(prices)}", **fields}, 0)

    do("create_account", account_id="ann", currency="USD")
    do("add_credit", account_id="ann", amount="100", currency="USD")
    four = Usage((Line(meter=CALL, quantity=Decimal(4)),))
    hold = do("reserve", account_id="ann", usage=four).reservation.reservation_id
    both = Usage((Line(meter=CALL, quantity=Decimal(3)), Line(meter=SPEECH, quantity=Decimal(2))))
    assert do("commit", reservation_id=hold, usage=both).denied == "PRICE_NOT_FOUND"
    prices |= {CALL: UnitPrice(price="7"), SPEECH: UnitPrice(price="5")}
    committed = do("commit", reservation_id=hold, usage=both)
    assert [line.price for line in committed.lines] == [3 * 10**9, 10 * 10**9]
    assert committed.charge.provider_cost == 750_000_000
