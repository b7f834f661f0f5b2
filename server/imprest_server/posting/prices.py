"""The prices a batch rates with: loaded before the fold, answered from memory within it.

A batch has read its tenants' price epochs under locks that publishing has to wait for. So all its operations see the
same prices, and what this process has kept of them only has to be as new as that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from imprest_server.core.ids import AccountKey, TenantId
from imprest_server.core.usage import UsageReport
from imprest_server.ledger.model import Account
from imprest_server.ledger.rating import Basis, Count, CounterKey, Priced, PricedLine
from imprest_server.ledger.store import Connection
from imprest_server.pricing import model
from imprest_server.pricing.cache import PriceCache
from imprest_server.pricing.rules import Chains, Payer, Rounding, Tariff, affordable_duration, rate

#: Tariffs that are kept; each remembers how it has matched its lines. There are few unless many accounts have
#: prices of their own.
MAX_TARIFFS = 1_000

_TariffKey = tuple[AccountKey, int | None, datetime]
_Counters = Mapping[CounterKey, Decimal]


class NotLoadedError(Exception):
    """The prices of an account that did not exist when the batch loaded."""


class Prices:
    """What a lane keeps of prices from batch to batch."""

    def __init__(self, cache: PriceCache) -> None:
        self._cache = cache
        self._tariffs: dict[Chains, Tariff] = {}
        self._forgotten = cache.forgotten

    async def load(
        self, conn: Connection, needed: Iterable[tuple[Account, Basis]], epochs: Mapping[TenantId, int]
    ) -> BatchPrices:
        """The prices that all of these are rated by. Takes a round trip only for what is missing or too old.

        `epochs` are the tenants', read in the transaction that is open.
        """
        chosen: dict[_TariffKey, Chains] = {}
        for account, basis in needed:
            tenant_id = account.tenant_id
            catalog = await self._cache.catalog(conn, tenant_id, epochs[tenant_id])
            epoch = epochs[tenant_id] if basis.epoch is None else basis.epoch
            payer = _payer(account)
            chains = catalog.chains(payer, epoch, basis.price_time)
            if basis.else_time is not None:
                chains = chains.or_else(catalog.chains(payer, epochs[tenant_id], basis.else_time))
            chosen[account.key, basis.epoch, basis.price_time] = chains
        distinct = {chains: key[0][0] for key, chains in chosen.items()}
        versions = [(tenant, version_id) for chains, tenant in distinct.items() for version_id in chains.version_ids]
        tables = await self._cache.tables(conn, versions)
        if len(self._tariffs) >= MAX_TARIFFS or self._forgotten != self._cache.forgotten:
            # They keep the tables that the cache has forgotten; it takes little to make them again.
            self._tariffs.clear()
            self._forgotten = self._cache.forgotten
        tariffs: dict[Chains, Tariff] = {}
        for chains in distinct:
            tariffs[chains] = self._tariffs.get(chains) or self._tariffs.setdefault(chains, Tariff(chains, tables))
        return BatchPrices({key: tariffs[chains] for key, chains in chosen.items()}, epochs)


class BatchPrices:
    """The ledger's `Rating` over the price books, for one batch."""

    def __init__(self, tariffs: Mapping[_TariffKey, Tariff], epochs: Mapping[TenantId, int]) -> None:
        self._tariffs = tariffs
        self._epochs = epochs

    def capture(self, account: Account, usage: UsageReport, basis: Basis, counters: _Counters) -> Priced:
        """Price what was used, with what each line adds to the month's counts."""
        payer, tariff, stored = _payer(account), self._tariff(account, basis), _stored(counters)
        rated = rate(usage, tariff, stored, payer, basis.usage_time, Rounding.HALF_EVEN)
        if not rated.advances:
            lines = tuple(PricedLine(line) for line in rated.lines)
        else:
            lines = _one_by_one(usage, tariff, stored, payer, basis.usage_time)
        return Priced(lines, rated.price, rated.cost, self._epoch(account, basis))

    def estimate(self, account: Account, usage: UsageReport, basis: Basis, counters: _Counters) -> Priced:
        """The most that usage up to this may come to."""
        tariff = self._tariff(account, basis)
        rated = rate(usage, tariff, _stored(counters), _payer(account), basis.usage_time, Rounding.UP_TO)
        lines = tuple(PricedLine(line) for line in rated.lines)
        return Priced(lines, rated.price, rated.cost, self._epoch(account, basis))

    def affordable_duration(
        self, account: Account, usage: UsageReport, basis: Basis, counters: _Counters, amount: int
    ) -> timedelta | None:
        """How long the amount lasts."""
        tariff = self._tariff(account, basis)
        return affordable_duration(usage, tariff, _stored(counters), _payer(account), basis.usage_time, amount)

    def _tariff(self, account: Account, basis: Basis) -> Tariff:
        try:
            return self._tariffs[account.key, basis.epoch, basis.price_time]
        except KeyError:
            raise NotLoadedError(account.account_id) from None

    def _epoch(self, account: Account, basis: Basis) -> int:
        return self._epochs[account.tenant_id] if basis.epoch is None else basis.epoch


def _one_by_one(
    usage: UsageReport, tariff: Tariff, stored: Mapping[model.CounterKey, Decimal], payer: Payer, at: datetime
) -> tuple[PricedLine, ...]:
    """The same lines, each with where the counters stood before it: rating goes through a report in order."""
    standing = dict(stored)
    lines = []
    for line in usage.lines:
        rated = rate(replace(usage, lines=(line,)), tariff, standing, payer, at, Rounding.HALF_EVEN)
        counts = []
        for key, quantity in rated.advances.items():
            before = standing.get(key, Decimal(0))
            standing[key] = before + quantity
            counts.append(Count(_ledger_key(key), before, quantity))
        lines.append(PricedLine(rated.lines[0], tuple(counts)))
    return tuple(lines)


def _payer(account: Account) -> Payer:
    return Payer(
        account.tenant_id, account.account_id, account.parent_account_id, account.currency_code, account.time_zone
    )


def _stored(counters: _Counters) -> Mapping[model.CounterKey, Decimal]:
    return {_pricing_key(key): quantity for key, quantity in counters.items()} if counters else {}


def _pricing_key(key: CounterKey) -> model.CounterKey:
    price = model.PriceKey(key.meter, key.provider, key.model, key.destination_prefix)
    return model.CounterKey(key.tenant_id, key.account_id, key.month, model.BookSide(key.side), price)


def _ledger_key(key: model.CounterKey) -> CounterKey:
    price = key.price
    return CounterKey(
        key.tenant_id,
        key.account_id,
        key.month,
        key.side.value,
        price.meter,
        price.provider,
        price.model,
        price.destination_prefix,
    )
