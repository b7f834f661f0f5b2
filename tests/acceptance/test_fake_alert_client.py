"""Budgets and alerts of the fake through the client: the tests of the server's, with the fake in its place."""

# ruff: noqa: F401  # they are run from here

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from imprest_client import AdminClient
from tests.acceptance.test_alert_client import (
    client,
    test_a_budgets_life,
    test_a_stop_ends_calls_and_is_lifted,
    test_a_used_up_budget_ends_a_call,
    test_following_goes_on_where_it_ended,
    test_without_an_event_loop,
)
from tests.scenarios.fake_adapter import running_fake
from tests.support.server import Running


@pytest.fixture
async def server() -> AsyncIterator[Running]:
    """As there: an account, acme, that has 100 USD."""
    async with running_fake() as (running, _), AdminClient(running.target, currency="USD") as admin:
        await admin.create_account("acme")
        await admin.add_credit("acme", 100)
        yield running
