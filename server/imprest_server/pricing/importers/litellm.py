"""The LiteLLM model price file (`model_prices_and_context_window.json`) as cost prices in USD.

An entry is a model; its keys are prices per token, character, second, picture or request. docs/PRICES.md says which key
becomes the price of which meter, and `litellm_keys.py` is that table.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Any

from imprest_server.core.errors import InvalidArgument
from imprest_server.core.usage import format_decimal
from imprest_server.pricing.importers.imported import Imported, Skipped
from imprest_server.pricing.importers.litellm_keys import LONG, is_price, meter_of, reason_of, take_apart
from imprest_server.pricing.model import Price, PriceKey
from imprest_server.pricing.rules.checks import MAX_DECIMALS
from imprest_server.pricing.rules.values import number_problem

_MILLION = Decimal(1_000_000)
_EXACT = Context(prec=100, traps=[Inexact, InvalidOperation])
_MAX_NAME = 200
_MAX_THRESHOLD = Decimal(10**12)
_OUTPUT = "llm.output_tokens"
_REASONING = "llm.reasoning_tokens"

#: Names of one provider's interfaces that are the same provider, with the same prices.
_PROVIDER_ENDINGS = ("-embedding-models", "_converse", "_chat", "_text")
_PROVIDER_BEGINNINGS = ("text-completion-",)

Entry = Mapping[str, Any]
Amounts = dict[str, Decimal]


@dataclass(frozen=True, slots=True)
class _Variant:
    """A model's prices in one service tier and, where it has several thresholds, above one prompt length."""

    tier: str = ""
    above_k: int = 0
    size: str = ""

    @property
    def suffix(self) -> str:
        """What stands behind the model's name: `@priority`, `@>256k`, `@1080p`."""
        above = f">{self.above_k}k" if self.above_k else ""
        return "".join(f"@{part}" for part in (self.tier, above, self.size) if part)


@dataclass(slots=True)
class _Model:
    """One entry on its way to prices: amounts by variant and meter."""

    name: str
    #: The prompt lengths, in thousands of tokens, above which other prices hold.
    thresholds: frozenset[int] = frozenset()
    amounts: dict[_Variant, Amounts] = field(default_factory=dict[_Variant, Amounts])

    def variant(self, tier: str = "", above_k: int = 0, size: str = "") -> _Variant:
        """A variant of this model. A single threshold needs none: the long-prompt meters tell the two sides apart."""
        return _Variant(tier, above_k if len(self.thresholds) > 1 else 0, size)

    def add(self, variant: _Variant, meter: str, amount: Decimal) -> bool:
        """Note an amount; of several for one meter the first that is not zero stays. False: another one stayed."""
        known = self.amounts.setdefault(variant, {})
        if not known.get(meter):
            known[meter] = amount
        return not amount or known[meter] == amount


def read_litellm(content: bytes, today: date) -> Imported:
    """Read the file; what is retired before `today` is left out. Raises InvalidArgument when it is no such file."""
    prices: dict[PriceKey, tuple[Price, str]] = {}
    skipped: list[Skipped] = []
    for name, entry in _in_order(_load(content)):
        if why := _unfit(name, entry, today):
            skipped.append(Skipped(name, why))
            continue
        provider, model = _names(name, entry["litellm_provider"])
        for price in _prices(name, provider, model, _read(name, entry, skipped.append), skipped.append):
            before = prices.setdefault(price.key, (price, name))
            if (price.unit_price, price.per_quantity) != (before[0].unit_price, before[0].per_quantity):
                skipped.append(Skipped(name, f"another price of the same model than {before[1]}, which stays"))
    return Imported(
        prices=tuple(price for price, _ in prices.values()),
        skipped=tuple(dict.fromkeys(skipped)),
    )


# ── the file ─────────────────────────────────────────────────────────────────────────────────────────


def _load(content: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(content, parse_float=Decimal, parse_int=Decimal, parse_constant=_no_constant)
    except (ValueError, ArithmeticError, RecursionError) as problem:
        raise InvalidArgument(field="litellm_json", problem=f"not JSON: {problem}") from None
    if not isinstance(found, dict) or not any(isinstance(e, dict) and "litellm_provider" in e for e in found.values()):
        raise InvalidArgument(field="litellm_json", problem="not a LiteLLM price file: no entry has a litellm_provider")
    return found


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is not a number")


def _in_order(entries: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Entries whose name begins with their provider first: of two for one model they are the more particular."""
    return iter(sorted(entries.items(), key=lambda item: "/" not in item[0]))


def _unfit(name: str, entry: Any, today: date) -> str:
    """Why a whole entry is left out; empty when it is not."""
    if name == "sample_spec" or not isinstance(entry, dict) or not isinstance(entry.get("litellm_provider"), str):
        return "not a model"
    if len(name) > _MAX_NAME or not name.isprintable():
        return "its name cannot be a model's name"
    if "-commitment/" in name:
        return "capacity bought in advance, not usage"
    if (retired := _day(entry.get("deprecation_date"))) and retired < today:
        return "retired by its provider"
    return ""


def _day(text: Any) -> date | None:
    try:
        return date.fromisoformat(text)
    except (TypeError, ValueError):
        return None


def _names(name: str, raw: str) -> tuple[str, str]:
    """Provider and model: `azure/gpt-x` of azure is (azure, gpt-x); `eu.vendor.x` of bedrock_converse is bedrock's."""
    provider = "vertex_ai" if raw.startswith("vertex_ai") else raw
    for ending in _PROVIDER_ENDINGS:
        provider = provider.removesuffix(ending)
    for beginning in _PROVIDER_BEGINNINGS:
        provider = provider.removeprefix(beginning)
    head, slash, rest = name.partition("/")
    named = {text.replace("-", "_") for text in (raw, provider)}
    return provider, rest if slash and rest and head.replace("-", "_") in named else name


# ── one entry ────────────────────────────────────────────────────────────────────────────────────────


def _read(name: str, entry: Entry, skip: Callable[[Skipped], None]) -> _Model:
    mode = entry["mode"] if isinstance(entry.get("mode"), str) else ""
    keys = {key: take_apart(key) for key in entry if is_price(key)}
    bases = frozenset(parts.base for parts in keys.values())
    thresholds = {parts.above_k for parts in keys.values()} | {int(low / 1000) for low, _ in _table(entry)}
    model = _Model(name, frozenset(thresholds - {0}))
    for key, parts in keys.items():
        if key == "tiered_pricing":
            continue
        meter = meter_of(parts, mode, bases)
        if meter is None:
            skip(Skipped(name, reason_of(key)))
        elif (amount := _amount(entry[key])) is None:
            skip(Skipped(name, f"{key}: not a price"))
        elif not model.add(model.variant(parts.tier, parts.above_k, parts.size), meter, amount):
            skip(Skipped(name, f"{key}: another price for the same meter stays"))
    _read_table(entry, model, skip)
    return model


def _amount(value: Any) -> Decimal | None:
    """A price ≥ 0 of one unit, within what a price may be per million; None when it is none."""
    if not isinstance(value, Decimal) or value < 0 or not -40 < value.adjusted() < 9:
        return None
    return value


def _table(entry: Entry) -> list[tuple[Decimal, Entry]]:
    """The rows of `tiered_pricing`, by the prompt length above which they count."""
    rows = entry.get("tiered_pricing")
    found = []
    for row in rows if isinstance(rows, list) else []:
        bounds = row.get("range") if isinstance(row, dict) else None
        if isinstance(bounds, list) and bounds and isinstance(bounds[0], Decimal) and 0 <= bounds[0] <= _MAX_THRESHOLD:
            found.append((bounds[0], row))
    return sorted(found, key=lambda row: row[0])


def _read_table(entry: Entry, model: _Model, skip: Callable[[Skipped], None]) -> None:
    """A price table by prompt length, all-or-nothing per request, as the `_above_…` keys are."""
    rows = _table(entry)
    given = entry.get("tiered_pricing")
    if given and not (isinstance(given, list) and len(given) == len(rows)):
        skip(Skipped(model.name, "tiered_pricing: a row that does not say from which prompt length on it counts"))
    for low, row in rows:
        if low % 1000:
            skip(Skipped(model.name, "tiered_pricing: a threshold that is not in thousands of tokens"))
            continue
        above_k = int(low / 1000)
        for key, value in row.items():
            if not is_price(key):
                continue
            parts = replace(take_apart(key), above_k=above_k)
            meter, amount = meter_of(parts, "", frozenset()), _amount(value)
            if meter is None or amount is None:
                skip(Skipped(model.name, reason_of(f"{key}_above_{above_k}k_tokens" if above_k else key)))
            else:
                model.add(model.variant(above_k=above_k), meter, amount)


# ── prices ───────────────────────────────────────────────────────────────────────────────────────────


def _prices(name: str, provider: str, model: str, read: _Model, skip: Callable[[Skipped], None]) -> Iterator[Price]:
    if not any(any(amounts.values()) for amounts in read.amounts.values()):
        skip(Skipped(name, "every price is zero: free, or not known" if read.amounts else "no price in it"))
        return
    for variant, amounts in _completed(read.amounts).items():
        for meter, amount in amounts.items():
            per_quantity, unit_price = _scaled(meter, amount)
            price = Price(
                meter=meter,
                provider=provider,
                model=model + variant.suffix,
                unit_price=unit_price,
                per_quantity=per_quantity,
                source=f"LiteLLM {name}" + (_above(variant, read) if meter in LONG.values() else ""),
            )
            if number_problem(price.unit_price, MAX_DECIMALS):
                skip(Skipped(name, f"a price with more than {MAX_DECIMALS} decimals per million"))
            else:
                yield price


def _above(variant: _Variant, model: _Model) -> str:
    """For whom reports usage: from which prompt length on the long-prompt meters are the right ones."""
    return f", prompts above {variant.above_k or min(model.thresholds)}k tokens"


def _completed(amounts: dict[_Variant, Amounts]) -> dict[_Variant, Amounts]:
    """Every variant with all prices of its model.

    What a service tier does not price itself costs what it costs without the tier; reasoning follows the tier's output.
    A long prompt's text that has no price of its own costs the dearest it could: as below the threshold, or as without
    the tier.
    """
    sized = {variant: own for variant, own in amounts.items() if variant.size}
    whole = [variant for variant in amounts if not variant.size]
    steps = sorted({variant.above_k for variant in whole})
    done: dict[_Variant, Amounts] = {}
    for tier in sorted({""} | {variant.tier for variant in whole}):
        short = _short(amounts.get(_Variant(), {}), amounts.get(_Variant(tier), {}))
        below: Amounts = {}
        for above_k in steps:
            own = amounts.get(_Variant(tier, above_k), {})
            below = _long(own, short, below, done.get(_Variant("", above_k), {}))
            others = {m: amount for m, amount in short.items() if not above_k or m not in (*LONG, _REASONING)}
            done[_Variant(tier, above_k)] = others | below
    return done | sized


def _short(standard: Amounts, own: Amounts) -> Amounts:
    """A tier's prices up to the threshold."""
    merged = {meter: amount for meter, amount in (standard | own).items() if meter not in LONG.values()}
    if _REASONING in standard and _REASONING not in own and _OUTPUT in own:
        merged[_REASONING] = own[_OUTPUT]
    return merged


def _long(own: Amounts, short: Amounts, below: Amounts, standard: Amounts) -> Amounts:
    """A tier's prices above a threshold; none when neither the tier nor the standard has any there."""
    if not any(meter in own or meter in standard for meter in LONG.values()):
        return {}
    found: Amounts = {}
    for text, meter in LONG.items():
        known = [a for a in (below.get(meter), standard.get(meter), short.get(text)) if a is not None]
        if meter in own:
            found[meter] = own[meter]
        elif known:
            found[meter] = max(known)
    return found


def _scaled(meter: str, amount: Decimal) -> tuple[Decimal, Decimal]:
    """Tokens and characters are priced by the million, the rest by the unit where 18 decimals hold that."""
    by_million = meter.endswith(("tokens", "characters")) or number_problem(amount, MAX_DECIMALS) is not None
    scaled = amount.scaleb(6, _EXACT) if by_million else amount
    return _MILLION if by_million else Decimal(1), Decimal(format_decimal(scaled))
