"""One batch: load under locks, decide in arrival order, write, commit."""

from __future__ import annotations

from collections.abc import Sequence

from imprest_server.core.errors import ImprestError
from imprest_server.core.ids import AccountKey
from imprest_server.core.values import value
from imprest_server.ledger import operations as ops
from imprest_server.ledger import store
from imprest_server.ledger.model import TransactionKind
from imprest_server.ledger.operations import Request
from imprest_server.ledger.rules import Outcome, bases, decide, expire_due
from imprest_server.ledger.store import Connection, Loaded, Wanted
from imprest_server.ledger.working_set import Ledger, Terms
from imprest_server.posting.limits import Budgets
from imprest_server.posting.prices import NotLoadedError, Prices
from imprest_server.posting.stats import EngineStats


@value
class Postponed:
    """Not decided yet, submit it again: the account has more due holds than one batch expires, or the same batch has
    made it and its prices are not loaded, or an operation before it is postponed."""


Result = Outcome | ImprestError | Postponed


async def run_batch(
    conn: Connection,
    requests: Sequence[Request],
    terms: Terms,
    prices: Prices,
    budgets: Budgets,
    due_limit: int,
    stats: EngineStats,
    *,
    lock_timeout_ms: int | None = None,
) -> list[Result]:
    """Decide the requests in one transaction and return a result for each, in order, after its COMMIT.

    Every due hold of the accounts they touch expires first. A denial is a result, not a failure. Raises
    psycopg.Error, or what a bug raises: then nothing was decided, and the caller must roll back.
    """
    wanted = wanted_by(requests)
    async with conn.pipeline():
        loaded = await store.load(conn, wanted, terms, due_limit, lock_timeout_ms)
        stats.lock_wait.observe(loaded.lock_wait_s)
        loaded = await budgets.load(conn, loaded, requests)
        if wanted.counters or wanted.counters_of:
            needed = [basis for request in requests for basis in bases(loaded.ledger, request.operation, loaded.now)]
            loaded.ledger.rating = await prices.load(conn, needed, loaded.price_epochs)
        results = fold(loaded, requests)
        await store.write(conn, loaded)
        alerted = await budgets.write(conn, loaded)
        await store.commit(conn)
    budgets.wake(alerted)
    return results


def fold(loaded: Loaded, requests: Sequence[Request]) -> list[Result]:
    """Due holds first, then the requests in arrival order, all over one working set and at one instant."""
    expire_due(loaded.ledger, loaded.due, loaded.now)
    waiting = set(loaded.crowded)
    return [_decide(loaded, request, waiting) for request in requests]


def _decide(loaded: Loaded, request: Request, waiting: set[AccountKey]) -> Result:
    """Decide one; `waiting` are the accounts of all that was postponed, so that nothing overtakes it there."""
    operation = request.operation
    if waiting:
        its_accounts = touched(loaded.ledger, operation)
        if not waiting.isdisjoint(its_accounts):
            waiting |= its_accounts
            return Postponed()
    if isinstance(operation, ops.ExpireDue):
        return Outcome(ops.Reply())
    try:
        return decide(loaded.ledger, request, loaded.now)
    except ImprestError as denial:
        return denial
    except NotLoadedError:
        its_accounts = touched(loaded.ledger, operation)
        if loaded.ledger.changes.new_accounts.isdisjoint(its_accounts):
            raise
        waiting |= its_accounts
        return Postponed()


def wanted_by(requests: Sequence[Request]) -> Wanted:
    """The keys of all that the requests name."""
    wanted = Wanted()
    for request in requests:
        _add_wanted(wanted, request.operation)
    return wanted


def _add_wanted(wanted: Wanted, op: ops.Operation) -> None:
    tenant = op.tenant_id
    wanted.tenants.add(tenant)
    match op:
        case ops.ExpireDue():
            wanted.accounts.add((tenant, op.account_id))
            return
        case ops.CreateAccount():
            wanted.accounts.update(
                (tenant, account_id) for account_id in (op.account_id, op.parent_account_id) if account_id
            )
        case ops.CreditOperation():
            wanted.accounts.add((tenant, op.account_id))
            if op.external_reference:
                kind = TransactionKind(op.kind.value)
                wanted.external_references.add((tenant, kind, op.external_reference))
        case ops.Transfer():
            wanted.accounts.update(((tenant, op.from_account_id), (tenant, op.to_account_id)))
        case ops.Void():
            wanted.reservations.add((tenant, op.reservation_id))
        case ops.Extend():
            wanted.reservations.add((tenant, op.reservation_id))
            for whole in (op.estimate_total, op.used):
                if whole is not None:
                    wanted.counters_of.add((tenant, op.reservation_id, whole.start_time))
                    wanted.counts_of.add((tenant, op.reservation_id))
        case ops.Commit():
            wanted.reservations.add((tenant, op.reservation_id))
            wanted.expiries_of.add((tenant, op.reservation_id))
            if op.usage is not None:
                wanted.counters_of.add((tenant, op.reservation_id, op.usage.start_time or op.effective_time))
                wanted.lines_of.update(
                    (tenant, op.reservation_id, line.line_id) for line in op.usage.lines if line.line_id
                )
        case ops.Refund():
            if op.reservation_id is not None:
                key = (tenant, op.reservation_id)
                wanted.reservations.add(key)
                before = wanted.captures_of.get(key, 0)
                wanted.captures_of[key] = None if before is None or op.amount is None else before + op.amount.nanos
            if op.transaction_id is not None:
                wanted.captures.add((tenant, op.transaction_id))
        case ops.TrueUpCost():
            if op.reservation_id is not None:
                wanted.reservations.add((tenant, op.reservation_id))
                wanted.costs_of.add((tenant, op.reservation_id))
                wanted.costed_lines_of.update((tenant, op.reservation_id, line_id) for line_id in op.line_costs or ())
            if op.transaction_id is not None:
                wanted.captures.add((tenant, op.transaction_id))
                wanted.costed_lines.update((tenant, op.transaction_id, line_id) for line_id in op.line_costs or ())
        case ops.ChargeSubscription():
            wanted.accounts.add((tenant, op.account_id))
            wanted.counters.add((tenant, op.account_id, op.usage.start_time))
        case ops.Rerate():
            wanted.accounts.add((tenant, op.account_id))
            wanted.captures.add((tenant, op.transaction_id))
            wanted.rerated.add((tenant, op.account_id, op.seq, op.transaction_id))
            if op.reservation_id is not None:
                wanted.reservations.add((tenant, op.reservation_id))
                wanted.expiries_of.add((tenant, op.reservation_id))
        case ops.UpdateAccount() | ops.FreezeAccount() | ops.UnfreezeAccount() | ops.CloseAccount():
            wanted.accounts.add((tenant, op.account_id))
        case ops.Reserve():
            wanted.accounts.add((tenant, op.account_id))
            if op.estimate is not None:
                wanted.counters.add((tenant, op.account_id, None))
        case ops.Charge() | ops.RecordUsage():
            wanted.accounts.add((tenant, op.account_id))
            if op.usage is not None:
                wanted.counters.add((tenant, op.account_id, op.usage.start_time or op.effective_time))
                if op.call_id:
                    wanted.lines.update(
                        (tenant, op.account_id, op.call_id, line.line_id) for line in op.usage.lines if line.line_id
                    )
        case _:
            raise AssertionError(f"{type(op).__name__} names nothing to load")
    if not isinstance(op, ops.Extend):
        wanted.operations.add((tenant, op.kind, op.idempotency_key))


def touched(ledger: Ledger, op: ops.Operation) -> set[AccountKey]:
    """The accounts whose books the operation reads or changes, as far as they exist."""
    wanted = Wanted()
    _add_wanted(wanted, op)
    keys = set(wanted.accounts)
    keys.update(ledger.reservations[key].account_key for key in wanted.reservations if key in ledger.reservations)
    keys.update(
        (key[0], ledger.transaction_accounts[key]) for key in wanted.captures if key in ledger.transaction_accounts
    )
    return keys
