"""What operations answer. Which fields of a `Reply` are set depends on the operation; here that is relied upon."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from google.protobuf.message import Message

from imprest.v1.errors_pb2 import ErrorReason
from imprest_server.core.ids import TransactionId, format_transaction_id
from imprest_server.ledger.model import Balance, ChargeBreakdown, Reservation
from imprest_server.ledger.operations import Reply
from imprest_server.ledger.rules import Outcome
from imprest_server.transport.resources import to_account, to_balance

Response = TypeVar("Response", bound=Message)


def balance_of(reply: Reply) -> Balance:
    """The account's balance after the operation."""
    assert reply.balance is not None, "every granted operation answers with a balance"
    return reply.balance


def hold_of(reply: Reply) -> tuple[Reservation, Balance]:
    """The reservation after an operation on it, and its account's balance."""
    assert reply.reservation is not None, "an operation on a hold answers with it"
    return reply.reservation, balance_of(reply)


def charge_of(reply: Reply) -> ChargeBreakdown:
    """How a capture or charge was paid."""
    assert reply.charge is not None, "every capture answers with its breakdown"
    return reply.charge


def denial_reason_of(reply: Reply) -> ErrorReason | None:
    """Why an Extend granted no more; None when nothing was denied."""
    reason = reply.denial_reason
    return None if reason is None else cast(ErrorReason, ErrorReason.Value(f"ERROR_REASON_{reason}"))


def id_of(transaction_id: TransactionId | None) -> str:
    """The id of the transaction written; empty when there was nothing to post."""
    return "" if transaction_id is None else format_transaction_id(transaction_id)


def account_reply(response: Callable[..., Response], outcome: Outcome, **more: Any) -> Response:
    """A reply with the fields that those of all account operations share, and `more`."""
    reply = outcome.reply
    return response(
        account=None if reply.account is None else to_account(reply.account),
        balance=to_balance(balance_of(reply)),
        transaction_id=id_of(reply.transaction_id),
        replayed=outcome.replayed,
        **more,
    )
