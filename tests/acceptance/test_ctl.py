"""Every command of `imprestctl` against a server: what it changes, what it answers, how it fails.

tests/acceptance/test_ctl_document.py replays docs/IMPRESTCTL.md and with it how answers look.
"""

import re
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from typer.main import get_command

from imprest_client import AdminClient
from imprest_client.ctl.app import app
from imprest_client.model import AccountState, OverrunPolicy, TransactionKind
from tests.conftest import Database
from tests.support import clock
from tests.support.console import DOCUMENT
from tests.support.ctl import Ctl, Done
from tests.support.server import running_server


@pytest.fixture
async def target(database: Database) -> AsyncIterator[str]:
    clock.install(database.owner_dsn)
    async with running_server(database) as server:
        yield server.target


@pytest.fixture
def ctl(target: str) -> Ctl:
    return Ctl(target)


@pytest.fixture
async def admin(target: str) -> AsyncIterator[AdminClient]:
    async with AdminClient(target, currency="USD") as client:
        yield client


async def wallet(admin: AdminClient, account_id: str = "acme") -> Decimal:
    return (await admin.get_balance(account_id)).wallet


def leaves(command: Any, *path: str) -> Iterator[str]:
    """The commands below a group, with their groups' names."""
    children = getattr(command, "commands", None)
    if children is None:
        yield " ".join(path)
        return
    for name, child in children.items():
        yield from leaves(child, *path, name)


def test_the_document_runs_every_command() -> None:
    shown = re.findall(r"^\$ imprestctl (.*)$", DOCUMENT.read_text("utf-8"), re.MULTILINE)
    commands = list(leaves(get_command(app)))
    assert len(commands) > 20
    assert [command for command in commands if not any(line.startswith(command) for line in shown)] == []


# ── what commands change and answer ──────────────────────────────────────────────────────────────────


async def test_an_account_keeps_what_it_is_given(ctl: Ctl, admin: AdminClient) -> None:
    options = (
        "--currency usd --customer c1 --name Ä --parent house --credit-limit 2.5 --overrun-policy cap"
        " --max-overrun 7USD --max-calls 3 --low-balance 0.5 --time-zone Europe/Berlin --label plan=pro --label x="
    )
    await ctl.ok("accounts", "create", "house", "--currency", "USD")
    created = await ctl.ok("accounts", "create", "acme", *options.split(), "--json")
    account = await admin.get_account("acme")
    assert (account.customer_id, account.display_name, account.parent_account_id) == ("c1", "Ä", "house")
    assert (account.credit_limit, account.max_overrun, account.low_balance_threshold) == (
        Decimal("2.5"),
        Decimal(7),
        Decimal("0.5"),
    )
    assert (account.overrun_policy, account.max_concurrent_calls) == (OverrunPolicy.CAP, 3)
    assert (account.time_zone, account.labels) == ("Europe/Berlin", {"plan": "pro", "x": ""})
    assert created.json["account"] == (await ctl.ok("accounts", "show", "acme", "--json")).json
    assert created.json["balance"]["available"] == "2.5"
    assert created.json["account"]["max_concurrent_calls"] == 3

    changes = "--max-overrun none --credit-limit 0 --max-calls none --overrun-policy reject --no-labels"
    await ctl.ok("accounts", "update", "acme", *changes.split(), "--name", "")
    changed = await admin.get_account("acme")
    assert (changed.max_overrun, changed.credit_limit, changed.max_concurrent_calls) == (None, 0, None)
    assert (changed.overrun_policy, changed.labels, changed.display_name) == (OverrunPolicy.REJECT, {}, "")
    assert (changed.customer_id, changed.low_balance_threshold) == ("c1", Decimal("0.5")), "the rest stays"

    made = (await ctl.ok("accounts", "create", "--currency", "EUR", "--json")).json["account"]["account_id"]
    assert made.startswith("acc_")
    listed = (await ctl.ok("accounts", "list", "--csv")).rows
    assert {row["account_id"] for row in listed} == {"acme", "house", made}
    for filters, expected in (("--customer c1", ["acme"]), ("--parent house", ["acme"]), ("--state closed", [])):
        found = (await ctl.ok("accounts", "list", *filters.split(), "--json")).json
        assert [row["account_id"] for row in found] == expected
    assert len((await ctl.ok("accounts", "list", "--limit", "2", "--json")).json) == 2


async def test_an_accounts_states(ctl: Ctl, admin: AdminClient) -> None:
    await admin.create_account("acme")
    await admin.add_credit("acme", 3)

    async def state() -> AccountState:
        return (await admin.get_account("acme")).state

    for command, expected in (("freeze", AccountState.FROZEN), ("unfreeze", AccountState.ACTIVE)):
        done = await ctl.ok("accounts", command, "acme", "--json", *(["--yes"] if command == "freeze" else []))
        assert (await state(), done.json["account"]["state"]) == (expected, expected)
    refused = await ctl("accounts", "close", "acme", "--yes")
    assert (refused.status, await state()) == (1, AccountState.ACTIVE)
    closed = await ctl.ok("accounts", "close", "acme", "--forfeit", "--yes", "--json")
    assert (await state(), closed.json["balance"]["wallet"]) == (AccountState.CLOSED, "0")
    assert closed.json["transaction_id"].startswith("txn_")


async def test_credit_comes_and_goes(ctl: Ctl, admin: AdminClient) -> None:
    await admin.create_account("acme")
    await admin.create_account("other")
    steps: list[tuple[str, str]] = [
        ("credit add acme 25.5 --fee 0.75 --reference pi_1 --label k=v", "25.5"),
        ("credit grant acme 2USD --reference promo", "27.5"),
        ("credit reverse acme 1 --reference cb --reason disputed --yes", "26.5"),
        ("adjust acme +0.000000001 --reason up --yes", "26.500000001"),
        ("adjust acme -0.500000001 --reason down --yes", "26"),
        ("withdraw acme 6 --reference out --label k=v --yes", "20"),
        ("transfer acme other 4.25 --reason gift --yes", "15.75"),
    ]
    for command, expected in steps:
        done = await ctl.ok(*command.split(), "--json")
        assert done.json["balance"]["wallet"] == expected
        assert await wallet(admin) == Decimal(expected), command
    assert await wallet(admin, "other") == Decimal("4.25")
    transactions = [t async for t in admin.list_transactions("acme")]
    assert [(t.kind.lower(), t.external_reference, t.reason, t.labels) for t in transactions] == [
        ("add_credit", "pi_1", "", {"k": "v"}),
        ("grant_credit", "promo", "", {}),
        ("reverse_credit", "cb", "disputed", {}),
        ("adjust", "", "up", {}),
        ("adjust", "", "down", {}),
        ("withdraw", "out", "", {"k": "v"}),
        ("transfer_out", "", "gift", {}),
    ]
    assert [str(p.amount) for p in transactions[0].postings] == ["25.5", "0.75"]


async def test_a_key_makes_it_happen_once(ctl: Ctl, admin: AdminClient) -> None:
    await admin.create_account("acme")
    add = ("credit", "add", "acme", "5", "--key", "k-1", "--json")
    first, second = await ctl.ok(*add), await ctl.ok(*add)
    assert (first.json["replayed"], second.json["replayed"]) == (False, True)
    assert first.json["transaction_id"] == second.json["transaction_id"]
    assert first.json["idempotency_key"] == "k-1"
    assert await wallet(admin) == 5
    other = await ctl("credit", "add", "acme", "6", "--key", "k-1", "--json")
    assert (other.status, other.error["reason"]) == (1, "IDEMPOTENCY_KEY_REUSED")
    made = await ctl.ok("credit", "add", "acme", "5", "--json")
    again = await ctl.ok("credit", "add", "acme", "5", "--key", made.json["idempotency_key"], "--json")
    assert again.json["replayed"]
    assert await wallet(admin) == 10, "the key that was made repeats the request, too"


async def test_holds_and_refunds(ctl: Ctl, admin: AdminClient) -> None:
    await admin.create_account("acme")
    await admin.add_credit("acme", 20)
    spent = (await admin.reserve("acme", 5, call_id="c-1")).reservation.reservation_id
    await admin.commit(spent, 1, final=False)
    last = await admin.commit(spent, 3)
    running = (await admin.reserve("acme", 5, call_id="c-2")).reservation.reservation_id

    listed = (await ctl.ok("reservations", "list", "--account", "acme", "--json")).json
    assert [(row["reservation_id"], row["state"]) for row in listed] == [(running, "ACTIVE"), (spent, "COMMITTED")]
    for filters in ("--call c-2", "--state active"):
        found = (await ctl.ok("reservations", "list", *filters.split(), "--csv")).rows
        assert [row["reservation_id"] for row in found] == [running]
    assert (await ctl.ok("reservations", "show", spent, "--json")).json["captured"] == "4"
    voided = await ctl.ok("reservations", "void", running, "--reason", "stuck", "--yes", "--json")
    assert (voided.json["reservation"]["state"], voided.json["balance"]["held"]) == ("VOIDED", "0")

    some = await ctl.ok("refund", last.transaction_id, "0.5", "--reason", "noise", "--yes", "--json")
    assert (some.json["refunded_total"], some.json["balance"]["wallet"]) == ("0.5", "16.5")
    assert some.json["transaction"]["reason"] == "noise"
    rest = await ctl.ok("refund", spent, "--yes", "--json")
    assert (rest.json["refunded_total"], await wallet(admin)) == ("4", 20)
    nothing = await ctl("refund", spent, "--yes", "--json")
    assert (nothing.status, nothing.error["reason"]) == (1, "REFUND_EXCEEDS_CAPTURE")


async def test_a_statement_of_a_period(ctl: Ctl, admin: AdminClient, database: Database) -> None:
    """Days are those of the account's zone; a last day belongs to the period."""
    await admin.create_account("acme", time_zone="Pacific/Kiritimati")  # 14 hours ahead of UTC
    await admin.add_credit("acme", 1)
    clock.advance(database.owner_dsn, 3600)
    await admin.grant_credit("acme", 2)
    first, second = [t async for t in admin.list_transactions("acme")]

    async def seqs(*options: str) -> list[int]:
        return [row["seq"] for row in (await ctl.ok("statement", "acme", *options, "--json")).json]

    assert await seqs() == [1, 2]
    between = second.create_time.isoformat()
    assert await seqs("--from", between) == [2]
    assert await seqs("--to", between) == [1]
    assert await seqs("--kind", "grant-credit") == [2]
    assert await seqs("--kind", "grant-credit", "--kind", "add-credit") == [1, 2]
    day = first.create_time.astimezone(ZoneInfo("Pacific/Kiritimati")).date()
    assert 1 in await seqs("--from", str(day), "--to", str(day))
    before = str(day - timedelta(days=1))
    assert await seqs("--from", before, "--to", before) == []
    for zone, offset in (([], "+14:00"), (["--zone", "UTC"], "Z")):
        heading = (await ctl.ok("statement", "acme", "--from", before, *zone)).output.splitlines()[0]
        assert heading.startswith(f"acme from {before} 00:00:00{offset} to now; wallet before: ")
    rows = (await ctl.ok("statement", "acme", "--csv")).rows
    assert [(row["wallet_change"], row["wallet_after"]) for row in rows] == [("1", "1"), ("2", "3")]
    table = (await ctl.ok("statement", "acme", "--from", between)).output
    assert "wallet before: 1.00 USD" in table.splitlines()[0]


async def test_balances_of_now_and_then(ctl: Ctl, admin: AdminClient) -> None:
    await admin.create_account("acme")
    await admin.add_credit("acme", 3)
    now = (await ctl.ok("balance", "acme", "--json")).json
    assert (now["wallet"], now["available"], now["currency_code"]) == ("3", "3", "USD")
    then = (await ctl.ok("balance", "acme", "--at", "2d", "--json")).json
    assert (then["wallet"], then["receivable"], set(then) & {"held", "available"}) == ("0", "0", set())
    assert (await ctl.ok("balance", "acme", "--at", "today", "--json")).json["wallet"] == "3"


async def test_the_trial_balance_adds_up(ctl: Ctl, admin: AdminClient) -> None:
    assert (await ctl.ok("trial-balance")).output == "(no accounts)\n"
    await admin.create_account("acme")
    await admin.create_account("euro", currency="EUR")
    await admin.add_credit("acme", 3, payment_fee="0.5")
    lines = (await ctl.ok("trial-balance", "--json")).json
    assert [line["currency_code"] for line in lines] == ["EUR"] * 14 + ["USD"] * 14
    for side in ("debit_balance", "credit_balance"):
        assert sum(Decimal(line[side] or 0) for line in lines) == Decimal("3.5"), "without a total's line"
    assert "TOTAL" in (await ctl.ok("trial-balance", "acme")).output
    one = (await ctl.ok("trial-balance", "acme", "--csv")).rows
    assert len(one) == 14


async def test_explanations_for_machines(ctl: Ctl, admin: AdminClient) -> None:
    await admin.create_account("acme")
    await admin.add_credit("acme", 20)
    hold = (await admin.reserve("acme", 5)).reservation.reservation_id
    capture = await admin.commit(hold, 3)
    refund = await admin.refund(transaction_id=capture.transaction_id, amount=1)
    told = (await ctl.ok("explain", hold, "--json")).json
    assert (told["reservation"]["state"], len(told["story"])) == ("COMMITTED", 4)
    assert [t["transaction_id"] for t in told["transactions"]] == [
        capture.transaction_id,
        refund.transaction.transaction_id,
    ]
    told = (await ctl.ok("explain", capture.transaction_id, "--json")).json
    assert told["refunded_by"] == [
        {
            "captured_transaction_id": capture.transaction_id,
            "refund_transaction_id": refund.transaction.transaction_id,
            "currency_code": "USD",
            "amount": "1",
            "provider_cost": "0",
        }
    ]
    rows = (await ctl.ok("explain", hold, "--csv")).rows
    assert [(row["kind"], row["debit"], row["amount"]) for row in rows] == [
        (TransactionKind.COMMIT, "WALLET", "3"),
        (TransactionKind.REFUND, "REFUNDS", "1"),
    ]


# ── how it fails ─────────────────────────────────────────────────────────────────────────────────────

NOBODY = "txn_" + "0" * 32


FAILURES = [
    ("balance nobody", 3, "NOT_FOUND"),
    (f"explain {NOBODY}", 3, "NOT_FOUND"),
    (f"refund {NOBODY} --yes", 3, "NOT_FOUND"),
    ("withdraw acme 100 --yes", 1, "INSUFFICIENT_FUNDS"),
    ("withdraw acme 1EUR --yes", 1, "CURRENCY_MISMATCH"),
    ("accounts create acme --currency USD", 1, "ACCOUNT_EXISTS"),
    ("credit add acme 0", 2, "INVALID_ARGUMENT"),
    ("accounts create x/y --currency USD", 2, "INVALID_ARGUMENT"),
    ("credit add acme 9223372036854775807", 2, "OUT_OF_RANGE"),
    ("credit add acme 1,000", 2, "USAGE"),
    ("credit add acme 9223372036854775808", 2, "USAGE"),
    ("statement acme --from 0001-01-01", 2, "USAGE"),
    ("accounts list --customer \udcff", 2, "USAGE"),
    ("credit add acme 5 --fee 1EUR", 2, "USAGE"),
    ("credit add acme 5 --label x", 2, "USAGE"),
    ("explain nonsense", 2, "USAGE"),
    ("statement acme --from 2020-02-01 --to 2020-01-01", 2, "USAGE"),
    ("statement acme --from 2999-01-01", 2, "INVALID_ARGUMENT"),
    ("balance acme --at 2999-01-01", 2, "INVALID_ARGUMENT"),
    ("statement acme --kind gift", 2, "USAGE"),
    ("accounts list --state open", 2, "USAGE"),
    ("accounts update acme", 2, "USAGE"),
    ("accounts update acme --no-labels --label a=b", 2, "USAGE"),
    ("accounts update acme --max-calls many", 2, "USAGE"),
    ("accounts update acme --credit-limit 5EUR", 2, "USAGE"),
    ("balance acme --csv", 2, "USAGE"),  # with the --json that the test adds
    ("balance acme --zone Mars", 2, "USAGE"),
    ("balance acme --address nonsense", 2, "USAGE"),
    ("balance acme --profile nobody", 2, "USAGE"),
    ("adjust acme 5", 2, "USAGE"),  # without a reason
    ("balance", 2, "USAGE"),
    ("credit", 2, "USAGE"),
    ("nonsense", 2, "USAGE"),
    ("balance acme --nonsense", 2, "USAGE"),
    ("withdraw acme 1", 6, "NOT_CONFIRMED"),
]


async def test_failures(ctl: Ctl, admin: AdminClient) -> None:
    await admin.create_account("acme")
    await admin.add_credit("acme", 10)
    for command, status, reason in FAILURES:
        failed = await ctl(*command.split(), "--json")
        assert (failed.status, failed.output, failed.error["reason"]) == (status, "", reason), (command, failed)
        assert failed.error["exit_code"] == status
        if "--csv" in command:
            continue
        told = await ctl(*command.split())
        assert (told.status, told.output) == (status, ""), command
        first, *hint = told.errors.splitlines()
        assert first.startswith(f"imprestctl: {reason}: ")
        assert [line[:6] for line in hint] in ([], ["hint: "]), command
    assert await wallet(admin) == 10


DANGEROUS = [
    "accounts freeze acme",
    "accounts close acme",
    "credit reverse acme 1",
    "adjust acme 1 --reason x",
    "adjust acme -1 --reason x",
    "withdraw acme 1",
    "transfer acme other 1",
    "reservations void {hold}",
    "refund {hold}",
]


async def test_dangerous_commands_want_a_yes(ctl: Ctl, admin: AdminClient) -> None:
    await admin.create_account("acme")
    await admin.create_account("other")
    await admin.add_credit("acme", 10)
    hold = (await admin.reserve("acme", 5)).reservation.reservation_id
    await admin.commit(hold, 1, final=False)
    before = [t async for t in admin.list_transactions("acme")], await admin.get_account("acme")
    for command in DANGEROUS:
        refused = await ctl(*command.format(hold=hold).split(), stdin="y\n")
        assert (refused.status, refused.output) == (6, ""), command
        assert "standard input is not a terminal" in refused.errors
    assert ([t async for t in admin.list_transactions("acme")], await admin.get_account("acme")) == before
    assert (await admin.get_balance("acme")).held == 4


async def test_a_denial_is_kept_with_its_key(ctl: Ctl, admin: AdminClient) -> None:
    await admin.create_account("acme")
    withdraw = ("withdraw", "acme", "5", "--yes", "--key", "k", "--json")
    first = await ctl(*withdraw)
    await admin.add_credit("acme", 10)
    second = await ctl(*withdraw)
    assert [(done.status, done.error["replayed"]) for done in (first, second)] == [(1, False), (1, True)]
    assert first.error["values"] == {
        "account_id": "acme",
        "available": "0",
        "currency_code": "USD",
        "required": "5",
    }
    assert "use a new --key" in second.error["hint"]
    assert await wallet(admin) == 10


async def test_an_absent_server(ctl: Ctl) -> None:
    absent = Ctl("127.0.0.1:1")

    async def unreachable(*arguments: str) -> Done:
        """Once the time was not over in the middle of an attempt."""
        while "running on" not in (done := await absent(*arguments, "--timeout", "0.2")).errors:
            assert done.status == 4
        return done

    failed = await unreachable("credit", "add", "acme", "5USD", "--json")
    assert failed.status == 4
    key = failed.error["idempotency_key"]
    assert key and f"--key {key}" in failed.error["hint"]
    assert "127.0.0.1:1" in failed.error["hint"]
    told = await unreachable("balance", "acme")
    assert told.status == 4
    assert "is a server running on 127.0.0.1:1?" in told.errors


# ── profiles ─────────────────────────────────────────────────────────────────────────────────────────


async def test_profiles_choose_the_server(target: str, admin: AdminClient, tmp_path: Path) -> None:
    await admin.create_account("acme")
    ctl = Ctl("", {"IMPRESTCTL_CONFIG": str(tmp_path / "imprestctl.toml")})
    await ctl.ok("profiles", "set", "gone", "--address", "127.0.0.1:1")
    await ctl.ok("profiles", "set", "here", "--address", target, "--zone", "Asia/Tokyo")
    assert (await ctl("balance", "acme", "--timeout", "0.2")).status == 4, "the first profile is in use"
    assert "+09:00" in (await ctl.ok("balance", "acme", "--profile", "here")).output
    assert "+09:00" in (await ctl.ok("--profile", "here", "balance", "acme")).output
    await ctl.ok("profiles", "use", "here")
    await ctl.ok("balance", "acme")
    listed = (await ctl.ok("profiles", "list", "--json")).json
    plain = {"tls": False, "ca_file": None, "has_token": False}
    assert listed == [
        {"name": "gone", "address": "127.0.0.1:1", **plain, "zone": None, "is_default": False},
        {"name": "here", "address": target, **plain, "zone": "Asia/Tokyo", "is_default": True},
    ]
    await ctl.ok("profiles", "remove", "here")
    assert (await ctl("balance", "acme", "--profile", "here")).status == 2
    assert (await ctl("profiles", "remove", "here")).status == 2


async def test_a_profiles_token_is_never_shown(tmp_path: Path) -> None:
    ctl = Ctl("", {"IMPRESTCTL_CONFIG": str(tmp_path / "imprestctl.toml")})
    assert (await ctl("profiles", "set", "p", "--ask-token", stdin="s3cret\n")).status == 0
    assert 'token = "s3cret"' in (tmp_path / "imprestctl.toml").read_text()
    shown: list[Done] = [
        await ctl("profiles", *command.split())
        for command in ("list", "show", "use p", "set p --zone UTC", "list --json", "show --csv")
    ]
    assert [done.status for done in shown] == [0] * len(shown)
    assert not any("s3cret" in done.output + done.errors for done in shown)
    assert (await ctl("profiles", "set", "p", "--ask-token", stdin="")).status == 2
    assert (await ctl("profiles", "set", "p")).status == 2
    assert (await ctl("profiles", "set", "no/name", "--zone", "UTC")).status == 2


async def test_a_misspelt_variable_is_refused(target: str) -> None:
    done = await Ctl(target, {"IMPRESTCTL_ADRESS": target})("balance", "acme")
    assert (done.status, done.errors.splitlines()[0]) == (
        2,
        "imprestctl: USAGE: IMPRESTCTL_ADRESS: there is no such setting",
    )


async def test_version_and_help(ctl: Ctl) -> None:
    assert re.fullmatch(r"imprestctl \d+\.\d+\.\d+\n", (await ctl.ok("--version")).output)
    assert "trial-balance" in (await ctl.ok()).output
    assert "--forfeit" in (await ctl.ok("accounts", "close", "-h")).output
