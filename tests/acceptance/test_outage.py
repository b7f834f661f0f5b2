"""The database goes away and comes back under a running server."""

# ruff: noqa: ASYNC110  # what is waited for is another task's log

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest
from structlog.testing import capture_logs

from imprest.v1.account_pb2 import Account
from imprest.v1.account_service_pb2 import AddCreditRequest, CreateAccountRequest, GetBalanceRequest
from imprest_client.errors import details_of
from imprest_client.money import to_decimal, to_money
from imprest_server.db.data_dir import OWNER_ROLE
from imprest_server.db.embedded import EmbeddedPostgres
from imprest_server.db.migrations import upgrade
from tests.conftest import Database
from tests.support.server import running_server


async def test_callers_are_told_to_retry_and_a_retry_happens_once(scratch_dir: Path) -> None:
    postgres = EmbeddedPostgres(scratch_dir / "outage")
    postgres.start()
    try:
        upgrade(postgres.dsn(user=OWNER_ROLE))
        database = Database("imprest", postgres.dsn(user=OWNER_ROLE), postgres.dsn())
        with capture_logs() as logged:
            async with running_server(database, sweep_interval_ms=20) as server:
                account = Account(account_id="a", currency_code="USD")
                await server.accounts.CreateAccount(CreateAccountRequest(account=account, idempotency_key="k"))
                credit = AddCreditRequest(account_id="a", amount=to_money(5, "USD"), idempotency_key="k")

                postgres.stop()
                for method, request in (
                    (server.accounts.AddCredit, credit),
                    (server.accounts.GetBalance, GetBalanceRequest(account_id="a")),
                ):
                    with pytest.raises(grpc.aio.AioRpcError) as error:
                        await method(request)
                    details = details_of(error.value)
                    assert (details.code, details.reason) == (grpc.StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE")
                    assert details.retry_after_s == 1
                    assert str(scratch_dir) not in details.message
                while not job_events(logged):
                    await asyncio.sleep(0.02)
                postgres.start()

                assert not (await server.accounts.AddCredit(credit)).replayed
                assert (await server.accounts.AddCredit(credit)).replayed
                balance = (await server.accounts.GetBalance(GetBalanceRequest(account_id="a"))).balance
                assert to_decimal(balance.wallet) == 5
                while len(job_events(logged)) < 2:
                    await asyncio.sleep(0.02)
    finally:
        postgres.stop()
    assert job_events(logged) == ["job fails", "job works again"]


def job_events(logged: Sequence[Mapping[str, Any]]) -> list[str]:
    return [entry["event"] for entry in logged if entry.get("job") == "expire_holds"]
