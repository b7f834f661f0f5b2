"""What the fields of prices, books and quotes are called, and how they look. Names are those of the API."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from imprest_client.ctl.output import Column, Look, Row, as_object
from imprest_client.ctl.rows import Receipt
from imprest_client.model import Transaction
from imprest_client.pricing_model import (
    AssignmentReceipt,
    BookReceipt,
    BookState,
    ChargeModel,
    Meter,
    Price,
    PriceAssignment,
    PriceBook,
    PriceDifference,
    PriceTier,
    PriceVersion,
    Quote,
    RatedLine,
    RateReceipt,
)


def _no_currency(_: object) -> str:
    return ""


# ── a price in words ─────────────────────────────────────────────────────────────────────────────────


def digits(value: Decimal | None) -> str:
    """All digits that matter, no exponent; empty for None."""
    if value is None:
        return ""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def price_text(price: Price) -> str:
    """A price as people say it: `2.5 per 1000000`, `cost + 40%`, `0.05 per 60, by 30/6, +0.01 a call`."""
    words = [_rate_text(price)]
    if price.increment_first is not None and price.increment_next is not None:
        words.append(f"by {digits(price.increment_first)}/{digits(price.increment_next)}")
    if price.minimum_quantity:
        words.append(f"at least {digits(price.minimum_quantity)} units")
    if price.connect_fee:
        words.append(f"+{digits(price.connect_fee)} to connect")
    if price.minimum_charge is not None:
        words.append(f"no less than {digits(price.minimum_charge)}")
    if price.maximum_charge is not None:
        words.append(f"no more than {digits(price.maximum_charge)}")
    if price.free_quantity:
        words.append(f"{digits(price.free_quantity)} a month free")
    return ", ".join(words)


def _rate_text(price: Price) -> str:
    per = "" if price.per_quantity == 1 else f" per {digits(price.per_quantity)}"
    if price.margin_percent is not None:
        return f"cost + {digits(price.margin_percent)}%"
    if price.markup is not None:
        return f"cost + {digits(price.markup)}{per}"
    match price.charge_model:
        case ChargeModel.GRADUATED | ChargeModel.VOLUME:
            tiers = "; ".join(_tier_text(tier) for tier in price.tiers)
            return f"{price.charge_model.lower()}{per}: {tiers}"
        case ChargeModel.PACKAGE:
            return f"{digits(price.unit_price)} per begun {digits(price.per_quantity)}"
        case ChargeModel.FLAT:
            return f"{digits(price.unit_price)} flat"
        case ChargeModel.PERCENTAGE:
            return f"{digits(price.unit_price)}% of the price"
        case _:
            return digits(price.unit_price) + per


def _tier_text(tier: PriceTier) -> str:
    fee = f" and {digits(tier.flat_fee)}" if tier.flat_fee else ""
    end = "above" if tier.up_to is None else f"to {digits(tier.up_to)}"
    return f"{digits(tier.unit_price)}{fee} {end}"


# ── meters, books, versions, prices ──────────────────────────────────────────────────────────────────

METER: Final = Row[Meter](
    (
        Column("name", lambda m: m.name, "meter"),
        Column("category", lambda m: m.category, "category"),
        Column("unit", lambda m: m.unit, "unit"),
        Column("base", lambda m: m.base, "base"),
        Column("by_destination", lambda m: m.by_destination, "by destination"),
        Column("description", lambda m: m.description, "what it measures"),
    ),
    _no_currency,
)

BOOK: Final = Row[PriceBook](
    (
        Column("price_book_id", lambda b: b.price_book_id, "book"),
        Column("side", lambda b: b.side, "side"),
        Column("currency_code", lambda b: b.currency_code, "currency"),
        Column("display_name", lambda b: b.display_name, "name"),
        Column("account_id", lambda b: b.account_id, "overrides of"),
        Column("create_time", lambda b: b.create_time, "created"),
    ),
    _no_currency,
)

VERSION: Final = Row[PriceVersion](
    (
        Column("number", lambda v: v.number, "version", Look.NUMBER),
        Column("effective_time", lambda v: v.effective_time, "in force from"),
        Column("create_time", lambda v: v.create_time, "published"),
        Column("version_id", lambda v: v.version_id, "id", Look.ID),
        Column("price_book_id", lambda v: v.price_book_id),
        Column("epoch", lambda v: v.epoch),
    ),
    _no_currency,
)

BOOK_STATE: Final = Row[BookState](
    (
        *BOOK.nested("book", lambda s: s.book),
        Column("current", lambda s: _version_object(s.current)),
        Column("latest", lambda s: _version_object(s.latest)),
    ),
    _no_currency,
)


def _version_object(version: PriceVersion | None) -> Mapping[str, Any] | None:
    return None if version is None else as_object(VERSION, version)


PRICE: Final = Row[Price](
    (
        Column("meter", lambda p: p.meter, "meter"),
        Column("provider", lambda p: p.provider, "provider"),
        Column("model", lambda p: p.model, "model"),
        Column("destination_prefix", lambda p: p.destination_prefix, "prefix"),
        Column("words", price_text, "price"),
        Column("charge_model", lambda p: p.charge_model),
        Column("unit_price", lambda p: p.unit_price),
        Column("per_quantity", lambda p: p.per_quantity),
        Column(
            "tiers",
            lambda p: [{"up_to": t.up_to, "unit_price": t.unit_price, "flat_fee": t.flat_fee} for t in p.tiers],
        ),
        Column("increment_first", lambda p: p.increment_first),
        Column("increment_next", lambda p: p.increment_next),
        Column("minimum_quantity", lambda p: p.minimum_quantity),
        Column("connect_fee", lambda p: p.connect_fee),
        Column("minimum_charge", lambda p: p.minimum_charge),
        Column("maximum_charge", lambda p: p.maximum_charge),
        Column("free_quantity", lambda p: p.free_quantity),
        Column("margin_percent", lambda p: p.margin_percent),
        Column("markup", lambda p: p.markup),
        Column("source", lambda p: p.source, "source"),
    ),
    _no_currency,
)

# The columns of a price file: what is listed as CSV can be edited and published again.
PRICE_FILE: Final = Row[Price](
    (
        Column("meter", lambda p: p.meter),
        Column("provider", lambda p: p.provider),
        Column("model", lambda p: p.model),
        Column("destination_prefix", lambda p: p.destination_prefix),
        Column("charge_model", lambda p: p.charge_model),
        Column(
            "unit_price", lambda p: "" if (p.tiers or _is_derived(p)) and not p.unit_price else digits(p.unit_price)
        ),
        Column("per_quantity", lambda p: digits(p.per_quantity)),
        Column("tiers", lambda p: ";".join(_tier_cell(tier) for tier in p.tiers)),
        Column("increments", lambda p: _increments_cell(p)),
        Column("minimum_quantity", lambda p: digits(p.minimum_quantity or None)),
        Column("connect_fee", lambda p: digits(p.connect_fee or None)),
        Column("minimum_charge", lambda p: digits(p.minimum_charge)),
        Column("maximum_charge", lambda p: digits(p.maximum_charge)),
        Column("free_quantity", lambda p: digits(p.free_quantity or None)),
        Column("margin_percent", lambda p: digits(p.margin_percent)),
        Column("markup", lambda p: digits(p.markup)),
        Column("source", lambda p: p.source),
    ),
    _no_currency,
)


def _is_derived(price: Price) -> bool:
    return price.margin_percent is not None or price.markup is not None


def _tier_cell(tier: PriceTier) -> str:
    return f"{digits(tier.up_to)}:{digits(tier.unit_price)}" + (f":{digits(tier.flat_fee)}" if tier.flat_fee else "")


def _increments_cell(price: Price) -> str:
    if price.increment_first is None:
        return ""
    return f"{digits(price.increment_first)}/{digits(price.increment_next)}"


# ── differences ──────────────────────────────────────────────────────────────────────────────────────


def _either(difference: PriceDifference) -> Price:
    found = difference.after or difference.before
    assert found is not None, "a difference has a price on one side"
    return found


def _change(difference: PriceDifference) -> str:
    if difference.before is None:
        return "ADDED"
    return "REMOVED" if difference.after is None else "CHANGED"


def _price_object(price: Price | None) -> Mapping[str, Any] | None:
    return None if price is None else as_object(PRICE, price)


DIFFERENCE: Final = Row[PriceDifference](
    (
        Column("change", _change, "change"),
        Column("meter", lambda d: _either(d).meter, "meter"),
        Column("provider", lambda d: _either(d).provider, "provider"),
        Column("model", lambda d: _either(d).model, "model"),
        Column("destination_prefix", lambda d: _either(d).destination_prefix, "prefix"),
        Column("before_words", lambda d: price_text(d.before) if d.before else None, "before"),
        Column("after_words", lambda d: price_text(d.after) if d.after else None, "after"),
        Column("before", lambda d: _price_object(d.before)),
        Column("after", lambda d: _price_object(d.after)),
    ),
    _no_currency,
)


@dataclass(frozen=True, slots=True)
class SkippedReason:
    """How many entries of a file became no price for one reason, and the first of them."""

    reason: str
    count: int
    example: str


SKIPPED: Final = Row[SkippedReason](
    (
        Column("count", lambda s: s.count, "skipped", Look.NUMBER),
        Column("reason", lambda s: s.reason, "because"),
        Column("example", lambda s: s.example, "such as"),
    ),
    _no_currency,
)


# ── receipts ─────────────────────────────────────────────────────────────────────────────────────────

BOOK_RECEIPT: Final = Row[Receipt[BookReceipt]](
    (
        *BOOK.titled(price_book_id="book", side="side", currency_code="currency").nested(
            "book", lambda r: r.answer.book
        ),
        Column("replayed", lambda r: r.answer.replayed),
        Column("idempotency_key", lambda r: r.idempotency_key, "key", Look.ID),
    ),
    _no_currency,
)

ASSIGNMENT: Final = Row[PriceAssignment](
    (
        Column("side", lambda a: a.side, "side"),
        Column("currency_code", lambda a: a.currency_code, "currency"),
        Column("account_id", lambda a: a.account_id),
        Column("payer_words", lambda a: a.account_id or "(default)", "account"),
        Column("price_book_id", lambda a: a.price_book_id, "book"),
        Column("effective_time", lambda a: a.effective_time, "from"),
    ),
    _no_currency,
)

ASSIGNMENT_RECEIPT: Final = Row[Receipt[AssignmentReceipt]](
    (
        Column("side", lambda r: r.answer.assignment.side, "side"),
        Column("currency_code", lambda r: r.answer.assignment.currency_code, "currency"),
        Column("account_id", lambda r: r.answer.assignment.account_id, "account"),
        Column("price_book_id", lambda r: r.answer.assignment.price_book_id, "book"),
        Column("effective_time", lambda r: r.answer.assignment.effective_time, "from"),
        Column("replayed", lambda r: r.answer.replayed),
        Column("idempotency_key", lambda r: r.idempotency_key, "key", Look.ID),
    ),
    _no_currency,
)

RATE_RECEIPT: Final = Row[Receipt[RateReceipt]](
    (
        Column("price_book_id", lambda r: r.answer.rate.price_book_id, "book"),
        Column("currency_code", lambda r: r.answer.rate.currency_code, "currency"),
        Column("rate", lambda r: r.answer.rate.rate, "rate"),
        Column("effective_time", lambda r: r.answer.rate.effective_time, "from"),
        Column("replayed", lambda r: r.answer.replayed),
        Column("idempotency_key", lambda r: r.idempotency_key, "key", Look.ID),
    ),
    _no_currency,
)


# ── quotes ───────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class QuoteLine:
    """A line of a quote, or of the call's own costs, with the quote's currency."""

    currency_code: str
    meter: str
    price: Decimal | None
    cost: Decimal | None
    rated: RatedLine | None
    match: str


def quote_lines(quote: Quote) -> list[QuoteLine]:
    """The usage lines, then the call's share of the operator's own costs."""
    lines = [QuoteLine(quote.currency_code, r.line.meter, r.price, r.cost, r, r.match) for r in quote.lines]
    own = [QuoteLine(quote.currency_code, a.meter, None, a.cost, None, a.match) for a in quote.allocations]
    return lines + own


def unknown_costs(lines: Iterable[RatedLine]) -> str:
    """A sentence that names the meters whose cost is unknown; empty when there are none."""
    meters = sorted({rated.line.meter for rated in lines if rated.cost is None})
    return f"No COST book has a price for {', '.join(meters)}: cost and margin are unknown." if meters else ""


def _of_line(name: str) -> Any:
    return lambda line: getattr(line.rated.line, name) if line.rated else None


def _of_rated(name: str) -> Any:
    return lambda line: getattr(line.rated, name) if line.rated else None


QUOTE_LINE: Final = Row[QuoteLine](
    (
        Column("meter", lambda line: line.meter, "meter"),
        Column("provider", _of_line("provider"), "provider"),
        Column("model", _of_line("model"), "model"),
        Column("destination", _of_line("destination"), "destination"),
        Column("quantity", _of_line("quantity"), "quantity", Look.NUMBER),
        Column("currency_code", lambda line: line.currency_code),
        Column("price", lambda line: line.price, "price", Look.MONEY),
        Column("cost", lambda line: line.cost, "cost", Look.MONEY),
        Column("exact_price", _of_rated("exact_price")),
        Column("exact_cost", _of_rated("exact_cost")),
        Column("price_version", _of_rated("price_version")),
        Column("cost_version", _of_rated("cost_version")),
        Column("match", lambda line: line.match),
    ),
    lambda line: line.currency_code,
)


@dataclass(frozen=True, slots=True)
class ChargedLine:
    """A usage line that a transaction charged."""

    transaction: Transaction
    rated: RatedLine


CHARGED_LINE: Final = Row[ChargedLine](
    (
        Column("seq", lambda line: line.transaction.seq, "seq", Look.NUMBER),
        Column("meter", _of_line("meter"), "meter"),
        Column("provider", _of_line("provider"), "provider"),
        Column("model", _of_line("model"), "model"),
        Column("destination", _of_line("destination"), "destination"),
        Column("operation", _of_line("operation")),
        Column("quantity", _of_line("quantity"), "quantity", Look.NUMBER),
        Column("currency_code", lambda line: line.transaction.currency_code),
        Column("price", lambda line: line.rated.price, "price", Look.MONEY),
        Column("cost", lambda line: line.rated.cost, "cost", Look.MONEY),
        Column("margin", lambda line: line.rated.margin, "margin", Look.MONEY),
        Column("exact_price", _of_rated("exact_price")),
        Column("exact_cost", _of_rated("exact_cost")),
        Column("price_version", _of_rated("price_version")),
        Column("cost_version", _of_rated("cost_version")),
        Column("match", _of_rated("match")),
        Column("line_id", _of_line("line_id"), "line", Look.ID),
        Column("labels", _of_line("labels")),
    ),
    lambda line: line.transaction.currency_code,
)

QUOTE: Final = Row[Quote](
    (
        Column("currency_code", lambda q: q.currency_code),
        Column("price", lambda q: q.price, "price", Look.MONEY),
        Column("cost", lambda q: q.cost, "cost", Look.MONEY),
        Column("margin", lambda q: q.margin, "margin", Look.MONEY),
        Column("margin_percent", lambda q: q.margin_percent, "margin in %"),
    ),
    lambda q: q.currency_code,
)
