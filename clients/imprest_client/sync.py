"""The clients without `await`, for code that has no event loop.

They are the same clients: each method runs its twin on an event loop in a background thread that all of them share
(`imprest_client.blocking`), so heartbeats and deliveries go on while the caller does something else. They may be used
from several threads. Do not use them inside a coroutine: they would stop its event loop.
"""

from __future__ import annotations

import copy
from collections.abc import Collection
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Self, overload

import imprest_client.admin as aio_admin
import imprest_client.agent as aio_agent
import imprest_client.alerts as aio_alerts
import imprest_client.budgets as aio_budgets
import imprest_client.call as aio_call
import imprest_client.channels as aio_channels
import imprest_client.client as aio
import imprest_client.controller as aio_controller
import imprest_client.durable as aio_durable
import imprest_client.metering as aio_metering
import imprest_client.pricing as aio_pricing
import imprest_client.recorder as aio_recorder
from imprest_client.batch import Batch as AioBatch
from imprest_client.batch import Operations
from imprest_client.blocking import LOOP, Facade, blocking, doing, entering, iterating
from imprest_client.budget_model import Alert, AlertKind, AlertLevel
from imprest_client.call import Ending
from imprest_client.connection import Connection
from imprest_client.model import Balance, CommitReceipt, PastBalance, Reservation
from imprest_client.pricing_model import UsageLine
from imprest_client.spool import Spool


class LedgerClient(Facade):
    """`imprest_client.LedgerClient`, blocking."""

    _inner: aio.LedgerClient

    def __init__(self, target: str | Connection, *, currency: str | None = None) -> None:
        """Make a client of the server at `host:port`, or on a connection that other blocking clients use, too."""
        self._inner = aio.LedgerClient(target, currency=currency)

    def __enter__(self) -> Self:
        """Begin with what the client does in the background, if anything."""
        LOOP.run(self._inner.__aenter__)
        return self

    def __exit__(self, *_: object) -> None:
        """Close the client."""
        self.close()

    def close(self) -> None:
        """Close the connection, if it is the client's own."""
        LOOP.run(self._inner.close)

    def with_timeout(self, seconds: float) -> Self:
        """A view of this client whose requests may take this long with all their attempts; it needs no closing."""
        view = copy.copy(self)
        view._inner = self._inner.with_timeout(seconds)
        return view

    reserve = blocking(aio.LedgerClient.reserve)
    extend = blocking(aio.LedgerClient.extend)
    commit = blocking(aio.LedgerClient.commit)
    void = blocking(aio.LedgerClient.void)
    charge = blocking(aio.LedgerClient.charge)
    record_usage = blocking(aio.LedgerClient.record_usage)
    refund = blocking(aio.LedgerClient.refund)
    get_reservation = blocking(aio.LedgerClient.get_reservation)
    list_reservations = iterating(aio.LedgerClient.list_reservations)


class AdminClient(LedgerClient):
    """`imprest_client.AdminClient`, blocking."""

    _inner: aio_admin.AdminClient

    def __init__(self, target: str | Connection, *, currency: str | None = None) -> None:
        """Make a client of the server at `host:port`, or on a connection that other blocking clients use, too."""
        self._inner = aio_admin.AdminClient(target, currency=currency)

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
    true_up_cost = blocking(aio_admin.AdminClient.true_up_cost)
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
            return LOOP.run(self._inner.get_balance, account_id)
        return LOOP.run(self._inner.get_balance, account_id, as_of=as_of)


class Batch(Operations):
    """`imprest_client.Batch`, blocking: only `execute` waits for the server. For one thread at a time."""

    def __init__(self, client: LedgerClient) -> None:
        """Begin a batch that is sent over the client's connection, in its currency."""
        super().__init__(client._inner._currency)
        self._inner = AioBatch(client._inner)
        self._inner.operations = self.operations

    execute = blocking(AioBatch.execute)


class PricingClient(LedgerClient):
    """`imprest_client.PricingClient`, blocking."""

    _inner: aio_pricing.PricingClient

    def __init__(self, target: str | Connection, *, currency: str | None = None) -> None:
        """Make a client of the server at `host:port`, or on a connection that other blocking clients use, too."""
        self._inner = aio_pricing.PricingClient(target, currency=currency)

    list_meters = iterating(aio_pricing.PricingClient.list_meters)
    create_price_book = blocking(aio_pricing.PricingClient.create_price_book)
    get_price_book = blocking(aio_pricing.PricingClient.get_price_book)
    list_price_books = iterating(aio_pricing.PricingClient.list_price_books)
    list_price_versions = iterating(aio_pricing.PricingClient.list_price_versions)
    list_prices = iterating(aio_pricing.PricingClient.list_prices)
    publish_prices = blocking(aio_pricing.PricingClient.publish_prices)
    import_prices = blocking(aio_pricing.PricingClient.import_prices)
    set_override = blocking(aio_pricing.PricingClient.set_override)
    assign_price_book = blocking(aio_pricing.PricingClient.assign_price_book)
    end_assignment = blocking(aio_pricing.PricingClient.end_assignment)
    set_exchange_rate = blocking(aio_pricing.PricingClient.set_exchange_rate)
    list_price_assignments = iterating(aio_pricing.PricingClient.list_price_assignments)
    rerate = iterating(aio_pricing.PricingClient.rerate)
    create_plan = blocking(aio_pricing.PricingClient.create_plan)
    list_plans = iterating(aio_pricing.PricingClient.list_plans)
    subscribe = blocking(aio_pricing.PricingClient.subscribe)
    unsubscribe = blocking(aio_pricing.PricingClient.unsubscribe)
    list_subscriptions = iterating(aio_pricing.PricingClient.list_subscriptions)
    quote = blocking(aio_pricing.PricingClient.quote)


class AlertStream(Facade):
    """`imprest_client.AlertStream`, blocking: `for alert in client.alerts(): ...`."""

    _inner: aio_alerts.AlertStream

    def __init__(self, inner: aio_alerts.AlertStream) -> None:
        """Stand in front of a stream."""
        self._inner = inner

    @property
    def token(self) -> str:
        """Where it stands: after the last alert that was taken. Empty until the server has said where it begins."""
        return self._inner.token

    def __iter__(self) -> Self:
        """The stream itself."""
        return self

    def __next__(self) -> Alert:
        """The next alert; waits for it as long as it takes."""
        alert = LOOP.run(self._following)
        if alert is None:
            raise StopIteration
        return alert

    async def _following(self) -> Alert | None:
        return await anext(self._inner, None)

    def __enter__(self) -> Self:
        """Nothing to do: the stream is begun when the first alert is asked for."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the stream."""
        self.close()

    begin = blocking(aio_alerts.AlertStream.begin)
    close = blocking(aio_alerts.AlertStream.close)


class BudgetClient(LedgerClient):
    """`imprest_client.BudgetClient`, blocking."""

    _inner: aio_budgets.BudgetClient

    def __init__(self, target: str | Connection, *, currency: str | None = None) -> None:
        """Make a client of the server at `host:port`, or on a connection that other blocking clients use, too."""
        self._inner = aio_budgets.BudgetClient(target, currency=currency)

    set_budget = blocking(aio_budgets.BudgetClient.set_budget)
    get_budget_status = blocking(aio_budgets.BudgetClient.get_budget_status)
    list_budgets = iterating(aio_budgets.BudgetClient.list_budgets)
    delete_budget = blocking(aio_budgets.BudgetClient.delete_budget)
    resume_calls = blocking(aio_budgets.BudgetClient.resume_calls)
    list_alerts = iterating(aio_budgets.BudgetClient.list_alerts)
    acknowledge_alert = blocking(aio_budgets.BudgetClient.acknowledge_alert)

    def alerts(
        self,
        *,
        resume_token: str = "",
        start_time: datetime | None = None,
        account_id: str = "",
        min_level: AlertLevel | None = None,
        kinds: Collection[AlertKind] = (),
        checkpoint_interval: timedelta = aio_alerts.CHECKPOINTS,
    ) -> AlertStream:
        """The alerts as they happen, without end, in order, each once, whatever restarts in between."""
        return AlertStream(
            self._inner.alerts(
                resume_token=resume_token,
                start_time=start_time,
                account_id=account_id,
                min_level=min_level,
                kinds=kinds,
                checkpoint_interval=checkpoint_interval,
            )
        )


class ChannelClient(LedgerClient):
    """`imprest_client.ChannelClient`, blocking."""

    _inner: aio_channels.ChannelClient

    def __init__(self, target: str | Connection, *, currency: str | None = None) -> None:
        """Make a client of the server at `host:port`, or on a connection that other blocking clients use, too."""
        self._inner = aio_channels.ChannelClient(target, currency=currency)

    create_channel = blocking(aio_channels.ChannelClient.create_channel)
    update_channel = blocking(aio_channels.ChannelClient.update_channel)
    get_channel = blocking(aio_channels.ChannelClient.get_channel)
    list_channels = iterating(aio_channels.ChannelClient.list_channels)
    delete_channel = blocking(aio_channels.ChannelClient.delete_channel)
    rotate_channel_secret = blocking(aio_channels.ChannelClient.rotate_channel_secret)
    test_channel = blocking(aio_channels.ChannelClient.test_channel)
    list_deliveries = iterating(aio_channels.ChannelClient.list_deliveries)
    resend_delivery = blocking(aio_channels.ChannelClient.resend_delivery)


# ── calls ────────────────────────────────────────────────────────────────────────────────────────────


class UsageCounter(Facade):
    """`imprest_client.UsageCounter`, blocking, though it never waits for the server."""

    _inner: aio_metering.UsageCounter

    def __init__(self, inner: aio_metering.UsageCounter) -> None:
        """Stand in front of a counter."""
        self._inner = inner

    @property
    def lines(self) -> tuple[UsageLine, ...]:
        """The counts as usage lines."""
        return LOOP.do(lambda: self._inner.lines)

    add = doing(aio_metering.UsageCounter.add)


class Call(Facade):
    """`imprest_client.Call`, blocking. An `on_ending` is called in a thread of its own."""

    _inner: aio_call.Call

    def __init__(self, inner: aio_call.Call) -> None:
        """Stand in front of a call."""
        self._inner = inner
        self.usage = UsageCounter(inner.usage)

    @property
    def reservation(self) -> Reservation:
        """The hold as of the last answer."""
        return self._inner.reservation

    @property
    def reservation_id(self) -> str:
        """The id of the hold, for whoever else works on the call."""
        return self._inner.reservation_id

    @property
    def receipt(self) -> CommitReceipt | None:
        """The commit, once it was answered."""
        return self._inner.receipt

    @property
    def is_spooled(self) -> bool:
        """Whether the commit is in the spool, to be delivered later."""
        return self._inner.is_spooled

    @property
    def used_so_far(self) -> Decimal:
        """What the call has cost as far as was reported, with all decimals; of usage, as the server last priced it."""
        return self._inner.used_so_far

    @property
    def ending(self) -> Ending | None:
        """Why and when the call has to end; None as long as there is credit. It may become None again."""
        return self._inner.ending

    used = doing(aio_call.Call.used)
    add = doing(aio_call.Call.add)
    wait_ending = blocking(aio_call.Call.wait_ending)
    hang_up = blocking(aio_call.Call.hang_up)
    void = blocking(aio_call.Call.void)


class UsageRecorder(Facade):
    """`imprest_client.UsageRecorder`, blocking: only its end waits for the server."""

    _inner: aio_recorder.UsageRecorder

    def __init__(self, inner: aio_recorder.UsageRecorder) -> None:
        """Stand in front of a recorder."""
        self._inner = inner

    @property
    def pending_count(self) -> int:
        """How many charges are in memory and not yet answered."""
        return self._inner.pending_count

    charge = doing(aio_recorder.UsageRecorder.charge)
    record_usage = doing(aio_recorder.UsageRecorder.record_usage)
    flush = blocking(aio_recorder.UsageRecorder.flush)


class DurableClient(LedgerClient):
    """`imprest_client.durable.DurableClient`, blocking."""

    _inner: aio_durable.DurableClient

    def __init__(
        self, target: str | Connection, *, currency: str | None = None, spool: Spool | str | Path | None = None
    ) -> None:
        """Make a client; `spool` keeps commits that cannot be delivered at once."""
        self._inner = aio_durable.DurableClient(target, currency=currency, spool=spool)

    hang_up = blocking(aio_durable.DurableClient.hang_up)
    resend = blocking(aio_durable.DurableClient.resend)
    flush = blocking(aio_durable.DurableClient.flush)


class CallController(DurableClient):
    """`imprest_client.CallController`, blocking."""

    _inner: aio_controller.CallController

    def __init__(
        self, target: str | Connection, *, currency: str | None = None, spool: Spool | str | Path | None = None
    ) -> None:
        """Make a client; `spool` keeps commits that cannot be delivered at once."""
        self._inner = aio_controller.CallController(target, currency=currency, spool=spool)

    call = entering(aio_controller.CallController.call, Call)


class AgentClient(DurableClient):
    """`imprest_client.AgentClient`, blocking."""

    _inner: aio_agent.AgentClient

    def __init__(
        self, target: str | Connection, *, currency: str | None = None, spool: Spool | str | Path | None = None
    ) -> None:
        """Make a client; `spool` keeps commits that cannot be delivered at once."""
        self._inner = aio_agent.AgentClient(target, currency=currency, spool=spool)

    join = entering(aio_agent.AgentClient.join, Call)
    recorder = entering(aio_agent.AgentClient.recorder, UsageRecorder)
