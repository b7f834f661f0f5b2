"""What calls cost the customer. One simple tariff; the same numbers in every currency.

The demo prices its calls itself and gives Imprest amounts.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Decimal

from .calls import Direction, Usage

_NANO = Decimal("0.000000001")  # the ledger's resolution

_PER_MINUTE: dict[Direction, Decimal] = {"inbound": Decimal("0.0090"), "outbound": Decimal("0.0145")}
_STT_PER_MINUTE = Decimal("0.0085")
_LLM_INPUT_PER_MILLION = Decimal("0.80")
_LLM_OUTPUT_PER_MILLION = Decimal("3.20")
_TTS_PER_MILLION = Decimal("36.00")

#: What a talkative agent uses in a minute: what holds are estimated with.
_TYPICAL_MINUTE = Usage(60, llm_input_tokens=5200, llm_output_tokens=260, tts_characters=620, stt_seconds=60)


def price(direction: Direction, usage: Usage) -> Decimal:
    """The price of measured usage: telephony by the second, and one rounding per line."""
    return sum((line.quantize(_NANO, ROUND_HALF_EVEN) for line in _lines(direction, usage)), Decimal(0))


def estimate(direction: Direction, minutes: int) -> Decimal:
    """What so many minutes will probably cost, rounded up to a hundredth: the amount to hold."""
    per_minute = sum(_lines(direction, _TYPICAL_MINUTE), Decimal(0))
    return (per_minute * minutes).quantize(Decimal("0.01"), ROUND_CEILING)


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


def _lines(direction: Direction, usage: Usage) -> tuple[Decimal, ...]:
    return (
        _PER_MINUTE[direction] * usage.talk_s / 60,
        _STT_PER_MINUTE * usage.stt_seconds / 60,
        _LLM_INPUT_PER_MILLION * usage.llm_input_tokens / 1_000_000,
        _LLM_OUTPUT_PER_MILLION * usage.llm_output_tokens / 1_000_000,
        _TTS_PER_MILLION * usage.tts_characters / 1_000_000,
    )
