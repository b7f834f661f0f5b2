"""A running call: its hold is kept alive and large enough while it runs, and its use is committed at its end."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, Self, TypeAlias
from uuid import uuid4

from imprest_client.client import Amount
from imprest_client.courier import VERDICTS
from imprest_client.durable import DurableClient
from imprest_client.errors import Denied, ImprestError, InvalidArgument, OverrunRejected, PriceNotFound, Retryable
from imprest_client.metering import UsageCounter, lines_of, summed
from imprest_client.model import CommitReceipt, HoldReceipt, Reservation
from imprest_client.money import exact, plus, to_money, to_nano
from imprest_client.pricing_model import Usage, UsageReport, report_of

log = logging.getLogger(__name__)

DEFAULT_TTL: Final = timedelta(minutes=5)
_LEAST_TIMEOUT_S: Final = 1.0
_NONE: Final = Decimal(0)


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a call has to end soon, and when.

    `reason` is that of the denial ("INSUFFICIENT_FUNDS", "ACCOUNT_FROZEN", …) or of the hold's own end
    ("RESERVATION_EXPIRED", …); empty when the hold was smaller than asked for from the start.
    """

    reason: str
    deadline_s: float
    """When what is held is used up, on `time.monotonic()`."""

    @property
    def seconds_left(self) -> float:
        """How long the call is still paid for, from this moment on."""
        return max(0.0, self.deadline_s - time.monotonic())


OnEnding: TypeAlias = Callable[[Ending], object]
"""Called when a call has to end soon; if it returns an awaitable, that is awaited."""


@dataclass(frozen=True, slots=True)
class Upkeep:
    """How a running call's hold is kept: prolonged by `ttl` every `heartbeat_s`, and raised in steps of `step`."""

    ttl: timedelta
    heartbeat_s: float
    step: Decimal
    estimate: UsageReport | None
    """What a step is, for a call that is measured in usage."""
    on_ending: OnEnding | None


def upkeep(
    ttl: timedelta, heartbeat: timedelta | None, step: Amount, estimate: Usage | None, on_ending: OnEnding | None
) -> Upkeep:
    """The upkeep with the default heartbeat, three in a ttl: one may be lost without harm."""
    interval = ttl / 3 if heartbeat is None else heartbeat
    report = None if estimate is None else report_of(estimate)
    return Upkeep(ttl, interval.total_seconds(), exact(step), report, on_ending)


class Call:
    """A running call and its hold; made by `CallController.call` and `AgentClient.join`, as context managers.

    While it runs, count what it uses with `usage.add`; the server prices it. Or else report what it has cost, with
    `used` (in total) or `add` (since the last time). Heartbeats tell the server with each prolongation, so that it is
    charged even if this process dies, and ask for more credit when half of a step is left. When no more is granted,
    `ending` says why and how long the call is still paid for.

    At the end of the block what was used is committed, also when the block ends by an exception: what has been used is
    never given away. If nothing was used the hold is voided.
    """

    def __init__(
        self, client: DurableClient, grant: HoldReceipt, upkeep: Upkeep, covered: UsageReport | None = None
    ) -> None:
        """Keep a hold; `covered` is the usage that it was made for, if it was."""
        self.reservation: Reservation = grant.reservation
        """The hold as of the last answer."""
        self.receipt: CommitReceipt | None = None
        """The commit, once it was answered."""
        self.is_spooled = False
        """Whether the commit is in the spool, to be delivered later."""
        self.usage = UsageCounter(self._check_usage, self._usage_changed)
        """Counts what the call uses, in its meters' units."""
        self._client = client
        self._upkeep = upkeep
        self._used = grant.reservation.used_so_far
        self._is_amount = False  # it is reported as amounts, not as usage
        self._due: Decimal | UsageReport | None = None  # what is committed, once that is settled
        self._is_void = False  # nothing is committed
        self._is_decided = False  # nothing is left to do at the end of the block
        self._rejected: OverrunRejected | None = None
        self._covered = {} if covered is None or grant.final_unit else summed(covered.lines)
        running = grant.balance.as_of - grant.reservation.create_time
        self._used_at_s = time.monotonic()
        self._started_s = self._used_at_s - running.total_seconds()
        self._is_over = False
        self._commit_key = str(uuid4())
        self._ending: Ending | None = None
        self._is_ending = asyncio.Event()
        self._wake = asyncio.Event()
        self._heartbeats: asyncio.Task[None] | None = None
        self._notice: asyncio.Task[None] | None = None
        self._settlement: asyncio.Task[None] | None = None
        self._expires_s = self._expiry_of(grant)
        if grant.final_unit:
            self._announce("", grant)

    # ── while it runs ────────────────────────────────────────────────────────────────────────────────

    @property
    def reservation_id(self) -> str:
        """The id of the hold, for whoever else works on the call."""
        return self.reservation.reservation_id

    @property
    def used_so_far(self) -> Decimal:
        """What the call has cost as far as was reported, with all decimals; of usage, as the server last priced it."""
        return self.reservation.used_so_far if self.usage else self._used

    @property
    def ending(self) -> Ending | None:
        """Why and when the call has to end; None as long as there is credit. It may become None again."""
        return self._ending

    async def wait_ending(self) -> Ending:
        """Return when the call has to end soon."""
        while self._ending is None:
            await self._is_ending.wait()
        return self._ending

    def used(self, total: Amount) -> None:
        """Report what the call has cost since its start, captures included; a smaller total changes nothing.

        It may have any number of decimals; it is rounded once, when it is sent.

        Raises:
            ValueError: usage was counted, which the server prices; it is beyond what an amount can be; or it is more
                than was committed when the call ended.
        """
        if self.usage:
            raise ValueError("this call is measured in usage, not in amounts")
        total = exact(total)
        to_money(to_nano(total), self.reservation.currency_code)  # or the end of the call would be the first to fail
        self._is_amount = True
        if total > self._used:
            if self._due is not None or self._is_decided:
                raise ValueError("the call is over")
            self._used, self._used_at_s = total, time.monotonic()
            if self._ending is None and self._wanted_total() is not None:
                self._wake.set()

    def _check_usage(self) -> None:
        if self._is_amount:
            raise ValueError("this call is measured in amounts, not in usage")
        if self._is_over:
            raise ValueError("the call is over")

    def _usage_changed(self) -> None:
        self._used_at_s = time.monotonic()
        if self._ending is None and self._is_step_short():
            self._wake.set()

    def add(self, amount: Amount) -> None:
        """Report what the call has cost since the last report."""
        amount = exact(amount)
        if amount < 0:
            raise ValueError("a call's cost only grows")
        self.used(plus(self._used, amount))

    # ── its end ──────────────────────────────────────────────────────────────────────────────────────

    async def hang_up(self, used: Amount | None = None) -> CommitReceipt | None:
        """End the call now and commit what it has used, or `used` in total.

        Returns:
            The receipt; None when there was no answer and the commit is in the spool.

        Raises:
            OverrunRejected: the account's policy forbids to charge more than the hold, which was charged in full.
            PriceNotFound: usage has no price; with a spool it is kept there, see `DurableClient.resend`.
            Retryable: there was no answer, and there is no spool. Calling this again is safe.
        """
        if used is not None:
            self.used(used)
        self._is_void = False
        await self._seen_to_its_end(self._commit_used)
        return self.receipt

    async def void(self, reason: str = "") -> None:
        """End the call now and charge nothing; what was captured before stays charged."""
        self._is_void = True
        await self._seen_to_its_end(functools.partial(self._free, reason))

    async def _seen_to_its_end(self, step: Callable[[], Coroutine[None, None, None]]) -> None:
        """Take a step that ends the call, after the one that is under way; a cancellation does not stop it."""
        while self._settlement is not None and not self._settlement.done():
            await asyncio.wait([self._settlement])
        await asyncio.shield(self._finishing(step))

    def _finishing(self, step: Callable[[], Coroutine[None, None, None]]) -> asyncio.Task[None]:
        """The task that ends the call: the one that is at it, or else a new one."""
        if self._settlement is None or self._settlement.done():
            self._settlement = asyncio.create_task(self._finish(step, asyncio.current_task()))
        return self._settlement

    async def _finish(self, step: Callable[[], Coroutine[None, None, None]], caller: object) -> None:
        await self._end(caller)
        try:
            await step()
        except VERDICTS:
            self._is_decided = True
            raise
        self._is_decided = True

    async def _commit_used(self) -> None:
        """Commit what was used: the same in every attempt, for they have one key."""
        if self.receipt is not None or self.is_spooled:
            return
        hold = self.reservation
        if self._due is None:
            rest = max(Decimal(0), to_nano(self._used) - hold.captured - hold.absorbed)
            self._due = self._reported(end_time=self._now()) if self.usage else rest
        try:
            await self._commit(self._due)
        except OverrunRejected as error:
            if self._rejected is not None:
                raise
            # The hold is all that can be had. This is a new request: the denial is kept with the key.
            self._commit_key = str(uuid4())
            self._rejected, self._due = error, error.remaining
            await self._commit(self._due)
        if self._rejected is not None:
            self._rejected.add_note(f"{self._due} {hold.currency_code} were charged, the rest was not")
            raise self._rejected

    async def _commit(self, due: Decimal | UsageReport) -> None:
        self.receipt = await self._client.hang_up(
            self.reservation_id,
            due if isinstance(due, Decimal) else None,
            usage=due if isinstance(due, UsageReport) else None,
            currency=self.reservation.currency_code,
            idempotency_key=self._commit_key,
        )
        self.is_spooled = self.receipt is None
        if self.receipt is not None:
            self.reservation = self.receipt.reservation

    async def _free(self, reason: str) -> None:
        self.reservation = (await self._client.void(self.reservation_id, reason=reason)).reservation

    async def _end(self, caller: object = None) -> None:
        self._is_over = True
        if self._notice is not None and self._notice is not caller:  # on_ending may hang up
            self._notice.cancel()
        if self._heartbeats is not None:
            self._heartbeats.cancel()
            await asyncio.wait([self._heartbeats])

    async def __aenter__(self) -> Self:
        """Begin with the heartbeats."""
        self._heartbeats = asyncio.create_task(self._keep_up(), name=f"imprest call {self.reservation_id}")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        """End the call, if nobody has: commit what was used, or else void the hold.

        A hang-up that was not answered, or that nobody waits for any more, is seen to its end here. So long even a
        cancellation waits; it goes on afterwards, as whatever else ended the block and is no `Exception`.
        """
        if self._is_decided or (error is not None and error is self._failure()):
            return
        settlement, cancellation = self._finishing(self._settle), None
        while not settlement.done():
            try:
                await asyncio.wait([settlement])
            except asyncio.CancelledError as cancelled:
                cancellation = cancelled
        failure = self._failure()
        is_stronger = cancellation is not None or (kind is not None and not issubclass(kind, Exception))
        if failure is not None and is_stronger:
            log.error("the end of the call on %s failed: %s", self.reservation_id, failure)
        elif failure is not None:
            raise failure
        if cancellation is not None:
            raise cancellation

    def _failure(self) -> BaseException | None:
        """Why the last attempt to end the call failed."""
        if self._settlement is None or not self._settlement.done():
            return None
        return asyncio.CancelledError() if self._settlement.cancelled() else self._settlement.exception()

    async def _settle(self) -> None:
        hold = self.reservation
        if not self._is_void and (self.usage or to_nano(self._used) > hold.captured + hold.absorbed):
            await self._commit_used()
            return
        try:
            await self._free("")
        except (Denied, Retryable) as error:
            # Nothing is to be charged: it has ended already, or ends by itself when it is due.
            log.info("the hold %s was not voided: %s", self.reservation_id, error)

    # ── heartbeats ───────────────────────────────────────────────────────────────────────────────────

    async def _keep_up(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._upkeep.heartbeat_s):
                    await self._wake.wait()
            self._wake.clear()
            try:
                await self._heartbeat()
            except Retryable as error:
                log.info("no answer to a heartbeat of %s: %s", self.reservation_id, error)
                if time.monotonic() >= self._expires_s:
                    self._announce("RESERVATION_EXPIRED", None)
            except ImprestError as error:
                log.warning("the hold %s cannot be extended: %s", self.reservation_id, error)
                self._announce(error.reason, None)
                return
            except Exception:  # without heartbeats the hold would end in the middle of the call
                log.exception("a heartbeat of %s failed", self.reservation_id)

    async def _heartbeat(self) -> None:
        """Report the use, prolong the hold, and raise it if little is left; if not all can be had, by what there is."""
        wanted = self._wanted_usage() if self.usage and self._upkeep.estimate else self._wanted_total()
        try:
            receipt = await self._extend(wanted)
        except (PriceNotFound, InvalidArgument) as error:
            if not self.usage:
                raise
            # What cannot be priced cannot be reported. The hold lasts all the same, until the call was ended.
            self._announce(error.reason, None)
            self._keep(await self._extend(None, is_reporting=False))
            return
        is_final, reason, rest = receipt.final_unit, receipt.denial_reason, receipt.balance.available
        if reason == "INSUFFICIENT_FUNDS" and rest > 0:
            receipt = await self._extend(receipt.reservation.amount + rest)
            if isinstance(wanted, UsageReport):  # asked again it tells how long that lasts
                receipt = await self._extend(wanted)
                is_final, reason = receipt.final_unit, receipt.denial_reason
        self._keep(receipt)
        if isinstance(wanted, UsageReport):
            self._covered = {} if is_final else summed(wanted.lines)
        if is_final:
            self._announce(reason, receipt)
        elif wanted is not None:
            self._ending = None  # somebody has added credit
            self._is_ending.clear()

    def _keep(self, receipt: HoldReceipt) -> None:
        self.reservation = receipt.reservation
        self._expires_s = self._expiry_of(receipt)

    async def _extend(self, wanted: Decimal | UsageReport | None, *, is_reporting: bool = True) -> HoldReceipt:
        client = self._client.with_timeout(max(_LEAST_TIMEOUT_S, self._upkeep.heartbeat_s))
        return await client.extend(
            self.reservation_id,
            new_total=wanted if isinstance(wanted, Decimal) else None,
            estimate_total=wanted if isinstance(wanted, UsageReport) else None,
            used_so_far=None if self.usage or not is_reporting else to_nano(self._used),
            used=self._reported() if self.usage and is_reporting else None,
            ttl=self._upkeep.ttl,
            currency=self.reservation.currency_code,
        )

    def _reported(self, end_time: datetime | None = None) -> UsageReport:
        """All that was counted. It began with the hold, whenever the report arrives."""
        return UsageReport(self.usage.lines, self.reservation.create_time, end_time)

    def _now(self) -> datetime:
        """The time by the server's clock."""
        return self.reservation.create_time + timedelta(seconds=time.monotonic() - self._started_s)

    def _is_step_short(self) -> bool:
        """Whether of anything half of a step or less is left."""
        step = {} if self._upkeep.estimate is None else summed(self._upkeep.estimate.lines)
        covered, used = self._covered, self.usage.quantities
        return any(
            (covered.get(kind, _NONE) - used.get(kind, _NONE)) * 2 <= quantity
            for kind, quantity in step.items()
            if quantity
        )

    def _wanted_usage(self) -> UsageReport | None:
        """A step above the use, when little is left of anything, or something is used that was not asked for."""
        estimate, used = self._upkeep.estimate, self.usage.quantities
        assert estimate is not None, "there is a step"
        is_unforeseen = any(quantity > self._covered.get(kind, _NONE) for kind, quantity in used.items())
        if not is_unforeseen and not self._is_step_short():
            return None
        lines = lines_of(summed([*self.usage.lines, *estimate.lines]))
        if estimate.start_time is None or estimate.end_time is None:
            return UsageReport(lines)
        step_time = estimate.end_time - estimate.start_time
        return UsageReport(lines, self.reservation.create_time, self._now() + step_time)

    def _wanted_total(self) -> Decimal | None:
        """A step above the use, when half of a step or less is left."""
        step, used = self._upkeep.step, to_nano(self.used_so_far)
        if step > 0 and (self.reservation.amount - used) * 2 <= step:
            return used + step
        return None

    def _paid_until_s(self, receipt: HoldReceipt) -> float:
        """When the grant is used up: as the server says, or at the rate so far, or when the hold expires."""
        if receipt.affordable_duration is not None:
            return self._started_s + receipt.affordable_duration.total_seconds()
        elapsed_s = self._used_at_s - self._started_s
        used = receipt.reservation.used_so_far if self.usage else self._used
        if used > 0 and elapsed_s > 0:
            return self._started_s + elapsed_s * float(receipt.reservation.amount / used)
        return self._expires_s

    @staticmethod
    def _expiry_of(receipt: HoldReceipt) -> float:
        left = receipt.reservation.expire_time - receipt.balance.as_of  # both on the server's clock
        return time.monotonic() + left.total_seconds()

    def _announce(self, reason: str, receipt: HoldReceipt | None) -> None:
        """Tell that the call has to end: when the grant is used up, or without one now."""
        is_news = self._ending is None
        self._ending = Ending(reason, time.monotonic() if receipt is None else self._paid_until_s(receipt))
        self._is_ending.set()
        if is_news and self._upkeep.on_ending is not None:
            self._notify(self._upkeep.on_ending, self._ending)

    def _notify(self, on_ending: OnEnding, ending: Ending) -> None:
        """Call it at once, before anybody else can see the ending; await in a task what it may return."""
        try:
            answer = on_ending(ending)
        except Exception:  # the caller's own code; the call must go on
            log.exception("on_ending of the call on %s failed", self.reservation_id)
            return
        if inspect.isawaitable(answer):
            self._notice = asyncio.create_task(self._await(answer))

    async def _await(self, answer: Awaitable[object]) -> None:
        try:
            await answer
        except Exception:
            log.exception("on_ending of the call on %s failed", self.reservation_id)
