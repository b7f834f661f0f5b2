"""Where a plan's book stands among those that price an account, at every instant and as of every epoch."""

from datetime import timedelta

from imprest_server.core.ids import AccountId
from imprest_server.pricing.model import Assignment, BookSide, PriceBookId, Subscription, SubscriptionEnd
from imprest_server.pricing.plans import next_month
from imprest_server.pricing.rules import Catalog
from tests.support.pricing import NOW, PAYER, book, version

HOUR = timedelta(hours=1)


def subscription(name: str, *, epoch: int, start: int = 0, account_id: AccountId = PAYER.account_id) -> Subscription:
    return Subscription(
        subscription_id=name,
        account_id=account_id,
        plan_id=name,
        price_book_id=PriceBookId(name),
        lines=(),
        start_time=NOW + start * HOUR,
        epoch=epoch,
        create_time=NOW,
    )


def catalog() -> Catalog:
    """The account's overrides, its own book, the tenant's, and two plans."""
    names = ("own", "all", "basic", "pro")
    assigned = [(PAYER.account_id, "own"), (None, "all")]
    found = Catalog()
    found.add(
        [book("over", BookSide.SALE, account_id="a"), *(book(name, BookSide.SALE) for name in names)],
        [version(name, effective_time=NOW - HOUR) for name in ("over", *names)],
        [
            Assignment(
                side=BookSide.SALE,
                currency_code="EUR",
                account_id=account_id,
                price_book_id=PriceBookId(name),
                epoch=1,
                effective_time=NOW - HOUR,
            )
            for account_id, name in assigned
        ],
        epoch=1,
    )
    return found


def chain(found: Catalog, epoch: int, hours: int) -> list[str]:
    return [link.book.price_book_id for link in found.chains(PAYER, epoch, NOW + hours * HOUR).sale]


def test_between_overrides_and_the_accounts_own_book() -> None:
    found = catalog()
    found.add(epoch=2, subscriptions=[subscription("basic", epoch=2)])
    assert chain(found, 2, 0) == ["over", "basic", "own", "all"]
    assert chain(found, 2, -1) == ["over", "own", "all"], "not before it begins"
    assert chain(found, 1, 0) == ["over", "own", "all"], "a call that was priced before it was known stays so"
    found.add(epoch=3, subscriptions=[subscription("pro", epoch=3, start=1)])
    assert chain(found, 3, 1) == ["over", "pro", "basic", "own", "all"]
    found.add(epoch=4, subscriptions=[subscription("all", epoch=4, account_id=AccountId("b"))])
    assert chain(found, 4, 1) == ["over", "pro", "basic", "own", "all"]


def test_it_ends_when_it_is_known_to_end() -> None:
    found = catalog()
    found.add(epoch=2, subscriptions=[subscription("basic", epoch=2)])
    found.add(epoch=3, ends=[SubscriptionEnd(subscription_id="basic", end_time=NOW + 5 * HOUR, epoch=3)])
    found.add(epoch=4, ends=[SubscriptionEnd(subscription_id="basic", end_time=NOW + 2 * HOUR, epoch=4)])
    assert [hours for hours in range(7) if "basic" in chain(found, 4, hours)] == [0, 1]
    assert [hours for hours in range(7) if "basic" in chain(found, 3, hours)] == [0, 1, 2, 3, 4]
    assert [hours for hours in range(7) if "basic" in chain(found, 2, hours)] == list(range(7))


def test_the_next_month_begins_at_midnight_of_the_zone() -> None:
    begins = next_month(NOW, "Europe/Berlin")
    assert begins.isoformat() == "2026-03-31T22:00:00+00:00"
    assert next_month(begins, "Europe/Berlin").isoformat() == "2026-04-30T22:00:00+00:00"
    assert next_month(begins - timedelta(microseconds=1), "Europe/Berlin") == begins
    december = NOW.replace(month=12)
    assert next_month(december, "UTC").isoformat() == "2027-01-01T00:00:00+00:00"
