"""The standard catalogue of meters: what can be measured, and in which unit.

Meters are disjoint: whatever was used is counted on exactly one of them (a cached token on `llm.cached_input_tokens`
and not also on `llm.input_tokens`). "Long prompts" is the dearer class in which some providers put requests whose
prompt is above a limit: every token of such a request is counted there. A line on a meter that is not listed here is
refused, so a slip of the pen cannot pass as free usage.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from types import MappingProxyType

#: Matches every meter. Only in derived prices, as is `<category>.*`.
EVERY_METER = "*"


@dataclass(frozen=True, slots=True)
class Meter:
    """One measured dimension.

    `category` groups meters for reports and for prices such as `llm.*`; it is the first part of the name, except that
    WhatsApp's meters belong to `messaging`. A meter with a `base` is a finer cut of that one: where a price book has
    no price of its own for it, the base's price applies. `by_destination` says whether prices may differ by the number
    called or written to.
    """

    name: str
    category: str
    unit: str
    description: str
    base: str | None = None
    by_destination: bool = False

    @property
    def is_allocation(self) -> bool:
        """Whether it is a share of our own costs, worked out for reports, and so never stands in a usage report."""
        return self.category in ("infrastructure", "fee")


def _meter(
    name: str,
    unit: str,
    description: str,
    *,
    category: str = "",
    base: str | None = None,
    by_destination: bool = False,
) -> Meter:
    return Meter(name, category or name.partition(".")[0], unit, description, base, by_destination)


_STANDARD = (
    _meter("telephony.inbound_seconds", "second", "Duration of calls received", by_destination=True),
    _meter("telephony.outbound_seconds", "second", "Duration of calls made", by_destination=True),
    _meter("telephony.did_months", "month", "Months a phone number (DID) was rented"),
    _meter("stt.seconds", "second", "Speech recognised, as duration of audio"),
    _meter("stt.audio_tokens", "token", "Speech recognised, as audio tokens"),
    _meter("stt.output_tokens", "token", "Transcript written, as text tokens"),
    _meter("tts.characters", "character", "Text spoken, as characters"),
    _meter("tts.seconds", "second", "Speech produced, as duration of audio"),
    _meter("tts.input_tokens", "token", "Text spoken, as text tokens"),
    _meter("tts.audio_tokens", "token", "Speech produced, as audio tokens"),
    _meter("llm.input_tokens", "token", "Text read by a model and counted on no other meter"),
    _meter("llm.output_tokens", "token", "Text written by a model and counted on no other meter"),
    _meter("llm.cached_input_tokens", "token", "Text read from the provider's cache"),
    _meter("llm.cache_write_tokens", "token", "Text written to the provider's cache"),
    _meter(
        "llm.cache_write_1h_tokens",
        "token",
        "Text written to the provider's cache for an hour",
        base="llm.cache_write_tokens",
    ),
    _meter("llm.reasoning_tokens", "token", "Reasoning that is not shown", base="llm.output_tokens"),
    _meter("llm.audio_input_tokens", "token", "Audio heard by a model"),
    _meter("llm.cached_audio_input_tokens", "token", "Audio heard from the provider's cache"),
    _meter("llm.audio_output_tokens", "token", "Audio spoken by a model"),
    _meter("llm.image_input_tokens", "token", "Images seen by a model"),
    _meter("llm.image_output_tokens", "token", "Images drawn by a model"),
    _meter("llm.voice_input_tokens", "token", "Text read during a spoken call", base="llm.input_tokens"),
    _meter("llm.voice_output_tokens", "token", "Text written during a spoken call", base="llm.output_tokens"),
    _meter(
        "llm.voice_cached_input_tokens",
        "token",
        "Text read from the provider's cache during a spoken call",
        base="llm.cached_input_tokens",
    ),
    _meter("llm.long_input_tokens", "token", "Text read, long prompts", base="llm.input_tokens"),
    _meter("llm.long_output_tokens", "token", "Text written, long prompts", base="llm.output_tokens"),
    _meter(
        "llm.long_cached_input_tokens", "token", "Text from the cache, long prompts", base="llm.cached_input_tokens"
    ),
    _meter("llm.long_cache_write_tokens", "token", "Text to the cache, long prompts", base="llm.cache_write_tokens"),
    _meter("messaging.sms_segments", "segment", "SMS sent or received, by parts", by_destination=True),
    _meter(
        "whatsapp.template_messages",
        "message",
        "WhatsApp messages from a template",
        category="messaging",
        by_destination=True,
    ),
    _meter(
        "whatsapp.session_messages",
        "message",
        "WhatsApp messages in an open conversation",
        category="messaging",
        by_destination=True,
    ),
    _meter("media.images", "image", "Images made"),
    _meter("media.video_seconds", "second", "Video made or processed, as its duration"),
    _meter("storage.gigabyte_months", "gigabyte month", "Data kept"),
    _meter("compute.seconds", "second", "Machine time"),
    _meter("api.requests", "request", "Requests to an interface, searches and the like"),
    _meter("plan.months", "month", "Months of a plan's fee; the model names the plan"),
    _meter("infrastructure.hosting", "call", "Hosting's share of a call's cost"),
    _meter("infrastructure.compute", "call", "Machine time's share of a call's cost"),
    _meter("infrastructure.frontend", "call", "The user interface's share of a call's cost"),
    _meter("fee.payment", "call", "The payment provider's fee, as a share of a call's price"),
)

METERS: Mapping[str, Meter] = MappingProxyType({meter.name: meter for meter in _STANDARD})
CATEGORIES = tuple(dict.fromkeys(meter.category for meter in _STANDARD))


@lru_cache(maxsize=256)
def nearest(name: str) -> tuple[str, ...]:
    """The at most three meters that are most likely meant: those that hold the name, then those that are like it.

    It takes milliseconds, and a file may have one wrong name in every line.
    """
    text = name.lower()
    holding = [meter for meter in METERS if text in meter]
    return tuple(dict.fromkeys([*holding, *get_close_matches(text, METERS, n=3, cutoff=0.4)]))[:3]
