"""Between messages and the library's values: what every RPC is called, and what its reply becomes."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, Final, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

from imprest.v1 import (
    account_pb2,
    account_service_pb2,
    balance_pb2,
    charge_pb2,
    errors_pb2,
    ledger_service_pb2,
    reservation_pb2,
    transaction_pb2,
    trial_balance_pb2,
    usage_service_pb2,
)
from imprest_client import model
from imprest_client.connection import Method, Reply
from imprest_client.money import to_decimal
from imprest_client.times import from_duration, from_time
from imprest_client.usage_wire import rated_line

# ── RPCs ─────────────────────────────────────────────────────────────────────────────────────────────


def _account_rpc(name: str, reply: type[Reply]) -> Method[Reply]:
    return Method(f"/imprest.v1.AccountService/{name}", reply)


def _ledger_rpc(name: str, reply: type[Reply]) -> Method[Reply]:
    return Method(f"/imprest.v1.LedgerService/{name}", reply)


CREATE_ACCOUNT: Final = _account_rpc("CreateAccount", account_service_pb2.CreateAccountResponse)
GET_ACCOUNT: Final = _account_rpc("GetAccount", account_service_pb2.GetAccountResponse)
UPDATE_ACCOUNT: Final = _account_rpc("UpdateAccount", account_service_pb2.UpdateAccountResponse)
LIST_ACCOUNTS: Final = _account_rpc("ListAccounts", account_service_pb2.ListAccountsResponse)
FREEZE_ACCOUNT: Final = _account_rpc("FreezeAccount", account_service_pb2.FreezeAccountResponse)
UNFREEZE_ACCOUNT: Final = _account_rpc("UnfreezeAccount", account_service_pb2.UnfreezeAccountResponse)
CLOSE_ACCOUNT: Final = _account_rpc("CloseAccount", account_service_pb2.CloseAccountResponse)
GET_BALANCE: Final = _account_rpc("GetBalance", account_service_pb2.GetBalanceResponse)
ADD_CREDIT: Final = _account_rpc("AddCredit", account_service_pb2.AddCreditResponse)
REVERSE_CREDIT: Final = _account_rpc("ReverseCredit", account_service_pb2.ReverseCreditResponse)
GRANT_CREDIT: Final = _account_rpc("GrantCredit", account_service_pb2.GrantCreditResponse)
ADJUST: Final = _account_rpc("Adjust", account_service_pb2.AdjustResponse)
WITHDRAW: Final = _account_rpc("Withdraw", account_service_pb2.WithdrawResponse)
TRANSFER: Final = _account_rpc("Transfer", account_service_pb2.TransferResponse)
LIST_TRANSACTIONS: Final = _account_rpc("ListTransactions", account_service_pb2.ListTransactionsResponse)
GET_TRANSACTION: Final = _account_rpc("GetTransaction", account_service_pb2.GetTransactionResponse)
GET_TRIAL_BALANCE: Final = _account_rpc("GetTrialBalance", account_service_pb2.GetTrialBalanceResponse)

RESERVE: Final = _ledger_rpc("Reserve", ledger_service_pb2.ReserveResponse)
EXTEND: Final = _ledger_rpc("Extend", ledger_service_pb2.ExtendResponse)
COMMIT: Final = _ledger_rpc("Commit", ledger_service_pb2.CommitResponse)
VOID: Final = _ledger_rpc("Void", ledger_service_pb2.VoidResponse)
CHARGE: Final = _ledger_rpc("Charge", ledger_service_pb2.ChargeResponse)
REFUND: Final = _ledger_rpc("Refund", ledger_service_pb2.RefundResponse)
BATCH_EXECUTE: Final = _ledger_rpc("BatchExecute", ledger_service_pb2.BatchExecuteResponse)
GET_RESERVATION: Final = _ledger_rpc("GetReservation", ledger_service_pb2.GetReservationResponse)
LIST_RESERVATIONS: Final = _ledger_rpc("ListReservations", ledger_service_pb2.ListReservationsResponse)

RECORD_USAGE: Final = Method("/imprest.v1.UsageService/RecordUsage", usage_service_pb2.RecordUsageResponse)
TRUE_UP_COST: Final = Method("/imprest.v1.UsageService/TrueUpCost", usage_service_pb2.TrueUpCostResponse)


# ── single values ────────────────────────────────────────────────────────────────────────────────────

E = TypeVar("E", bound=StrEnum)


def member(kind: type[E], proto: Any, prefix: str, number: Any) -> E:
    """The member with the name of a proto value; UNKNOWN for one that this release has no name for."""
    try:
        return kind(proto.Name(number).removeprefix(prefix))
    except ValueError:
        return kind("UNKNOWN")


def _code(number: Any) -> model.LedgerAccountCode:
    return member(model.LedgerAccountCode, transaction_pb2.LedgerAccountCode, "LEDGER_ACCOUNT_CODE_", number)


# ── resources ────────────────────────────────────────────────────────────────────────────────────────


def account(message: account_pb2.Account) -> model.Account:
    """An account."""
    return model.Account(
        account_id=message.account_id,
        currency_code=message.currency_code,
        state=member(model.AccountState, account_pb2.AccountState, "ACCOUNT_STATE_", message.state),
        customer_id=message.customer_id,
        display_name=message.display_name,
        parent_account_id=message.parent_account_id,
        credit_limit=to_decimal(message.credit_limit),
        overrun_policy=member(
            model.OverrunPolicy, account_pb2.OverrunPolicy, "OVERRUN_POLICY_", message.overrun_policy
        ),
        max_overrun=to_decimal(message.max_overrun) if message.HasField("max_overrun") else None,
        max_concurrent_calls=message.max_concurrent_calls if message.HasField("max_concurrent_calls") else None,
        low_balance_threshold=(
            to_decimal(message.low_balance_threshold) if message.HasField("low_balance_threshold") else None
        ),
        time_zone=message.time_zone,
        labels=dict(message.labels),
        create_time=from_time(message.create_time),
        update_time=from_time(message.update_time),
    )


def balance(message: balance_pb2.Balance) -> model.Balance:
    """A balance of now."""
    return model.Balance(
        account_id=message.account_id,
        currency_code=message.currency_code,
        wallet=to_decimal(message.wallet),
        held=to_decimal(message.held),
        available=to_decimal(message.available),
        receivable=to_decimal(message.receivable),
        credit_limit=to_decimal(message.credit_limit),
        as_of=from_time(message.as_of),
    )


def past_balance(message: balance_pb2.Balance) -> model.PastBalance:
    """A balance of a past instant."""
    return model.PastBalance(
        account_id=message.account_id,
        currency_code=message.currency_code,
        wallet=to_decimal(message.wallet),
        receivable=to_decimal(message.receivable),
        as_of=from_time(message.as_of),
    )


def reservation(message: reservation_pb2.Reservation) -> model.Reservation:
    """A reservation."""
    return model.Reservation(
        reservation_id=message.reservation_id,
        account_id=message.account_id,
        call_id=message.call_id,
        state=member(model.ReservationState, reservation_pb2.ReservationState, "RESERVATION_STATE_", message.state),
        currency_code=message.amount.currency_code,
        amount=to_decimal(message.amount),
        captured=to_decimal(message.captured),
        absorbed=to_decimal(message.absorbed),
        used_so_far=to_decimal(message.used_so_far),
        on_expiry=member(model.OnExpiry, reservation_pb2.OnExpiry, "ON_EXPIRY_", message.on_expiry),
        labels=dict(message.labels),
        create_time=from_time(message.create_time),
        expire_time=from_time(message.expire_time),
        end_time=from_time(message.end_time) if message.HasField("end_time") else None,
        late=message.late,
    )


def transaction(message: transaction_pb2.Transaction) -> model.Transaction:
    """A transaction with its postings in order."""
    return model.Transaction(
        transaction_id=message.transaction_id,
        account_id=message.account_id,
        seq=message.seq,
        kind=member(model.TransactionKind, transaction_pb2.TransactionKind, "TRANSACTION_KIND_", message.kind),
        currency_code=message.wallet_after.currency_code,
        postings=tuple(
            model.Posting(_code(posting.debit), _code(posting.credit), to_decimal(posting.amount))
            for posting in message.postings
        ),
        wallet_after=to_decimal(message.wallet_after),
        reservation_id=message.reservation_id,
        call_id=message.call_id,
        reason=message.reason,
        external_reference=message.external_reference,
        labels=dict(message.labels),
        effective_time=from_time(message.effective_time),
        create_time=from_time(message.create_time),
        chain_hash=message.chain_hash,
    )


def _allocations(
    messages: Iterable[transaction_pb2.RefundAllocation],
) -> tuple[model.RefundAllocation, ...]:
    return tuple(
        model.RefundAllocation(
            captured_transaction_id=message.captured_transaction_id,
            refund_transaction_id=message.refund_transaction_id,
            amount=to_decimal(message.amount),
            provider_cost=to_decimal(message.provider_cost),
        )
        for message in messages
    )


def transaction_refunds(reply: account_service_pb2.GetTransactionResponse) -> model.TransactionRefunds:
    """A transaction, the refunds it has a part in, and the usage it charged."""
    return model.TransactionRefunds(
        transaction(reply.transaction),
        _allocations(reply.refunded_by),
        _allocations(reply.refund_of),
        tuple(rated_line(line) for line in reply.lines),
    )


def _charge(message: charge_pb2.ChargeBreakdown) -> model.ChargeBreakdown:
    return model.ChargeBreakdown(
        currency_code=message.charged.currency_code,
        charged=to_decimal(message.charged),
        from_hold=to_decimal(message.from_hold),
        from_available=to_decimal(message.from_available),
        receivable=to_decimal(message.receivable),
        absorbed=to_decimal(message.absorbed),
        provider_cost=to_decimal(message.provider_cost),
        lines=tuple(rated_line(line) for line in message.lines),
    )


def trial_balance(message: trial_balance_pb2.TrialBalance, as_of: Timestamp) -> model.TrialBalance:
    """The whole chart in one currency."""
    return model.TrialBalance(
        currency_code=message.currency_code,
        lines=tuple(
            model.TrialBalanceLine(
                code=_code(line.code),
                debit_balance=to_decimal(line.debit_balance) if line.HasField("debit_balance") else None,
                credit_balance=to_decimal(line.credit_balance) if line.HasField("credit_balance") else None,
            )
            for line in message.lines
        ),
        total_debits=to_decimal(message.total_debits),
        total_credits=to_decimal(message.total_credits),
        as_of=from_time(as_of),
    )


# ── receipts ─────────────────────────────────────────────────────────────────────────────────────────


def account_receipt(
    reply: account_service_pb2.CreateAccountResponse
    | account_service_pb2.UpdateAccountResponse
    | account_service_pb2.FreezeAccountResponse
    | account_service_pb2.UnfreezeAccountResponse
    | account_service_pb2.CloseAccountResponse
    | account_service_pb2.AddCreditResponse
    | account_service_pb2.ReverseCreditResponse
    | account_service_pb2.GrantCreditResponse
    | account_service_pb2.AdjustResponse
    | account_service_pb2.WithdrawResponse,
) -> model.AccountReceipt:
    """The reply of every operation on one account."""
    return model.AccountReceipt(account(reply.account), balance(reply.balance), reply.transaction_id, reply.replayed)


def transfer_receipt(reply: account_service_pb2.TransferResponse) -> model.TransferReceipt:
    """The reply of Transfer."""
    return model.TransferReceipt(
        account=account(reply.account),
        balance=balance(reply.balance),
        transaction_id=reply.transaction_id,
        to_balance=balance(reply.to_balance),
        to_transaction_id=reply.to_transaction_id,
        replayed=reply.replayed,
    )


def reserve_receipt(reply: ledger_service_pb2.ReserveResponse) -> model.HoldReceipt:
    """The reply of Reserve."""
    return _hold_receipt(reply, "")


def extend_receipt(reply: ledger_service_pb2.ExtendResponse) -> model.HoldReceipt:
    """The reply of Extend."""
    reason = ""
    if reply.denial_reason:
        try:
            reason = errors_pb2.ErrorReason.Name(reply.denial_reason).removeprefix("ERROR_REASON_")
        except ValueError:  # of a later release
            reason = "UNKNOWN"
    return _hold_receipt(reply, reason)


def _hold_receipt(
    reply: ledger_service_pb2.ReserveResponse | ledger_service_pb2.ExtendResponse, denial_reason: str
) -> model.HoldReceipt:
    return model.HoldReceipt(
        reservation=reservation(reply.reservation),
        balance=balance(reply.balance),
        final_unit=reply.final_unit,
        denial_reason=denial_reason,
        affordable_duration=(
            from_duration(reply.affordable_duration) if reply.HasField("affordable_duration") else None
        ),
        replayed=reply.replayed,
    )


def commit_receipt(reply: ledger_service_pb2.CommitResponse) -> model.CommitReceipt:
    """The reply of Commit."""
    return model.CommitReceipt(
        reservation=reservation(reply.reservation),
        balance=balance(reply.balance),
        charge=_charge(reply.charge),
        transaction_id=reply.transaction_id,
        late=reply.late,
        replayed=reply.replayed,
    )


def void_receipt(reply: ledger_service_pb2.VoidResponse) -> model.VoidReceipt:
    """The reply of Void."""
    return model.VoidReceipt(reservation(reply.reservation), balance(reply.balance), reply.replayed)


def charge_receipt(
    reply: ledger_service_pb2.ChargeResponse | usage_service_pb2.RecordUsageResponse,
) -> model.ChargeReceipt:
    """The reply of Charge and RecordUsage."""
    return model.ChargeReceipt(balance(reply.balance), _charge(reply.charge), reply.transaction_id, reply.replayed)


def refund_receipt(reply: ledger_service_pb2.RefundResponse) -> model.RefundReceipt:
    """The reply of Refund."""
    return model.RefundReceipt(
        transaction(reply.transaction), balance(reply.balance), to_decimal(reply.refunded_total), reply.replayed
    )


def true_up_receipt(reply: usage_service_pb2.TrueUpCostResponse) -> model.TrueUpReceipt:
    """The reply of TrueUpCost."""
    return model.TrueUpReceipt(
        transaction(reply.transaction) if reply.HasField("transaction") else None,
        balance(reply.balance),
        to_decimal(reply.difference),
        reply.replayed,
    )
