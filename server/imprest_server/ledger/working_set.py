"""The ledger as one batch sees it: what was loaded under the locks, and what the fold has changed since.

The rules read and change only this; `store.py` fills it before the fold and writes its changes after.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from imprest_server.core.errors import NotFound
from imprest_server.core.ids import (
    AccountId,
    AccountKey,
    ReservationId,
    TenantId,
    TransactionId,
    format_reservation_id,
)
from imprest_server.core.usage import RatedLine
from imprest_server.ledger.limits import Happening, Limits
from imprest_server.ledger.model import (
    Account,
    Book,
    Capture,
    CostAdjustment,
    RefundAllocation,
    Reservation,
    Transaction,
    TransactionKind,
)
from imprest_server.ledger.operations import OperationKind, StoredOperation
from imprest_server.ledger.rating import CostedLine, CounterKey, LineAmounts, Rating, RecordedLine, ReratedLine

ReservationKey = tuple[TenantId, ReservationId]
TransactionKey = tuple[TenantId, TransactionId]
OperationScope = tuple[TenantId, OperationKind, str]
ReferenceScope = tuple[TenantId, TransactionKind, str]
#: A usage line: its tenant, account and call, and its id.
LineKey = tuple[TenantId, AccountId, str, str]


@dataclass(slots=True)
class Changes:
    """What the fold decided and the store must write. Sets hold keys; the values stand in the ledger."""

    new_accounts: set[AccountKey] = field(default_factory=set[AccountKey])
    accounts: set[AccountKey] = field(default_factory=set[AccountKey])
    books: set[AccountKey] = field(default_factory=set[AccountKey])
    new_reservations: set[ReservationKey] = field(default_factory=set[ReservationKey])
    reservations: set[ReservationKey] = field(default_factory=set[ReservationKey])
    transactions: list[Transaction] = field(default_factory=list[Transaction])
    refunds: list[RefundAllocation] = field(default_factory=list[RefundAllocation])
    cost_adjustments: list[CostAdjustment] = field(default_factory=list[CostAdjustment])
    usage_lines: list[RecordedLine] = field(default_factory=list[RecordedLine])
    rerated_lines: list[ReratedLine] = field(default_factory=list[ReratedLine])
    counters: set[CounterKey] = field(default_factory=set[CounterKey])
    operations: dict[OperationScope, StoredOperation] = field(default_factory=dict[OperationScope, StoredOperation])
    #: What those who watch are to be told, in the order in which it happened.
    happenings: list[Happening] = field(default_factory=list[Happening])
    #: The last Extend decided per reservation: its key and answer live on the reservation.
    extends: dict[ReservationKey, tuple[str, StoredOperation]] = field(
        default_factory=dict[ReservationKey, tuple[str, StoredOperation]]
    )


@dataclass(frozen=True, slots=True)
class Terms:
    """Settings the rules depend on.

    `default_ttl` is a Reserve's without one of its own; `late_commit_window` is how long after its
    expire_time, inclusive, a hold may still be committed; `low_balance_cooldown` is how long nobody is told again that
    an account's balance is low.
    """

    default_ttl: timedelta = timedelta(minutes=15)
    late_commit_window: timedelta = timedelta(days=7)
    low_balance_cooldown: timedelta = timedelta(hours=1)


class Ledger:
    """The accounts, books, reservations, captures, keys, usage lines and month counters one batch works on.

    `rating` prices usage; a batch without usage has none. `limits` are None where nobody has set any.
    `counted_by` is what the captures of a reservation have added to the counters.
    """

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.accounts: dict[AccountKey, Account] = {}
        self.books: dict[AccountKey, Book] = {}
        self.reservations: dict[ReservationKey, Reservation] = {}
        self.captures: dict[TransactionKey, Capture] = {}
        self.captures_of: defaultdict[ReservationKey, list[TransactionId]] = defaultdict(list)
        #: Of a reservation's captures that were not loaded: what refunds gave back of them before, in nanos.
        self.refunded_of_others: dict[ReservationKey, int] = {}
        self.transaction_accounts: dict[TransactionKey, AccountId] = {}
        self.operations: dict[OperationScope, StoredOperation] = {}
        self.last_extends: dict[ReservationKey, tuple[str, StoredOperation]] = {}
        self.external_references: set[ReferenceScope] = set()
        self.rating: Rating | None = None
        self.limits: Limits | None = None
        self.usage_lines: dict[LineKey, RatedLine] = {}
        #: Of transactions that are re-rated: what their lines cost now, and the earlier re-rates, oldest first.
        self.line_amounts: dict[LineKey, LineAmounts] = {}
        self.rerates_of: defaultdict[TransactionKey, list[TransactionId]] = defaultdict(list)
        #: Of true-ups by line: the lines of a transaction or reservation, by tenant, its id, and theirs.
        self.costed_lines: dict[tuple[TenantId, UUID, str], CostedLine] = {}
        self.counters: defaultdict[AccountKey, dict[CounterKey, Decimal]] = defaultdict(dict)
        self.counted_by: defaultdict[ReservationKey, dict[CounterKey, Decimal]] = defaultdict(dict)
        self.changes = Changes()

    def account(self, key: AccountKey) -> Account:
        """The account, or NotFound (the same for unknown and for another tenant's)."""
        try:
            return self.accounts[key]
        except KeyError:
            raise NotFound(resource="account", id=key[1]) from None

    def reservation(self, key: ReservationKey) -> Reservation:
        """The reservation, or NotFound."""
        try:
            return self.reservations[key]
        except KeyError:
            raise NotFound(resource="reservation", id=format_reservation_id(key[1])) from None

    def reservation_captures(self, key: ReservationKey) -> list[Capture]:
        """The captures of a reservation, oldest first: the newest that cover all this batch may refund, or all."""
        found = [self.captures[key[0], transaction_id] for transaction_id in self.captures_of[key]]
        return sorted(found, key=lambda capture: capture.seq)

    def add_capture(self, tenant_id: TenantId, capture: Capture) -> None:
        """Know a capture, loaded or just written."""
        key = (tenant_id, capture.transaction_id)
        if key not in self.captures and capture.reservation_id is not None:
            self.captures_of[tenant_id, capture.reservation_id].append(capture.transaction_id)
        self.captures[key] = capture
        self.transaction_accounts[key] = capture.account_id

    def put_account(self, account: Account, *, new: bool = False) -> None:
        """Record a new or changed account."""
        self.accounts[account.key] = account
        if new:
            self.changes.new_accounts.add(account.key)
        elif account.key not in self.changes.new_accounts:
            self.changes.accounts.add(account.key)

    def put_book(self, book: Book) -> None:
        """Record a book that changed."""
        key = (book.tenant_id, book.account_id)
        self.books[key] = book
        self.changes.books.add(key)

    def put_reservation(self, reservation: Reservation, *, new: bool = False) -> None:
        """Record a new or changed reservation."""
        key = (reservation.tenant_id, reservation.reservation_id)
        self.reservations[key] = reservation
        if new:
            self.changes.new_reservations.add(key)
        elif key not in self.changes.new_reservations:
            self.changes.reservations.add(key)

    def put_refunds(self, allocations: Iterable[RefundAllocation]) -> None:
        """Record what was given back of which captures."""
        for allocation in allocations:
            key = (allocation.tenant_id, allocation.captured_transaction_id)
            old = self.captures[key]
            if allocation.kind is not TransactionKind.REFUND:
                new = replace(old, charged=old.charged - allocation.amount, cost=old.cost - allocation.cost)
            else:
                refunded, cost = old.refunded + allocation.amount, old.cost_reversed + allocation.cost
                new = replace(old, refunded=refunded, cost_reversed=cost)
            self.captures[key] = new
            self.changes.refunds.append(allocation)

    def put_cost_adjustments(self, adjustments: Iterable[CostAdjustment]) -> None:
        """Record by how much the cost of which captures was corrected."""
        for adjustment in adjustments:
            key = (adjustment.tenant_id, adjustment.captured_transaction_id)
            old = self.captures[key]
            self.captures[key] = replace(old, cost=old.cost + adjustment.cost, stated=old.stated or adjustment.stated)
            self.changes.cost_adjustments.append(adjustment)

    def put_usage_line(self, line: RecordedLine) -> None:
        """Keep a usage line and count it in the month."""
        rated = line.priced.rated
        self.usage_lines[line.tenant_id, line.account_id, line.call_id, rated.line.line_id] = rated
        self.changes.usage_lines.append(line)
        for count in line.priced.counts:
            self.counters[line.tenant_id, line.account_id][count.key] = count.before + count.quantity
            self.changes.counters.add(count.key)
            if line.reservation_id is not None:
                self.add_counted(line.tenant_id, line.reservation_id, count.key, count.quantity)

    def put_rerated_lines(self, lines: Iterable[ReratedLine]) -> None:
        """Keep what lines cost from now on."""
        for line in lines:
            key = (line.tenant_id, line.account_id, line.call_id, line.rated.line.line_id)
            rated = line.rated
            self.line_amounts[key] = LineAmounts(
                line.before.number + 1,
                rated.price,
                rated.cost,
                rated.exact_price,
                rated.exact_cost,
                rated.price_version,
                rated.cost_version,
                line.stated,
            )
            self.changes.rerated_lines.append(line)

    def add_counted(
        self, tenant_id: TenantId, reservation_id: ReservationId, key: CounterKey, quantity: Decimal
    ) -> None:
        """Know what a capture of a reservation has added to a counter."""
        own = self.counted_by[tenant_id, reservation_id]
        own[key] = own.get(key, Decimal(0)) + quantity

    def put_operation(self, scope: OperationScope, stored: StoredOperation) -> None:
        """Keep a decided operation under its key."""
        self.operations[scope] = stored
        self.changes.operations[scope] = stored

    def put_extend(self, key: ReservationKey, idempotency_key: str, stored: StoredOperation) -> None:
        """Keep a reservation's newest Extend."""
        self.last_extends[key] = (idempotency_key, stored)
        self.changes.extends[key] = (idempotency_key, stored)
