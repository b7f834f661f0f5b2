"""`imprestctl plans`, `subscriptions`, `true-up`, `prices assignments` and `prices rerate` against a server."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from imprest_client import AdminClient, UsageLine
from imprest_client.pricing_model import UsageReport
from tests.conftest import Database
from tests.support.ctl import Ctl
from tests.support.server import running_server

SALE = "meter,model,unit_price,free_quantity\napi.requests,,0.01,100\nplan.months,pro,9,\ntelephony.did_months,,2,\n"
COST = "meter,unit_price\napi.requests,0.004\n"
SMS = UsageLine(meter="api.requests", quantity=Decimal(200))


@pytest.fixture
async def ctl(database: Database) -> AsyncIterator[Ctl]:
    """Jobs run all the time; an account, and books that price everybody."""
    async with running_server(database, sweep_interval_ms=20) as server:
        ctl = Ctl(server.target)
        await ctl.ok("accounts", "create", "acme", "--currency", "USD", "--time-zone", "Europe/Berlin")
        await ctl.ok("credit", "add", "acme", "100")
        for book, side, prices in (("retail", "sale", SALE), ("cost", "cost", COST)):
            await ctl.ok("prices", "create", book, "--side", side, "--currency", "USD")
            published = await ctl("prices", "publish", book, "-", "--yes", stdin=prices)
            assert published.status == 0
            await ctl.ok("prices", "assign", book, "--default", "--yes")
        yield ctl


@pytest.fixture
async def admin(ctl: Ctl) -> AsyncIterator[AdminClient]:
    async with AdminClient(ctl.target, currency="USD") as client:
        yield client


async def charged_month(admin: AdminClient, subscription_id: str) -> str:
    """The transaction of a subscription's first month, once it is there."""
    while True:
        async for transaction in admin.list_transactions("acme"):
            if transaction.call_id == subscription_id:
                return transaction.transaction_id


async def test_a_plan_and_its_subscription(ctl: Ctl, admin: AdminClient) -> None:
    assert (await ctl.ok("plans", "list")).output == "(no plans)\n"
    made = await ctl.ok("plans", "create", "pro", "--book", "retail", "--name", "Pro", "--json")
    assert made.json["plan"]["lines"][0] | {"labels": {}} == {
        "meter": "plan.months",
        "provider": "",
        "model": "pro",
        "destination": "",
        "quantity": "1",
        "operation": "",
        "labels": {},
    }
    shown = await ctl.ok("plans", "show", "pro")
    assert ["every", "month", "1", "plan.months", "pro"] in map(str.split, shown.output.splitlines())
    assert (await ctl("plans", "show", "max")).status == 3
    assert (await ctl("plans", "create", "max", "--book", "none")).status == 3

    create = ("subscriptions", "create", "acme", "--plan", "pro", "--line", "telephony.did_months=1,provider=twilio")
    asked = await ctl(*create)
    assert (asked.status, "is charged at once" in asked.errors) == (6, True)
    subscription = (await ctl.ok(*create, "--yes", "--json")).json["subscription"]
    assert (subscription["plan_id"], len(subscription["lines"]), subscription["end_time"]) == ("pro", 2, None)
    subscription_id = subscription["subscription_id"]
    month = datetime.fromisoformat(subscription["start_time"]).astimezone(UTC)
    transaction_id = await charged_month(admin, subscription_id)

    told = (await ctl.ok("explain", transaction_id, "--zone", "Europe/Berlin")).output
    assert "of plan pro was charged: 11.00 USD, all from available credit." in told
    assert f"It belongs to subscription {subscription_id}." in told
    assert "call sub_" not in told
    lines = (await ctl.ok("explain", transaction_id, "--json")).json["lines"]
    assert f"The month {lines[0]['line_id'][:7]} of plan pro" in told
    assert abs(datetime.fromisoformat(f"{lines[0]['line_id'][:7]}-15T00:00:00Z") - month).days < 17

    assert [row["subscription_id"] for row in (await ctl.ok("subscriptions", "list", "--csv")).rows] == [
        subscription_id
    ]
    assert (await ctl.ok("subscriptions", "list", "--account", "acme")).output.count("sub_") == 1
    cancelled = await ctl.ok("subscriptions", "cancel", subscription_id, "--at", "tomorrow", "--yes", "--json")
    assert cancelled.json["subscription"]["end_time"] > subscription["start_time"]
    assert ", which ends at " in (await ctl.ok("explain", transaction_id)).output
    assert (await ctl.ok("subscriptions", "show", subscription_id, "--json")).json["end_time"]
    assert (await ctl("subscriptions", "cancel", "sub_" + "0" * 32, "--yes")).status == 3


async def test_a_true_up(ctl: Ctl, admin: AdminClient) -> None:
    charge = await admin.charge("acme", usage=[SMS], call_id="call-1")
    assert (await ctl("true-up", charge.transaction_id, "1")).status == 6
    more = await ctl.ok("true-up", charge.transaction_id, "1", "--reason", "invoice", "--yes")
    assert more.output.startswith(f"{charge.transaction_id} costs 1.00 USD, 0.20 USD more than before.\n")
    same = await ctl.ok("true-up", charge.transaction_id, "1USD", "--yes", "--json")
    assert (same.json["difference"], same.json["transaction_id"]) == ("0", "")
    less = await ctl.ok("true-up", charge.transaction_id, "0.5", "--yes", "--json")
    assert less.json["difference"] == "-0.5"
    told = await ctl.ok("explain", less.json["transaction_id"])
    assert "The provider's cost was corrected. It costs 0.50 USD less." in told.output
    balance = (await ctl.ok("balance", "acme", "--json")).json
    assert balance["wallet"] == "99"


async def test_a_true_up_of_single_lines(ctl: Ctl, admin: AdminClient) -> None:
    lines = [replace(SMS, line_id=name) for name in ("a=1", "b", "c")]
    charge = await admin.charge("acme", usage=lines, call_id="call-1")
    told = (await ctl.ok("explain", charge.transaction_id)).output.splitlines()
    heading = next(number for number, line in enumerate(told) if line.startswith("SEQ  METER"))
    assert sorted(line.split()[-1] for line in told[heading : heading + 4]) == ["LINE", "a=1", "b", "c"]
    stated = await ctl.ok("true-up", charge.transaction_id, "--line", "a=1=1", "--line", "b=0.5", "--yes")
    assert stated.output.startswith(
        f"2 usage lines of {charge.transaction_id} cost 1.50 USD, 0.10 USD less than before.\n"
    )
    same = await ctl.ok("true-up", charge.transaction_id, "--line", "b=0.5", "--yes")
    assert same.output.startswith(f"1 usage line of {charge.transaction_id} has cost 0.50 USD all along")
    assert (await ctl("true-up", charge.transaction_id, "--line", "d=1", "--yes")).status == 3
    assert (await ctl("true-up", charge.transaction_id, "--line", "b=1", "--line", "c=2EUR", "--yes")).status == 2


async def test_a_true_up_of_a_hold_is_in_its_story(ctl: Ctl, admin: AdminClient) -> None:
    hold = (await admin.reserve("acme", estimate=[SMS])).reservation.reservation_id
    await admin.commit(hold, usage=[SMS])
    await ctl.ok("true-up", hold, "1.5", "--yes", "--reason", "invoice 7")
    told = (await ctl.ok("explain", hold)).output
    assert "The provider's cost was corrected. It costs 0.70 USD more. Reason: invoice 7." in told


async def rerated(ctl: Ctl, *options: str, **given: Any) -> Any:
    today = datetime.now(UTC).date()
    return await ctl("prices", "rerate", "--from", f"{today.replace(day=1)}", "--to", "2100-01-01", *options, **given)


async def test_a_rerate_shows_first_what_it_would_do(ctl: Ctl, admin: AdminClient) -> None:
    hold = (await admin.reserve("acme", 5)).reservation.reservation_id
    await admin.commit(hold, usage=UsageReport((SMS,)))  # 100 are free
    assert (await rerated(ctl)).output == "(nothing would cost something else)\nThere is nothing to post.\n"
    cheaper = "meter,unit_price\napi.requests,0.001\n"
    begin = (await ctl.ok("prices", "show", "retail", "--json")).json["current"]["effective_time"]
    assert (await ctl("prices", "publish", "retail", "-", "--effective", begin, "--yes", stdin=cheaper)).status == 0

    dry = await rerated(ctl, "--dry-run")
    assert dry.output.splitlines()[0].split() == [
        "ACCOUNT",
        "PRICE",
        "NEW",
        "PRICE",
        "COST",
        "NEW",
        "COST",
        "SKIPPED",
        "BECAUSE",
        "TRANSACTION",
    ]
    assert "1 transaction in USD: customers get 0.80 USD back" in dry.output
    assert dry.output.endswith("Nothing was posted: this was a dry run.\n")
    asked = await rerated(ctl)
    assert (asked.status, "Post this for usage from" in asked.errors) == (6, True)
    assert (await ctl.ok("balance", "acme", "--json")).json["wallet"] == "99"

    done = await rerated(ctl, "--yes", "--reason", "late price", "--key", "r", "--json")
    (item,) = done.json["items"]
    assert (done.json["posted"], item["price_before"], item["price_after"]) == (True, "1", "0.2")
    assert done.json["sums"][0]["given_back"] == "0.8"
    assert (await ctl.ok("balance", "acme", "--json")).json["wallet"] == "99.8"
    again = await rerated(ctl, "--yes", "--reason", "late price", "--key", "r")
    assert again.output.endswith("There is nothing to post.\n")
    told = (await ctl.ok("explain", hold)).output
    sentence = "Other prices were applied to its usage. 0.80 USD was given back: all to the wallet. Reason: late price."
    assert sentence in told
    assert "In all 1.00 USD was charged, 0.80 USD less by other prices: 0.20 USD remains." in told
    assert sentence in (await ctl.ok("explain", item["rerate_transaction_id"])).output


async def test_a_rerate_by_one_version(ctl: Ctl, admin: AdminClient) -> None:
    await admin.charge("acme", usage=[SMS])
    dearer = "meter,unit_price\napi.requests,0.005\n"
    assert (await ctl("prices", "publish", "cost", "-", "--yes", stdin=dearer)).status == 0
    assert (await rerated(ctl)).output.endswith("There is nothing to post.\n")  # it holds for what comes
    done = await rerated(ctl, "--book", "cost", "--version", "2", "--yes")
    assert "Posted 1 transaction in USD: costs rise by 0.20 USD." in done.output
    assert (await rerated(ctl, "--book", "cost", "--version", "3")).status == 2


async def test_assignments(ctl: Ctl) -> None:
    await ctl.ok("accounts", "create", "child", "--currency", "USD", "--parent", "acme")
    await ctl.ok("prices", "create", "vip", "--side", "sale", "--currency", "USD")
    await ctl.ok("prices", "assign", "vip", "--account", "acme", "--yes")
    await ctl.ok("prices", "assign", "vip", "--account", "child", "--effective", "tomorrow", "--yes")
    table = (await ctl.ok("prices", "assignments")).output.splitlines()
    assert [line.split()[:4] for line in table] == [
        ["SIDE", "CURRENCY", "ACCOUNT", "BOOK"],
        ["SALE", "USD", "child", "vip"],
        ["SALE", "USD", "acme", "vip"],
        ["COST", "USD", "(default)", "cost"],
        ["SALE", "USD", "(default)", "retail"],
    ]
    chain = (await ctl.ok("prices", "assignments", "--account", "child", "--csv")).rows
    assert [(row["account_id"], row["price_book_id"]) for row in chain] == [
        ("child", "vip"),
        ("acme", "vip"),
        ("", "cost"),
        ("", "retail"),
    ]
    assert len((await ctl.ok("prices", "assignments", "--book", "vip", "--json")).json) == 2
    await ctl.ok("prices", "unassign", "--account", "acme", "--yes")
    assert len((await ctl.ok("prices", "assignments", "--book", "vip", "--json")).json) == 1
    assert (await ctl("prices", "assignments", "--account", "nobody")).status == 3


@pytest.mark.parametrize(
    "arguments",
    [
        ("subscriptions", "create", "acme"),
        ("subscriptions", "show", "txn_1"),
        ("subscriptions", "create", "acme", "--line", "nothing"),
        ("plans", "create", "pro"),
        ("true-up", "call-1", "5"),
        ("true-up", "txn_1"),
        ("true-up", "txn_1", "1", "--line", "a=1"),
        ("true-up", "txn_1", "--line", "a"),
        ("true-up", "txn_1", "--line", "a=1", "--line", "a=2"),
        ("prices", "rerate", "--from", "2026-01-01"),
        ("prices", "rerate", "--from", "7d", "--to", "2026-01-01"),
        ("prices", "rerate", "--from", "2026-01-01", "--to", "today"),
        ("prices", "rerate", "--from", "2026-01-02", "--to", "2026-01-01"),
        ("prices", "rerate", "--from", "2026-01-01", "--to", "2026-01-02", "--book", "retail"),
    ],
    ids=" ".join,
)
async def test_what_makes_no_sense_is_not_asked(arguments: tuple[str, ...]) -> None:
    done = await Ctl("127.0.0.1:1")(*arguments, "--json")
    assert (done.status, done.error["reason"]) == (2, "USAGE")


async def test_a_mistyped_currency_opens_nothing(ctl: Ctl) -> None:
    commands = [
        ("accounts", "create", "typo", "--currency", "UDS"),
        ("prices", "create", "typo", "--side", "sale", "--currency", "UDS"),
        ("prices", "rate", "cost", "UDS", "1"),
        ("budgets", "set", "typo", "5UDS", "--period", "day"),
    ]
    for command in commands:
        done = await ctl(*command, "--json")
        assert (done.status, done.error["reason"]) == (2, "INVALID_ARGUMENT"), command
        assert "is no currency of ISO 4217" in done.error["message"]
    assert (await ctl("accounts", "show", "typo")).status == 3
