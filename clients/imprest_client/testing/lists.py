"""The reads of more than one thing: lists in pages, single transactions, trial balances."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from google.protobuf.message import Message

from imprest.v1 import account_pb2, account_service_pb2, ledger_service_pb2, reservation_pb2
from imprest_client.testing import replies
from imprest_client.testing.ledger import Tenant
from imprest_client.testing.ledger.model import Denied
from imprest_client.testing.ledger.validation import check_shape

T = TypeVar("T")


def list_accounts(tenant: Tenant, request: Any, _now: int) -> Message:
    """Accounts in the order of their ids."""
    state = account_pb2.AccountState.Name(request.state).removeprefix("ACCOUNT_STATE_")
    found = [
        account
        for _, account in sorted(tenant.accounts.items())
        if request.customer_id in ("", account.customer_id)
        and request.parent_account_id in ("", account.parent_account_id)
        and state in ("UNSPECIFIED", account.state)
    ]
    page, token = page_of(request, found, lambda account: account.account_id)
    return account_service_pb2.ListAccountsResponse(
        accounts=[replies.account(account) for account in page], next_page_token=token
    )


def list_reservations(tenant: Tenant, request: Any, _now: int) -> Message:
    """Reservations, the newest first."""
    state = reservation_pb2.ReservationState.Name(request.state).removeprefix("RESERVATION_STATE_")
    found = [
        (hold, account.currency)
        for account in tenant.accounts.values()
        for hold in account.holds.values()
        if request.account_id in ("", account.account_id)
        and request.call_id in ("", hold.call_id)
        and state in ("UNSPECIFIED", hold.state)
    ]
    found.sort(key=lambda item: item[0].reservation_id, reverse=True)
    page, token = page_of(request, found, lambda item: item[0].reservation_id)
    return ledger_service_pb2.ListReservationsResponse(
        reservations=[replies.reservation(hold, currency) for hold, currency in page], next_page_token=token
    )


def list_transactions(tenant: Tenant, request: Any, _now: int) -> Message:
    """An account's transactions, the oldest first."""
    check_shape("account_id", request.account_id)
    if request.reservation_id:
        check_shape("reservation_id", request.reservation_id)
    start, end = request.start_time.ToMicroseconds(), request.end_time.ToMicroseconds()
    if request.HasField("start_time") and request.HasField("end_time") and end <= start:
        raise Denied("INVALID_ARGUMENT", field="end_time", problem="must be after start_time")
    found = [
        message
        for message in replies.transactions(tenant.account(request.account_id))
        if (not request.HasField("start_time") or message.create_time.ToMicroseconds() >= start)
        and (not request.HasField("end_time") or message.create_time.ToMicroseconds() < end)
        and (not request.kinds or message.kind in request.kinds)
        and request.reservation_id in ("", message.reservation_id)
    ]
    page, token = page_of(request, found, lambda message: f"{message.seq:012d}")
    return account_service_pb2.ListTransactionsResponse(transactions=page, next_page_token=token)


def get_transaction(tenant: Tenant, request: Any, _now: int) -> Message:
    """One transaction, and the refunds it has a part in."""
    check_shape("transaction_id", request.transaction_id)
    account, entry = tenant.transaction(request.transaction_id)
    own = sorted(item for item in tenant.allocations if entry.transaction_id in item[:2])
    return account_service_pb2.GetTransactionResponse(
        transaction=replies.transactions(account)[entry.seq - 1],
        refunded_by=[replies.allocation(item, account.currency) for item in own if item[0] == entry.transaction_id],
        refund_of=[replies.allocation(item, account.currency) for item in own if item[1] == entry.transaction_id],
        lines=[replies.rated_line(line, account.currency) for line in tenant.lines_of.get(entry.transaction_id, ())],
    )


def get_trial_balance(tenant: Tenant, request: Any, now: int) -> Message:
    """The balances of every line of the chart, by currency."""
    accounts = list(tenant.accounts.values())
    if request.WhichOneof("scope"):
        check_shape("account_id", request.account_id)
        accounts = [tenant.account(request.account_id)]
    sums: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for account in accounts:
        for code, amount in account.balances.items():
            sums[account.currency][code] += amount
    return account_service_pb2.GetTrialBalanceResponse(
        trial_balances=[replies.trial_balance(balances, currency) for currency, balances in sorted(sums.items())],
        as_of=replies.time(now),
    )


LISTS: dict[str, Callable[[Tenant, Any, int], Message]] = {
    "ListAccounts": list_accounts,
    "ListReservations": list_reservations,
    "ListTransactions": list_transactions,
    "GetTransaction": get_transaction,
    "GetTrialBalance": get_trial_balance,
}


def page_of(request: Any, items: Sequence[T], key: Callable[[T], str]) -> tuple[list[T], str]:
    """The page that a request asks for, and the token of the next one: bound to the request's filters."""
    if request.page_size < 0:
        raise Denied("INVALID_ARGUMENT", field="page_size", problem="must not be negative")
    filters = type(request)()
    filters.CopyFrom(request)
    filters.ClearField("page_size")
    filters.ClearField("page_token")
    scope = hashlib.sha256(filters.SerializeToString(deterministic=True)).hexdigest()[:8]
    start = 0
    if request.page_token:
        bound, _, last = request.page_token.partition(".")
        keys = [key(item) for item in items]
        if bound != scope or last not in keys:
            raise Denied("INVALID_ARGUMENT", field="page_token", problem="is not one of this list")
        start = keys.index(last) + 1
    size = min(request.page_size or 100, 1000)
    page = list(items[start : start + size])
    more = start + size < len(items)
    return page, f"{scope}.{key(page[-1])}" if more else ""
