"""Every RPC over real gRPC, for what transport adds to the rules: fields, masks, filters, errors, deadlines."""

# ruff: noqa: ASYNC110  # what is waited for happens in the database

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import psycopg
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.money_pb2 import Money

from imprest.v1 import account_pb2, account_service_pb2, ledger_service_pb2, reservation_pb2, transaction_pb2
from imprest.v1.account_pb2 import Account
from imprest_client.errors import ErrorDetails, details_of
from imprest_client.money import to_decimal, to_money
from tests.conftest import Database
from tests.support.server import Running, running_server

REQUESTS = {
    name.removesuffix("Request"): message
    for module in (account_service_pb2, ledger_service_pb2)
    for name, message in vars(module).items()
    if name.endswith("Request")
}


def usd(amount: str) -> Money:
    return to_money(amount, "USD")


def stamp(instant: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(instant)
    return message


async def call(server: Running, method: str, timeout: float | None = None, **fields: Any) -> Any:  # noqa: ASYNC109
    stub = server.ledger if hasattr(server.ledger, method) else server.accounts
    return await getattr(stub, method)(REQUESTS[method](**fields), timeout=timeout)


async def refused(server: Running, method: str, timeout: float | None = None, **fields: Any) -> ErrorDetails:  # noqa: ASYNC109
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call(server, method, timeout, **fields)
    return details_of(error.value)


async def create(server: Running, account_id: str = "a", credit: str = "10", **fields: Any) -> None:
    account = Account(account_id=account_id, currency_code="USD", **fields)
    await call(server, "CreateAccount", account=account, idempotency_key=f"create {account_id}")
    await call(server, "AddCredit", account_id=account_id, amount=usd(credit), idempotency_key=f"credit {account_id}")


def plain(message: Message, *names: str) -> dict[str, str]:
    return {name: str(to_decimal(getattr(message, name))) for name in names}


async def test_an_account_keeps_what_it_is_given(database: Database) -> None:
    given = Account(
        account_id="Acme:eu-1",
        customer_id="c1",
        display_name="Ä company",
        currency_code="EUR",
        credit_limit=to_money("0.5", "EUR"),
        overrun_policy=account_pb2.OVERRUN_POLICY_CAP,
        max_overrun=to_money(0, "EUR"),
        max_concurrent_calls=0,
        low_balance_threshold=to_money("0.000000001", "EUR"),
        time_zone="Europe/Berlin",
        labels={"k": "v"},
    )
    async with running_server(database) as server:
        created = await call(server, "CreateAccount", account=given, idempotency_key="k")
        assert (created.replayed, created.transaction_id) == (False, "")
        assert created.account.state == account_pb2.ACCOUNT_STATE_ACTIVE
        assert created.account.create_time == created.account.update_time != Timestamp()
        assert plain(created.balance, "wallet", "held", "available", "credit_limit") == {
            "wallet": "0", "held": "0", "available": "0.5", "credit_limit": "0.5"
        }  # fmt: skip
        read = (await call(server, "GetAccount", account_id="Acme:eu-1")).account
        assert read == created.account
        for name in ("state", "create_time", "update_time"):
            read.ClearField(name)
        assert read == given

        child = Account(currency_code="EUR", parent_account_id="Acme:eu-1")
        made = (await call(server, "CreateAccount", account=child, idempotency_key="child")).account
        assert made.account_id.startswith("acc_")
        assert len(made.account_id) == 36
        assert (made.overrun_policy, made.time_zone) == (account_pb2.OVERRUN_POLICY_COLLECT, "UTC")
        assert not made.HasField("max_concurrent_calls")

        listed = await call(server, "ListAccounts", page_size=1)
        assert [account.account_id for account in listed.accounts] == ["Acme:eu-1"]
        rest = await call(server, "ListAccounts", page_size=1, page_token=listed.next_page_token)
        assert ([account.account_id for account in rest.accounts], rest.next_page_token) == ([made.account_id], "")
        children = await call(server, "ListAccounts", parent_account_id="Acme:eu-1")
        assert [account.account_id for account in children.accounts] == [made.account_id]
        assert not (await call(server, "ListAccounts", customer_id="c2")).accounts
        assert not (await call(server, "ListAccounts", state=account_pb2.ACCOUNT_STATE_CLOSED)).accounts


async def test_an_update_changes_what_it_names(database: Database) -> None:
    async with running_server(database) as server:
        await create(server, customer_id="c1", credit_limit=usd("5"), max_concurrent_calls=3, labels={"a": "1"})

        async def update(mask: list[str] | None = None, **fields: Any) -> Account:
            update.calls += 1  # type: ignore[attr-defined]
            reply = await call(
                server,
                "UpdateAccount",
                account=Account(account_id="a", **fields),
                update_mask=None if mask is None else FieldMask(paths=mask),
                idempotency_key=f"u{update.calls}",  # type: ignore[attr-defined]
            )
            account: Account = reply.account
            return account

        update.calls = 0  # type: ignore[attr-defined]
        changed = await update(display_name="New", max_overrun=usd("0"))
        assert (changed.display_name, changed.customer_id) == ("New", "c1")
        assert changed.HasField("max_overrun")
        changed = await update(mask=["customer_id", "max_overrun", "max_concurrent_calls", "labels"], display_name="No")
        assert (changed.display_name, changed.customer_id, dict(changed.labels)) == ("New", "", {})
        assert not changed.HasField("max_overrun")
        assert not changed.HasField("max_concurrent_calls")
        assert to_decimal(changed.credit_limit) == 5
        changed = await update(mask=["credit_limit"], currency_code="USD")
        assert to_decimal(changed.credit_limit) == 0

        for fields, field in (
            ({"currency_code": "EUR"}, "account.currency_code"),
            ({"parent_account_id": "b"}, "account.parent_account_id"),
            ({"mask": ["currency_code"]}, "update_mask"),
            ({"mask": ["state"]}, "update_mask"),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await update(**fields)  # type: ignore[arg-type]
            assert list(details_of(error.value).violations) == [field]
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await update(credit_limit=to_money(1, "EUR"))
        assert details_of(error.value).reason == "CURRENCY_MISMATCH"


async def test_a_call_from_reserve_to_refund(database: Database) -> None:
    async with running_server(database) as server:
        await create(server)
        reserve = {
            "account_id": "a",
            "idempotency_key": "r",
            "call_id": "call-1",
            "amount": usd("4"),
            "ttl": Duration(seconds=60, nanos=500),
            "on_expiry": reservation_pb2.ON_EXPIRY_RELEASE,
            "labels": {"agent": "7"},
        }
        held = await call(server, "Reserve", **reserve)
        hold = held.reservation
        assert (hold.account_id, hold.call_id, dict(hold.labels)) == ("a", "call-1", {"agent": "7"})
        assert hold.on_expiry == reservation_pb2.ON_EXPIRY_RELEASE
        assert hold.state == reservation_pb2.RESERVATION_STATE_ACTIVE
        lasts = hold.expire_time.ToDatetime(UTC) - hold.create_time.ToDatetime(UTC)
        assert lasts == timedelta(seconds=60)
        assert not hold.HasField("end_time")
        assert plain(held.balance, "wallet", "held", "available") == {"wallet": "10", "held": "4", "available": "6"}
        again = await call(server, "Reserve", **reserve)
        assert again.replayed
        again.replayed = False
        assert again == held

        key = {"reservation_id": hold.reservation_id}
        more = await call(server, "Extend", **key, idempotency_key="e", new_total=usd("6"), used_so_far=usd("1.5"))
        assert plain(more.reservation, "amount", "used_so_far") == {"amount": "6", "used_so_far": "1.5"}
        assert (more.final_unit, more.denial_reason) == (False, 0)
        denied = await call(server, "Extend", **key, idempotency_key="e2", new_total=usd("60"))
        assert denied.final_unit
        assert denied.denial_reason == 2  # INSUFFICIENT_FUNDS

        happened = datetime.now(UTC) - timedelta(days=1)
        part = await call(
            server, "Commit", **key, idempotency_key="c", amount=usd("1"), final=False, effective_time=stamp(happened)
        )
        assert part.reservation.state == reservation_pb2.RESERVATION_STATE_ACTIVE
        last = await call(server, "Commit", **key, idempotency_key="c2", amount=usd("2"))
        assert last.reservation.state == reservation_pb2.RESERVATION_STATE_COMMITTED
        assert last.reservation.HasField("end_time")
        assert plain(last.charge, "charged", "from_hold", "absorbed", "provider_cost") == {
            "charged": "2", "from_hold": "2", "absorbed": "0", "provider_cost": "0"
        }  # fmt: skip
        read = (await call(server, "GetReservation", **key)).reservation
        assert read == last.reservation

        written = (await call(server, "GetTransaction", transaction_id=part.transaction_id)).transaction
        assert written.kind == transaction_pb2.TRANSACTION_KIND_COMMIT
        assert written.effective_time == stamp(happened)
        assert (written.reservation_id, written.call_id) == (hold.reservation_id, "call-1")
        assert len(written.chain_hash) == 32
        (posting,) = written.postings
        assert posting.debit == transaction_pb2.LEDGER_ACCOUNT_CODE_WALLET
        assert posting.credit == transaction_pb2.LEDGER_ACCOUNT_CODE_REVENUE
        assert posting.amount == usd("1")

        refund = await call(server, "Refund", **key, idempotency_key="f", amount=usd("2.5"), reason="sorry")
        assert (refund.transaction.reason, refund.refunded_total) == ("sorry", usd("2.5"))
        whole = await call(server, "Refund", transaction_id=part.transaction_id, idempotency_key="f2")
        assert to_decimal(whole.balance.wallet) == 10

        charge = await call(server, "Charge", account_id="a", idempotency_key="g", amount=usd("0.1"), call_id="call-2")
        assert plain(charge.charge, "charged", "from_available") == {"charged": "0.1", "from_available": "0.1"}
        nothing = await call(server, "Charge", account_id="a", idempotency_key="g2", amount=usd("0"))
        assert nothing.transaction_id == ""


async def test_lists_and_statements(database: Database) -> None:
    async with running_server(database) as server:
        await create(server)
        for number in range(3):
            fields = {"account_id": "a", "idempotency_key": str(number), "call_id": f"c{number}", "amount": usd("1")}
            await call(server, "Reserve", **fields)
            await call(server, "Charge", **fields)
        holds = (await call(server, "ListReservations", account_id="a")).reservations
        assert [hold.call_id for hold in holds] == ["c2", "c1", "c0"]
        voided = await call(server, "Void", reservation_id=holds[0].reservation_id, idempotency_key="v", reason="x")
        assert voided.reservation.state == reservation_pb2.RESERVATION_STATE_VOIDED
        filters = {"state": reservation_pb2.RESERVATION_STATE_ACTIVE, "page_size": 1}
        page = await call(server, "ListReservations", **filters)
        assert [hold.call_id for hold in page.reservations] == ["c1"]
        page = await call(server, "ListReservations", **filters, page_token=page.next_page_token)
        assert ([hold.call_id for hold in page.reservations], page.next_page_token) == (["c0"], "")
        assert len((await call(server, "ListReservations", call_id="c0")).reservations) == 1

        charge = transaction_pb2.TRANSACTION_KIND_CHARGE
        statement = (await call(server, "ListTransactions", account_id="a", kinds=[charge])).transactions
        assert [entry.seq for entry in statement] == [2, 3, 4]
        since = statement[1].create_time
        later = (await call(server, "ListTransactions", account_id="a", start_time=since)).transactions
        assert [entry.seq for entry in later] == [3, 4]
        earlier = (await call(server, "ListTransactions", account_id="a", end_time=since)).transactions
        assert [entry.seq for entry in earlier] == [1, 2]

        past = (await call(server, "GetBalance", account_id="a", as_of=statement[0].create_time)).balance
        assert to_decimal(past.wallet) == 9
        assert past.HasField("receivable")
        assert not any(past.HasField(name) for name in ("held", "available", "credit_limit"))
        for fields in ({}, {"account_id": "a"}):
            (sheet,) = (await call(server, "GetTrialBalance", **fields)).trial_balances
            assert sheet.total_debits == sheet.total_credits == usd("10")
            assert [line.code for line in sheet.lines] == list(range(1, 15))
            assert sheet.lines[8].credit_balance == usd("7")
            assert not sheet.lines[8].HasField("debit_balance")


async def test_a_reservations_transactions_and_their_refunds(database: Database) -> None:
    async with running_server(database) as server:
        await create(server)
        hold = await call(server, "Reserve", account_id="a", amount=usd("5"), idempotency_key="r")
        reservation_id = hold.reservation.reservation_id
        commit = await call(server, "Commit", reservation_id=reservation_id, amount=usd("3"), idempotency_key="c")
        refund = {"transaction_id": commit.transaction_id, "amount": usd("0.5"), "idempotency_key": "f"}
        refunded = (await call(server, "Refund", **refund)).transaction
        listed = await call(server, "ListTransactions", account_id="a", reservation_id=reservation_id)
        assert [entry.transaction_id for entry in listed.transactions] == [
            commit.transaction_id,
            refunded.transaction_id,
        ]
        part = transaction_pb2.RefundAllocation(
            captured_transaction_id=commit.transaction_id,
            refund_transaction_id=refunded.transaction_id,
            amount=usd("0.5"),
            provider_cost=usd("0"),
        )
        capture = await call(server, "GetTransaction", transaction_id=commit.transaction_id)
        assert (list(capture.refunded_by), list(capture.refund_of)) == ([part], [])
        given_back = await call(server, "GetTransaction", transaction_id=refunded.transaction_id)
        assert (list(given_back.refunded_by), list(given_back.refund_of)) == ([], [part])


async def test_money_in_and_out(database: Database) -> None:
    async with running_server(database) as server:
        await create(server)
        await create(server, "b")

        async def wallet_after(method: str, **fields: Any) -> str:
            reply = await call(server, method, idempotency_key=method, **fields)
            assert reply.account.account_id == "a"
            assert reply.transaction_id.startswith("txn_")
            return str(to_decimal(reply.balance.wallet))

        assert await wallet_after("GrantCredit", account_id="a", amount=usd("1"), labels={"k": "v"}) == "11"
        assert await wallet_after("ReverseCredit", account_id="a", amount=usd("2"), reason="chargeback") == "9"
        assert await wallet_after("Adjust", account_id="a", amount=usd("-3"), reason="typo") == "6"
        assert await wallet_after("Withdraw", account_id="a", amount=usd("1"), external_reference="p1") == "5"
        moved = await call(
            server, "Transfer", from_account_id="a", to_account_id="b", amount=usd("2"), idempotency_key="t"
        )
        assert (moved.account.account_id, moved.balance.account_id, moved.to_balance.account_id) == ("a", "a", "b")
        assert to_decimal(moved.to_balance.wallet) == 12
        sent = (await call(server, "GetTransaction", transaction_id=moved.transaction_id)).transaction
        got = (await call(server, "GetTransaction", transaction_id=moved.to_transaction_id)).transaction
        assert (sent.account_id, sent.kind) == ("a", transaction_pb2.TRANSACTION_KIND_TRANSFER_OUT)
        assert (got.account_id, got.kind) == ("b", transaction_pb2.TRANSACTION_KIND_TRANSFER_IN)

        frozen = await call(server, "FreezeAccount", account_id="a", idempotency_key="f")
        assert frozen.account.state == account_pb2.ACCOUNT_STATE_FROZEN
        assert (await refused(server, "Withdraw", account_id="a", amount=usd("1"), idempotency_key="w")).reason == (
            "ACCOUNT_FROZEN"
        )
        await call(server, "UnfreezeAccount", account_id="a", idempotency_key="u")
        denied = await refused(server, "CloseAccount", account_id="a", idempotency_key="c")
        assert denied.metadata["wallet"] == "3"
        closed = await call(server, "CloseAccount", account_id="a", forfeit=True, idempotency_key="c2")
        assert closed.account.state == account_pb2.ACCOUNT_STATE_CLOSED
        assert closed.transaction_id


async def test_denials_carry_their_variables_and_are_replayed(database: Database) -> None:
    async with running_server(database) as server:
        await create(server)
        reserve = {"account_id": "a", "amount": usd("10.5"), "idempotency_key": "r"}
        first = await refused(server, "Reserve", **reserve)
        assert first.code is grpc.StatusCode.FAILED_PRECONDITION
        assert first.metadata == {"account_id": "a", "currency_code": "USD", "available": "10", "required": "10.5"}
        assert first.message == "Account a has 10 USD to spend; 10.5 USD is needed."
        assert not first.replayed
        await call(server, "GrantCredit", account_id="a", amount=usd("1"), idempotency_key="g")
        again = await refused(server, "Reserve", **reserve)
        assert again.replayed
        assert again.metadata == first.metadata
        reused = await refused(server, "Reserve", **{**reserve, "amount": usd("1")})
        assert (reused.code, reused.reason) == (grpc.StatusCode.ALREADY_EXISTS, "IDEMPOTENCY_KEY_REUSED")
        unknown = await refused(
            server, "Commit", reservation_id="rsv_" + "0" * 32, amount=usd("1"), idempotency_key="c"
        )
        assert (unknown.code, unknown.metadata["id"]) == (grpc.StatusCode.NOT_FOUND, "rsv_" + "0" * 32)


MALFORMED: list[tuple[str, dict[str, Any], str]] = [
    ("Reserve", {"account_id": "a", "idempotency_key": "k"}, "amount"),
    ("Reserve", {"account_id": "", "idempotency_key": "k", "amount": usd("1")}, "account_id"),
    ("Reserve", {"account_id": "a", "amount": usd("1")}, "idempotency_key"),
    ("Reserve", {"account_id": "a", "idempotency_key": "k", "amount": usd("1"), "on_expiry": 9}, "on_expiry"),
    ("Reserve", {"account_id": "a", "idempotency_key": "k", "amount": Money(units=1)}, "amount.currency_code"),
    ("Commit", {"reservation_id": "rsv_zzz", "idempotency_key": "k", "amount": usd("1")}, "reservation_id"),
    ("Refund", {"idempotency_key": "k"}, "target"),
    ("Refund", {"idempotency_key": "k", "transaction_id": ""}, "transaction_id"),
    ("CreateAccount", {"idempotency_key": "k"}, "account.currency_code"),
    ("UpdateAccount", {"idempotency_key": "k"}, "account.account_id"),
    ("GetBalance", {"account_id": "a\0"}, "account_id"),
    ("ListAccounts", {"customer_id": "a\0"}, "customer_id"),
    ("ListAccounts", {"page_size": -1}, "page_size"),
    ("ListAccounts", {"page_token": "x"}, "page_token"),
    ("ListReservations", {"call_id": "x" * 256}, "call_id"),
    ("ListReservations", {"state": 77}, "state"),
    ("ListTransactions", {"account_id": "a", "kinds": [0]}, "kinds"),
    ("ListTransactions", {"account_id": "a", "reservation_id": "rsv_zzz"}, "reservation_id"),
    (
        "ListTransactions",
        {"account_id": "a", "start_time": Timestamp(seconds=2), "end_time": Timestamp(seconds=1)},
        "end_time",
    ),
    ("GetTrialBalance", {"account_id": ""}, "account_id"),
]


async def test_malformed_requests_name_the_field(database: Database) -> None:
    async with running_server(database) as server:
        for method, fields, field in MALFORMED:
            error = await refused(server, method, **fields)
            assert (error.code, list(error.violations)) == (grpc.StatusCode.INVALID_ARGUMENT, [field]), method
        future = stamp(datetime.now(UTC) + timedelta(hours=1))
        await create(server)
        error = await refused(server, "GetBalance", account_id="a", as_of=future)
        assert list(error.violations) == ["as_of"]
        charge = {"account_id": "a", "amount": usd("1"), "idempotency_key": "k"}
        error = await refused(server, "Charge", **charge, effective_time=future)
        assert list(error.violations) == ["effective_time"]
        assert not (await call(server, "Charge", **charge)).replayed


async def test_what_is_no_request_at_all(database: Database) -> None:
    async with running_server(database) as server:
        method = server.channel.unary_unary("/imprest.v1.LedgerService/Reserve")
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await method(b"\xff\xff")
        assert details_of(error.value).reason == "INVALID_ARGUMENT"
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await method(b"\x1a\x02\xff\xfe")  # call_id that is not UTF-8
        assert details_of(error.value).reason == "INVALID_ARGUMENT"
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await server.channel.unary_unary("/imprest.v1.LedgerService/Nothing")(b"")
        assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await method(bytes(9 * 1024 * 1024))
        assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_the_longest_denial_arrives(database: Database) -> None:
    async with running_server(database) as server:
        await create(server)
        reference = "\N{FACE WITH TEARS OF JOY}" * 255
        fields = {"account_id": "a", "amount": usd("1"), "external_reference": reference}
        await call(server, "GrantCredit", **fields, idempotency_key="1")
        error = await refused(server, "GrantCredit", **fields, idempotency_key="2")
        assert (error.reason, error.metadata) == ("EXTERNAL_REFERENCE_USED", {"external_reference": reference})


async def test_too_little_time_starts_nothing(database: Database) -> None:
    async with running_server(database) as server:
        await create(server)
        for attempt in range(20):
            fields = {"account_id": "a", "amount": usd("1"), "idempotency_key": f"k{attempt}"}
            error = await refused(server, "Charge", timeout=0.003, **fields)
            assert error.code is grpc.StatusCode.DEADLINE_EXCEEDED
        await asyncio.sleep(0)
        assert to_decimal((await call(server, "GetBalance", account_id="a")).balance.wallet) == 10


async def test_a_caller_that_goes_away_leaves_its_effect_and_harms_nobody(database: Database) -> None:
    async with running_server(database) as server:
        await create(server)
        fields = {"account_id": "a", "amount": usd("1")}
        with psycopg.connect(database.owner_dsn) as blocker:
            blocker.execute("SET imprest.tenants = 'default'")
            blocker.execute("SELECT 1 FROM books FOR UPDATE")
            calls = [asyncio.ensure_future(call(server, "Charge", **fields, idempotency_key=str(n))) for n in range(3)]
            while blocker.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone() == (0,):
                await asyncio.sleep(0.01)
            calls[1].cancel()
            await asyncio.sleep(0.05)
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(result).__name__ for result in results] == ["ChargeResponse", "CancelledError", "ChargeResponse"]
        retried = await call(server, "Charge", **fields, idempotency_key="1")
        assert to_decimal(retried.balance.wallet) in (7, 8)
        assert to_decimal((await call(server, "GetBalance", account_id="a")).balance.wallet) == 7


async def test_the_sweeper_expires_what_nobody_looks_at(database: Database) -> None:
    async with running_server(database, sweep_interval_ms=20) as server:
        await create(server)
        await call(server, "Reserve", account_id="a", amount=usd("4"), ttl=Duration(seconds=1), idempotency_key="r")
        with psycopg.connect(database.owner_dsn, autocommit=True) as owner:
            owner.execute("SET imprest.tenants = 'default'")
            while owner.execute("SELECT held FROM books").fetchone() != (0,):
                await asyncio.sleep(0.02)
