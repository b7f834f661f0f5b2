"""The clients without `await`, for code that has no event loop.

They are the same clients: each method runs its twin on an event loop in a background thread that all of them share
(`imprest_client.blocking`), so heartbeats and deliveries go on while the caller does something else. They may be used
from several threads. Never use them inside a coroutine: they block its event loop.
"""

from __future__ import annotations

import copy
from datetime import datetime
from typing import Self, overload

import imprest_client.admin as aio_admin
import imprest_client.client as aio
from imprest_client.blocking import LOOP, Facade, blocking, iterating
from imprest_client.connection import Connection
from imprest_client.model import Balance, PastBalance


class LedgerClient(Facade):
    """`imprest_client.LedgerClient`, blocking."""

    _kind: type[aio.LedgerClient] = aio.LedgerClient
    _inner: aio.LedgerClient

    def __init__(self, target: str | Connection, *, currency: str | None = None) -> None:
        """Make a client of the server at `host:port`, or on a connection that other blocking clients use, too."""
        self._inner = self._kind(target, currency=currency)

    def __enter__(self) -> Self:
        """Nothing to do: connections are opened when they are used."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the client."""
        self.close()

    def close(self) -> None:
        """Close the connection, if it is the client's own."""
        LOOP.run(self._inner.close())

    def with_timeout(self, seconds: float) -> Self:
        """The same client on the same connection, whose requests may take this long with all their attempts."""
        limited = copy.copy(self)
        limited._inner = self._inner.with_timeout(seconds)
        return limited

    reserve = blocking(aio.LedgerClient.reserve)
    extend = blocking(aio.LedgerClient.extend)
    commit = blocking(aio.LedgerClient.commit)
    void = blocking(aio.LedgerClient.void)
    charge = blocking(aio.LedgerClient.charge)
    refund = blocking(aio.LedgerClient.refund)
    get_reservation = blocking(aio.LedgerClient.get_reservation)
    list_reservations = iterating(aio.LedgerClient.list_reservations)


class AdminClient(LedgerClient):
    """`imprest_client.AdminClient`, blocking."""

    _kind = aio_admin.AdminClient
    _inner: aio_admin.AdminClient

    create_account = blocking(aio_admin.AdminClient.create_account)
    get_account = blocking(aio_admin.AdminClient.get_account)
    update_account = blocking(aio_admin.AdminClient.update_account)
    list_accounts = iterating(aio_admin.AdminClient.list_accounts)
    freeze_account = blocking(aio_admin.AdminClient.freeze_account)
    unfreeze_account = blocking(aio_admin.AdminClient.unfreeze_account)
    close_account = blocking(aio_admin.AdminClient.close_account)
    add_credit = blocking(aio_admin.AdminClient.add_credit)
    reverse_credit = blocking(aio_admin.AdminClient.reverse_credit)
    grant_credit = blocking(aio_admin.AdminClient.grant_credit)
    adjust = blocking(aio_admin.AdminClient.adjust)
    withdraw = blocking(aio_admin.AdminClient.withdraw)
    transfer = blocking(aio_admin.AdminClient.transfer)
    list_transactions = iterating(aio_admin.AdminClient.list_transactions)
    get_transaction = blocking(aio_admin.AdminClient.get_transaction)
    get_transaction_refunds = blocking(aio_admin.AdminClient.get_transaction_refunds)
    get_trial_balance = blocking(aio_admin.AdminClient.get_trial_balance)

    @overload
    def get_balance(self, account_id: str, *, as_of: None = None) -> Balance: ...
    @overload
    def get_balance(self, account_id: str, *, as_of: datetime) -> PastBalance: ...
    def get_balance(self, account_id: str, *, as_of: datetime | None = None) -> Balance | PastBalance:
        """Return what an account has, holds and owes now; or what it had and owed at a past instant."""
        if as_of is None:
            return LOOP.run(self._inner.get_balance(account_id))
        return LOOP.run(self._inner.get_balance(account_id, as_of=as_of))
