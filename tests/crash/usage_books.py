"""What the database says about rated usage, budgets and alerts, compared with what the callers' answers come to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

from imprest_server.core.money import nanos_of
from tests.crash.expected import Expected, Line, Told
from tests.crash.tariff import CAPPED, LIMITS, PERCENTS, TOKENS, price_of_tokens

#: What is wrong ("lost", "doubled", "differs"), and a text about it.
Found = tuple[str, str]


@dataclass
class UsageBooks:
    """Of one snapshot; amounts in nanos.

    `token_prices` are the exact prices of all tokens by account, added up; `counters` what budgets have spent and hold;
    `fired` how often each percentage of a budget's limit raised an alert, `told` the alerts of overruns and expiries.
    """

    lines: dict[tuple[str, str, str], Line]
    tokens: dict[str, int]
    token_prices: dict[str, int]
    counters: dict[str, tuple[int, int]]
    fired: Counter[tuple[str, int]]
    told: Counter[Told]


def read_usage(connection: psycopg.Connection[Any]) -> UsageBooks:
    """Read everything that there is."""
    lines = {
        (account_id, call_id, line_id): Line(meter, int(quantity), nanos_of(price), nanos_of(cost))
        for account_id, call_id, line_id, meter, quantity, price, cost in connection.execute(
            "SELECT account_id, call_id, line_id, meter, quantity, price, cost FROM usage_lines"
        )
    }
    tokens = connection.execute("SELECT account_id, sum(quantity) FROM usage_counters GROUP BY account_id")
    prices = connection.execute(
        "SELECT account_id, sum(exact_price) FROM usage_lines WHERE meter = %s GROUP BY account_id", [TOKENS]
    )
    counters = connection.execute("SELECT budget_id, spent, held FROM budget_counters")
    fired = connection.execute("SELECT budget_id, percent FROM alerts WHERE kind = 'BUDGET'")
    told = connection.execute(
        "SELECT kind, reservation_id, amount FROM alerts WHERE kind IN ('OVERRUN', 'RESERVATION_EXPIRED')"
    )
    return UsageBooks(
        lines,
        {account_id: int(count) for account_id, count in tokens if count},
        {account_id: nanos_of(price) for account_id, price in prices},
        {budget_id: (nanos_of(spent), nanos_of(held)) for budget_id, spent, held in counters},
        Counter((budget_id, int(percent)) for budget_id, percent in fired),
        Counter((kind, f"rsv_{hold.hex}" if hold else "", nanos_of(amount)) for kind, hold, amount in told),
    )


def compare_usage(expected: Expected, books: UsageBooks) -> Iterator[Found]:
    """All differences, both ways."""
    yield from _missing_or_more(expected.lines, books.lines, "usage line")
    tokens = expected.tokens()
    for account_id in tokens.keys() | books.tokens.keys():
        counted, found = tokens.get(account_id, 0), books.tokens.get(account_id, 0)
        if counted != found:
            yield "differs", f"{account_id} used {counted} tokens, the month counts {found}"
        elif price_of_tokens(counted) != books.token_prices[account_id]:
            yield "differs", f"{account_id} paid {books.token_prices[account_id]} for {counted} tokens"
    yield from _alerts(expected, books)
    if books.counters:
        yield from _budgets(expected, books)


def _missing_or_more(expected: Mapping[Any, Line], found: Mapping[Any, Line], name: str) -> Iterator[Found]:
    for key in expected.keys() | found.keys():
        if key not in found:
            yield "lost", f"{name} {key}, {expected[key]}"
        elif key not in expected:
            yield "doubled", f"{name} {key}, {found[key]}, of nobody"
        elif expected[key] != found[key]:
            yield "differs", f"{name} {key}: answered {expected[key]}, found {found[key]}"


def _alerts(expected: Expected, books: UsageBooks) -> Iterator[Found]:
    for told, times in (expected.told - books.told).items():
        yield "lost", f"{times} alerts of {told}"
    for told, times in (books.told - expected.told).items():
        yield "doubled", f"{times} alerts of {told}"
    for (budget_id, percent), times in books.fired.items():
        if times > 1:
            yield "doubled", f"{times} alerts of budget {budget_id} at {percent} %"


def _budgets(expected: Expected, books: UsageBooks) -> Iterator[Found]:
    """What was spent under each and is held; thresholds that were reached have fired, and no others."""
    of_tokens = sum(line.price for line in expected.lines.values() if line.meter == TOKENS)
    #: What counts, and what of it was given back again: of usage nothing is.
    spent = {
        "all": (sum(expected.charged.values()), sum(expected.refunded.values())),
        "cost": (expected.cost, 0),
        "tokens": (of_tokens, 0),
        "capped": (expected.charged[CAPPED], expected.refunded[CAPPED]),
    }
    holds = expected.holds.values()
    held = {
        "all": sum(hold.remaining for hold in holds),
        "capped": sum(hold.remaining for hold in holds if hold.account_id == CAPPED),
    }
    for budget_id, (counted, given_back) in spent.items():
        found_spent, found_held = books.counters[budget_id]
        if found_spent != counted - given_back:
            yield "differs", f"budget {budget_id}: callers count {counted - given_back} spent, found {found_spent}"
        if found_held != held.get(budget_id, found_held):  # what holds may cost us, only verify knows
            yield "differs", f"budget {budget_id}: callers count {held[budget_id]} held, found {found_held}"
        if budget_id in LIMITS:
            for percent in PERCENTS:
                amount, fired = LIMITS[budget_id] * percent // 100, books.fired[budget_id, percent]
                if fired and counted < amount:
                    yield "doubled", f"the alert of budget {budget_id} at {percent} %, which was never reached"
                if not fired and found_spent >= amount:
                    yield "lost", f"the alert of budget {budget_id} at {percent} %"
