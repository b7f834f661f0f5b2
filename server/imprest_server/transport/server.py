"""The gRPC server: our services behind one guard, health and reflection beside them."""

from __future__ import annotations

from typing import Final, cast

import grpc
from grpc_health.v1 import health, health_pb2_grpc
from grpc_health.v1.health_pb2 import HealthCheckResponse
from grpc_reflection.v1alpha import reflection

from imprest.v1 import (
    account_service_pb2,
    budget_service_pb2,
    ledger_service_pb2,
    pricing_service_pb2,
    usage_service_pb2,
)
from imprest.v1.account_service_pb2_grpc import add_AccountServiceServicer_to_server
from imprest.v1.budget_service_pb2_grpc import add_BudgetServiceServicer_to_server
from imprest.v1.ledger_service_pb2_grpc import add_LedgerServiceServicer_to_server
from imprest.v1.pricing_service_pb2_grpc import add_PricingServiceServicer_to_server
from imprest.v1.usage_service_pb2_grpc import add_UsageServiceServicer_to_server
from imprest_server.budgets.hub import AlertHub
from imprest_server.db.errors import StartupError
from imprest_server.ledger.queries import Queries
from imprest_server.posting.engine import Engine
from imprest_server.transport.account_service import AccountService
from imprest_server.transport.batch_execute import BatchLedgerService
from imprest_server.transport.budget_service import BudgetService
from imprest_server.transport.interceptors import CallGuard
from imprest_server.transport.pricing_service import PricingService
from imprest_server.transport.submit import Submit
from imprest_server.transport.usage_service import UsageService

SERVICES: Final = (
    ledger_service_pb2.DESCRIPTOR.services_by_name["LedgerService"].full_name,
    account_service_pb2.DESCRIPTOR.services_by_name["AccountService"].full_name,
    pricing_service_pb2.DESCRIPTOR.services_by_name["PricingService"].full_name,
    usage_service_pb2.DESCRIPTOR.services_by_name["UsageService"].full_name,
    budget_service_pb2.DESCRIPTOR.services_by_name["BudgetService"].full_name,
)
#: Requests are small, a batch of 1000 with a few labels each is under 1 MB; the largest is the price file of an
#: ImportPrices, 2 MB and growing. gRPC refuses more than this with RESOURCE_EXHAUSTED. Clients refuse replies of more
#: than 4 MB unless told otherwise, so pages and batches end before (`core/paging.py`, `batch_execute.py`): a reply that
#: is refused once is refused again.
MAX_REQUEST_BYTES: Final = 8 * 1024 * 1024
#: How many calls may wait to be accepted. From 1,000 on gRPC would begin to turn them away, with CANCELLED and by
#: chance; the engine's queue is as long, and says why.
MAX_PENDING_CALLS: Final = 10_000
#: How long a call may still run after the server was told to stop.
DRAIN_S: Final = 15.0
#: Time for the last replies to leave; only streams of other packages (health's Watch) are still open then.
_FLUSH_S: Final = 0.5


class ListenError(StartupError):
    """The address cannot be listened on."""

    def __init__(self, listen: str) -> None:
        super().__init__(
            f"cannot listen on {listen}: the port is in use, needs more privileges, or the address is not this "
            "machine's; choose another with --listen"
        )


class _Unregistered:
    """Takes the methods of services for a server, but registers none of them with gRPC's core.

    For every call grpc.aio waits anew for the next call of each registered method, and there are many: a third of what
    a call costs. Those that are not registered share one wait.
    """

    def __init__(self, server: grpc.aio.Server) -> None:
        self.add_generic_rpc_handlers = server.add_generic_rpc_handlers

    def add_registered_method_handlers(self, service: str, handlers: object) -> None:
        """Leave it at the generic handlers, which have the same methods."""


class Server:
    """Serves from `start` to `stop`; each is called once. `share_port`: other workers listen on the address, too."""

    def __init__(
        self,
        engine: Engine,
        queries: Queries,
        pricing: PricingService,
        budgets: BudgetService,
        hub: AlertHub,
        *,
        share_port: bool = False,
    ) -> None:
        self._guard = CallGuard()
        self._hub = hub
        self._health = health.aio.HealthServicer()
        # Two servers on one port would share its calls without knowing; the second must fail to start.
        options = [
            ("grpc.so_reuseport", int(share_port)),
            ("grpc.max_receive_message_length", MAX_REQUEST_BYTES),
            ("grpc.server.max_pending_requests", MAX_PENDING_CALLS),
            ("grpc.server.max_pending_requests_hard_limit", MAX_PENDING_CALLS),
        ]
        self._server = grpc.aio.server(interceptors=[self._guard], options=options)
        handlers = cast(grpc.aio.Server, _Unregistered(self._server))
        ledger, accounts = BatchLedgerService(engine, queries), AccountService(Submit(engine), queries)
        add_LedgerServiceServicer_to_server(ledger, handlers)  # type: ignore[no-untyped-call]
        add_AccountServiceServicer_to_server(accounts, handlers)  # type: ignore[no-untyped-call]
        add_PricingServiceServicer_to_server(pricing, handlers)  # type: ignore[no-untyped-call]
        add_UsageServiceServicer_to_server(UsageService(Submit(engine)), handlers)  # type: ignore[no-untyped-call]
        add_BudgetServiceServicer_to_server(budgets, handlers)  # type: ignore[no-untyped-call]
        health_pb2_grpc.add_HealthServicer_to_server(self._health, handlers)
        reflection.enable_server_reflection((*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME), handlers)

    async def start(self, listen: str) -> str:
        """Listen on `host:port`, report SERVING, and return the address with the port that a 0 became.

        Raises:
            ListenError: the address is taken or not ours.
        """
        try:
            port = self._server.add_insecure_port(listen)
        except RuntimeError as error:
            raise ListenError(listen) from error
        await self._server.start()
        for service in ("", *SERVICES):
            await self._health.set(service, HealthCheckResponse.SERVING)
        return f"{listen.rpartition(':')[0]}:{port}"

    async def stop(self) -> None:
        """Report NOT_SERVING, refuse new calls, end streams, let the running calls finish, and stop listening."""
        await self._health.enter_graceful_shutdown()
        self._hub.drain()
        try:
            await self._guard.drain(DRAIN_S)
        finally:
            await self._server.stop(_FLUSH_S)
