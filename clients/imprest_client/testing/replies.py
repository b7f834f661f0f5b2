"""From what the model knows to messages."""

from __future__ import annotations

import hashlib
from decimal import Context, Decimal
from fractions import Fraction
from typing import Any, Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.decimal_pb2 import Decimal as DecimalMessage
from google.type.money_pb2 import Money

from imprest.v1 import (
    account_pb2,
    account_service_pb2,
    balance_pb2,
    charge_pb2,
    ledger_service_pb2,
    reservation_pb2,
    transaction_pb2,
    trial_balance_pb2,
    usage_pb2,
    usage_service_pb2,
)
from imprest_client.testing.ledger import Outcome, Tenant, model
from imprest_client.testing.ledger.money import NANOS_PER_UNIT

_VERSION: Final = f"ver_{0:032x}"


def money(nanos: int, currency: str) -> Money:
    """An amount."""
    units, rest = divmod(abs(nanos), NANOS_PER_UNIT)
    sign = -1 if nanos < 0 else 1
    return Money(currency_code=currency, units=sign * units, nanos=sign * rest)


def time(micros: int) -> Timestamp:
    """A time."""
    seconds, rest = divmod(micros, 1_000_000)
    return Timestamp(seconds=seconds, nanos=rest * 1000)


def account(found: model.Account) -> account_pb2.Account:
    """An account; the limits it does not have are absent."""
    currency, owed, low = found.currency, found.max_overrun, found.low_balance_threshold
    return account_pb2.Account(
        account_id=found.account_id,
        customer_id=found.customer_id,
        display_name=found.display_name,
        currency_code=currency,
        parent_account_id=found.parent_account_id,
        credit_limit=money(found.credit_limit, currency),
        overrun_policy=f"OVERRUN_POLICY_{found.overrun_policy}",
        max_overrun=None if owed is None else money(owed, currency),
        max_concurrent_calls=found.max_concurrent_calls,
        low_balance_threshold=None if low is None else money(low, currency),
        time_zone=found.time_zone,
        labels=found.labels,
        state=f"ACCOUNT_STATE_{found.state}",
        create_time=time(found.create_time),
        update_time=time(found.update_time),
    )


def balance(found: model.Account, now: int) -> balance_pb2.Balance:
    """What an account has now."""
    currency = found.currency
    return balance_pb2.Balance(
        account_id=found.account_id,
        currency_code=currency,
        wallet=money(found.wallet, currency),
        held=money(found.held, currency),
        available=money(found.available, currency),
        receivable=money(found.receivable, currency),
        credit_limit=money(found.credit_limit, currency),
        as_of=time(now),
    )


def past_balance(found: model.Account, then: model.Balance, as_of: int) -> balance_pb2.Balance:
    """What an account had at a past instant."""
    return balance_pb2.Balance(
        account_id=found.account_id,
        currency_code=found.currency,
        wallet=money(then.wallet, found.currency),
        receivable=money(then.receivable, found.currency),
        as_of=time(as_of),
    )


def reservation(hold: model.Reservation, currency: str) -> reservation_pb2.Reservation:
    """A reservation."""
    return reservation_pb2.Reservation(
        reservation_id=hold.reservation_id,
        account_id=hold.account_id,
        call_id=hold.call_id,
        state=f"RESERVATION_STATE_{hold.state}",
        amount=money(hold.amount, currency),
        captured=money(hold.captured, currency),
        used_so_far=money(hold.used, currency),
        absorbed=money(hold.absorbed, currency),
        create_time=time(hold.create_time),
        expire_time=time(hold.expire_time),
        end_time=None if hold.end_time is None else time(hold.end_time),
        on_expiry=f"ON_EXPIRY_{hold.on_expiry}",
        labels=hold.labels,
        late=hold.late,
    )


def transactions(found: model.Account) -> list[transaction_pb2.Transaction]:
    """All transactions of an account's book, chained by a hash (the model's own, not the server's form)."""
    previous, messages = bytes(32), []
    for entry in found.transactions:
        message = _transaction(entry, found.currency)
        previous = hashlib.sha256(previous + message.SerializeToString(deterministic=True)).digest()
        message.chain_hash = previous
        messages.append(message)
    return messages


def _transaction(entry: model.Transaction, currency: str) -> transaction_pb2.Transaction:
    return transaction_pb2.Transaction(
        transaction_id=entry.transaction_id,
        account_id=entry.account_id,
        seq=entry.seq,
        kind=f"TRANSACTION_KIND_{entry.kind}",
        postings=[
            transaction_pb2.Posting(
                debit=f"LEDGER_ACCOUNT_CODE_{posting.debit}",
                credit=f"LEDGER_ACCOUNT_CODE_{posting.credit}",
                amount=money(posting.amount, currency),
            )
            for posting in entry.postings
        ],
        wallet_after=money(entry.wallet_after, currency),
        reservation_id=entry.reservation_id,
        call_id=entry.details.call_id,
        reason=entry.details.reason,
        external_reference=entry.details.external_reference,
        labels=entry.details.labels,
        effective_time=time(entry.effective_time),
        create_time=time(entry.create_time),
    )


def rated_line(rated: model.Rated, currency: str) -> usage_pb2.RatedLine:
    """A usage line with its price and cost."""
    line = rated.line
    return usage_pb2.RatedLine(
        line=usage_pb2.UsageLine(
            line_id=line.line_id,
            meter=line.meter,
            provider=line.provider,
            model=line.model,
            quantity=DecimalMessage(value=_plain(line.quantity)),
            destination=line.destination,
            operation=line.operation,
            labels=dict(line.labels),
        ),
        price=money(rated.price, currency),
        cost=money(rated.cost, currency),
        exact_price=DecimalMessage(value=_plain(_decimal(rated.exact_price))),
        exact_cost=DecimalMessage(value=_plain(_decimal(rated.exact_cost))),
        price_version=_VERSION,
        cost_version=_VERSION,
        match="the fake server's unit price",
        duplicate=rated.duplicate,
    )


def _decimal(exact: Fraction) -> Decimal:
    """The number with 18 decimals."""
    return Decimal(round(exact * 10**18)).scaleb(-18, Context(prec=60))


def _plain(number: Decimal) -> str:
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def allocation(item: tuple[str, str, int, int], currency: str) -> transaction_pb2.RefundAllocation:
    """How much of one transaction another one gave back, and of its cost."""
    captured, refund, amount, cost = item
    return transaction_pb2.RefundAllocation(
        captured_transaction_id=captured,
        refund_transaction_id=refund,
        amount=money(amount, currency),
        provider_cost=money(cost, currency),
    )


def trial_balance(balances: dict[str, int], currency: str) -> trial_balance_pb2.TrialBalance:
    """The whole chart, each balance on the side it falls on."""
    lines, total_debits, total_credits = [], 0, 0
    for value in transaction_pb2.LedgerAccountCode.DESCRIPTOR.values[1:]:
        code = value.name.removeprefix("LEDGER_ACCOUNT_CODE_")
        amount, normal_is_debit = balances[code], code in model.DEBIT_NORMAL
        is_debit = normal_is_debit if amount >= 0 else not normal_is_debit
        total_debits += abs(amount) if is_debit else 0
        total_credits += 0 if is_debit else abs(amount)
        side = "debit_balance" if is_debit else "credit_balance"
        one: dict[str, Any] = {side: money(abs(amount), currency)}
        lines.append(trial_balance_pb2.TrialBalanceLine(code=value.name, **one))
    return trial_balance_pb2.TrialBalance(
        currency_code=currency,
        lines=lines,
        total_debits=money(total_debits, currency),
        total_credits=money(total_credits, currency),
    )


def reply(rpc: str, tenant: Tenant, outcome: Outcome, as_of: int | None, now: int) -> Any:
    """The reply to an operation that was granted."""
    assert outcome.account_id is not None, "every granted operation names its account"
    found = tenant.accounts[outcome.account_id]
    currency, hold = found.currency, outcome.reservation
    more: dict[str, Any] = {}
    if hold is not None:
        more["reservation"] = reservation(hold, currency)
    if outcome.charge is not None:
        split = outcome.charge
        more["charge"] = charge_pb2.ChargeBreakdown(
            charged=money(split.charged, currency),
            from_hold=money(split.from_hold, currency),
            from_available=money(split.from_available, currency),
            receivable=money(split.receivable, currency),
            absorbed=money(split.absorbed, currency),
            provider_cost=money(split.provider_cost, currency),
            lines=[rated_line(line, currency) for line in outcome.lines],
        )
    if rpc == "GetReservation":
        return ledger_service_pb2.GetReservationResponse(**more)
    if rpc == "GetAccount":
        return account_service_pb2.GetAccountResponse(account=account(found))
    if rpc == "GetBalance":
        assert outcome.balance is not None, "a balance was asked for"
        then = balance(found, now) if as_of is None else past_balance(found, outcome.balance, as_of)
        return account_service_pb2.GetBalanceResponse(balance=then)
    more["balance"] = balance(found, now)
    if rpc in ("Reserve", "Extend"):
        more["final_unit"] = outcome.final_unit
        if outcome.affordable_s is not None:
            more["affordable_duration"] = Duration(seconds=outcome.affordable_s)
    if rpc == "Extend" and outcome.denial_reason is not None:
        more["denial_reason"] = f"ERROR_REASON_{outcome.denial_reason}"
    if rpc == "Refund":
        more["transaction"] = next(t for t in transactions(found) if t.transaction_id == outcome.transaction_id)
        more["refunded_total"] = money(outcome.refunded_total or 0, currency)
    elif rpc not in ("Reserve", "Extend", "Void"):
        more["transaction_id"] = outcome.transaction_id or ""
    if rpc == "TrueUpCost":
        written = [t for t in transactions(found) if t.transaction_id == outcome.transaction_id]
        return usage_service_pb2.TrueUpCostResponse(
            transaction=written[0] if written else None,
            balance=more["balance"],
            difference=more["charge"].provider_cost,
        )
    if rpc == "Commit":
        more["late"] = outcome.late
    if rpc == "RecordUsage":
        return usage_service_pb2.RecordUsageResponse(**more)
    service: Any = ledger_service_pb2
    if not hasattr(service, f"{rpc}Response"):
        service = account_service_pb2
        more["account"] = account(found)
    if rpc == "Transfer":
        more["to_transaction_id"] = outcome.to_transaction_id or ""
        more["to_balance"] = balance(tenant.accounts[outcome.to_account_id or ""], now)
    return getattr(service, f"{rpc}Response")(**more)
