"""The one place that builds the server's objects, and takes them down again in reverse.

`prepare_database` blocks and comes before the event loop; `running` is what stands in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TypedDict

from imprest_server.budgets.channels.network import Gate, parse_networks
from imprest_server.budgets.channels.sealing import Sealer
from imprest_server.budgets.channels.send import Relay
from imprest_server.budgets.channels.service import ChannelAdmin
from imprest_server.budgets.hub import AlertHub
from imprest_server.budgets.queries import BudgetQueries
from imprest_server.budgets.service import BudgetAdmin
from imprest_server.budgets.store import transaction
from imprest_server.config import Settings, SettingsError
from imprest_server.core.ids import AccountId, AccountKey, TenantId
from imprest_server.db import pool
from imprest_server.db.data_dir import OWNER_ROLE
from imprest_server.db.dsn import describe
from imprest_server.db.embedded import EmbeddedPostgres, has_cluster, running_dsn
from imprest_server.db.errors import DataDirError, UnsafeDatabaseError
from imprest_server.db.safety import refuse_unsafe
from imprest_server.garbage import collect_seldom
from imprest_server.jobs.charge_subscriptions import ChargeSubscriptions
from imprest_server.jobs.deliver_alerts import DeliverAlerts
from imprest_server.jobs.ending import LET_GO_S, end
from imprest_server.jobs.expire_holds import ExpireHolds
from imprest_server.jobs.repeat import repeat
from imprest_server.ledger.operations import ExpireDue
from imprest_server.ledger.queries import Queries
from imprest_server.ledger.store import Connection
from imprest_server.ledger.working_set import Terms
from imprest_server.posting.engine import Engine
from imprest_server.posting.rerates import Rerates
from imprest_server.pricing.cache import PriceCache
from imprest_server.pricing.meters import METERS
from imprest_server.pricing.plans import PlanQueries
from imprest_server.pricing.queries import PriceQueries
from imprest_server.pricing.quotes import Quotes
from imprest_server.pricing.service import PriceAdmin
from imprest_server.transport.budget_service import BudgetService
from imprest_server.transport.identity import TENANT
from imprest_server.transport.pricing_service import PricingService
from imprest_server.transport.server import Server

#: How often alerts that are too old are looked for.
PRUNE_INTERVAL_S = 3600.0

Job = Callable[[], Coroutine[object, object, object]]


class Timeouts(TypedDict):
    """The time limits of every connection."""

    statement_timeout_ms: int
    lock_timeout_ms: int


@dataclass(frozen=True)
class Database:
    """A database to work on: how the server connects, how the owner of its tables does, its name for people.

    `alive` tells whether the embedded Postgres still runs; one that is not ours counts as alive.
    """

    dsn: str
    owner_dsn: str
    description: str
    alive: Callable[[], bool] = lambda: True


@contextmanager
def open_database(settings: Settings) -> Iterator[Database]:
    """The database of the settings; the embedded Postgres runs while this is open. Blocking.

    Raises:
        StartupError: the address is no address, or the embedded Postgres cannot be started.
    """
    if settings.database_url is None and settings.owner_database_url is not None:
        raise SettingsError("IMPREST_OWNER_DATABASE_URL without IMPREST_DATABASE_URL: which one is to be served?")
    if settings.database_url is not None:
        dsn = settings.database_url.get_secret_value()
        owner_dsn = (settings.owner_database_url or settings.database_url).get_secret_value()
        describe(owner_dsn)  # refuses what cannot be read
        yield Database(dsn, owner_dsn, describe(dsn))
        return
    with EmbeddedPostgres(settings.data_dir) as postgres:
        description = f"embedded Postgres {postgres.version} in {postgres.data_dir}"
        yield Database(postgres.dsn(), postgres.dsn(user=OWNER_ROLE), description, lambda: postgres.alive)


@contextmanager
def open_database_beside_server(settings: Settings) -> Iterator[Database]:
    """For the owner's commands: like `open_database`, but nothing is made where there is nothing yet.

    The owner's URL alone is enough, and an embedded Postgres that a server runs already is used as it is.

    Raises:
        StartupError: as `open_database`, or there is no database in the data directory.
    """
    if settings.database_url is None and settings.owner_database_url is not None:
        owner_dsn = settings.owner_database_url.get_secret_value()
        yield Database(owner_dsn, owner_dsn, describe(owner_dsn))
        return
    running = None if settings.database_url else running_dsn(settings.data_dir)
    if running is None:
        if settings.database_url is None and not has_cluster(settings.data_dir):
            raise DataDirError(
                f"there is no Imprest database in {settings.data_dir}: name its directory with --data-dir, or a "
                "database of your own with IMPREST_DATABASE_URL; `imprest serve` makes a new one"
            )
        with open_database(settings) as database:
            yield database
    else:
        owner_dsn = running_dsn(settings.data_dir, user=OWNER_ROLE) or running
        yield Database(running, owner_dsn, f"embedded Postgres in {settings.data_dir}")


def prepare_database(settings: Settings, database: Database) -> None:
    """Make sure the tables are those of this version. Blocking.

    Raises:
        StartupError: they are not, and it is not ours to change that.
    """
    from imprest_server.db import migrations  # here: Alembic takes a third of the time that a worker needs to start

    if settings.database_url is None:
        migrations.upgrade(database.owner_dsn)
    else:
        migrations.check_at_head(database.dsn)


@asynccontextmanager
async def running(settings: Settings, dsn: str, *, sweep: bool = True) -> AsyncIterator[str]:
    """A server on a prepared database, from ready to stopped; gives the address it listens on.

    `sweep`: run the jobs here that one worker does for all. Each delivers alerts.

    Raises:
        StartupError: the database is unsafe or cannot be reached, or the address is taken.
    """

    async def connect() -> Connection:
        """A lane's connection; to a database that is safe, also after a failover to another one."""
        connection = await pool.connect_engine(dsn, **_timeouts(settings))
        try:
            await refuse_unsafe(connection)
        except UnsafeDatabaseError:
            await connection.close()
            raise
        return connection

    async def expire_due(tenant_id: TenantId, account_id: AccountId) -> None:
        await engine.submit(ExpireDue(tenant_id=tenant_id, account_id=account_id))

    async def due_accounts(limit: int) -> list[AccountKey]:
        return await queries.due_accounts([TENANT], limit)

    def wake(tenant_id: TenantId) -> None:
        hub.wake(tenant_id)

    async with AsyncExitStack() as stack:
        prices = PriceCache()
        engine = Engine(
            connect,
            _terms(settings),
            batch_max=settings.batch_max,
            queue_max=settings.queue_max,
            silence_s=(settings.statement_timeout_ms + settings.lock_timeout_ms) / 1000 + 1,
            prices=prices,
            wake=wake,
        )
        with pool.reachable():
            await engine.start()
        stack.push_async_callback(engine.stop)
        connections = pool.read_pool(dsn, **_timeouts(settings))
        await connections.open()
        stack.push_async_callback(connections.close, LET_GO_S)
        queries = Queries(connections, expire_due)
        price_admin = PriceAdmin(connections, prices)
        plans = PlanQueries(connections)
        bulk = partial(engine.submit, bulk=True)
        rerates = Rerates(connections, prices, price_admin, queries, bulk)
        quotes = Quotes(connections, prices)
        pricing = PricingService(price_admin, PriceQueries(connections), quotes, rerates, plans)
        alerts = BudgetQueries(connections)
        hub = AlertHub(alerts)
        admin = BudgetAdmin(connections, METERS.keys(), hub.wake)
        jobs: list[Job] = []
        if sweep:
            sweeper = ExpireHolds(due_accounts, engine.submit)
            jobs.append(partial(repeat, "expire_holds", sweeper.run_once, settings.sweep_interval_ms / 1000))
            charger = ChargeSubscriptions(TENANT, partial(plans.due, TENANT), partial(plans.set_next, TENANT), bulk)
            jobs.append(partial(repeat, "charge_subscriptions", charger.run_once, settings.sweep_interval_ms / 1000))

            async def prune_alerts() -> bool:
                return await admin.prune_alerts(TENANT, timedelta(days=settings.alert_retention_days))

            jobs.append(partial(repeat, "prune_alerts", prune_alerts, PRUNE_INTERVAL_S))
        sealer = Sealer.of(settings.secrets_key.get_secret_value()) if settings.secrets_key else None
        gate = Gate(parse_networks(settings.webhook_allowed_networks))
        channels = ChannelAdmin(connections, gate, _relay(settings), sealer)
        deliverer = DeliverAlerts(partial(transaction, connections), channels.sender.send, [TENANT])
        await stack.enter_async_context(deliverer.tries_end())
        jobs.append(partial(repeat, "deliver_alerts", deliverer.run_once, settings.delivery_interval_ms / 1000))
        await stack.enter_async_context(_in_background(jobs))
        budgets = BudgetService(admin, alerts, hub, channels)
        server = Server(engine, queries, pricing, budgets, hub, share_port=settings.workers > 1)
        stack.push_async_callback(server.stop)
        collect_seldom()
        yield await server.start(settings.listen)


@asynccontextmanager
async def _in_background(jobs: Iterable[Job]) -> AsyncIterator[None]:
    """Let jobs run that end by being cancelled."""
    tasks = [asyncio.create_task(job()) for job in jobs]
    try:
        yield
    finally:
        await end(tasks)


def _relay(settings: Settings) -> Relay | None:
    if not settings.smtp_host:
        return None
    return Relay(
        host=settings.smtp_host,
        port=settings.smtp_port,
        sender=settings.smtp_sender,
        username=settings.smtp_username,
        password=settings.smtp_password.get_secret_value(),
        security=settings.smtp_security,
    )


def _terms(settings: Settings) -> Terms:
    return Terms(
        default_ttl=timedelta(seconds=settings.default_hold_ttl_s),
        late_commit_window=timedelta(seconds=settings.late_commit_window_s),
        low_balance_cooldown=timedelta(seconds=settings.low_balance_cooldown_s),
    )


def _timeouts(settings: Settings) -> Timeouts:
    return {"statement_timeout_ms": settings.statement_timeout_ms, "lock_timeout_ms": settings.lock_timeout_ms}
