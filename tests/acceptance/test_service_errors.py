"""Errors of the service itself, as callers see them through gRPC; denials are in the scenario tables."""

from __future__ import annotations

import asyncio
from datetime import datetime

import grpc
import psycopg
import pytest

from imprest.v1.account_pb2 import Account
from imprest.v1.account_service_pb2 import AddCreditRequest, CreateAccountRequest, GetBalanceRequest
from imprest.v1.ledger_service_pb2 import ReserveRequest
from imprest_client.errors import ErrorDetails, details_of
from imprest_client.money import to_decimal, to_money
from imprest_server.ledger import operations as ops
from imprest_server.ledger.operations import Reply, Request
from imprest_server.ledger.rules.decide import RULES
from imprest_server.ledger.working_set import Ledger
from tests.conftest import Database
from tests.support.server import Running, running_server


async def open_account(server: Running, account_id: str) -> None:
    account = Account(account_id=account_id, currency_code="USD")
    await server.accounts.CreateAccount(CreateAccountRequest(account=account, idempotency_key=account_id))
    await server.accounts.AddCredit(
        AddCreditRequest(account_id=account_id, amount=to_money(100, "USD"), idempotency_key=account_id)
    )


def reserve(account_id: str, key: str) -> ReserveRequest:
    return ReserveRequest(account_id=account_id, amount=to_money(1, "USD"), idempotency_key=key)


async def attempt(server: Running, account_id: str, key: str) -> ErrorDetails | None:
    """None when granted."""
    try:
        await server.ledger.Reserve(reserve(account_id, key))
    except grpc.RpcError as error:
        return details_of(error)
    return None


async def held(server: Running, account_id: str) -> str:
    balance = (await server.accounts.GetBalance(GetBalanceRequest(account_id=account_id))).balance
    return str(to_decimal(balance.held))


async def test_a_locked_account_is_a_conflict_and_holds_nobody_else_up(database: Database) -> None:
    async with running_server(database, lock_timeout_ms=300) as server:
        for account_id in ("free", "taken"):
            await open_account(server, account_id)
        with psycopg.connect(database.owner_dsn) as blocker:
            blocker.execute("SELECT 1 FROM books WHERE account_id = 'taken' FOR UPDATE")
            for number in range(3):  # again and again: the lane goes on as before
                errors = await asyncio.gather(
                    attempt(server, "taken", f"t{number}"),
                    *(attempt(server, "free", f"f{number}-{n}") for n in range(20)),
                )
                assert errors[0] is not None
                assert (errors[0].code, errors[0].reason) == (grpc.StatusCode.ABORTED, "CONFLICT")
                assert errors[1:] == [None] * 20
        assert await attempt(server, "taken", "t0") is None
        assert await held(server, "free") == "60"
        assert await held(server, "taken") == "1"


async def test_a_full_queue_says_when_to_come_back(database: Database) -> None:
    async with running_server(database, queue_max=5, batch_max=1) as server:
        await open_account(server, "a")
        with psycopg.connect(database.owner_dsn) as blocker:
            blocker.execute("SELECT 1 FROM books FOR UPDATE")
            attempts = [asyncio.create_task(attempt(server, "a", f"k{n}")) for n in range(60)]
            await asyncio.wait(attempts, return_when=asyncio.FIRST_COMPLETED)
        errors = await asyncio.gather(*attempts)
        refused = [error for error in errors if error is not None]
        assert refused
        assert {(error.code, error.reason) for error in refused} == {(grpc.StatusCode.UNAVAILABLE, "QUEUE_FULL")}
        assert all(error.retry_after_s for error in refused)
        assert await held(server, "a") == str(60 - len(refused))


async def test_a_bug_is_internal_with_an_id_and_nothing_else(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(ledger: Ledger, request: Request, op: ops.Reserve, now: datetime) -> Reply:
        raise RuntimeError(f"secret of {op.account_id}")

    async with running_server(database) as server:
        await open_account(server, "a")
        with monkeypatch.context() as patched:
            patched.setitem(RULES, ops.Reserve, broken)
            error = await attempt(server, "a", "k")
        assert error is not None
        assert (error.code, error.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
        assert error.metadata.keys() == {"error_id"}
        assert "secret" not in error.message
        assert await attempt(server, "a", "k") is None
