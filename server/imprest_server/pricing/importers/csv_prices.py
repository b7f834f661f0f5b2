"""Prices as CSV: one row is one price, the header names the columns. docs/PRICES.md describes each."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import TypeVar

from imprest_server.core.errors import InvalidArgument
from imprest_server.core.usage import format_decimal
from imprest_server.pricing.importers.imported import Imported, number
from imprest_server.pricing.model import ChargeModel, Price, PriceKey, Tier

#: The columns in the order in which they are written. A file may leave out all but `meter` and have them in any order.
COLUMNS = (
    "meter", "provider", "model", "destination_prefix", "charge_model", "unit_price", "per_quantity", "tiers",
    "increments", "minimum_quantity", "connect_fee", "minimum_charge", "maximum_charge", "free_quantity",
    "margin_percent", "markup", "source", "date",
)  # fmt: skip


Row = Mapping[str, str]
_T = TypeVar("_T")


def read_csv(text: str) -> Imported:
    """Read prices, all or none; raises InvalidArgument with a violation for every line with a problem: `csv[7]`."""
    rows = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    prices: dict[PriceKey, Price] = {}
    places: list[str] = []
    problems: list[tuple[str, str]] = []
    columns: list[str] | None = None
    try:
        for row in rows:
            cells = [cell.strip() for cell in row]
            if not any(cells) or cells[0].startswith("#"):
                continue
            if columns is None:
                columns = _header(cells)
                continue
            try:
                price = _price(_row(columns, cells))
                if price.key in prices:
                    raise ValueError("this meter, provider, model and destination_prefix has a price further up")
                prices[price.key] = price
                places.append(f"csv[{rows.line_num}]")
            except ValueError as problem:
                problems.append((f"csv[{rows.line_num}]", str(problem)))
    except csv.Error as problem:
        problems.append((f"csv[{rows.line_num}]", f"not CSV: {problem}"))
    if columns is None and not problems:
        problems.append(("csv", "is empty: the first line names the columns"))
    if problems:
        raise InvalidArgument.of(problems)
    return Imported(prices=tuple(prices.values()), places=tuple(places))


def to_csv(prices: Iterable[Price]) -> str:
    """Write prices so that reading them gives the same ones again."""
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_cells(price) for price in prices)
    return out.getvalue()


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────


def _header(cells: list[str]) -> list[str]:
    columns = [cell.lower() for cell in cells]
    if unknown := sorted(set(columns) - set(COLUMNS)):
        names = ", ".join(repr(name) for name in unknown)
        raise InvalidArgument(field="csv", problem=f"unknown column {names}; known are {', '.join(COLUMNS)}")
    if twice := sorted({name for name in columns if columns.count(name) > 1}):
        raise InvalidArgument(field="csv", problem=f"column {', '.join(twice)} stands there twice")
    if "meter" not in columns:
        raise InvalidArgument(field="csv", problem="there is no column meter")
    return columns


def _row(columns: list[str], cells: list[str]) -> Row:
    if len(cells) > len(columns) and any(cells[len(columns) :]):
        raise ValueError(f"{len(cells)} cells under {len(columns)} columns")
    return dict.fromkeys(COLUMNS, "") | dict(zip(columns, cells, strict=False))


def _price(row: Row) -> Price:
    if not row["meter"]:
        raise ValueError("meter: is required")
    if not (row["unit_price"] or row["tiers"] or row["margin_percent"] or row["markup"]):
        raise ValueError("one of unit_price, tiers, margin_percent and markup is required (0 is a price)")
    first, following = _increments(row["increments"])
    return Price(
        meter=row["meter"],
        provider=row["provider"],
        model=row["model"],
        destination_prefix=row["destination_prefix"].removeprefix("+"),
        charge_model=_charge_model(row["charge_model"]),
        unit_price=_decimal(row, "unit_price") or Decimal(0),
        per_quantity=Decimal(1) if not row["per_quantity"] else _named("per_quantity", number, row["per_quantity"]),
        tiers=_named("tiers", _tiers, row["tiers"]),
        increment_first=first,
        increment_next=following,
        minimum_quantity=_decimal(row, "minimum_quantity") or Decimal(0),
        connect_fee=_decimal(row, "connect_fee") or Decimal(0),
        minimum_charge=_decimal(row, "minimum_charge"),
        maximum_charge=_decimal(row, "maximum_charge"),
        free_quantity=_decimal(row, "free_quantity") or Decimal(0),
        margin_percent=_decimal(row, "margin_percent"),
        markup=_decimal(row, "markup"),
        source=_source(row["source"], row["date"]),
    )


def _named(column: str, read: Callable[[str], _T], cell: str) -> _T:
    try:
        return read(cell)
    except ValueError as problem:
        raise ValueError(f"{column}: {problem}") from None


def _decimal(row: Row, column: str) -> Decimal | None:
    return _named(column, number, row[column]) if row[column] else None


def _charge_model(cell: str) -> ChargeModel:
    try:
        return ChargeModel(cell.upper()) if cell else ChargeModel.PER_UNIT
    except ValueError:
        raise ValueError(f"charge_model: {cell!r} is none of {', '.join(ChargeModel)}") from None


def _increments(cell: str) -> tuple[Decimal | None, Decimal | None]:
    if not cell:
        return None, None
    first, slash, following = cell.partition("/")
    if not slash:
        raise ValueError("increments: two numbers with a slash, as in 30/6")
    return _named("increments", number, first.strip()), _named("increments", number, following.strip())


def _tiers(cell: str) -> tuple[Tier, ...]:
    return tuple(_tier(part.strip()) for part in cell.split(";") if part.strip())


def _tier(text: str) -> Tier:
    up_to, *amounts = (part.strip() for part in text.split(":"))
    if len(amounts) not in (1, 2):
        raise ValueError(f"{text!r} is not up_to:unit_price or up_to:unit_price:flat_fee")
    return Tier(
        up_to=None if up_to in ("", "*") else number(up_to),
        unit_price=number(amounts[0]),
        flat_fee=number(amounts[1]) if len(amounts) == 2 else Decimal(0),
    )


def _source(source: str, day: str) -> str:
    if not day:
        return source
    if not _is_day(day):
        raise ValueError(f"date: {day!r} is not a day as in 2026-03-31")
    return f"{source}, {day}" if source else day


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


# ── writing ──────────────────────────────────────────────────────────────────────────────────────────


def _cells(price: Price) -> Row:
    source, _, day = price.source.rpartition(", ")
    dated = bool(source) and _is_day(day)
    explicit = not price.tiers and not price.derived
    return {
        "meter": price.meter,
        "provider": price.provider,
        "model": price.model,
        "destination_prefix": price.destination_prefix,
        "charge_model": price.charge_model,
        "unit_price": format_decimal(price.unit_price) if price.unit_price or explicit else "",
        "per_quantity": format_decimal(price.per_quantity),
        "tiers": ";".join(_tier_text(tier) for tier in price.tiers),
        "increments": _increments_text(price),
        "minimum_quantity": _unless_zero(price.minimum_quantity),
        "connect_fee": _unless_zero(price.connect_fee),
        "minimum_charge": _unless_none(price.minimum_charge),
        "maximum_charge": _unless_none(price.maximum_charge),
        "free_quantity": _unless_zero(price.free_quantity),
        "margin_percent": _unless_none(price.margin_percent),
        "markup": _unless_none(price.markup),
        "source": source if dated else price.source,
        "date": day if dated else "",
    }


def _tier_text(tier: Tier) -> str:
    up_to = "" if tier.up_to is None else format_decimal(tier.up_to)
    return f"{up_to}:{format_decimal(tier.unit_price)}" + (f":{format_decimal(tier.flat_fee)}" if tier.flat_fee else "")


def _increments_text(price: Price) -> str:
    if price.increment_first is None or price.increment_next is None:
        return ""
    return f"{format_decimal(price.increment_first)}/{format_decimal(price.increment_next)}"


def _unless_zero(value: Decimal) -> str:
    return format_decimal(value) if value else ""


def _unless_none(value: Decimal | None) -> str:
    return "" if value is None else format_decimal(value)
