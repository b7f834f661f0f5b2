"""Writes of budgets, and acknowledgements: each in a short transaction of its own on a pooled connection.

A budget holds at once and for the running period, so setting one sums what the period has seen. That may take long,
and the tenant's posting must not wait for it. So the tenant's row is locked only for a moment, which tells an instant
before which nothing can be written any more; the sum up to it needs no lock. When that takes long, so is what came
meanwhile. Then the row is locked again, for the few transactions since.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from imprest_server.budgets import store
from imprest_server.budgets.model import AlertId, Budget, BudgetId, BudgetStatus, Counter, StoredAlert
from imprest_server.budgets.operations import (
    AcknowledgeAlert,
    DeleteBudget,
    Operation,
    ResumeCalls,
    SetBudget,
    Written,
    fingerprint,
)
from imprest_server.budgets.queries import read_alert
from imprest_server.budgets.rules import alert_of, fire, rolled, status_at
from imprest_server.budgets.store import Connection, StoredOperation
from imprest_server.budgets.validation import BUDGET_PREFIX, validate
from imprest_server.core.errors import (
    Conflict,
    CurrencyMismatch,
    IdempotencyKeyReused,
    NotFound,
    StoredDenial,
    restore_denial,
)
from imprest_server.core.ids import TenantId, uuid7
from imprest_server.core.periods import Period, period_at
from imprest_server.db.pool import ReadPool

# Each failure means that another write of the same tenant has succeeded.
_ATTEMPTS = 20
#: How long the sum without a lock may take.
SUM_MAX_S = 600
#: A sum that has taken no longer leaves little for the one under the lock; others are followed by one more, so many.
_LITTLE = timedelta(seconds=5)
_SUMS = 10
#: The database's clock may be set back so far without a transaction being missed.
_CLOCK_MARGIN = timedelta(minutes=1)

#: Alerts deleted in one transaction, during which no new ones can be written.
PRUNE_LIMIT = 1_000

T = TypeVar("T")
Payload = dict[str, Any]


class _ChangedMeanwhileError(Exception):
    """A twin with the same key was quicker: begin again."""


@dataclass(frozen=True, slots=True)
class _Sum:
    """What a budget's scope has spent in a period by what was written before `until` (None: nothing was summed)."""

    period: Period
    until: datetime | None
    spent: int


class BudgetAdmin:
    """The writes. All may raise InvalidArgument, NotFound, IdempotencyKeyReused, Conflict and Unavailable.

    `meters` are the names of those there are. `wake` is told of a tenant that has new alerts, after they are committed.
    """

    def __init__(self, pool: ReadPool, meters: Collection[str], wake: Callable[[TenantId], None]) -> None:
        self._pool = pool
        self._meters = meters
        self._wake = wake

    async def set_budget(self, op: SetBudget) -> Written[Budget]:
        """Make or change a budget; thresholds that are reached already fire at once. Raises CurrencyMismatch.

        What changes nothing makes no revision, and so arms nothing again.
        """
        budget_id = op.budget_id or BudgetId(BUDGET_PREFIX + uuid7().hex)
        before: _Sum | None = None
        fired = False

        async def prepare() -> None:
            nonlocal before
            before = await self._sum_before(op, budget_id)

        async def write(conn: Connection) -> tuple[Budget, Payload]:
            nonlocal fired
            if op.scope.account_id is not None:
                currency_code = await store.find_currency(conn, op.tenant_id, op.scope.account_id)
                if currency_code != op.limit.currency_code:
                    raise CurrencyMismatch(
                        account_id=op.scope.account_id,
                        account_currency_code=currency_code,
                        currency_code=op.limit.currency_code,
                    )
            epoch, now = await store.lock_tenant(conn, op.tenant_id)
            found = await store.find_budget(conn, (op.tenant_id, budget_id))
            budget = _asked(op, budget_id, now)
            if found is not None:
                if _is(budget, found):
                    return found[0], {"budget_id": budget_id, "revision": found[0].revision}
                budget = replace(budget, revision=found[0].revision + 1)
            if before is None:
                raise _ChangedMeanwhileError
            await store.insert_budget(conn, budget, epoch + 1)
            counter, thresholds = fire(budget, await self._count(conn, budget, before, now))
            await store.put_counter(conn, budget.key, counter)
            await store.set_epoch(conn, op.tenant_id, epoch + 1)
            fired = bool(thresholds)
            alerts = [alert_of(budget, counter, threshold, AlertId(uuid7()), now) for threshold in thresholds]
            await store.insert_alerts(conn, alerts)
            return budget, {"budget_id": budget_id, "revision": budget.revision}

        async def replay(conn: Connection, payload: Payload) -> Budget:
            key = (op.tenant_id, BudgetId(payload["budget_id"]))
            found = await store.find_budget(conn, key, payload["revision"])
            assert found is not None, "revisions are never deleted"
            return found[0]

        written = await self._once(op, write, replay, prepare)
        if fired:
            self._wake(op.tenant_id)
        return written

    async def delete_budget(self, op: DeleteBudget) -> Written[None]:
        """Have a budget count no more; its alerts stay. Setting it again goes on with its revisions."""

        async def write(conn: Connection) -> tuple[None, Payload]:
            epoch, now = await store.lock_tenant(conn, op.tenant_id)
            budget = await _existing(conn, op.tenant_id, op.budget_id)
            deleted = replace(budget, revision=budget.revision + 1, create_time=now)
            await store.insert_budget(conn, deleted, epoch + 1, deleted=True)
            await store.set_epoch(conn, op.tenant_id, epoch + 1)
            return None, {}

        async def replay(_: Connection, __: Payload) -> None:
            return None

        return await self._once(op, write, replay)

    async def resume_calls(self, op: ResumeCalls) -> Written[BudgetStatus]:
        """Lift a budget's stop; one that is not stopped stays so. The thresholds that have fired do not fire again."""

        async def write(conn: Connection) -> tuple[BudgetStatus, Payload]:
            await store.share_tenant(conn, op.tenant_id)  # first, in the order of locks
            budget = await _existing(conn, op.tenant_id, op.budget_id)
            counter = (await store.lock_counters(conn, [budget.key]))[budget.key]
            now = await store.clock(conn)
            counter = rolled(budget, counter, now)
            if counter.stopped:
                counter = replace(counter, stopped=False)
                await store.update_counters(conn, {budget.key: counter})
            return status_at(budget, counter, now), {}

        async def replay(conn: Connection, _: Payload) -> BudgetStatus:
            budget = await _existing(conn, op.tenant_id, op.budget_id)
            return status_at(budget, await store.read_counter(conn, budget.key), await store.clock(conn))

        return await self._once(op, write, replay)

    async def acknowledge_alert(self, op: AcknowledgeAlert) -> Written[StoredAlert]:
        """Note who has seen an alert. The first to do so counts; the answer tells who it was."""

        async def write(conn: Connection) -> tuple[StoredAlert, Payload]:
            await store.share_tenant(conn, op.tenant_id)  # first, in the order of locks
            sequence = await store.acknowledge(conn, op.tenant_id, op.alert_id, op.acknowledged_by)
            return await read_alert(conn, op.tenant_id, sequence), {"sequence": sequence}

        async def replay(conn: Connection, payload: Payload) -> StoredAlert:
            return await read_alert(conn, op.tenant_id, payload["sequence"])

        return await self._once(op, write, replay)

    async def prune_alerts(self, tenant_id: TenantId, age: timedelta) -> bool:
        """Delete alerts that are older, some at a time; whether there may be more."""
        async with store.transaction(self._pool, tenant_id) as conn:
            return await store.prune_alerts(conn, tenant_id, int(age.total_seconds()), PRUNE_LIMIT)

    # ── sums ─────────────────────────────────────────────────────────────────────────────────────────

    async def _sum_before(self, op: SetBudget, budget_id: BudgetId) -> _Sum | None:
        """What the running period has seen up to a moment ago, summed without a lock; None when nothing changes.

        Much is written while a long sum is taken, so what came meanwhile is summed likewise, until it is little.
        """
        summed = _Sum(Period(None, None), None, 0)
        for _ in range(_SUMS):
            async with store.transaction(self._pool, op.tenant_id) as conn:
                _, now = await store.lock_tenant(conn, op.tenant_id)
                found = await store.find_budget(conn, (op.tenant_id, budget_id))
            budget = _asked(op, budget_id, now)
            if found is not None and _is(budget, found):
                return None
            period, until = period_at(budget.period, budget.time_zone, now), now - _CLOCK_MARGIN
            if period != summed.period:
                summed = _Sum(period, None, 0)
            since = summed.until or period.start
            if since is not None and until <= since:
                break
            async with store.transaction(self._pool, op.tenant_id) as conn:
                await store.take_time(conn, SUM_MAX_S)
                spent = await store.sum_spent(conn, budget, period, since, until)
                took = await store.clock(conn) - now
            summed = _Sum(period, until, summed.spent + spent)
            if took <= _LITTLE:
                break
        return summed

    async def _count(self, conn: Connection, budget: Budget, before: _Sum, now: datetime) -> Counter:
        """The counter that a new revision begins with, under the tenant's lock."""
        period = period_at(budget.period, budget.time_zone, now)
        spent, since = 0, period.start
        if period == before.period and before.until is not None:
            spent, since = before.spent, before.until
        spent += await store.sum_spent(conn, budget, period, since, None)
        held = await store.sum_held(conn, budget)
        return Counter(revision=budget.revision, period=period, spent=spent, held=held)

    # ── once per key ─────────────────────────────────────────────────────────────────────────────────

    async def _once(
        self,
        op: Operation,
        write: Callable[[Connection], Awaitable[tuple[T, Payload]]],
        replay: Callable[[Connection, Payload], Awaitable[T]],
        prepare: Callable[[], Awaitable[None]] | None = None,
    ) -> Written[T]:
        """Write, or give the answer of an earlier request with this key; a denial of kinds that are stored is kept.

        `prepare` runs before, outside the transaction, when the key is new.
        """
        validate(op, self._meters)
        digest = fingerprint(op)
        for _ in range(_ATTEMPTS):
            try:
                if prepare is not None and await self._stored(op) is None:
                    await prepare()
                async with store.transaction(self._pool, op.tenant_id) as conn:
                    stored = await store.find_operation(conn, op.tenant_id, op.kind, op.idempotency_key)
                    if stored is not None:
                        return Written(await replay(conn, _granted(stored, digest)), replayed=True)
                    value, payload = await write(conn)
                    await self._keep(conn, op, StoredOperation(digest, None, json.dumps(payload)))
                    return Written(value)
            except _ChangedMeanwhileError:
                continue
            except StoredDenial as denial:
                if not denial.replayed:
                    async with store.transaction(self._pool, op.tenant_id) as conn:
                        kept = StoredOperation(digest, denial.reason, json.dumps(denial.values))
                        await store.insert_operation(conn, op.tenant_id, op.kind, op.idempotency_key, kept)
                raise
        raise Conflict

    async def _stored(self, op: Operation) -> StoredOperation | None:
        async with store.transaction(self._pool, op.tenant_id) as conn:
            return await store.find_operation(conn, op.tenant_id, op.kind, op.idempotency_key)

    async def _keep(self, conn: Connection, op: Operation, stored: StoredOperation) -> None:
        if not await store.insert_operation(conn, op.tenant_id, op.kind, op.idempotency_key, stored):
            raise _ChangedMeanwhileError


def _asked(op: SetBudget, budget_id: BudgetId, now: datetime) -> Budget:
    """The first revision of what was asked for."""
    return Budget(
        tenant_id=op.tenant_id,
        budget_id=budget_id,
        revision=1,
        display_name=op.display_name,
        scope=op.scope,
        currency_code=op.limit.currency_code,
        basis=op.basis,
        period=op.period,
        time_zone=op.time_zone,
        limit=op.limit.nanos,
        thresholds=op.thresholds,
        create_time=now,
    )


def _is(asked: Budget, found: tuple[Budget, bool]) -> bool:
    """Whether what was asked for is what holds."""
    budget, deleted = found
    return not deleted and replace(asked, revision=budget.revision, create_time=budget.create_time) == budget


async def _existing(conn: Connection, tenant_id: TenantId, budget_id: BudgetId) -> Budget:
    found = await store.find_budget(conn, (tenant_id, budget_id))
    if found is None or found[1]:
        raise NotFound(resource="budget", id=budget_id)
    return found[0]


def _granted(stored: StoredOperation, digest: bytes) -> Payload:
    """What was kept of an earlier request; raises its denial, or IdempotencyKeyReused when it was another one."""
    if stored.fingerprint != digest:
        raise IdempotencyKeyReused
    values = json.loads(stored.payload)
    if stored.denial_reason is not None:
        raise restore_denial(stored.denial_reason, values)
    payload: Payload = values
    return payload
