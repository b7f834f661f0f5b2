"""What callers may read of the ledger. SQL in sql/queries.sql.

Every read sees a book as if all its due expiries had been written. A statement that reads something an expiry would
change also tells whether a hold is due, by the database's clock and in the same snapshot; then the expiry goes
through the engine (only it writes money) and the statement runs again. So an answer always comes from one snapshot
without due holds.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from decimal import Decimal
from itertools import groupby
from typing import Any, LiteralString
from uuid import UUID

import psycopg
from psycopg import AsyncCursor
from psycopg import errors as pg
from psycopg.rows import TupleRow, tuple_row

from imprest_server.core.errors import Conflict, InvalidArgument, NotFound, Unavailable
from imprest_server.core.ids import (
    AccountId,
    AccountKey,
    ReservationId,
    TenantId,
    TransactionId,
    format_reservation_id,
    format_transaction_id,
)
from imprest_server.core.money import nanos_of
from imprest_server.core.paging import Scope, cut_page, decode_token, page_limit
from imprest_server.core.usage import RatedLine
from imprest_server.db.pool import ReadPool, tenant_transaction
from imprest_server.db.sqlfile import load_sql
from imprest_server.ledger.due import ExpireDue, Reading, without_due
from imprest_server.ledger.hashing import unix_micros
from imprest_server.ledger.model import (
    Account,
    AccountState,
    Balance,
    RefundAllocation,
    Reservation,
    ReservationState,
    Transaction,
    TransactionKind,
)
from imprest_server.ledger.rows import (
    ENTRY_WIDTH,
    account_of,
    allocations_of,
    balances_of,
    charged_line_of,
    entry_of,
    reservation_of,
)
from imprest_server.ledger.views import PastBalance, TrialBalance, UsedLine, UsedTransaction, size_of, trial_balance_of

SQL = load_sql("imprest_server.ledger", "sql/queries.sql")

#: How many refunds a transaction is shown with at most, on either side: a reply must not outgrow what clients accept.
REFUNDS_LIMIT = 10_000

#: More lines no capture has: a report takes no more.
USAGE_LIMIT = 200

#: How many columns of used_transactions are the transaction's.
_USED_WIDTH = 8


class Queries:
    """The ledger's reads, each limited to one tenant.

    All may raise Unavailable (no database, no free connection, too slow) and Conflict (a lock was not to be had). What
    does not exist, or belongs to another tenant, is NotFound. Lists raise InvalidArgument for a bad page size or token,
    take None or "" for a filter that is not set, and return the token of the next page, "" on the last.
    """

    def __init__(self, pool: ReadPool, expire_due: ExpireDue) -> None:
        self._pool = pool
        self._expire_due = expire_due

    async def get_account(self, tenant_id: TenantId, account_id: AccountId) -> Account:
        """The account's settings."""
        rows = await self._rows(tenant_id, SQL["get_account"], {"account": account_id})
        if not rows:
            raise NotFound(resource="account", id=account_id)
        return account_of(rows[0])

    async def list_accounts(
        self,
        tenant_id: TenantId,
        *,
        customer_id: str | None = None,
        parent_account_id: AccountId | None = None,
        state: AccountState | None = None,
        page_size: int = 0,
        page_token: str = "",
    ) -> tuple[list[Account], str]:
        """Accounts in the order of their ids."""
        limit = page_limit(page_size)
        scope = ("list_accounts", tenant_id, customer_id or None, parent_account_id or None, state)
        after = decode_token(page_token, scope, str)
        text = _filtered(
            "list_accounts",
            accounts_of_customer=customer_id,
            accounts_of_parent=parent_account_id,
            accounts_of_state=state,
            accounts_of_page=after,
        )
        parameters = {"customer": customer_id, "parent": parent_account_id, "state": state and state.value}
        rows = await self._rows(tenant_id, text, {**parameters, "after": after, "limit": limit + 1})
        return cut_page([account_of(row) for row in rows], limit, scope, lambda account: account.account_id, size_of)

    async def get_balance(
        self, tenant_id: TenantId, account_id: AccountId, as_of: datetime | None = None
    ) -> Balance | PastBalance:
        """The balance now; or wallet and receivable after the last transaction written at or before `as_of`.

        A past balance is final: no transaction can come at or before `as_of` any more. To know that, the book's row is
        locked FOR SHARE while it has no later transaction. Raises InvalidArgument for a future `as_of`.
        """

        async def read(horizon: datetime | None) -> Reading[Balance]:
            rows = await self._rows(tenant_id, SQL["get_balance"], {"account": account_id, "horizon": horizon})
            if not rows:
                raise NotFound(resource="account", id=account_id)
            now, is_due, currency_code, *amounts = rows[0]
            limit, wallet, held, receivable = map(nanos_of, amounts)
            available = wallet - held + limit
            balance = Balance(account_id, currency_code, wallet, held, available, receivable, limit, as_of=now)
            return balance, now, [account_id] if is_due else []

        async def read_past(as_of: datetime, horizon: datetime | None) -> Reading[PastBalance]:
            parameters = {"tenant": tenant_id, "account": account_id, "as_of": as_of, "horizon": horizon}
            async with self._cursor([tenant_id]) as cursor:
                await cursor.execute(SQL["lock_book_as_of"], parameters)
                await cursor.execute(SQL["get_balance_as_of"], parameters)
                ((now, is_due, currency_code, wallet, receivable),) = await cursor.fetchall()
            if as_of > now:
                raise InvalidArgument(field="as_of", problem="must not be in the future")
            if currency_code is None:
                raise NotFound(resource="account", id=account_id)
            past = PastBalance(account_id, currency_code, nanos_of(wallet), nanos_of(receivable), as_of)
            return past, now, [account_id] if is_due else []

        if as_of is None:
            return await without_due(tenant_id, self._expire_due, read)
        return await without_due(tenant_id, self._expire_due, lambda horizon: read_past(as_of, horizon))

    async def get_reservation(self, tenant_id: TenantId, reservation_id: ReservationId) -> tuple[Reservation, str]:
        """The reservation and the currency code of its amounts."""

        async def read(horizon: datetime | None) -> Reading[tuple[Reservation, str]]:
            parameters = {"reservation": reservation_id, "horizon": horizon}
            rows = await self._rows(tenant_id, SQL["get_reservation"], parameters)
            if not rows:
                raise NotFound(resource="reservation", id=format_reservation_id(reservation_id))
            ((now, is_due, currency_code, *columns),) = rows
            reservation = reservation_of(columns)
            return (reservation, currency_code), now, [reservation.account_id] if is_due else []

        return await without_due(tenant_id, self._expire_due, read)

    async def list_reservations(
        self,
        tenant_id: TenantId,
        *,
        account_id: AccountId | None = None,
        call_id: str | None = None,
        state: ReservationState | None = None,
        page_size: int = 0,
        page_token: str = "",
    ) -> tuple[list[tuple[Reservation, str]], str]:
        """Reservations, each with the currency code of its amounts, newest first."""
        limit = page_limit(page_size)
        scope = ("list_reservations", tenant_id, account_id or None, call_id or None, state)
        after = decode_token(page_token, scope, UUID)
        text = _filtered(
            "list_reservations",
            reservations_of_account=account_id,
            reservations_of_call=call_id,
            reservations_of_state_active=state is ReservationState.ACTIVE,
            reservations_of_state_expired=state is ReservationState.EXPIRED,
            reservations_of_state=state in (ReservationState.COMMITTED, ReservationState.VOIDED),
            reservations_of_page=after,
        )
        parameters = {"account": account_id, "call": call_id, "state": state and state.value, "after": after}

        async def read(horizon: datetime | None) -> Reading[list[tuple[Reservation, str]]]:
            rows = await self._rows(tenant_id, text, {**parameters, "limit": limit + 1, "horizon": horizon})
            found = [(reservation_of(columns), currency_code) for _, _, currency_code, *columns in rows]
            due = [item[0].account_id for item, row in zip(found, rows, strict=True) if row[1]]
            return found, rows[0][0] if rows else None, due

        found = await without_due(tenant_id, self._expire_due, read)
        return cut_page(found, limit, scope, lambda item: item[0].reservation_id.hex, lambda item: size_of(item[0]))

    async def list_transactions(
        self,
        tenant_id: TenantId,
        account_id: AccountId,
        *,
        start_time: datetime | None = None,
        end_time: datetime | None = None,
        kinds: Collection[TransactionKind] = (),
        reservation_id: ReservationId | None = None,
        page_size: int = 0,
        page_token: str = "",
    ) -> tuple[list[Transaction], str, str]:
        """An account's transactions, oldest first, the currency code of their amounts, and the next page's token.

        Only those with start_time ≤ create_time < end_time, of one of `kinds` unless that is empty, and of the
        reservation if one is named.
        """
        if start_time is not None and end_time is not None and end_time <= start_time:
            raise InvalidArgument(field="end_time", problem="must be after start_time")
        limit = page_limit(page_size)
        names = sorted({kind.value for kind in kinds})
        span = [None if time is None else unix_micros(time) for time in (start_time, end_time)]
        reservation = None if reservation_id is None else reservation_id.hex
        scope: Scope = ("list_transactions", tenant_id, account_id, *span, names, reservation)
        text = _filtered(
            "list_transactions",
            transactions_of_start=start_time,
            transactions_of_end=end_time,
            transactions_of_kinds=names,
            transactions_of_reservation=reservation_id,
        )
        parameters = {
            "account": account_id,
            "start": start_time,
            "end": end_time,
            "kinds": names,
            "reservation": reservation_id,
            "after": decode_token(page_token, scope, int) or 0,
        }

        async def read(horizon: datetime | None) -> Reading[tuple[list[Transaction], str]]:
            rows = await self._rows(tenant_id, text, {**parameters, "limit": limit + 1, "horizon": horizon})
            if not rows:
                raise NotFound(resource="account", id=account_id)
            now, is_due, currency_code, first, *_ = rows[0]
            found = [] if first is None else [entry_of(row[3:]) for row in rows]
            return (found, currency_code), now, [account_id] if is_due else []

        found, currency_code = await without_due(tenant_id, self._expire_due, read)
        page, next_token = cut_page(found, limit, scope, lambda transaction: str(transaction.seq), size_of)
        return page, currency_code, next_token

    async def get_transaction(
        self, tenant_id: TenantId, transaction_id: TransactionId
    ) -> tuple[Transaction, str, list[RefundAllocation]]:
        """The transaction, the currency code of its amounts, and the refunds it has a part in, oldest first.

        A transaction that charged something is the captured one of its allocations, one that gave back the refund.
        Of more than REFUNDS_LIMIT allocations on one side, the oldest.
        """
        parameters = {"transaction": transaction_id, "refunds_limit": REFUNDS_LIMIT}
        rows = await self._rows(tenant_id, SQL["get_transaction"], parameters)
        if not rows:
            raise NotFound(resource="transaction", id=format_transaction_id(transaction_id))
        ((currency_code, *entry),) = rows
        transaction = entry_of(entry)
        return transaction, currency_code, allocations_of(transaction, entry[ENTRY_WIDTH:])

    async def used_transactions(
        self,
        tenant_id: TenantId,
        *,
        start_time: datetime,
        end_time: datetime,
        account_id: AccountId | None,
        after: tuple[str, int],
        limit: int,
    ) -> list[UsedTransaction]:
        """Up to `limit` transactions of usage with start_time ≤ its start < end_time, by account and seq."""
        parameters = {"start": start_time, "end": end_time, "account": account_id, "limit": limit}
        rows = await self._rows(
            tenant_id, SQL["used_transactions"], {**parameters, "after_account": after[0], "after_seq": after[1]}
        )
        found = []
        for _, group in groupby(rows, key=lambda row: row[:2]):
            of_one = list(group)
            account, seq, transaction_id, reservation_id, call_id, price_time, else_time, usage_time = of_one[0][:8]
            found.append(
                UsedTransaction(
                    account_id=account,
                    seq=seq,
                    transaction_id=transaction_id,
                    reservation_id=reservation_id,
                    call_id=call_id,
                    price_time=price_time,
                    else_time=else_time,
                    usage_time=usage_time,
                    lines=tuple(_used_line(row) for row in of_one),
                )
            )
        return found

    async def usage_of_transaction(self, transaction: Transaction) -> list[RatedLine]:
        """The usage lines that it charged, in their order."""
        parameters = {"account": transaction.account_id, "seq": transaction.seq, "limit": USAGE_LIMIT}
        rows = await self._rows(transaction.tenant_id, SQL["usage_of_transaction"], parameters)
        return [charged_line_of(row) for row in rows]

    async def trial_balance(
        self, tenant_id: TenantId, account_id: AccountId | None = None
    ) -> tuple[list[TrialBalance], datetime]:
        """One account's trial balance, or the whole tenant's: one per currency in the order of their codes.

        Returns the instant of it too. Raises AmountOutOfRange for sums beyond google.type.Money.
        """
        text = SQL["trial_balance"]
        text = text.replace("{filters}", SQL["books_of_account"] if account_id else "")
        text = text.replace("{due_filters}", SQL["due_of_account"] if account_id else "")

        async def read(horizon: datetime | None) -> Reading[tuple[list[TrialBalance], datetime]]:
            rows = await self._rows(tenant_id, text, {"account": account_id, "horizon": horizon})
            now, is_due, first, *_ = rows[0]
            if account_id and first is None:
                raise NotFound(resource="account", id=account_id)
            due: list[AccountId] = []
            if is_due:
                keys = [(tenant_id, account_id)] if account_id else await self.due_accounts([tenant_id], limit=1000)
                due = [key[1] for key in keys]
                if not due:  # somebody else has expired them since
                    return await read(horizon)
            sums = [] if first is None else [(currency, balances_of(amounts)) for _, _, currency, *amounts in rows]
            return ([trial_balance_of(currency, balances) for currency, balances in sums], now), now, due

        return await without_due(tenant_id, self._expire_due, read)

    async def due_accounts(self, tenant_ids: Sequence[TenantId], limit: int) -> list[AccountKey]:
        """The accounts of the up to `limit` holds per tenant that have been due for longest. For the sweeper."""
        async with self._cursor(tenant_ids) as cursor:
            await cursor.execute(SQL["due_accounts"], {"tenants": list(tenant_ids), "limit": limit})
            return [(tenant_id, account_id) for tenant_id, account_id in await cursor.fetchall()]

    async def _rows(self, tenant_id: TenantId, text: LiteralString, parameters: Mapping[str, Any]) -> list[TupleRow]:
        async with self._cursor([tenant_id]) as cursor:
            await cursor.execute(text, {**parameters, "tenant": tenant_id})
            return await cursor.fetchall()

    @asynccontextmanager
    async def _cursor(self, tenant_ids: Sequence[TenantId]) -> AsyncIterator[AsyncCursor[TupleRow]]:
        """A cursor in a transaction that sees these tenants only; the driver's errors become ours."""
        try:
            async with (
                tenant_transaction(self._pool, tenant_ids) as connection,
                connection.cursor(row_factory=tuple_row) as cursor,
            ):
                yield cursor
        except pg.LockNotAvailable as error:
            raise Conflict from error
        except pg.QueryCanceled as error:
            raise Unavailable(problem="The database took too long to answer.") from error
        except psycopg.OperationalError as error:
            raise Unavailable(problem="The database cannot be reached.") from error


def _filtered(list_name: LiteralString, **filters: object) -> LiteralString:
    """The list's statement with the blocks of the filters whose value is set."""
    return SQL[list_name].replace("{filters}", " ".join(SQL[name] for name, value in filters.items() if value))


def _used_line(row: TupleRow) -> UsedLine:
    """A row of used_transactions: behind the transaction what the line has counted, whether its cost is stated, and the
    line's columns."""
    counts, stated, line = row[_USED_WIDTH], row[_USED_WIDTH + 1], row[_USED_WIDTH + 2 :]
    return UsedLine(charged_line_of(line), {side: Decimal(before) for _, side, *_, before, _ in counts or ()}, stated)
