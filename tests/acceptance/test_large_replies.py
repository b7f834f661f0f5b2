"""No reply is larger than what a client accepts that has set no limits of its own: 4 MiB."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from google.type.decimal_pb2 import Decimal as Quantity

from imprest.v1 import account_service_pb2 as accounts_pb
from imprest.v1 import ledger_service_pb2 as pb
from imprest.v1 import pricing_service_pb2 as pricing_pb
from imprest.v1.account_pb2 import Account
from imprest.v1.plan_pb2 import Plan
from imprest.v1.usage_pb2 import UsageLine, UsageReport
from imprest_client.errors import details_of
from imprest_client.money import to_decimal, to_money
from tests.conftest import Database
from tests.scenarios.contract import UNIT_METER
from tests.support.prices import SALE, shop_on, unit
from tests.support.server import Running, running_server

WIDE = "\N{EARTH GLOBE EUROPE-AFRICA}"  # four bytes
#: As large as labels may be: over 80 kB.
LABELS = {f"{n:02}" + WIDE * 61: WIDE * 255 for n in range(64)}
#: As large as a line's texts may be: over 3 kB.
WORDS = dict.fromkeys(("provider", "model", "operation"), WIDE * 255)
IDS = [f"acc-{n:02}" for n in range(60)]


@pytest.fixture
async def server(database: Database) -> AsyncIterator[Running]:
    """With accounts that do not fit into one message."""
    async with running_server(database) as running:
        for start in range(0, len(IDS), 20):
            await execute(running, [create(account_id) for account_id in IDS[start : start + 20]])
        yield running


def create(account_id: str) -> pb.BatchOperation:
    account = Account(account_id=account_id, currency_code="USD", labels=LABELS)
    return pb.BatchOperation(
        create_account=accounts_pb.CreateAccountRequest(account=account, idempotency_key=f"create {account_id}")
    )


def credit(account_id: str) -> pb.BatchOperation:
    """A small request with a large reply."""
    return pb.BatchOperation(
        add_credit=accounts_pb.AddCreditRequest(
            account_id=account_id, amount=to_money(3, "USD"), idempotency_key=f"credit {account_id}"
        )
    )


def spend(n: int) -> pb.BatchOperation:
    """A hold or a charge that carries labels."""
    fields = {
        "account_id": "acc-30",
        "amount": to_money("0.01", "USD"),
        "idempotency_key": f"{n}",
        "labels": LABELS,
    }
    if n % 2:
        return pb.BatchOperation(charge=pb.ChargeRequest(**fields))
    return pb.BatchOperation(reserve=pb.ReserveRequest(**fields))


async def execute(server: Running, operations: list[pb.BatchOperation]) -> list[pb.BatchResult]:
    response = await server.ledger.BatchExecute(pb.BatchExecuteRequest(operations=operations))
    assert len(response.results) == len(operations)
    return list(response.results)


def reason_of(result: pb.BatchResult) -> str:
    info = ErrorInfo()
    return info.reason if any(detail.Unpack(info) for detail in result.error.details) else ""


async def test_pages_end_before_they_are_too_large(server: Running) -> None:
    pages, token = [], ""
    while True:
        page = await server.accounts.ListAccounts(accounts_pb.ListAccountsRequest(page_size=1000, page_token=token))
        pages.append([account.account_id for account in page.accounts])
        token = page.next_page_token
        if not token:
            break
    assert [account_id for page in pages for account_id in page] == IDS
    assert len(pages) == 2


async def test_pages_of_reservations_and_transactions_too(server: Running) -> None:
    await execute(server, [credit("acc-30")])
    for start in range(0, 100, 25):
        results = await execute(server, [spend(n) for n in range(start, start + 25)])
        assert {reason_of(result) for result in results} == {""}
    held = await server.ledger.ListReservations(pb.ListReservationsRequest(page_size=1000))
    rest = await server.ledger.ListReservations(
        pb.ListReservationsRequest(page_size=1000, page_token=held.next_page_token)
    )
    assert held.next_page_token and not rest.next_page_token
    assert len({r.reservation_id for r in [*held.reservations, *rest.reservations]}) == 50
    request = accounts_pb.ListTransactionsRequest(account_id="acc-30", page_size=1000)
    posted = await server.accounts.ListTransactions(request)
    request.page_token = posted.next_page_token
    more = await server.accounts.ListTransactions(request)
    assert [t.seq for t in [*posted.transactions, *more.transactions]] == list(range(1, 52))


async def test_a_transaction_shows_the_first_of_its_lines(database: Database, server: Running) -> None:
    async with shop_on(database) as shop:
        await shop.sell_units()
    lines = [UsageLine(meter=UNIT_METER, quantity=Quantity(value="0"), labels=LABELS) for _ in range(11)]
    lines += [UsageLine(meter=UNIT_METER, quantity=Quantity(value="0"), **WORDS) for _ in range(180)]
    lines.append(UsageLine(meter=UNIT_METER, quantity=Quantity(value="1")))
    await server.accounts.AddCredit(
        accounts_pb.AddCreditRequest(account_id=IDS[0], amount=to_money(3, "USD"), idempotency_key="a")
    )
    charged = await server.ledger.Charge(
        pb.ChargeRequest(account_id=IDS[0], idempotency_key="c", usage=UsageReport(lines=lines))
    )
    found = await server.accounts.GetTransaction(
        accounts_pb.GetTransactionRequest(transaction_id=charged.transaction_id)
    )
    assert 0 < len(found.lines) < len(lines)
    assert list(found.lines) == list(charged.charge.lines[: len(found.lines)])


async def test_labels_do_not_multiply(database: Database, server: Running) -> None:
    """The labels of a report are those of each of its lines: a small request would make a huge transaction."""
    async with shop_on(database) as shop:
        await shop.sell_units()
    account_id = IDS[0]
    await execute(server, [credit(account_id)])
    lines = [UsageLine(meter=UNIT_METER, quantity=Quantity(value="0.001"), line_id=f"{n}") for n in range(200)]
    large, most = dict(list(LABELS.items())[:10]), dict(list(LABELS.items())[:3])

    def charge(labels: dict[str, str]) -> pb.ChargeRequest:
        report = UsageReport(lines=lines, labels=labels)
        return pb.ChargeRequest(account_id=account_id, idempotency_key="c", call_id="x", usage=report)

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await server.ledger.Charge(charge(large))
    assert set(details_of(refused.value).violations) == {"usage.labels"}
    charged = await server.ledger.Charge(charge(most))
    assert sum(to_decimal(line.price) for line in charged.charge.lines) == to_decimal(charged.charge.charged)
    assert [(line.line.line_id, line.line.labels) for line in charged.charge.lines] == [
        (f"{n}", most) for n in range(200)
    ]
    assert (await server.ledger.Charge(charge(most))).charge == charged.charge


async def test_plans_can_be_listed_whatever_their_labels(database: Database, server: Running) -> None:
    async with shop_on(database) as shop:
        book = await shop.open(SALE, [unit(1)])
    lines = [UsageLine(meter=UNIT_METER, quantity=Quantity(value="0"), labels=LABELS) for _ in range(6)]

    def create_plan(name: str, lines: list[UsageLine]) -> pricing_pb.CreatePlanRequest:
        plan = Plan(plan_id=name, currency_code="USD", price_book_id=book, lines=lines)
        return pricing_pb.CreatePlanRequest(plan=plan, idempotency_key=name)

    for n in range(9):
        await server.pricing.CreatePlan(create_plan(f"plan-{n}", lines))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await server.pricing.CreatePlan(create_plan("large", lines * 3))
    assert set(details_of(refused.value).violations) == {"plan.labels"}
    first = await server.pricing.ListPlans(pricing_pb.ListPlansRequest(page_size=1000))
    rest = await server.pricing.ListPlans(pricing_pb.ListPlansRequest(page_size=1000, page_token=first.next_page_token))
    assert [plan.plan_id for plan in [*first.plans, *rest.plans]] == [f"plan-{n}" for n in range(9)]
    assert not rest.next_page_token


async def test_replies_that_do_not_fit_are_there_for_the_asking(server: Running) -> None:
    """Nothing is lost, and nothing happens twice."""
    left = [credit(account_id) for account_id in IDS]
    rounds, answered = 0, []
    while left:
        results = await execute(server, left)
        reasons = [reason_of(result) for result in results]
        assert set(reasons) <= {"", "REPLY_TOO_LARGE"}
        fitting = reasons.count("")
        assert fitting and reasons == [""] * fitting + ["REPLY_TOO_LARGE"] * (len(left) - fitting)
        answered += [result.add_credit.account.account_id for result in results[:fitting]]
        left = left[fitting:]
        rounds += 1
    assert rounds == 2
    assert answered == IDS
    for account_id in (IDS[0], IDS[-1]):
        found = await server.accounts.GetBalance(accounts_pb.GetBalanceRequest(account_id=account_id))
        assert found.balance.wallet == to_money(3, "USD")
