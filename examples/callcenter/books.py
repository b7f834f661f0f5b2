"""Reads the server's books after the day, and checks them against what the demo saw."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator

from imprest.v1.account_service_pb2 import (
    GetBalanceRequest,
    GetBalanceResponse,
    GetTrialBalanceRequest,
    GetTrialBalanceResponse,
    ListTransactionsRequest,
    ListTransactionsResponse,
)
from imprest.v1.balance_pb2 import Balance
from imprest.v1.transaction_pb2 import Transaction
from imprest.v1.trial_balance_pb2 import TrialBalance

from .ledger import Ledger
from .tally import Tally, book_figures, differences


async def check_accounts(ledger: Ledger, tally: Tally) -> list[str]:
    """Compare the book of every account with the tally; one line per difference."""
    found = []
    for account_id, seen in tally.accounts.items():
        reply: GetTrialBalanceResponse = await ledger.send(
            "GetTrialBalance", GetTrialBalanceRequest(account_id=account_id)
        )
        book = book_figures(await balance_of(ledger, account_id), reply.trial_balances[0])
        found += [f"{account_id}: {difference}" for difference in differences(seen, book)]
    return found


async def balance_of(ledger: Ledger, account_id: str) -> Balance:
    """The account's balance now."""
    reply: GetBalanceResponse = await ledger.send("GetBalance", GetBalanceRequest(account_id=account_id))
    return reply.balance


async def trial_balances(ledger: Ledger) -> list[TrialBalance]:
    """The tenant's trial balances, one per currency."""
    reply: GetTrialBalanceResponse = await ledger.send("GetTrialBalance", GetTrialBalanceRequest())
    return list(reply.trial_balances)


async def last_transactions(ledger: Ledger, account_id: str, count: int) -> list[Transaction]:
    """The account's latest transactions, oldest first. Statements are read from their beginning."""
    last: deque[Transaction] = deque(maxlen=count)
    async for transaction in _transactions(ledger, account_id):
        last.append(transaction)
    return list(last)


async def _transactions(ledger: Ledger, account_id: str) -> AsyncIterator[Transaction]:
    request = ListTransactionsRequest(account_id=account_id, page_size=1000)
    while True:
        reply: ListTransactionsResponse = await ledger.send("ListTransactions", request)
        for transaction in reply.transactions:
            yield transaction
        if not reply.next_page_token:
            return
        request.page_token = reply.next_page_token
