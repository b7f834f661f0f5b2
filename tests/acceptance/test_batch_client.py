"""Batches of the client library against a server, and the fake beside it: both must answer the same."""

from __future__ import annotations

from decimal import Decimal

from imprest_client import AdminClient, Batch, Operation
from imprest_client.errors import Denied
from imprest_client.testing import FakeImprest
from tests.conftest import Database
from tests.support.server import running_server


async def outcomes(target: str) -> list[object]:
    async with AdminClient(target, currency="USD") as admin:
        first = Batch(admin)
        first.create_account("acme")
        first.create_account("globex")
        assert await first.execute() == []
        credit = Batch(admin)
        credit.add_credit("acme", 10, external_reference="pi_1")
        assert await credit.execute() == []
        batch = Batch(admin)
        charged = batch.charge("acme", "0.25", idempotency_key="k")
        again = batch.charge("acme", "0.25", idempotency_key="k")
        twice: Operation[object] = batch.add_credit("globex", 1, external_reference="pi_1")
        owed = batch.record_usage("globex", 3)
        moved = batch.transfer("globex", "acme", 1)
        failed = await batch.execute()
        assert failed == [twice, moved]
        assert all(isinstance(one.error, Denied) for one in failed)
        return [
            charged.result.charge,
            {charged.result.replayed, again.result.replayed},
            again.result.transaction_id == charged.result.transaction_id,
            owed.result.charge.receivable,
            [one.error and (one.error.reason, one.error.code) for one in failed],
            (await admin.get_balance("acme")).wallet,
        ]


async def test_both_answer_the_same(database: Database) -> None:
    async with running_server(database) as server, FakeImprest() as fake:
        assert await outcomes(server.target) == await outcomes(fake.target)


async def test_replies_that_do_not_fit_come_with_the_next_request(database: Database) -> None:
    labels = {f"{number:02}{'k' * 61}": "v" * 255 for number in range(60)}  # about 19 KB
    async with running_server(database) as server, AdminClient(server.target, currency="USD") as admin:
        await admin.create_account("acme")
        await admin.add_credit("acme", 10)
        batch = Batch(admin)
        held = [batch.reserve("acme", "0.01", labels=labels) for _ in range(240)]
        assert await batch.execute() == []
        assert {one.result.reservation.amount for one in held} == {Decimal("0.01")}
        assert (await admin.get_balance("acme")).held == Decimal("2.4")
