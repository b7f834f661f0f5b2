"""Decide one operation against the working set: first its key, then its rule."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from imprest_server.core.errors import IdempotencyKeyReused, ImprestError, restore_denial
from imprest_server.core.values import value
from imprest_server.ledger import operations as ops
from imprest_server.ledger.codec import decode_reply, encode_reply
from imprest_server.ledger.model import ReservationState
from imprest_server.ledger.operations import Operation, Reply, Request, StoredOperation
from imprest_server.ledger.rules import accounts, charges, credits, expiry, holds, refunds, rerates, true_ups
from imprest_server.ledger.rules.guards import require_recent, require_recent_usage
from imprest_server.ledger.working_set import Ledger

Rule = Callable[[Ledger, Request, Any, datetime], Reply]


def _commit(ledger: Ledger, request: Request, op: ops.Commit, now: datetime) -> Reply:
    """A commit of an expired hold has rules of its own."""
    require_recent(op.effective_time, now)
    require_recent_usage(op.usage, now)
    reservation = ledger.reservation((op.tenant_id, op.reservation_id))
    late = reservation.state is ReservationState.EXPIRED
    return (expiry.late_commit if late else holds.commit)(ledger, request, op, now)


RULES: dict[type[Operation], Rule] = {
    ops.CreateAccount: accounts.create_account,
    ops.UpdateAccount: accounts.update_account,
    ops.FreezeAccount: accounts.freeze_account,
    ops.UnfreezeAccount: accounts.unfreeze_account,
    ops.CloseAccount: accounts.close_account,
    ops.AddCredit: credits.add_credit,
    ops.ReverseCredit: credits.reverse_credit,
    ops.GrantCredit: credits.grant_credit,
    ops.Adjust: credits.adjust,
    ops.Withdraw: credits.withdraw,
    ops.Transfer: credits.transfer,
    ops.Reserve: holds.reserve,
    ops.Extend: holds.extend,
    ops.Commit: _commit,
    ops.Void: holds.void,
    ops.Charge: charges.charge,
    ops.RecordUsage: charges.record_usage,
    ops.ChargeSubscription: charges.charge_subscription,
    ops.Refund: refunds.refund,
    ops.TrueUpCost: true_ups.true_up_cost,
    ops.Rerate: rerates.rerate,
}


@value
class Outcome:
    """A granted operation's answer, and whether it is the stored one of an earlier request."""

    reply: Reply
    replayed: bool = False


def decide(ledger: Ledger, request: Request, now: datetime) -> Outcome:
    """Grant or deny one operation; due holds of its accounts have been expired before.

    A key that was decided earlier, also earlier in this batch, is answered as then. A grant and a stored
    denial are kept under the key. Raises the denial; a denied operation has changed nothing else.
    """
    operation = request.operation
    stored = _stored(ledger, operation)
    if stored is not None:
        return _replay(stored, request.fingerprint)
    try:
        reply = RULES[type(operation)](ledger, request, operation, now)
    except ImprestError as denial:
        if denial.stored:
            payload = json.dumps(denial.values, separators=(",", ":"))
            _keep(ledger, operation, StoredOperation(request.fingerprint, denial.reason, payload))
        raise
    _keep(ledger, operation, StoredOperation(request.fingerprint, None, encode_reply(reply)))
    return Outcome(reply)


def _stored(ledger: Ledger, operation: Operation) -> StoredOperation | None:
    """What was decided under this operation's key: an Extend's is found on its reservation."""
    if isinstance(operation, ops.Extend):
        last = ledger.last_extends.get((operation.tenant_id, operation.reservation_id))
        return last[1] if last and last[0] == operation.idempotency_key else None
    return ledger.operations.get((operation.tenant_id, operation.kind, operation.idempotency_key))


def _keep(ledger: Ledger, operation: Operation, stored: StoredOperation) -> None:
    if isinstance(operation, ops.Extend):
        key = (operation.tenant_id, operation.reservation_id)
        last = ledger.last_extends.get(key)
        if stored.denial_reason is not None and last is not None and last[1].denial_reason is None:
            return  # the same no comes again without being kept: the hold has ended; the last grant's answer stays
        ledger.put_extend(key, operation.idempotency_key, stored)
    else:
        ledger.put_operation((operation.tenant_id, operation.kind, operation.idempotency_key), stored)


def _replay(stored: StoredOperation, fingerprint: bytes) -> Outcome:
    if stored.fingerprint != fingerprint:
        raise IdempotencyKeyReused()
    if stored.denial_reason is not None:
        raise restore_denial(stored.denial_reason, json.loads(stored.payload))
    return Outcome(decode_reply(stored.payload), replayed=True)
