"""More calls at once than gRPC by itself lets wait."""

import asyncio

from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.conftest import Database
from tests.support.server import running_server


async def test_thousands_of_calls_at_once_are_answered(database: Database) -> None:
    """gRPC begins to turn calls away, as CANCELLED, when a thousand wait to be accepted."""
    async with running_server(database) as server:
        health = health_pb2_grpc.HealthStub(server.channel)
        calls = [health.Check(health_pb2.HealthCheckRequest()) for _ in range(4_000)]
        answers = await asyncio.gather(*calls)
    assert {answer.status for answer in answers} == {health_pb2.HealthCheckResponse.SERVING}
