"""What calls cost the customer, and what they cost the operator. One simple tariff; the same numbers in every currency.

Imprest prices the calls by the books made of these (`price_books.py`). The demo prices them itself as well, so that
it can tell whether the server is right.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Decimal

from google.type.decimal_pb2 import Decimal as Quantity

from imprest.v1.usage_pb2 import UsageLine, UsageReport

from .calls import Direction, Usage

_NANO = Decimal("0.000000001")  # the ledger's resolution


@dataclass(frozen=True)
class Rate:
    """What one meter is sold for, and what its provider charges in US dollars, both for `per` units."""

    meter: str
    provider: str
    model: str
    price: Decimal
    cost: Decimal
    per: int


_TELEPHONY: dict[Direction, Rate] = {
    "inbound": Rate("telephony.inbound_seconds", "", "", Decimal("0.0090"), Decimal("0.0055"), 60),
    "outbound": Rate("telephony.outbound_seconds", "", "", Decimal("0.0145"), Decimal("0.0085"), 60),
}
_STT = Rate("stt.seconds", "deepgram", "nova-3", Decimal("0.0085"), Decimal("0.0043"), 60)
_LLM_INPUT = Rate("llm.input_tokens", "openai", "gpt-4o-mini", Decimal("0.80"), Decimal("0.15"), 1_000_000)
_LLM_OUTPUT = Rate("llm.output_tokens", "openai", "gpt-4o-mini", Decimal("3.20"), Decimal("0.60"), 1_000_000)
_TTS = Rate("tts.characters", "openai", "tts-1", Decimal("36.00"), Decimal("15.00"), 1_000_000)

RATES = (*_TELEPHONY.values(), _STT, _LLM_INPUT, _LLM_OUTPUT, _TTS)

#: What a talkative agent uses in a minute: what holds are estimated with.
_TYPICAL_MINUTE = Usage(60, llm_input_tokens=5200, llm_output_tokens=260, tts_characters=620, stt_seconds=60)


def report(direction: Direction, usage: Usage) -> UsageReport:
    """Measured usage as Imprest takes it. The lines' ids make it safe to report one twice."""
    return UsageReport(
        lines=[
            UsageLine(
                line_id=rate.meter,
                meter=rate.meter,
                provider=rate.provider,
                model=rate.model,
                quantity=Quantity(value=str(quantity)),
            )
            for rate, quantity in _measured(direction, usage)
        ]
    )


def typical(minutes: int, after: Usage | None = None) -> Usage:
    """What so many minutes will probably use, on top of what was used already."""
    return (after or Usage(0)).plus(_TYPICAL_MINUTE, minutes)


def price(direction: Direction, usage: Usage) -> Decimal:
    """The price of measured usage: telephony by the second, and one rounding per line."""
    return sum((line.quantize(_NANO, ROUND_HALF_EVEN) for line in _lines(direction, usage)), Decimal(0))


def estimate(direction: Direction, minutes: int) -> Decimal:
    """What so many minutes will probably cost, rounded up to a hundredth."""
    return sum(_lines(direction, typical(minutes)), Decimal(0)).quantize(Decimal("0.01"), ROUND_CEILING)


def affordable_s(direction: Direction, usage: Usage, amount: Decimal) -> int:
    """How many whole seconds of the call `usage` the amount pays for."""
    low, high = 0, usage.talk_s
    while low < high:
        middle = (low + high + 1) // 2
        if price(direction, usage.after(middle)) <= amount:
            low = middle
        else:
            high = middle - 1
    return low


def _lines(direction: Direction, usage: Usage) -> list[Decimal]:
    return [rate.price * quantity / rate.per for rate, quantity in _measured(direction, usage)]


def _measured(direction: Direction, usage: Usage) -> list[tuple[Rate, int]]:
    return [
        (_TELEPHONY[direction], usage.talk_s),
        (_STT, usage.stt_seconds),
        (_LLM_INPUT, usage.llm_input_tokens),
        (_LLM_OUTPUT, usage.llm_output_tokens),
        (_TTS, usage.tts_characters),
    ]
