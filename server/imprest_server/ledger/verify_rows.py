"""Which rows `verify.py` reads at a time, and what they hold. Pure; the statements are in sql/verify.sql."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, LiteralString

from imprest_server.core.ids import AccountKey
from imprest_server.core.money import nanos_of
from imprest_server.db.sqlfile import load_sql
from imprest_server.ledger.audit import Allocation, Correction, Usage
from imprest_server.ledger.model import Account, Book
from imprest_server.ledger.rows import ACCOUNT_WIDTH, Row, account_of, book_of

SQL = load_sql("imprest_server.ledger", "sql/verify.sql")


@dataclass(frozen=True, slots=True)
class Range:
    """Which rows to read: the names of `range_…` blocks, and their parameters."""

    names: tuple[str, ...] = ()
    parameters: dict[str, Any] = field(default_factory=dict[str, Any])

    def narrowed(self, name: str, **parameters: Any) -> Range:
        """Those of these rows that also fulfil one more block."""
        return Range((*self.names, name), {**self.parameters, **parameters})

    def text(self, block: str) -> LiteralString:
        """The statement of this name, limited to these rows."""
        conditions = " AND ".join(SQL[name] for name in self.names) or SQL["range_everything"]
        return SQL[block].replace("{range}", conditions)


@dataclass(frozen=True, slots=True)
class Plan:
    """The next accounts to check.

    `length` is 0 for accounts whose journals can be read at once, else the length of the one account's journal. `last`
    is the account that is then done, None when there is nothing to resume after.
    """

    rows: Range
    length: int
    last: AccountKey | None


@dataclass(frozen=True, slots=True)
class Journal:
    """Rows of journals in the order of seq in each book; what they gave back, which costs they corrected, and their
    usage, by tenant, account and seq."""

    rows: Sequence[Row]
    allocations: dict[tuple[str, str, int], list[Allocation]]
    corrections: dict[tuple[str, str, int], list[Correction]]
    usage: dict[tuple[str, str, int], Usage]
    rerated: dict[tuple[str, str, int], Usage]


@dataclass(frozen=True, slots=True)
class Books:
    """Accounts with their books; what the ACTIVE reservations of each hold in nanos, and how many they are."""

    accounts: list[tuple[Account, Book | None]]
    holds: dict[tuple[str, str], tuple[int, int]]


def journal_of(
    rows: Sequence[Row],
    allocation_rows: Iterable[Row],
    correction_rows: Iterable[Row],
    usage_rows: Iterable[Row],
    rerated_rows: Iterable[Row],
) -> Journal:
    """The journals in the rows of the statements `journal`, `allocations`, `corrections`, `usage` and `rerated`."""
    allocations = defaultdict(list)
    for tenant, account, seq, *columns in allocation_rows:
        allocations[tenant, account, seq].append(_allocation_of(columns))
    corrections = defaultdict(list)
    for tenant, account, seq, of_account, cost, captured_account, captured_seq, kind, left in correction_rows:
        corrections[tenant, account, seq].append(
            Correction(of_account, nanos_of(cost), captured_account, captured_seq, kind, nanos_of(left))
        )
    return Journal(rows, allocations, corrections, _sums(usage_rows), _sums(rerated_rows))


def _sums(rows: Iterable[Row]) -> dict[tuple[str, str, int], Usage]:
    return {
        (tenant, account, seq): Usage(nanos_of(price), nanos_of(cost)) for tenant, account, seq, price, cost in rows
    }


def books_of(account_rows: Iterable[Row], hold_rows: Iterable[Row]) -> Books:
    """The books in the rows of the statements `accounts` and `holds`."""
    return Books(
        [(account_of(row), _book_of(row[ACCOUNT_WIDTH:])) for row in account_rows],
        {(tenant, account): (nanos_of(held), count) for tenant, account, held, count in hold_rows},
    )


def _book_of(row: Row) -> Book | None:
    return None if row[0] is None else book_of(row)


def _allocation_of(columns: Row) -> Allocation:
    account, kind, amount, cost, captured_account, captured_seq, *limits = columns
    return Allocation(
        account, kind, nanos_of(amount), nanos_of(cost), captured_account, captured_seq, *map(nanos_of, limits)
    )
