"""What the demo itself saw happen, kept apart from the server, so that the books can be checked against it."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from decimal import Decimal

from imprest.v1.account_service_pb2 import AddCreditResponse, GrantCreditResponse
from imprest.v1.balance_pb2 import Balance
from imprest.v1.ledger_service_pb2 import CommitResponse
from imprest.v1.reservation_pb2 import Reservation
from imprest.v1.transaction_pb2 import LedgerAccountCode
from imprest.v1.trial_balance_pb2 import TrialBalance
from imprest_client.money import to_decimal

_ZERO = Decimal(0)


@dataclass
class AccountTally:
    """Sums of what was acknowledged for one account."""

    currency: str
    credited: Decimal = _ZERO
    charged: Decimal = _ZERO
    """What the customer paid or owes, refunds not yet taken off."""
    refunded: Decimal = _ZERO
    absorbed: Decimal = _ZERO
    call_count: int = 0


@dataclass(frozen=True)
class BookFigures:
    """The same sums as the server's book has them."""

    wallet: Decimal
    receivable: Decimal
    held: Decimal
    received: Decimal
    revenue: Decimal
    refunds: Decimal
    overrun_loss: Decimal


def differences(seen: AccountTally, book: BookFigures) -> list[str]:
    """Every figure of the book that is not what was seen, in words; none when the book is right."""
    figures = (
        ("wallet less receivable", seen.credited - seen.charged + seen.refunded, book.wallet - book.receivable),
        ("credit received", seen.credited, book.received),
        ("charges less refunds", seen.charged - seen.refunded, book.revenue - book.refunds - book.overrun_loss),
        ("absorbed overruns", seen.absorbed, book.overrun_loss),
        ("credit still held", _ZERO, book.held),
    )
    return [f"{name}: seen {seen_:f}, booked {booked:f}" for name, seen_, booked in figures if seen_ != booked]


def book_figures(balance: Balance, trial: TrialBalance) -> BookFigures:
    """The figures of an account's balance and trial balance."""
    lines: dict[str, Decimal] = {}
    for line in trial.lines:
        name = LedgerAccountCode.Name(line.code).removeprefix("LEDGER_ACCOUNT_CODE_")
        on_debit = line.WhichOneof("balance") == "debit_balance"
        lines[name] = to_decimal(line.debit_balance) if on_debit else -to_decimal(line.credit_balance)
    return BookFigures(
        wallet=to_decimal(balance.wallet),
        receivable=to_decimal(balance.receivable),
        held=to_decimal(balance.held),
        received=lines["CASH"] + lines["PROMOTION_COST"],
        revenue=-lines["REVENUE"],
        refunds=lines["REFUNDS"],
        overrun_loss=lines["OVERRUN_LOSS"],
    )


@dataclass
class Tally:
    """Everything the demo counts while it runs."""

    accounts: dict[str, AccountTally] = field(default_factory=dict)
    call_count: int = 0
    talk_s: int = 0
    denials: Counter[str] = field(default_factory=Counter)
    """By reason, of Reserve and Commit."""
    cut_short: Counter[str] = field(default_factory=Counter)
    """Running calls that got no more credit, by reason."""
    events: Counter[str] = field(default_factory=Counter)
    held_peak: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    dearest: CommitResponse = field(default_factory=CommitResponse)
    """The commit, not a late one, that charged most."""
    problems: list[str] = field(default_factory=list)
    """What must not happen. The demo fails when there is one."""
    _holds: dict[str, Decimal] = field(default_factory=dict)
    _held: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))

    def credit(self, account_id: str, amount: Decimal, reply: AddCreditResponse | GrantCreditResponse) -> None:
        """Count credit that was added once."""
        if reply.replayed:
            self.problems.append(f"{account_id}: credit with a new key was taken for a replay")
        self.accounts[account_id].credited += amount

    def hold(self, reservation: Reservation) -> None:
        """Note what a reservation holds now."""
        currency = reservation.amount.currency_code
        held = to_decimal(reservation.amount)
        self._held[currency] += held - self._holds.get(reservation.reservation_id, _ZERO)
        self._holds[reservation.reservation_id] = held
        self.held_peak[currency] = max(self.held_peak[currency], self._held[currency])

    def release(self, reservation: Reservation) -> None:
        """Note that a reservation holds nothing any more."""
        held = self._holds.pop(reservation.reservation_id, _ZERO)
        self._held[reservation.amount.currency_code] -= held

    def commit(self, amount: Decimal, reply: CommitResponse) -> None:
        """Count a commit of `amount`, all of which must have been charged or absorbed."""
        reservation, charge = reply.reservation, reply.charge
        self.release(reservation)
        account = self.accounts[reservation.account_id]
        account.charged += to_decimal(charge.charged)  # after a late commit the difference to what the expiry took
        account.absorbed += to_decimal(charge.absorbed)
        if charge.lines and not reply.late and to_decimal(charge.charged) > to_decimal(self.dearest.charge.charged):
            self.dearest = reply
        if reply.late:
            self.events["late commits"] += 1
        elif to_decimal(charge.from_hold) < amount:
            self.events["overruns"] += 1
        decided = to_decimal(reservation.captured) + to_decimal(reservation.absorbed)
        if decided != amount:
            self.problems.append(f"{reservation.call_id}: committed {amount:f}, but decided over {decided:f}")

    def expire(self, reservation: Reservation, used: Decimal) -> None:
        """Count a hold that expired after `used` was reported, all of which must have been captured."""
        self.release(reservation)
        self.events["expired holds"] += 1
        self.accounts[reservation.account_id].charged += used
        if to_decimal(reservation.captured) != used:
            self.problems.append(
                f"{reservation.call_id}: expired with {used:f} used, but captured {to_decimal(reservation.captured):f}"
            )

    def refund(self, account_id: str, amount: Decimal) -> None:
        """Count a refund."""
        self.accounts[account_id].refunded += amount
        self.events["refunds"] += 1
