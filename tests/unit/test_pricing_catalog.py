"""Which versions are in force: chains, instants, epochs, exchange rates."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from imprest_server.core.ids import AccountId
from imprest_server.pricing.model import Assignment, BookSide, ExchangeRate, PriceBookId
from imprest_server.pricing.rules import Catalog, InForce, Payer
from tests.support.pricing import NOW, PAYER, TENANT, book, version

SALE, COST = BookSide.SALE, BookSide.COST
CHILD = Payer(TENANT, AccountId("child"), AccountId("parent"), "EUR", "UTC")
DAY = timedelta(days=1)


def assigned(
    name: str | None,
    account: str | None = None,
    *,
    side: BookSide = SALE,
    currency: str = "EUR",
    epoch: int = 1,
    at: datetime = NOW,
) -> Assignment:
    return Assignment(
        side=side,
        currency_code=currency,
        account_id=None if account is None else AccountId(account),
        price_book_id=None if name is None else PriceBookId(name),
        epoch=epoch,
        effective_time=at,
    )


def exchange(name: str, rate: str, *, currency: str = "EUR", epoch: int = 1, at: datetime = NOW) -> ExchangeRate:
    return ExchangeRate(
        price_book_id=PriceBookId(name), currency_code=currency, rate=Decimal(rate), epoch=epoch, effective_time=at
    )


def names(links: tuple[InForce, ...]) -> list[str]:
    return [f"{link.book.price_book_id}{link.version.number}" for link in links]


def sale(catalog: Catalog, payer: Payer = CHILD, epoch: int = 9, at: datetime = NOW) -> list[str]:
    return names(catalog.chains(payer, epoch, at).sale)


def test_the_chain_is_override_own_parent_default() -> None:
    catalog = Catalog()
    catalog.add(
        [book("own", SALE), book("par", SALE), book("def", SALE), book("over", SALE, account_id="child")],
        [version(name) for name in ("own", "par", "def", "over")],
        [assigned("def"), assigned("par", "parent"), assigned("own", "child")],
    )
    assert sale(catalog) == ["over1", "own1", "par1", "def1"]
    parent = Payer(TENANT, AccountId("parent"), None, "EUR", "UTC")
    assert sale(catalog, parent) == ["par1", "def1"]
    assert sale(catalog, PAYER) == ["def1"]
    dollars = Payer(TENANT, AccountId("child"), AccountId("parent"), "USD", "UTC")
    assert sale(catalog, dollars) == []


def test_a_book_stands_once_in_a_chain() -> None:
    catalog = Catalog()
    catalog.add([book("b", SALE)], [version("b")], [assigned("b"), assigned("b", "parent"), assigned("b", "child")])
    assert sale(catalog) == ["b1"]


def test_the_version_in_force() -> None:
    catalog = Catalog()
    catalog.add(
        [book("b", SALE)],
        [
            version("b", 1, epoch=1, effective_time=NOW),
            version("b", 2, epoch=2, effective_time=NOW + 2 * DAY),
            version("b", 3, epoch=3, effective_time=NOW + DAY),
            version("b", 4, epoch=4, effective_time=NOW + DAY),
        ],
        [assigned("b")],
    )
    assert sale(catalog, at=NOW - timedelta(microseconds=1)) == []
    assert sale(catalog, at=NOW) == ["b1"]
    assert sale(catalog, at=NOW + DAY) == ["b4"]
    assert sale(catalog, at=NOW + DAY, epoch=3) == ["b3"]
    assert sale(catalog, at=NOW + DAY, epoch=2) == ["b1"]
    assert sale(catalog, at=NOW + 2 * DAY) == ["b2"]
    assert sale(catalog, at=NOW + 2 * DAY, epoch=1) == ["b1"]
    assert sale(catalog, epoch=0) == []


def test_an_assignment_can_be_taken_back() -> None:
    catalog = Catalog()
    catalog.add(
        [book("a", SALE), book("b", SALE)],
        [version("a"), version("b")],
        [assigned("a"), assigned("b", "child"), assigned(None, "child", epoch=2, at=NOW + DAY)],
    )
    assert sale(catalog) == ["b1", "a1"]
    assert sale(catalog, at=NOW + DAY) == ["a1"]
    assert sale(catalog, at=NOW + DAY, epoch=1) == ["b1", "a1"]


def test_cost_books_in_other_currencies_come_with_their_rate() -> None:
    catalog = Catalog()
    catalog.add(
        [book("usd", COST, "USD"), book("eur", COST), book("chf", COST, "CHF")],
        [version("usd"), version("eur"), version("chf")],
        [
            assigned("usd", side=COST, currency="USD"),
            assigned("eur", side=COST),
            assigned("chf", side=COST, currency="CHF"),
        ],
        [exchange("usd", "0.9"), exchange("usd", "0.8", at=NOW + DAY), exchange("usd", "7", epoch=3)],
    )
    links = catalog.chains(CHILD, 2, NOW).cost
    assert names(links) == ["eur1", "chf1", "usd1"]
    assert [link.rate for link in links] == [Decimal(1), None, Decimal("0.9")]
    assert catalog.chains(CHILD, 2, NOW + DAY).cost[2].rate == Decimal("0.8")
    assert catalog.chains(CHILD, 3, NOW).cost[2].rate == Decimal(7)
    assert catalog.chains(CHILD, 2, NOW).sale == ()


def test_equal_chains_are_equal_and_hash_alike() -> None:
    catalog = Catalog()
    catalog.add([book("b", SALE)], [version("b")], [assigned("b")])
    chains = catalog.chains(CHILD, 1, NOW)
    assert chains == catalog.chains(PAYER, 5, NOW + DAY)
    assert hash(chains) == hash(catalog.chains(PAYER, 5, NOW + DAY))
    catalog.add(versions=[version("b", 2, epoch=2)], epoch=2)
    assert chains == catalog.chains(CHILD, 1, NOW) != catalog.chains(CHILD, 2, NOW)
    assert catalog.epoch == 2


def test_a_chain_of_one_book() -> None:
    catalog = Catalog()
    catalog.add([book("usd", COST, "USD")], [version("usd")], [], [exchange("usd", "0.9")])
    (link,) = catalog.chain_of(PriceBookId("usd"), "EUR", 1, NOW)
    assert (link.version.number, link.rate) == (1, Decimal("0.9"))
    assert catalog.chain_of(PriceBookId("usd"), "EUR", 0, NOW) == ()
    assert catalog.chain_of(PriceBookId("usd"), "USD", 1, NOW)[0].rate == 1


# ── any history ──────────────────────────────────────────────────────────────────────────────────────

epochs, days = st.integers(1, 4), st.integers(0, 3)
some_versions = st.builds(
    lambda name, epoch, day: (name, epoch, NOW + day * DAY), st.sampled_from(["a", "b"]), epochs, days
)
some_assignments = st.builds(
    lambda name, account, epoch, day: assigned(name, account, epoch=epoch, at=NOW + day * DAY),
    st.sampled_from(["a", "b", None]),
    st.sampled_from([None, "child", "parent"]),
    epochs,
    days,
)


def history(rows: list[tuple[str, int, datetime]]) -> list[Any]:
    """Versions, numbered in the order of their epochs as a store does."""
    ordered = sorted(rows, key=lambda row: row[1])
    return [
        version(name, number, epoch=epoch, effective_time=at)
        for number, (name, epoch, at) in enumerate(ordered, start=1)
    ]


@given(st.lists(some_versions, max_size=8), st.lists(some_assignments, max_size=8))
def test_a_state_stays_what_it_was(rows: list[tuple[str, int, datetime]], assignments: list[Assignment]) -> None:
    """(epoch, instant) names one state: loaded at once, a piece at a time, or before there was more; and the plain
    rule, written as a search through all rows."""
    books, versions = [book("a", SALE), book("b", SALE)], history(rows)
    assignments = sorted(assignments, key=lambda row: row.epoch)
    at_once, growing = Catalog(), Catalog()
    at_once.add(books, versions, assignments, epoch=4)
    growing.add(books)
    seen: dict[tuple[int, int], list[str]] = {}
    for epoch in range(1, 5):
        growing.add(
            versions=[row for row in versions if row.epoch == epoch],
            assignments=[row for row in assignments if row.epoch == epoch],
            epoch=epoch,
        )
        for day in range(4):
            seen[epoch, day] = sale(growing, epoch=epoch, at=NOW + day * DAY)
    for (epoch, day), chain in seen.items():
        at = NOW + day * DAY
        assert chain == sale(growing, epoch=epoch, at=at) == sale(at_once, epoch=epoch, at=at)

        def last(found: list[Any], epoch: int = epoch, at: datetime = at) -> Any:
            known = [
                (row.effective_time, row.epoch, n, row)
                for n, row in enumerate(found)
                if row.epoch <= epoch and row.effective_time <= at
            ]
            return max(known, key=lambda row: row[:3])[3] if known else None

        expected: list[str] = []
        for account in ("child", "parent", None):
            winner = last([row for row in assignments if row.account_id == account])
            if winner is not None and winner.price_book_id is not None:
                newest = last([row for row in versions if row.price_book_id == winner.price_book_id])
                name = f"{winner.price_book_id}{newest.number}" if newest else None
                if name and name not in expected:
                    expected.append(name)
        assert chain == expected


def test_thousands_of_accounts_with_a_book_of_their_own() -> None:
    catalog = Catalog()
    accounts = [f"a{n}" for n in range(3000)]
    catalog.add(
        [book("b", SALE), book("c", SALE)],
        [version("b"), version("c")],
        [assigned("b")] + [assigned("c", account) for account in accounts],
        epoch=1,
    )
    found = {tuple(sale(catalog, Payer(TENANT, AccountId(account), None, "EUR", "UTC"))) for account in accounts}
    assert found == {("c1", "b1")}
