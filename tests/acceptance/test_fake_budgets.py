"""Budgets and alerts of the fake: the tests of the server's, with the fake in its place."""

# ruff: noqa: F401  # they are run from here

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from imprest.v1.account_pb2 import Account
from imprest.v1.account_service_pb2 import AddCreditRequest, CreateAccountRequest
from imprest.v1.ledger_service_pb2 import ChargeRequest, ReserveRequest
from imprest_client.money import to_money
from tests.acceptance.test_budgets import (
    test_a_budgets_life,
    test_a_quiet_stream_says_that_it_lives,
    test_alerts_are_listed_and_acknowledged,
    test_an_emergency_stop_and_its_end,
    test_many_streams_share_what_is_sent,
    test_what_is_no_budget,
    test_what_is_no_stream,
)
from tests.scenarios.fake_adapter import running_fake
from tests.support.server import Running


@pytest.fixture
async def server() -> AsyncIterator[Running]:
    """As there: an account `a` that has spent 9 and holds 5."""
    async with running_fake() as (running, _):
        account = Account(account_id="a", currency_code="USD")
        await running.accounts.CreateAccount(CreateAccountRequest(account=account, idempotency_key="a"))
        await running.accounts.AddCredit(
            AddCreditRequest(account_id="a", amount=to_money(100, "USD"), idempotency_key="a")
        )
        await running.ledger.Charge(
            ChargeRequest(account_id="a", amount=to_money(9, "USD"), idempotency_key="c", labels={"agent": "x"})
        )
        await running.ledger.Reserve(
            ReserveRequest(account_id="a", amount=to_money(5, "USD"), idempotency_key="r", call_id="call 1")
        )
        yield running
