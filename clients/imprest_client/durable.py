"""A client whose last word on a call is not lost: what call controllers and agents stand on."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Self

from imprest_client import wire
from imprest_client.client import Amount, LedgerClient, key_or_new
from imprest_client.connection import Connection
from imprest_client.courier import Courier
from imprest_client.model import CommitReceipt
from imprest_client.pricing_model import Usage
from imprest_client.spool import Spool


class DurableClient(LedgerClient):
    """`LedgerClient` with a spool for commits that cannot be delivered at once."""

    def __init__(
        self, target: str | Connection, *, currency: str | None = None, spool: Spool | str | Path | None = None
    ) -> None:
        """Make a client.

        Args:
            target: `host:port`, for which the client opens and closes a connection of its own, or a `Connection`.
            currency: The currency of amounts that are given without one, such as "USD".
            spool: A file (made if there is none) or an open `Spool` that keeps commits until they are answered. The
                clients and processes of one machine that talk to the same server may share it.
        """
        super().__init__(target, currency=currency)
        self._owns_spool = not isinstance(spool, Spool)
        opened = Spool(spool) if isinstance(spool, str | Path) else spool
        self._courier = Courier(self._connection, opened)

    async def __aenter__(self) -> Self:
        """Begin to deliver what an earlier process left in the spool."""
        self._courier.start()
        return self

    async def close(self) -> None:
        """Stop delivering and close what is the client's own; what is in the spool stays there."""
        if self._is_view:
            return
        await self._courier.stop()
        if self._courier.spool is not None and self._owns_spool:
            self._courier.spool.close()
        await super().close()

    async def hang_up(
        self,
        reservation_id: str,
        amount: Amount | None = None,
        *,
        usage: Usage | None = None,
        effective_time: datetime | None = None,
        currency: str | None = None,
        idempotency_key: str | None = None,
    ) -> CommitReceipt | None:
        """Commit for good what a call has cost or used, and do not lose it: with a spool the commit is on the disk
        before it is sent, and stays there, through restarts too, until the server has answered.

        A commit that has no price stays in the spool as refused: see `resend`.

        Returns:
            The receipt; None: no answer came in time, and the spool will deliver the commit with the same key.
        """
        key = key_or_new(idempotency_key)
        request = self._commit_request(reservation_id, amount, usage, True, effective_time, currency, key)
        reply = await self._courier.deliver(
            wire.COMMIT, request, subject=reservation_id, key=key, timeout_s=self._timeout_s
        )
        return None if reply is None else wire.commit_receipt(reply)

    async def resend(self, entry_id: int) -> bool:
        """Have a refused request in the spool sent again, after what it was refused for has changed, such as a price
        that was missing. It gets a new key: the refusal is kept with the old one, and nothing was done under it.

        Returns:
            Whether there is such an entry.
        """
        return await self._courier.resend(entry_id)

    async def flush(self, timeout_s: float) -> int:
        """Deliver what is in the spool, for at most this long; return how many requests are still waiting there."""
        return await self._courier.flush(timeout_s)
