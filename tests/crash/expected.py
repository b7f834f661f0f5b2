"""What the books must say, worked out from the callers' answers alone.

The arithmetic does not need to know in which order the operations happened: each has an effect on what an account
is worth (wallet − receivable) that adds up, and a hold's marks only grow. How the worth is split over wallet and
receivable follows from the rule that a receivable is open only while nothing is available.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from google.type.money_pb2 import Money

from imprest.v1.transaction_pb2 import LedgerAccountCode
from tests.crash.journal import IMPOSSIBLE, Entry
from tests.crash.tariff import TOKENS, cost_of, price_range, quantity_of


def nanos(amount: Money) -> int:
    """An amount as an integer of nanos."""
    return amount.units * 10**9 + amount.nanos


@dataclass
class Hold:
    """A reservation as its callers know it; `used` counts if it expires. Costs are those of rated usage.

    Only the last Extend's key is kept, of a denied one only while none was granted; and a copy of an earlier one that
    was long on its way counts as new: it changes no mark, but its key is the last one then. `straggling` are the keys
    that may have been overtaken by their copies. `extend_granted` tells whether `extend_key` was.
    """

    account_id: str
    amount: int
    expire_time: datetime
    captured: int = 0
    absorbed: int = 0
    used: int = 0
    used_cost: int = 0
    captured_cost: int = 0
    state: str = "ACTIVE"
    ended_by: str = ""
    extend_key: str | None = field(default=None, compare=False)
    extend_granted: bool = field(default=False, compare=False)
    straggling: set[str] = field(default_factory=set[str], compare=False)

    @property
    def remaining(self) -> int:
        return max(0, self.amount - self.captured - self.absorbed) if self.state == "ACTIVE" else 0


@dataclass(frozen=True)
class Posted:
    """A transaction as its caller knows it: what it moved, settlement not counted."""

    account_id: str
    kind: str
    amount: int


@dataclass(frozen=True)
class Line:
    """A usage line as its caller knows it; amounts in nanos."""

    meter: str
    quantity: int
    price: int
    cost: int


#: An alert that is not about a budget: its kind, the reservation it is about, and the amount.
Told = tuple[str, str, int]


@dataclass(frozen=True)
class Standing:
    """A book's balances, in nanos."""

    wallet: int
    held: int
    receivable: int
    open_count: int


@dataclass
class Expected:
    """All that must be found, and nothing else may be.

    `charged` and `refunded` are by account; `cost` is that of all rated usage, `told` are the alerts of what was
    overrun or expired. `lines` are by account, call and line id.

    `silent` are transactions whose id no answer names, by reservation and kind: what a Void settled, what an expiry
    charged. `puzzles` are answers that no order of events explains.
    """

    worth: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    credit_limits: dict[str, int] = field(default_factory=dict[str, int])
    holds: dict[str, Hold] = field(default_factory=dict[str, Hold])
    transactions: dict[str, Posted] = field(default_factory=dict[str, Posted])
    silent: dict[tuple[str, str], Posted] = field(default_factory=dict[tuple[str, str], Posted])
    operations: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])
    lines: dict[tuple[str, str, str], Line] = field(default_factory=dict[tuple[str, str, str], Line])
    charged: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    refunded: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    cost: int = 0
    told: Counter[Told] = field(default_factory=Counter[Told])
    puzzles: list[str] = field(default_factory=list[str])

    def tokens(self) -> dict[str, int]:
        """What each account has counted of the meter whose price gets cheaper."""
        counts: Counter[str] = Counter()
        for (account_id, _, _), line in self.lines.items():
            counts[account_id] += line.quantity if line.meter == TOKENS else 0
        return {account_id: count for account_id, count in counts.items() if count}

    def standing(self, account_id: str) -> Standing:
        """The book's balances once everything has settled.

        A receivable is open only while nothing is available: then wallet = held − credit limit, and what the account
        is worth less than that is owed.
        """
        holds = [hold for hold in self.holds.values() if hold.account_id == account_id and hold.state == "ACTIVE"]
        held = sum(hold.remaining for hold in holds)
        worth, least = self.worth[account_id], held - self.credit_limits[account_id]
        wallet = max(worth, least)
        return Standing(wallet, held, wallet - worth, len(holds))


def expected_of(entries: Iterable[Entry], now: datetime) -> Expected:
    """What must be in the books at `now`, by the answers; an entry without an answer has had no effect."""
    expected = Expected()
    granted: list[Entry] = []
    for entry in entries:
        answer = entry.answer
        if answer is None:
            continue
        if answer.denial in IMPOSSIBLE:
            expected.puzzles.append(f"{entry}: denied with {answer.denial}")
        elif entry.method != "Extend":
            expected.operations[_kind(entry.method), entry.request.idempotency_key] = answer.denial
        elif entry.request.reservation_id in expected.holds:
            hold = expected.holds[entry.request.reservation_id]
            if answer.granted or not hold.extend_granted:
                hold.extend_key, hold.extend_granted = entry.request.idempotency_key, answer.granted
            if entry.sent > 1:
                hold.straggling.add(entry.request.idempotency_key)
        if answer.granted:
            granted.append(entry)
            _EFFECTS[entry.method](expected, entry.request, answer.response)
    for reservation_id, hold in expected.holds.items():
        if hold.state == "ACTIVE" and hold.expire_time <= now:
            _expire(expected, reservation_id, hold)
    return expected


def _kind(method: str) -> str:
    """`AddCredit` as operations are stored: `ADD_CREDIT`."""
    return "".join(f"_{letter}" if letter.isupper() else letter.upper() for letter in method).strip("_")


def _post(expected: Expected, transaction_id: str, posted: Posted) -> None:
    """The answer names a transaction; it names none when there was nothing to post."""
    if not transaction_id:
        if posted.amount:
            expected.puzzles.append(f"{posted} was answered without a transaction")
    elif expected.transactions.setdefault(transaction_id, posted) is not posted:
        expected.puzzles.append(f"two answers name transaction {transaction_id}")


def _create(expected: Expected, request: Any, response: Any) -> None:
    expected.credit_limits[request.account.account_id] = nanos(request.account.credit_limit)


def _credit(expected: Expected, request: Any, response: Any) -> None:
    amount = nanos(request.amount)
    expected.worth[request.account_id] += amount
    _post(expected, response.transaction_id, Posted(request.account_id, "ADD_CREDIT", amount))


def _transfer(expected: Expected, request: Any, response: Any) -> None:
    amount = nanos(request.amount)
    expected.worth[request.from_account_id] -= amount
    expected.worth[request.to_account_id] += amount
    _post(expected, response.transaction_id, Posted(request.from_account_id, "TRANSFER_OUT", amount))
    _post(expected, response.to_transaction_id, Posted(request.to_account_id, "TRANSFER_IN", amount))


def _reserve(expected: Expected, request: Any, response: Any) -> None:
    made = response.reservation
    amount = nanos(request.amount)
    if request.HasField("estimate"):
        amount = nanos(made.amount)
        if amount not in price_range(request.estimate.lines):
            expected.puzzles.append(f"Reserve {request.idempotency_key} holds {amount} for its estimate")
    hold = Hold(request.account_id, amount, made.expire_time.ToDatetime(UTC))
    if expected.holds.setdefault(made.reservation_id, hold) is not hold:
        expected.puzzles.append(f"two answers name reservation {made.reservation_id}")


def _extend(expected: Expected, request: Any, response: Any) -> None:
    hold, after = expected.holds[request.reservation_id], response.reservation
    rated = request.HasField("estimate_total")
    if not response.denial_reason:
        hold.amount = max(hold.amount, nanos(after.amount if rated else request.new_total))
    hold.used = max(hold.used, nanos(after.used_so_far if rated else request.used_so_far))
    hold.used_cost = max(hold.used_cost, cost_of(request.used.lines))
    hold.expire_time = max(hold.expire_time, after.expire_time.ToDatetime(UTC))
    if nanos(after.amount) != hold.amount or nanos(after.used_so_far) != hold.used:
        expected.puzzles.append(f"Extend {request.idempotency_key} answered {after}, its caller counts {hold}")


def _commit(expected: Expected, request: Any, response: Any) -> None:
    hold = expected.holds[request.reservation_id]
    call_id = response.reservation.call_id
    amount, cost = _captured(expected, request, response, hold.account_id, call_id)
    hold.captured += nanos(response.charge.charged)
    hold.absorbed += nanos(response.charge.absorbed)
    hold.captured_cost += cost
    if request.final:
        _end(expected, request, hold, "COMMITTED", "COMMIT")
    _tell(expected, "OVERRUN", request.reservation_id, amount - nanos(response.charge.from_hold))
    _post(expected, response.transaction_id, Posted(hold.account_id, "COMMIT", amount + cost))


def _charge(expected: Expected, request: Any, response: Any) -> None:
    amount, cost = _captured(expected, request, response, request.account_id, request.call_id)
    _post(expected, response.transaction_id, Posted(request.account_id, "CHARGE", amount + cost))


def _record_usage(expected: Expected, request: Any, response: Any) -> None:
    amount, cost = _captured(expected, request, response, request.account_id, request.call_id)
    _tell(expected, "OVERRUN", "", nanos(response.charge.absorbed))
    _post(expected, response.transaction_id, Posted(request.account_id, "USAGE", amount + cost))


def _captured(expected: Expected, request: Any, response: Any, account_id: str, call_id: str) -> tuple[int, int]:
    """What a capture came to and cost us; lines that the call had before came to nothing."""
    charge = response.charge
    charged, absorbed = nanos(charge.charged), nanos(charge.absorbed)
    amount, new = nanos(request.amount), []
    if request.HasField("usage"):
        for asked, rated in zip(request.usage.lines, charge.lines, strict=True):
            key = (account_id, call_id, asked.line_id)
            if rated.duplicate != (key in expected.lines):
                expected.puzzles.append(f"{request.idempotency_key}: line {key} was answered {rated}")
            if not rated.duplicate:
                line = Line(asked.meter, quantity_of(asked), nanos(rated.price), nanos(rated.cost))
                expected.lines[key] = line
                new.append(asked)
        amount = sum(nanos(rated.price) for rated in charge.lines)
    cost = cost_of(new)
    if charged + absorbed != amount or nanos(charge.provider_cost) != cost:
        expected.puzzles.append(f"{request.idempotency_key} is {amount}, costs {cost}, and was answered {charge}")
    expected.worth[account_id] -= charged
    expected.charged[account_id] += charged
    expected.cost += cost
    return amount, cost


def _tell(expected: Expected, kind: str, reservation_id: str, amount: int) -> None:
    if amount:
        expected.told[kind, reservation_id, amount] += 1


def _void(expected: Expected, request: Any, response: Any) -> None:
    hold = expected.holds[request.reservation_id]
    _end(expected, request, hold, "COMMITTED" if hold.captured + hold.absorbed else "VOIDED", "VOID")
    expected.silent[request.reservation_id, "VOID"] = Posted(hold.account_id, "VOID", 0)


def _end(expected: Expected, request: Any, hold: Hold, state: str, ended_by: str) -> None:
    if hold.state != "ACTIVE":
        expected.puzzles.append(f"{request.idempotency_key} ended a hold that {hold.ended_by} had ended")
    hold.state, hold.ended_by = state, ended_by


def _refund(expected: Expected, request: Any, response: Any) -> None:
    transaction = response.transaction
    refunds = LedgerAccountCode.LEDGER_ACCOUNT_CODE_REFUNDS
    amount = sum(nanos(posting.amount) for posting in transaction.postings if posting.debit == refunds)
    if request.HasField("amount") and amount != nanos(request.amount):
        expected.puzzles.append(f"Refund {request.idempotency_key} gave back {amount}")
    expected.worth[transaction.account_id] += amount
    expected.refunded[transaction.account_id] += amount
    _post(expected, transaction.transaction_id, Posted(transaction.account_id, "REFUND", amount))


def _expire(expected: Expected, reservation_id: str, hold: Hold) -> None:
    """What the clock does: charge the use not yet captured, which no caller here lets exceed the hold."""
    charged = max(0, hold.used - hold.captured - hold.absorbed)
    cost = max(0, hold.used_cost - hold.captured_cost)
    hold.captured += charged
    hold.captured_cost += cost
    hold.state, hold.ended_by = "EXPIRED", "EXPIRE"
    expected.worth[hold.account_id] -= charged
    expected.charged[hold.account_id] += charged
    expected.cost += cost
    _tell(expected, "RESERVATION_EXPIRED", reservation_id, charged)
    expected.silent[reservation_id, "EXPIRE"] = Posted(hold.account_id, "EXPIRE", charged + cost)
    expected.operations["EXPIRE", reservation_id.removeprefix("rsv_")] = ""


_EFFECTS: dict[str, Callable[[Expected, Any, Any], None]] = {
    "CreateAccount": _create,
    "AddCredit": _credit,
    "Transfer": _transfer,
    "Reserve": _reserve,
    "Extend": _extend,
    "Commit": _commit,
    "Void": _void,
    "Charge": _charge,
    "RecordUsage": _record_usage,
    "Refund": _refund,
}
