"""The story of one hold, from its reservation and its transactions.

The server keeps what a hold came to, not each step: when it was extended, and by how much, is not known any more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from imprest_client.ctl.stories.event import Event
from imprest_client.ctl.stories.flows import (
    ZERO,
    Flows,
    aside_words,
    flows_of,
    given_back_words,
    late_words,
    paid_words,
    reason_words,
    rerate_words,
    true_up_words,
)
from imprest_client.ctl.values import labels_text, money, when
from imprest_client.model import OnExpiry, Reservation, ReservationState, Transaction, TransactionKind

#: How long after its expiry a hold can be committed, unless the server is set otherwise.
LATE_COMMIT_WINDOW = timedelta(days=7)


def story_of_hold(reservation: Reservation, transactions: Sequence[Transaction], zone: ZoneInfo) -> list[Event]:
    """What became of a hold, in the order it happened; last what it came to.

    Args:
        reservation: The hold.
        transactions: All of its transactions, oldest first.
        zone: In which times are told.
    """
    return [*_Hold(reservation, transactions, zone).events()]


def charged_by(transactions: Sequence[Transaction]) -> Decimal:
    """What a hold's transactions have charged by themselves: its `captured`, when none of them is missing."""
    flows = [(t.kind, flows_of(t)) for t in transactions if t.kind is not TransactionKind.RERATE]
    returned = sum((f.given_back for kind, f in flows if kind is TransactionKind.LATE_COMMIT), ZERO)
    return sum((f.charged for _, f in flows), ZERO) - returned


class _Hold:
    """One hold in the telling."""

    def __init__(self, reservation: Reservation, transactions: Sequence[Transaction], zone: ZoneInfo) -> None:
        self.reservation = reservation
        self.transactions = transactions
        self.zone = zone
        self.left = reservation.amount  # of the hold, at its final size, before the event that is told next
        self._end = reservation.end_time or reservation.expire_time

    def events(self) -> Iterator[Event]:
        yield self._begin()
        steps = [*self._steps()]
        yield from sorted(steps, key=lambda step: step.time or self._end)  # refunds may come between captures
        yield self._sum()

    def _steps(self) -> Iterator[Event]:
        ending = self._ending_commit()
        for transaction in self._of(TransactionKind.COMMIT):
            yield self._commit(transaction, is_last=transaction is ending)
        if ending is None and self._ended_itself():
            yield self._end_without_charge()
        if self.reservation.state is ReservationState.EXPIRED or self.reservation.late:
            yield self._expiry()
        if self.reservation.late:
            yield self._late_commit()
        for transaction in self._of(TransactionKind.REFUND):
            yield self._refund(transaction)
        for transaction in self._of(TransactionKind.RERATE):
            text = rerate_words(transaction, self._money) + reason_words(transaction.reason)
            yield Event(transaction.create_time, text)
        for transaction in self._of(TransactionKind.TRUE_UP):
            text = true_up_words(transaction, self._money) + reason_words(transaction.reason)
            yield Event(transaction.create_time, text)

    # ── steps ────────────────────────────────────────────────────────────────────────────────────────

    def _begin(self) -> Event:
        hold = self.reservation
        call = f"call {hold.call_id}" if hold.call_id else "a call without an id"
        labels = f" Labels: {labels_text(hold.labels)}." if hold.labels else ""
        text = f"Credit of {hold.account_id} was set aside for {call}: {self._money(hold.amount)} with all extensions."
        used = self._money(hold.used_so_far)
        reported = f" While the call ran, up to {used} was reported as used." if hold.used_so_far else ""
        return Event(hold.create_time, text + labels + reported)

    def _commit(self, transaction: Transaction, *, is_last: bool) -> Event:
        flows = flows_of(transaction)
        # Before the last capture the hold may have been smaller: how much came from it is known of the last one only.
        how = paid_words(flows, self._money, self.left if is_last else None)
        text = f"A commit captured {self._money(flows.usage)}: {how}." if flows.usage else "A commit captured nothing."
        self.left = max(ZERO, self.left - flows.usage)
        if is_last:
            text += f" It was the final one; {self._freed()}."
        return Event(transaction.create_time, text + aside_words(flows, self._money))

    def _end_without_charge(self) -> Event:
        hold = self.reservation
        voided = next(iter(self._of(TransactionKind.VOID)), None)
        if hold.state is ReservationState.VOIDED:
            text = f"The hold was voided: nothing was charged, {self._freed()}."
        elif voided is not None:
            text = f"The hold was voided after its captures; {self._freed()}."
        elif hold.captured or hold.absorbed:
            text = f"The hold was ended without a further charge (a void, or a commit of zero); {self._freed()}."
        else:
            text = f"A commit of zero ended the hold: nothing was charged, {self._freed()}."
        if voided is not None:
            text += reason_words(voided.reason) + aside_words(flows_of(voided), self._money)
        return Event(hold.end_time, text)

    def _expiry(self) -> Event:
        hold = self.reservation
        flows = self._flows_of_expiry()
        if flows is not None and flows.usage:
            how = paid_words(flows, self._money, self.left)
            self.left = max(ZERO, self.left - flows.usage)
            text = f"so {self._money(flows.usage)} that was reported as used, and not captured yet, was charged: {how}"
        elif hold.on_expiry is OnExpiry.RELEASE:
            text = "and it was to be released without a charge"
        else:
            text = "and no use was reported that was not captured yet, so nothing was charged"
        text = f"The hold came due before anybody had ended it, {text}; {self._freed()}."
        return Event(hold.expire_time, text + (aside_words(flows, self._money) if flows else ""))

    def _late_commit(self) -> Event:
        transaction = next(iter(self._of(TransactionKind.LATE_COMMIT)), None)
        if transaction is None:
            return Event(None, "A late commit confirmed what the expiry had charged.")
        before, flows = self._flows_of_expiry(), flows_of(transaction)
        decided = flows.usage - flows.given_back - flows.recovered + (before.usage if before else ZERO)
        since = " since the captures before" if self._of(TransactionKind.COMMIT) else ""
        text = f"A late commit told the true cost{since}, {self._money(decided)}."
        if flows.usage:
            text += f" {self._money(flows.usage)} more had been used: {late_words(flows, self._money)}."
        if flows.given_back:
            text += f" {self._money(flows.given_back)} was given back: {given_back_words(flows, self._money)}."
        if flows.recovered:
            text += f" {self._money(flows.recovered)} less is absorbed as a loss."
        return Event(transaction.create_time, text + aside_words(flows, self._money))

    def _refund(self, transaction: Transaction) -> Event:
        flows = flows_of(transaction)
        text = f"A refund gave back {self._money(flows.given_back)}: {given_back_words(flows, self._money)}."
        return Event(transaction.create_time, text + reason_words(transaction.reason) + aside_words(flows, self._money))

    def _sum(self) -> Event:
        hold = self.reservation
        refunded = sum((flows_of(t).given_back for t in self._of(TransactionKind.REFUND)), ZERO)
        rerates = [flows_of(t) for t in self._of(TransactionKind.RERATE)]
        rerated = sum((flows.charged - flows.given_back for flows in rerates), ZERO)
        text = f"{self._money(hold.captured)} was charged" if hold.captured else "nothing was charged"
        if hold.absorbed:
            text += f", {self._money(hold.absorbed)} absorbed as a loss"
        if rerated:
            text += f", {self._money(abs(rerated))} {'more' if rerated > 0 else 'less'} by other prices"
        if refunded:
            text += f", {self._money(refunded)} refunded"
        if rerated or refunded:
            text += f": {self._money(hold.captured + rerated - refunded)} remains"
        if hold.state is ReservationState.ACTIVE:
            fate = (
                "what is reported as used is charged" if hold.on_expiry is OnExpiry.CAPTURE_USED else "it is released"
            )
            held = max(ZERO, hold.amount - hold.captured - hold.absorbed)
            due = when(hold.expire_time, self.zone)
            return Event(None, f"Still open: {self._money(held)} is held until {due}; then {fate}. So far {text}.")
        if hold.state is ReservationState.EXPIRED:
            until = when(hold.expire_time + LATE_COMMIT_WINDOW, self.zone)
            return Event(None, f"In all {text}. It may be committed late, by default until {until}.")
        return Event(None, f"In all {text}.")

    # ── what the steps are told from ─────────────────────────────────────────────────────────────────

    def _of(self, kind: TransactionKind) -> list[Transaction]:
        return [transaction for transaction in self.transactions if transaction.kind is kind]

    def _ended_itself(self) -> bool:
        ended = (ReservationState.COMMITTED, ReservationState.VOIDED)
        return self.reservation.state in ended and not self.reservation.late

    def _ending_commit(self) -> Transaction | None:
        """The capture that ended the hold: the one that was written when it ended."""
        commits, end_time = self._of(TransactionKind.COMMIT), self.reservation.end_time
        if not commits or not self._ended_itself() or end_time is None or self._of(TransactionKind.VOID):
            return None
        return commits[-1] if commits[-1].create_time >= end_time else None

    def _flows_of_expiry(self) -> Flows | None:
        return next((flows_of(transaction) for transaction in self._of(TransactionKind.EXPIRE)), None)

    def _freed(self) -> str:
        return (
            f"{self._money(self.left)} of the hold was freed" if self.left else "nothing of the hold was left to free"
        )

    def _money(self, amount: Decimal) -> str:
        return money(amount, self.reservation.currency_code)
