"""Recomputes one book from its journal and compares: pure; `verify.py` reads the rows.

The running book goes on with what is stored after a difference, and each thing is reported once per account, so one
changed row does not drown the report in its consequences.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from imprest_server.core.ids import AccountId, ReservationId, TenantId, format_reservation_id
from imprest_server.core.money import format_nanos
from imprest_server.ledger.chart import LedgerAccountCode as Code
from imprest_server.ledger.chart import apply_posting
from imprest_server.ledger.hashing import chain
from imprest_server.ledger.model import CAPTURES, Account, Book, Transaction, TransactionKind


@dataclass(frozen=True, slots=True)
class Difference:
    """Something stored is not what it must be. `account_id` None: of the tenant as a whole; `seq` None: of the book."""

    tenant_id: TenantId
    account_id: AccountId | None
    seq: int | None
    what: str
    expected: str
    found: str

    def __str__(self) -> str:
        place = f"tenant {self.tenant_id}"
        place += f", account {self.account_id}" if self.account_id is not None else ""
        place += f", seq {self.seq}" if self.seq is not None else ""
        return f"{place}: {self.what}: expected {self.expected}, found {self.found}"


@dataclass(slots=True)
class VerifyReport:
    """What was checked so far and what was wrong. `checkpoint` names the last account that is done: resume after it."""

    accounts: int = 0
    transactions: int = 0
    postings: int = 0
    reservations: int = 0
    differences: list[Difference] = field(default_factory=list[Difference])
    checkpoint: str = ""

    @property
    def ok(self) -> bool:
        """Nothing was wrong."""
        return not self.differences

    def __str__(self) -> str:
        return (
            f"{self.accounts:,} accounts, {self.transactions:,} transactions, {self.postings:,} postings, "
            f"{self.reservations:,} reservations"
        )


@dataclass(frozen=True, slots=True)
class Allocation:
    """One row of `refunds`: what a transaction gave back of a captured one, and all that was given back of that.

    `captured_*` describe the captured transaction, None when it does not exist; amounts in nanos.
    """

    account_id: AccountId
    kind: str
    amount: int
    cost: int
    captured_account_id: AccountId | None
    captured_seq: int | None
    captured_charged: int
    captured_cost: int
    total_amount: int
    total_cost: int


@dataclass(frozen=True, slots=True)
class Correction:
    """One row of `cost_adjustments`: by how much a transaction corrected the cost of a captured one, in nanos.

    `captured_*` describe the captured transaction, None when it does not exist; `left` is what it costs in the end.
    """

    account_id: AccountId
    cost: int
    captured_account_id: AccountId | None
    captured_seq: int | None
    captured_kind: str | None
    left: int


@dataclass(frozen=True, slots=True)
class Usage:
    """What the usage lines of a transaction add up to, in nanos."""

    price: int
    cost: int


#: Their postings are all that their lines say, and their cost is that of their lines.
_ITEMISED = (TransactionKind.COMMIT, TransactionKind.CHARGE, TransactionKind.USAGE)


@dataclass(frozen=True, slots=True)
class Hold:
    """A reservation's totals as stored, and as its transactions add up; in nanos."""

    tenant_id: TenantId
    account_id: AccountId
    reservation_id: ReservationId
    captured: int
    absorbed: int
    captured_cost: int
    posted_captured: int
    posted_absorbed: int
    posted_cost: int

    def differences(self) -> list[Difference]:
        """captured, absorbed and captured_cost are the sums of what its transactions charged, wrote off and cost."""
        name = format_reservation_id(self.reservation_id)
        pairs = [
            ("captured", self.posted_captured, self.captured),
            ("absorbed", self.posted_absorbed, self.absorbed),
            ("captured_cost", self.posted_cost, self.captured_cost),
        ]
        return [
            Difference(
                self.tenant_id,
                self.account_id,
                None,
                f"{what} of reservation {name}",
                format_nanos(expected),
                format_nanos(found),
            )
            for what, expected, found in pairs
            if expected != found
        ]


@dataclass(slots=True)
class BookAudit:
    """One book, recomputed transaction by transaction in the order of seq."""

    tenant_id: TenantId
    account_id: AccountId
    running: Book = field(init=False)
    differences: list[Difference] = field(default_factory=list[Difference])
    _reported: set[str] = field(default_factory=set[str])

    def __post_init__(self) -> None:
        self.running = Book(self.tenant_id, self.account_id)

    def apply(
        self,
        stored: Transaction,
        reservation_account_id: AccountId | None,
        allocations: Sequence[Allocation],
        corrections: Sequence[Correction],
        usage: Usage | None,
        rerated: Usage | None,
    ) -> None:
        """Check the next transaction of the journal and go on from it.

        `reservation_account_id` is the account of the reservation it names, `allocations` what it gave back,
        `corrections` which costs it corrected, `usage` what its usage lines add up to, `rerated` by how much the lines
        that it re-rated cost more.
        """
        running, seq = self.running, stored.seq
        self._expect(seq, "seq", running.seq + 1, seq)
        if not stored.postings:
            self._expect(seq, "postings", "at least one", "none")
        for posting in stored.postings:
            apply_posting(running.balances, posting.debit, posting.credit, posting.amount)
        self._expect_amount(seq, "wallet_after", running.wallet, stored.wallet_after)
        self._expect_amount(seq, "receivable_after", running.receivable, stored.receivable_after)
        self._expect(seq, "chain_hash", chain(running.chain_hash, stored).hex(), stored.chain_hash.hex())
        if running.last_time is not None and stored.create_time < running.last_time:
            self._expect(seq, "create_time", f"{running.last_time} or later", str(stored.create_time))
        if stored.reservation_id is not None and reservation_account_id != self.account_id:
            name = format_reservation_id(stored.reservation_id)
            found = f"one of account {reservation_account_id}" if reservation_account_id else "none"
            self._expect(seq, "reservation", f"{name} of this account", found)
        self._check_allocations(stored, allocations)
        self._check_corrections(stored, corrections)
        self._check_usage(stored, usage)
        self._check_rerated(stored, rerated)
        running.seq, running.chain_hash, running.last_time = seq, stored.chain_hash, stored.create_time

    def note_stray_postings(self, seq: int) -> None:
        """There are postings at `seq`, and no transaction."""
        self._expect(seq, "transaction", "one", "none, but postings")

    def compare(self, account: Account | None, book: Book | None, held: int, open_count: int) -> None:
        """Hold what is stored against the recomputed book and the holds, all of one snapshot.

        `held` and `open_count` are what the ACTIVE reservations add up to.
        """
        if account is None or book is None:
            self._expect(None, "account and book", "both", f"{'no ' if account is None else ''}account, no book")
            return
        running = self.running
        self._expect(None, "seq of the book", running.seq, book.seq)
        for code in Code:
            self._expect_amount(None, f"balance of {code}", running.balances[code], book.balances[code])
        self._expect(None, "chain_hash of the book", running.chain_hash.hex(), book.chain_hash.hex())
        self._expect(None, "last_time of the book", str(running.last_time), str(book.last_time))
        self._expect_amount(None, "held", held, book.held)
        self._expect(None, "open_count", open_count, book.open_count)
        available = book.wallet - book.held + account.credit_limit
        if book.receivable > 0 and available > 0:
            self._expect_amount(None, "available credit beside a receivable", 0, available)

    def _check_allocations(self, stored: Transaction, allocations: Sequence[Allocation]) -> None:
        """What it gave back is allocated in full, to earlier charges of this book, never more than they charged."""
        seq = stored.seq
        given_back = sum(p.amount for p in stored.postings if p.debit is Code.REFUNDS)
        self._expect_amount(seq, "refund allocations", given_back, sum(a.amount for a in allocations))
        if stored.kind is TransactionKind.REFUND:
            reversed_cost = sum(p.amount for p in stored.postings if p.credit is Code.PROVIDER_COST)
            self._expect_amount(seq, "refund allocations' cost", reversed_cost, sum(a.cost for a in allocations))
        for a in allocations:
            self._expect(seq, "kind of a refund allocation", stored.kind.value, a.kind)
            self._expect(seq, "account of a refund allocation", self.account_id, a.account_id)
            if a.captured_seq is None or a.captured_account_id != self.account_id or a.captured_seq >= seq:
                found = f"account {a.captured_account_id}, seq {a.captured_seq}"
                self._expect(seq, "captured transaction of a refund", "an earlier one of this book", found)
            for what, limit, total in (
                ("refunded in all", a.captured_charged, a.total_amount),
                ("cost reversed in all", a.captured_cost, a.total_cost),
            ):
                if total > limit:
                    expected = f"at most {format_nanos(limit)}"
                    self._expect(seq, f"{what} of seq {a.captured_seq}", expected, format_nanos(total))

    def _check_corrections(self, stored: Transaction, corrections: Sequence[Correction]) -> None:
        """A correction of costs posts what it says, of earlier usage of this book, of which no cost goes below zero."""
        seq = stored.seq
        if stored.kind in (TransactionKind.TRUE_UP, TransactionKind.RERATE):
            cost = sum(p.amount for p in stored.postings if p.debit is Code.PROVIDER_COST)
            cost -= sum(p.amount for p in stored.postings if p.credit is Code.PROVIDER_COST)
            self._expect_amount(seq, "cost corrections", cost, sum(c.cost for c in corrections))
            for p in stored.postings if stored.kind is TransactionKind.TRUE_UP else ():
                self._expect(
                    seq, "codes of a true-up", {Code.PROVIDER_COST, Code.PROVIDER_PAYABLE}, {p.debit, p.credit}
                )
        elif corrections:
            self._expect(seq, "cost corrections", "none", "some")
        for c in corrections:
            self._expect(seq, "account of a cost correction", self.account_id, c.account_id)
            earlier = c.captured_seq is not None and c.captured_seq < seq
            if not earlier or c.captured_account_id != self.account_id or c.captured_kind not in CAPTURES:
                found = f"{c.captured_kind} of account {c.captured_account_id}, seq {c.captured_seq}"
                self._expect(seq, "captured transaction of a cost correction", "earlier usage of this book", found)
            if c.left < 0:
                what = f"cost in all of seq {c.captured_seq}"
                self._expect(seq, what, "at least 0", format_nanos(c.left))

    def _check_usage(self, stored: Transaction, usage: Usage | None) -> None:
        """Lines cost what was posted as provider cost, and their prices are what was charged or absorbed."""
        seq = stored.seq
        if stored.kind in _ITEMISED:
            cost = sum(p.amount for p in stored.postings if p.debit is Code.PROVIDER_COST)
            self._expect_amount(seq, "provider cost", usage.cost if usage else 0, cost)
            if usage is not None:
                charged = sum(p.amount for p in stored.postings if p.credit is Code.REVENUE)
                self._expect_amount(seq, "charge for usage", usage.price, charged)
        elif usage is not None and stored.kind not in (TransactionKind.EXPIRE, TransactionKind.LATE_COMMIT):
            self._expect(seq, "usage lines", "none", "some")

    def _check_rerated(self, stored: Transaction, rerated: Usage | None) -> None:
        """A re-rate charges what its lines cost more; of what they cost less it gives back no more than that. A true-up
        of lines posts just what they cost us more or less."""
        seq = stored.seq
        if stored.kind is TransactionKind.RERATE:
            price = rerated.price if rerated else 0
            charged = sum(p.amount for p in stored.postings if p.credit is Code.REVENUE)
            self._expect_amount(seq, "charge for re-rated usage", max(0, price), charged)
            given_back = sum(p.amount for p in stored.postings if p.debit is Code.REFUNDS)
            if given_back > max(0, -price):
                expected = f"at most {format_nanos(max(0, -price))}"
                self._expect(seq, "given back for re-rated usage", expected, format_nanos(given_back))
        elif rerated is not None and stored.kind is TransactionKind.TRUE_UP:
            self._expect_amount(seq, "price of lines whose cost was stated", 0, rerated.price)
            cost = sum(p.amount if p.debit is Code.PROVIDER_COST else -p.amount for p in stored.postings)
            self._expect_amount(seq, "cost of lines that was stated", cost, rerated.cost)
        elif rerated is not None:
            self._expect(seq, "re-rated lines", "none", "some")

    def _expect(self, seq: int | None, what: str, expected: object, found: object) -> None:
        if expected != found and what not in self._reported:
            self._reported.add(what)
            self.differences.append(Difference(self.tenant_id, self.account_id, seq, what, str(expected), str(found)))

    def _expect_amount(self, seq: int | None, what: str, expected: int, found: int) -> None:
        if expected != found:
            self._expect(seq, what, format_nanos(expected), format_nanos(found))
