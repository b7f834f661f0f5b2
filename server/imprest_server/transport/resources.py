"""The ledger's things as messages. Amounts of a book are bare nanos, so its currency is passed along."""

from __future__ import annotations

from imprest.v1 import account_pb2, balance_pb2, charge_pb2, reservation_pb2, transaction_pb2, trial_balance_pb2
from imprest_server.core.ids import format_reservation_id, format_transaction_id
from imprest_server.ledger.chart import LedgerAccountCode
from imprest_server.ledger.model import (
    Account,
    AccountState,
    Balance,
    ChargeBreakdown,
    OnExpiry,
    OverrunPolicy,
    RefundAllocation,
    Reservation,
    ReservationState,
    Transaction,
    TransactionKind,
)
from imprest_server.ledger.views import PastBalance, TrialBalance, TrialBalanceLine
from imprest_server.transport.convert import EnumMap, money_fields, time_fields, to_money, to_time
from imprest_server.transport.usage import to_rated_line

ACCOUNT_STATE = EnumMap(AccountState, account_pb2.AccountState, "ACCOUNT_STATE")
OVERRUN_POLICY = EnumMap(OverrunPolicy, account_pb2.OverrunPolicy, "OVERRUN_POLICY")
RESERVATION_STATE = EnumMap(ReservationState, reservation_pb2.ReservationState, "RESERVATION_STATE")
ON_EXPIRY = EnumMap(OnExpiry, reservation_pb2.OnExpiry, "ON_EXPIRY")
TRANSACTION_KIND = EnumMap(TransactionKind, transaction_pb2.TransactionKind, "TRANSACTION_KIND")
LEDGER_ACCOUNT_CODE = EnumMap(LedgerAccountCode, transaction_pb2.LedgerAccountCode, "LEDGER_ACCOUNT_CODE")


def to_account(account: Account) -> account_pb2.Account:
    """An account; the limits it does not have are absent."""
    currency = account.currency_code
    message = account_pb2.Account(
        account_id=account.account_id,
        customer_id=account.customer_id,
        display_name=account.display_name,
        currency_code=currency,
        parent_account_id=account.parent_account_id or "",
        credit_limit=money_fields(currency, account.credit_limit),
        overrun_policy=OVERRUN_POLICY.to_proto[account.overrun_policy],
        max_concurrent_calls=account.max_concurrent_calls,
        time_zone=account.time_zone,
        labels=account.labels,
        state=ACCOUNT_STATE.to_proto[account.state],
    )
    if account.max_overrun is not None:
        message.max_overrun.CopyFrom(to_money(currency, account.max_overrun))
    if account.low_balance_threshold is not None:
        message.low_balance_threshold.CopyFrom(to_money(currency, account.low_balance_threshold))
    if account.create_time is not None:
        message.create_time.CopyFrom(to_time(account.create_time))
    if account.update_time is not None:
        message.update_time.CopyFrom(to_time(account.update_time))
    return message


def to_balance(balance: Balance) -> balance_pb2.Balance:
    """A balance of now, with all fields."""
    currency = balance.currency_code
    return balance_pb2.Balance(
        account_id=balance.account_id,
        currency_code=currency,
        wallet=money_fields(currency, balance.wallet),
        held=money_fields(currency, balance.held),
        available=money_fields(currency, balance.available),
        receivable=money_fields(currency, balance.receivable),
        credit_limit=money_fields(currency, balance.credit_limit),
        as_of=time_fields(balance.as_of),
    )


def to_past_balance(balance: PastBalance) -> balance_pb2.Balance:
    """A balance of a past instant: holds and settings have no history, so their fields are absent."""
    currency = balance.currency_code
    return balance_pb2.Balance(
        account_id=balance.account_id,
        currency_code=currency,
        wallet=money_fields(currency, balance.wallet),
        receivable=money_fields(currency, balance.receivable),
        as_of=time_fields(balance.as_of),
    )


def to_reservation(reservation: Reservation, currency: str) -> reservation_pb2.Reservation:
    """A reservation."""
    return reservation_pb2.Reservation(
        reservation_id=format_reservation_id(reservation.reservation_id),
        account_id=reservation.account_id,
        call_id=reservation.call_id,
        state=RESERVATION_STATE.to_proto[reservation.state],
        amount=money_fields(currency, reservation.amount),
        captured=money_fields(currency, reservation.captured),
        used_so_far=money_fields(currency, reservation.used_so_far),
        create_time=time_fields(reservation.create_time),
        expire_time=time_fields(reservation.expire_time),
        on_expiry=ON_EXPIRY.to_proto[reservation.on_expiry],
        labels=reservation.labels,
        absorbed=money_fields(currency, reservation.absorbed),
        end_time=None if reservation.end_time is None else time_fields(reservation.end_time),
        late=reservation.late,
    )


def to_charge(charge: ChargeBreakdown, currency: str) -> charge_pb2.ChargeBreakdown:
    """Where a charge was taken from, every amount present, and the usage it was for."""
    return charge_pb2.ChargeBreakdown(
        charged=money_fields(currency, charge.charged),
        from_hold=money_fields(currency, charge.from_hold),
        from_available=money_fields(currency, charge.from_available),
        receivable=money_fields(currency, charge.receivable),
        absorbed=money_fields(currency, charge.absorbed),
        provider_cost=money_fields(currency, charge.provider_cost),
        lines=[to_rated_line(line, currency) for line in charge.lines],
    )


def to_transaction(transaction: Transaction, currency: str) -> transaction_pb2.Transaction:
    """A transaction with its postings in order."""
    codes = LEDGER_ACCOUNT_CODE.to_proto
    return transaction_pb2.Transaction(
        transaction_id=format_transaction_id(transaction.transaction_id),
        account_id=transaction.account_id,
        seq=transaction.seq,
        kind=TRANSACTION_KIND.to_proto[transaction.kind],
        postings=[
            transaction_pb2.Posting(
                debit=codes[posting.debit], credit=codes[posting.credit], amount=money_fields(currency, posting.amount)
            )
            for posting in transaction.postings
        ],
        wallet_after=money_fields(currency, transaction.wallet_after),
        reservation_id=format_reservation_id(transaction.reservation_id) if transaction.reservation_id else "",
        call_id=transaction.call_id,
        reason=transaction.reason,
        external_reference=transaction.external_reference,
        labels=transaction.labels,
        effective_time=time_fields(transaction.effective_time),
        create_time=time_fields(transaction.create_time),
        chain_hash=transaction.chain_hash,
    )


def to_refund_allocation(allocation: RefundAllocation, currency: str) -> transaction_pb2.RefundAllocation:
    """A refund's share of one capture."""
    return transaction_pb2.RefundAllocation(
        captured_transaction_id=format_transaction_id(allocation.captured_transaction_id),
        refund_transaction_id=format_transaction_id(allocation.refund_transaction_id),
        amount=to_money(currency, allocation.amount),
        provider_cost=to_money(currency, allocation.cost),
    )


def to_trial_balance(trial_balance: TrialBalance) -> trial_balance_pb2.TrialBalance:
    """The whole chart in one currency."""
    currency = trial_balance.currency_code
    return trial_balance_pb2.TrialBalance(
        currency_code=currency,
        lines=[_to_line(line, currency) for line in trial_balance.lines],
        total_debits=money_fields(currency, trial_balance.total_debits),
        total_credits=money_fields(currency, trial_balance.total_credits),
    )


def _to_line(line: TrialBalanceLine, currency: str) -> trial_balance_pb2.TrialBalanceLine:
    """A line with its balance on one side."""
    debit, credit = line.debit_balance, line.credit_balance
    return trial_balance_pb2.TrialBalanceLine(
        code=LEDGER_ACCOUNT_CODE.to_proto[line.code],
        debit_balance=None if debit is None else money_fields(currency, debit),
        credit_balance=None if credit is None else money_fields(currency, credit),
    )
