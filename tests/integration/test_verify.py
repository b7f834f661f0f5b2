"""`imprest verify` finds every kind of damage, names the place, and never raises a false alarm beside live writers."""

import asyncio
import contextlib
import random
import re
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

import psycopg
import pytest

from imprest_server.core.errors import ImprestError
from imprest_server.core.ids import AccountId, TenantId
from imprest_server.db.data_dir import OWNER_ROLE
from imprest_server.db.embedded import EmbeddedPostgres
from imprest_server.db.errors import DatabaseUnreachableError, StartupError
from imprest_server.db.migrations import upgrade
from imprest_server.ledger import operations as ops
from imprest_server.ledger.audit import VerifyReport
from imprest_server.ledger.chart import LedgerAccountCode as Code
from imprest_server.ledger.model import TransactionKind as Kind
from imprest_server.ledger.verify import run_verify, verify
from tests.conftest import Database
from tests.support import clock
from tests.support.damage import CASES, append, damage
from tests.support.ledger import TENANT, House, house_on, units
from tests.support.postgres import database_of
from tests.support.prices import COST, SALE, shop_on, unit
from tests.support.prices import units as units_used

OTHER = TenantId("other")
ANN = AccountId("ann")
NANO = 10**9
SMALL: dict[str, int] = {"chunk_accounts": 1, "chunk_rows": 2}


async def build(database: Database) -> None:
    """Two tenants, two currencies, every kind of transaction; the numbers are the seq in each book."""
    clock.install(database.owner_dsn)
    with psycopg.connect(database.owner_dsn) as owner:
        owner.execute("INSERT INTO tenants VALUES (%s, clock_timestamp())", [OTHER])
    async with house_on(database) as house:
        for name in ("ann", "bob"):
            await house.open(name, max_overrun=units(3) if name == "bob" else None)
        await house.do(ops.AddCredit, account_id="ann", amount=100, payment_fee=3, external_reference="pay-1")  # 1
        await house.do(ops.Transfer, from_account_id="ann", to_account_id="bob", amount=10)  # 2
        first = await house.reserve("ann", 20, call_id="call-1", labels={"agent": "x", "z": "ü"})
        await house.do(ops.Commit, reservation_id=first, amount=5, final=False)  # 3
        await house.do(ops.Commit, reservation_id=first, amount=10)  # 4
        charge = await house.do(ops.Charge, account_id="ann", amount=7)  # 5
        await house.do(ops.Refund, reservation_id=first, amount=6, reason="bad line")  # 6
        await house.do(ops.Refund, transaction_id=charge.transaction_id, amount=2)  # 7
        due = await house.reserve("ann", 10, ttl_s=60)
        await house.do(ops.Extend, reservation_id=due, used_so_far=4)
        clock.advance(database.owner_dsn, 61)
        await house.do(ops.ExpireDue, account_id="ann", idempotency_key="")  # 8
        await house.do(ops.Commit, reservation_id=due, amount=1)  # 9, late: returns 3
        await house.do(ops.GrantCredit, account_id="ann", amount=5)  # 10
        running = await house.reserve("ann", 8, ttl_s=86400)
        await house.do(ops.Commit, reservation_id=running, amount=2, final=False)  # 11
        overrun = await house.reserve("bob", 4)
        await house.do(ops.Commit, reservation_id=overrun, amount=15)  # 2: 10 taken, 3 owed, 2 lost
        await house.do(ops.AddCredit, account_id="bob", amount=1)  # 3: 2 owed
        await house.open("cyd", credit=9, currency_code="EUR")
        await house.do(ops.ReverseCredit, account_id="cyd", amount=units(1, "EUR"))
        await house.do(ops.CloseAccount, account_id="cyd", forfeit=True)
        await house.open("dan")
        await house.open("gus", credit=50)  # 1
        async with shop_on(database) as shop:
            await shop.open(SALE, [unit(2, free_quantity=Decimal(3))])
            await shop.open(COST, [unit("0.5")])
        await house.do(ops.Charge, account_id="gus", usage=units_used(7))  # 2: 8 paid, costs 3.5
        spoken = await house.reserve("gus", 10, ttl_s=60)
        await house.do(ops.Extend, reservation_id=spoken, used=units_used(4))
        clock.advance(database.owner_dsn, 61)
        await house.do(ops.ExpireDue, account_id="gus", idempotency_key="")  # 3: 8 paid, costs 2
        await house.do(ops.Commit, reservation_id=spoken, usage=units_used(3))  # 4, late: 2 back, cost 0.5 less
        await house.do(ops.CreateAccount, tenant_id=OTHER, account_id="eve", currency_code="USD", settings={})
        await house.do(ops.AddCredit, tenant_id=OTHER, account_id="eve", amount=5)


@pytest.fixture(scope="module")
def built(pg_cluster: EmbeddedPostgres) -> Iterator[Database]:
    upgrade(pg_cluster.dsn(user=OWNER_ROLE))
    with database_of(pg_cluster) as database:
        asyncio.run(build(database))
        yield database


@pytest.fixture
def ledger(pg_cluster: EmbeddedPostgres, built: Database) -> Iterator[Database]:
    """A copy of the built ledger, to be damaged."""
    with database_of(pg_cluster, template=built.name) as database:
        yield database


async def first_difference(database: Database) -> tuple[str | None, int | None, str, str, str]:
    """Account, seq, what, expected and found of the first difference: the same for large and for small chunks."""
    found = []
    for chunks in ({}, SMALL):
        report = await verify(database.owner_dsn, **chunks)
        assert not report.ok and len(report.differences) == 1
        everything = await verify(database.owner_dsn, all_differences=True, **chunks)
        assert everything.differences[:1] == report.differences
        found += report.differences
    assert found[0] == found[1]
    d = found[0]
    return d.account_id, d.seq, d.what, d.expected, d.found


# ── sound ledgers ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("chunks", [{}, SMALL, {"chunk_accounts": 2, "chunk_rows": 3}, {"chunk_accounts": 5}])
async def test_a_sound_ledger_is_ok(built: Database, chunks: dict[str, int]) -> None:
    report = await verify(built.owner_dsn, **chunks)
    assert report.differences == []
    assert (report.accounts, report.transactions, report.reservations) == (6, 22, 5)
    with psycopg.connect(built.owner_dsn) as owner:
        assert owner.execute("SELECT count(*) FROM postings").fetchone() == (report.postings,)


async def test_one_tenant_and_one_account(built: Database) -> None:
    report = await verify(built.owner_dsn, tenant_id=OTHER)
    assert report.ok and (report.accounts, report.transactions) == (1, 1)
    for chunks in ({}, SMALL):
        report = await verify(built.owner_dsn, tenant_id=TENANT, account_id=ANN, **chunks)
        assert report.ok and (report.accounts, report.transactions, report.reservations) == (1, 11, 3)


async def test_what_does_not_exist_is_not_ok(built: Database) -> None:
    report = await verify(built.owner_dsn, tenant_id=TenantId("nobody"))
    assert [str(d) for d in report.differences] == ["tenant nobody: tenant: expected one of this name, found none"]
    report = await verify(built.owner_dsn, tenant_id=OTHER, account_id=ANN)
    assert [d.what for d in report.differences] == ["account"]


async def test_it_resumes_after_a_checkpoint(ledger: Database, pg_cluster: EmbeddedPostgres) -> None:
    checkpoints: list[str] = []

    def interrupt(report: VerifyReport) -> None:
        if report.checkpoint:
            checkpoints.append(report.checkpoint)
        if report.checkpoint == "default/bob":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await verify(ledger.owner_dsn, on_progress=interrupt, **SMALL)
    assert sorted(set(checkpoints)) == ["default/ann", "default/bob"]
    damage(ledger, pg_cluster, "UPDATE books SET cash = cash + 1, wallet = wallet + 1 WHERE account_id = 'ann'")
    report = await verify(ledger.owner_dsn, after=checkpoints[-1])
    assert report.ok and (report.accounts, report.transactions) == (4, 8)
    assert not (await verify(ledger.owner_dsn)).ok
    with pytest.raises(StartupError):
        await verify(ledger.owner_dsn, after="bob")


# ── damage ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("case", CASES)
async def test_damage_is_found_where_it_is(ledger: Database, pg_cluster: EmbeddedPostgres, case: str) -> None:
    place, statements = CASES[case]
    damage(ledger, pg_cluster, *statements)
    account, seq, what, *_ = await first_difference(ledger)
    what = re.sub(r"rsv_\w+", "{reservation}", re.sub(r"\d{4}-\d\d$", "{month}", what))
    assert (account, seq, what) == place


async def test_a_reservation_that_tells_another_sum_than_its_transactions(
    ledger: Database, pg_cluster: EmbeddedPostgres
) -> None:
    damage(ledger, pg_cluster, "UPDATE reservations SET captured = captured + 1 WHERE call_id = 'call-1'")
    account, seq, what, expected, found = await first_difference(ledger)
    assert what.startswith("captured of reservation rsv_")
    assert (account, seq, expected, found) == ("ann", None, "15", "16")
    damage(
        ledger,
        pg_cluster,
        "UPDATE reservations SET captured = captured - 1 WHERE call_id = 'call-1'",
        "UPDATE reservations SET absorbed = 0 WHERE absorbed = 2",
    )
    account, _, what, expected, found = await first_difference(ledger)
    assert what.startswith("absorbed of reservation rsv_")
    assert (account, expected, found) == ("bob", "2", "0")


async def test_a_transfer_that_never_arrived(ledger: Database) -> None:
    append(ledger, "ann", Kind.TRANSFER_OUT, Code.WALLET, Code.CLEARING, 3 * NANO)
    assert await first_difference(ledger) == (None, None, "sum of CLEARING in USD", "0", "3")
    assert (await verify(ledger.owner_dsn, tenant_id=OTHER)).ok
    assert (await verify(ledger.owner_dsn, tenant_id=TENANT, account_id=ANN)).ok


async def test_a_refund_beyond_its_capture(ledger: Database, pg_cluster: EmbeddedPostgres) -> None:
    refund = append(ledger, "ann", Kind.REFUND, Code.REFUNDS, Code.WALLET, 6 * NANO)
    assert await first_difference(ledger) == ("ann", 12, "refund allocations", "6", "0")
    damage(
        ledger,
        pg_cluster,
        f"""INSERT INTO refunds SELECT tenant_id, transaction_id, '{refund}', account_id, 'REFUND', 6, 0
        FROM transactions WHERE account_id = 'ann' AND seq = 5""",
    )
    # Of the 7 charged 2 had been refunded: the earlier refund, read first, is one of those that exceed it now.
    assert await first_difference(ledger) == ("ann", 7, "refunded in all of seq 5", "at most 7", "8")


async def test_a_transaction_written_before_the_one_before_it(ledger: Database) -> None:
    append(ledger, "ann", Kind.ADJUST, Code.ADJUSTMENTS, Code.WALLET, NANO)
    assert (await verify(ledger.owner_dsn)).ok, "a thief who knows the chain needs more than this to be found"
    append(ledger, "ann", Kind.ADJUST, Code.ADJUSTMENTS, Code.WALLET, NANO, earlier=timedelta(microseconds=1))
    assert (await first_difference(ledger))[:3] == ("ann", 13, "create_time")


async def test_all_differences_are_listed_without_their_consequences(
    ledger: Database, pg_cluster: EmbeddedPostgres
) -> None:
    damage(
        ledger,
        pg_cluster,
        "UPDATE postings SET amount = amount + 1 WHERE account_id = 'ann' AND seq = 5",
        "UPDATE books SET held = 3 WHERE account_id = 'bob'",
        "UPDATE reservations SET absorbed = 0 WHERE absorbed = 2",
    )
    report = await verify(ledger.owner_dsn, all_differences=True)
    found = [(d.account_id, d.seq, d.what.partition(" rsv_")[0]) for d in report.differences]
    assert found == [
        ("ann", 5, "wallet_after"),
        ("ann", 5, "chain_hash"),
        ("ann", None, "balance of WALLET"),
        ("ann", None, "balance of REVENUE"),
        ("bob", None, "held"),
        ("bob", None, "absorbed of reservation"),
    ]


# ── beside writers ───────────────────────────────────────────────────────────────────────────────────


async def _work(house: House, accounts: list[str], seed: int) -> None:
    """One caller that does a bit of everything; denials are part of it."""
    dice = random.Random(seed)
    for _ in range(40):
        account, other = dice.sample(accounts, 2)
        amount = f"{dice.randrange(1, 400)}.{dice.randrange(10**9):09d}"
        with contextlib.suppress(ImprestError):
            match dice.randrange(6):
                case 0:
                    await house.do(ops.AddCredit, account_id=account, amount=amount)
                case 1:
                    await house.do(ops.Transfer, from_account_id=account, to_account_id=other, amount=amount)
                case 2:
                    charge = await house.do(ops.Charge, account_id=account, amount="1.5")
                    await house.do(ops.Refund, transaction_id=charge.transaction_id, amount="0.7")
                case 3:
                    await house.reserve(account, 1, ttl_s=1)
                case _:
                    hold = await house.reserve(account, amount)
                    await house.do(ops.Commit, reservation_id=hold, amount=dice.randrange(1, 500), final=False)
                    await house.do(ops.Refund, reservation_id=hold)
                    await house.do(ops.Commit, reservation_id=hold, amount=1)


@pytest.mark.parametrize(
    "chunks", [{}, {"chunk_accounts": 2, "chunk_rows": 30}, {"chunk_accounts": 1, "chunk_rows": 7}]
)
async def test_no_false_alarm_beside_writers(database: Database, chunks: dict[str, int]) -> None:
    async with house_on(database, batch_max=4) as house:
        accounts = [await house.open(f"acc-{number}", credit=1000) for number in range(6)]
        writers = asyncio.gather(*(_work(house, accounts, seed) for seed in range(16)))
        seen: list[int] = []
        while not writers.done():
            report = await verify(database.owner_dsn, **chunks)
            assert report.differences == []
            seen.append(report.transactions)
        await writers
        assert len(set(seen)) > 2, "it ran while they wrote"
    assert (await verify(database.owner_dsn, **chunks)).ok


# ── the command ──────────────────────────────────────────────────────────────────────────────────────


def test_the_command_ends_with_its_verdict(ledger: Database, pg_cluster: EmbeddedPostgres) -> None:
    lines: list[str] = []
    assert run_verify(ledger.owner_dsn, lines.append) == 0
    assert lines[0].startswith("checked 6 accounts, 22 transactions, ")
    assert lines[-1] == "verify: OK"
    damage(ledger, pg_cluster, *CASES["the wallet after it changed"][1])
    lines.clear()
    assert run_verify(ledger.owner_dsn, lines.append) == 1
    assert lines[-2:] == ["tenant default, account ann, seq 4: wallet_after: expected 75, found 76", "verify: FAILED"]
    assert run_verify(ledger.owner_dsn, lines.append, tenant_id="default", account_id="bob") == 0


def test_a_login_that_does_not_see_everything_is_refused(built: Database) -> None:
    with pytest.raises(StartupError, match="owner"):
        asyncio.run(verify(built.app_dsn))


def test_no_database(built: Database) -> None:
    for dsn in (built.owner_dsn.replace(built.name, "nowhere"), built.owner_dsn + "&port=1"):
        with pytest.raises(DatabaseUnreachableError):
            asyncio.run(verify(dsn))


def test_a_database_without_tables(pg_cluster: EmbeddedPostgres) -> None:
    with database_of(pg_cluster, template="template0") as empty, pytest.raises(StartupError, match="migrate"):
        asyncio.run(verify(empty.owner_dsn))
