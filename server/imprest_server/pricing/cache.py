"""What a process keeps of prices: one for its posting lane and its readers.

Nothing in it ever becomes wrong. A catalog only grows, by the rows that came after its epoch; a version's prices never
change. So there is nothing to invalidate: who needs a later epoch than the cached one loads the rest, and other
processes need no message.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Sequence

from imprest_server.core.ids import TenantId
from imprest_server.pricing.model import Price, PriceVersionId
from imprest_server.pricing.rules import Catalog, PriceTable
from imprest_server.pricing.store import Connection, load_catalog, load_prices

#: How many prices are kept in memory, of all tenants and versions; about 1 KB each. The model price file has 15,000,
#: and a version that is followed by another is in use until the calls end that were reserved at its prices.
MAX_PRICES = 100_000

VersionKey = tuple[TenantId, PriceVersionId]


class PriceCache:
    """Catalogs and price tables. Safe to share between tasks of one event loop.

    Loads run on the caller's connection, in a transaction that sees the tenants. There is a round trip only when
    something is missing: none on the hot path.
    """

    def __init__(self, max_prices: int = MAX_PRICES) -> None:
        self._max_prices = max_prices
        #: Counts the tables that were forgotten: who keeps tables of earlier ones keeps more than is wanted.
        self.forgotten = 0
        self._catalogs: dict[TenantId, Catalog] = {}
        # A table and how many prices it has; what was used last stands last.
        self._tables: OrderedDict[VersionKey, tuple[PriceTable, int]] = OrderedDict()
        self._size = 0

    async def catalog(self, conn: Connection, tenant_id: TenantId, epoch: int) -> Catalog:
        """The tenant's catalog with all that was known at `epoch`, an epoch of the tenant that this process has read.

        It may know of later epochs already: ask it for the state at an epoch.
        """
        catalog = self._catalogs.setdefault(tenant_id, Catalog())
        while catalog.epoch < epoch:
            after = catalog.epoch
            rows = await load_catalog(conn, tenant_id, after, epoch)
            if catalog.epoch == after:  # else another task was quicker, and its rows must not be added twice
                catalog.add(
                    rows.books,
                    rows.versions,
                    rows.assignments,
                    rows.exchange_rates,
                    epoch,
                    subscriptions=rows.subscriptions,
                    ends=rows.ends,
                )
        return catalog

    async def tables(self, conn: Connection, keys: Iterable[VersionKey]) -> dict[PriceVersionId, PriceTable]:
        """The prices of these versions. What is not cached is loaded, a version at a time; others are served meanwhile.

        A version stays when the next one cannot be loaded in time: who tries again has less to load. Who keeps tables
        asks again for each use, so that what is used stays cached.
        """
        tables: dict[PriceVersionId, PriceTable] = {}
        missing = []
        for key in set(keys):
            if key in self._tables:
                self._tables.move_to_end(key)
                tables[key[1]] = self._tables[key][0]
            else:
                missing.append(key)
        for key in missing:
            if key not in self._tables:
                await self.keep(key, (await load_prices(conn, [key]))[key[1]])
            tables[key[1]] = self._tables[key][0]
        return tables

    async def keep(self, key: VersionKey, prices: Sequence[Price]) -> None:
        """Keep the prices of a version, which is committed."""
        table = await asyncio.to_thread(PriceTable, prices)
        if key not in self._tables:  # else another task was quicker
            self._tables[key] = (table, len(prices))
            self._size += len(prices)
        self._tables.move_to_end(key)
        self._evict()

    def _evict(self) -> None:
        """Forget the tables that were not used for longest; their holders keep them as long as they need."""
        while self._size > self._max_prices and len(self._tables) > 1:
            _, (_, count) = self._tables.popitem(last=False)
            self._size -= count
            self.forgotten += 1
