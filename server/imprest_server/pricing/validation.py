"""What can be wrong with a request to change prices by itself; the prices in it are `rules.checks`' matter."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from imprest_server.core.currencies import currency_problem
from imprest_server.core.errors import InvalidArgument
from imprest_server.pricing.model import PriceBookId
from imprest_server.pricing.operations import (
    AssignPriceBook,
    CreatePlan,
    CreatePriceBook,
    Operation,
    Publication,
    PublishPrices,
    RerateUsage,
    SetExchangeRate,
    SetOverride,
    Subscribe,
    Unsubscribe,
)
from imprest_server.pricing.rules.checks import MAX_DECIMALS, MAX_NAME
from imprest_server.pricing.rules.values import number_problem, text_problem

#: How many prices a version has at most.
MAX_REASON = 1024
MAX_PRICES = 40_000
#: How far from now an `effective_time` may be.
MAX_AGE = timedelta(days=35)
MAX_AHEAD = timedelta(days=3653)
#: Ids of books that the server makes begin with these.
BOOK_PREFIX = "pbk_"
OVERRIDE_PREFIX = "ovr_"
#: And those of subscriptions.
SUBSCRIPTION_PREFIX = "sub_"

_KEY = re.compile(r"[ -~]{1,255}")
_BOOK_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")


def validate(op: Operation) -> None:
    """Check a request's own content; raises InvalidArgument with the first problem found."""
    if not _KEY.fullmatch(op.idempotency_key):
        raise InvalidArgument(field="idempotency_key", problem="must be 1–255 printable ASCII characters")
    match op:
        case CreatePriceBook():
            if op.price_book_id is not None:
                check_book_id(op.price_book_id, "price_book.price_book_id")
                if op.price_book_id.startswith((BOOK_PREFIX, OVERRIDE_PREFIX)):
                    made = f"must not begin with {BOOK_PREFIX} or {OVERRIDE_PREFIX}, as ids made by the server do"
                    raise InvalidArgument(field="price_book.price_book_id", problem=made)
            check_currency(op.currency_code, "price_book.currency_code")
            if problem := text_problem(op.display_name, MAX_NAME):
                raise InvalidArgument(field="price_book.display_name", problem=problem)
        case AssignPriceBook():
            if op.price_book_id is not None:
                check_book_id(op.price_book_id)
            elif op.side is None:
                raise InvalidArgument(field="side", problem="is required to end an assignment")
            elif op.account_id is None and op.currency_code is None:
                raise InvalidArgument(field="currency_code", problem="is required to end the tenant's assignment")
            if op.currency_code is not None:
                check_currency(op.currency_code)
        case SetExchangeRate():
            check_book_id(op.price_book_id)
            check_currency(op.currency_code)
            if not op.rate:
                raise InvalidArgument(field="rate", problem="must be above zero")
            if problem := number_problem(op.rate, MAX_DECIMALS):
                raise InvalidArgument(field="rate", problem=problem)
        case CreatePlan():
            check_book_id(op.plan_id, "plan.plan_id")
            check_currency(op.currency_code, "plan.currency_code")
            check_book_id(op.price_book_id, "plan.price_book_id")
            if problem := text_problem(op.display_name, MAX_NAME):
                raise InvalidArgument(field="plan.display_name", problem=problem)
        case Subscribe():
            if op.plan_id is not None:
                check_book_id(op.plan_id, "plan_id")
            elif not op.lines:
                raise InvalidArgument(field="plan_id", problem="is required, or lines")
        case Unsubscribe():
            check_book_id(op.subscription_id, "subscription_id")
        case RerateUsage():
            if op.end_time <= op.start_time:
                raise InvalidArgument(field="end_time", problem="must be after start_time")
            if problem := text_problem(op.reason, MAX_REASON):
                raise InvalidArgument(field="reason", problem=problem)
        case Publication():
            _publication(op)
        case _:
            raise AssertionError(f"{type(op).__name__} has no check")


def _publication(op: Publication) -> None:
    if isinstance(op, PublishPrices):
        check_book_id(op.price_book_id)
    if isinstance(op, SetOverride) and op.currency_code is not None:
        check_currency(op.currency_code)
    check_count(len(op.prices))


def check_count(count: int) -> None:
    """A version's prices are not too many."""
    if count > MAX_PRICES:
        problem = f"must be at most {MAX_PRICES}, with those that stay, not {count}"
        raise InvalidArgument(field="prices", problem=problem)


def check_book_id(price_book_id: str, field: str = "price_book_id") -> PriceBookId:
    """A book's id of the right shape."""
    if not _BOOK_ID.fullmatch(price_book_id):
        problem = "must be 1–64 characters of A-Z a-z 0-9 . _ : -" if price_book_id else "is required"
        raise InvalidArgument(field=field, problem=problem)
    return PriceBookId(price_book_id)


def check_currency(currency_code: str, field: str = "currency_code") -> None:
    """A currency that there is."""
    if problem := currency_problem(currency_code):
        raise InvalidArgument(field=field, problem=problem)


def effective(asked: datetime | None, now: datetime) -> datetime:
    """From when on a change holds: the instant that was asked for, or now. Its limits depend on the clock."""
    if asked is None:
        return now
    if asked < now - MAX_AGE:
        raise InvalidArgument(field="effective_time", problem=f"must be at most {MAX_AGE.days} days in the past")
    if asked > now + MAX_AHEAD:
        raise InvalidArgument(field="effective_time", problem="must be at most 10 years ahead")
    return asked
