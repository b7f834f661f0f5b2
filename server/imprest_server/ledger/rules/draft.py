"""One transaction in the making, on a private copy of one book.

A rule checks, drafts, and writes last: a denial at any point before `write` leaves the ledger untouched.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from imprest_server.core.ids import AccountId, AccountKey, ReservationId, TransactionId
from imprest_server.core.money import MAX_NANOS, check_range
from imprest_server.core.values import named_value
from imprest_server.ledger.chart import LedgerAccountCode as Code
from imprest_server.ledger.chart import apply_posting
from imprest_server.ledger.hashing import chain
from imprest_server.ledger.limits import Event, EventKind
from imprest_server.ledger.model import (
    CAPTURES,
    Account,
    Balance,
    Book,
    Capture,
    Labels,
    Posting,
    Transaction,
    TransactionKind,
)
from imprest_server.ledger.working_set import Ledger


@named_value
class Details:
    """What a transaction records besides its postings."""

    reservation_id: ReservationId | None = None
    call_id: str | None = None
    reason: str | None = None
    external_reference: str | None = None
    labels: Labels | None = None
    effective_time: datetime | None = None


NO_DETAILS = Details()

#: A balance that was low has recovered when it is above its threshold by this part of it.
REARM_FRACTION = 10


class Draft:
    """The working copy of a book, its postings so far, and the account they belong to."""

    def __init__(self, ledger: Ledger, key: AccountKey, now: datetime) -> None:
        self._ledger = ledger
        self.now = now
        self.account: Account = ledger.account(key)
        self.book: Book = ledger.books[key].copy()
        self.postings: list[Posting] = []

    @property
    def available(self) -> int:
        """wallet − held + credit limit, signed."""
        return self.book.wallet - self.book.held + self.account.credit_limit

    @property
    def spendable(self) -> int:
        """What rules may spend: available, a negative one counting as 0."""
        return max(0, self.available)

    def post(self, debit: Code, credit: Code, amount: int) -> None:
        """Add a posting; an amount of zero adds none."""
        if amount:
            apply_posting(self.book.balances, debit, credit, amount)
            self.postings.append(Posting(debit, credit, amount))

    def take_in(self, source: Code, amount: int) -> None:
        """Value flows in from `source`: it repays the receivable first, the rest goes to the wallet."""
        repaid = min(self.book.receivable, amount)
        self.post(source, Code.RECEIVABLE, repaid)
        self.post(source, Code.WALLET, amount - repaid)

    def settle(self) -> None:
        """Move min(receivable, available) from the wallet to the receivable: nobody owes while they have."""
        self.post(Code.WALLET, Code.RECEIVABLE, min(self.book.receivable, self.spendable))

    def check(self) -> None:
        """Raise AmountOutOfRange when google.type.Money cannot carry a balance of the drafted book."""
        balances = self.book.balances
        # With the credit limit and without the holds: what a hold frees must fit, whenever it ends.
        spending = self.book.wallet + self.account.credit_limit
        available = spending - self.book.held
        if (
            max(*balances.values(), spending, available) <= MAX_NANOS
            and min(*balances.values(), spending, available) >= -MAX_NANOS
        ):
            return  # nearly always; naming each balance costs more than the whole check
        for code, balance in balances.items():
            check_range(balance, f"the balance of {code} of account {self.account.account_id}")
        check_range(spending, f"wallet and credit limit of account {self.account.account_id}")
        check_range(available, f"the available balance of account {self.account.account_id}")

    def write(
        self, kind: TransactionKind, transaction_id: TransactionId, details: Details = NO_DETAILS
    ) -> Transaction | None:
        """Settle, check, and put the book into the ledger, with a transaction when anything was posted."""
        self.settle()
        self.check()
        transaction = self._transaction(kind, transaction_id, details) if self.postings else None
        if transaction is not None:
            self._ledger.changes.transactions.append(transaction)
            self._note_capture(transaction)
        self.put()
        return transaction

    def put(self) -> None:
        """Put the book into the ledger, with what those who watch are to be told of it."""
        book, account = self.book, self.account
        if book.receivable and not self._ledger.books[account.key].receivable:
            self._tell(EventKind.RECEIVABLE, book.receivable)
        threshold = account.low_balance_threshold
        if threshold is None:
            book.low_balance = False
        elif book.low_balance:
            book.low_balance = self.available < threshold + threshold // REARM_FRACTION
        elif self.available < threshold and self._is_cool():
            book.low_balance, book.low_balance_time = True, self.now
            self._tell(EventKind.LOW_BALANCE, threshold)
        self._ledger.put_book(book)

    def arm_low_balance(self) -> None:
        """Tell of a low balance at once: what counts as low has changed."""
        self.book.low_balance, self.book.low_balance_time = False, None

    def _is_cool(self) -> bool:
        last = self.book.low_balance_time
        return last is None or self.now >= last + self._ledger.terms.low_balance_cooldown

    def _tell(self, kind: EventKind, amount: int) -> None:
        event = Event(kind=kind, account=self.account, available=self.available, amount=amount)
        self._ledger.changes.happenings.append(event)

    def balance(self) -> Balance:
        """The balance as drafted."""
        return balance_of(self.account, self.book, self.now)

    def _transaction(self, kind: TransactionKind, transaction_id: TransactionId, details: Details) -> Transaction:
        book = self.book
        book.seq += 1
        book.last_time = self.now if book.last_time is None else max(book.last_time, self.now)
        transaction = Transaction(
            tenant_id=book.tenant_id,
            transaction_id=transaction_id,
            account_id=book.account_id,
            seq=book.seq,
            kind=kind,
            postings=tuple(self.postings),
            wallet_after=book.wallet,
            receivable_after=book.receivable,
            reservation_id=details.reservation_id,
            call_id=details.call_id or "",
            reason=details.reason or "",
            external_reference=details.external_reference or "",
            labels=details.labels or {},
            effective_time=details.effective_time or self.now,
            create_time=book.last_time,
        )
        book.chain_hash = chain(book.chain_hash, transaction)
        return replace(transaction, chain_hash=book.chain_hash)

    def _note_capture(self, transaction: Transaction) -> None:
        """What charged for usage can be refunded or corrected later, also by a later operation of the same batch."""
        charged = sum(
            p.amount
            for p in transaction.postings
            if p.credit is Code.REVENUE and p.debit in (Code.WALLET, Code.RECEIVABLE)
        )
        if transaction.kind in CAPTURES:
            self._ledger.add_capture(
                transaction.tenant_id,
                Capture(
                    account_id=transaction.account_id,
                    transaction_id=transaction.transaction_id,
                    seq=transaction.seq,
                    reservation_id=transaction.reservation_id,
                    call_id=transaction.call_id,
                    charged=charged,
                    refunded=0,
                    create_time=transaction.create_time,
                    labels=transaction.labels,
                    cost=0
                    if transaction.kind is TransactionKind.RERATE
                    else sum(p.amount for p in transaction.postings if p.debit is Code.PROVIDER_COST),
                ),
            )
        else:
            self._ledger.transaction_accounts[transaction.tenant_id, transaction.transaction_id] = AccountId(
                transaction.account_id
            )


def balance_of(account: Account, book: Book, as_of: datetime) -> Balance:
    """What a caller sees of a book."""
    return Balance(
        account_id=account.account_id,
        currency_code=account.currency_code,
        wallet=book.wallet,
        held=book.held,
        available=book.wallet - book.held + account.credit_limit,
        receivable=book.receivable,
        credit_limit=account.credit_limit,
        as_of=as_of,
    )
