"""What each price key of the LiteLLM price file means here: which meter, and which variant of the model.

A key is a base such as `input_cost_per_token` with qualifiers behind it: how long a cache entry lives (`_above_1hr`),
from which prompt length on (`_above_272k_tokens`), the picture's size (`_1080p`), the service tier (`_priority`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

CACHED = "llm.cached_input_tokens"
CACHE_WRITE = "llm.cache_write_tokens"
CACHE_WRITE_1H = "llm.cache_write_1h_tokens"

#: The same tokens in a request whose prompt is longer than the model's threshold.
LONG = {
    "llm.input_tokens": "llm.long_input_tokens",
    "llm.output_tokens": "llm.long_output_tokens",
    CACHED: "llm.long_cached_input_tokens",
    CACHE_WRITE: "llm.long_cache_write_tokens",
}

_METERS = {
    "input_cost_per_token": "llm.input_tokens",
    "output_cost_per_token": "llm.output_tokens",
    "cache_read_input_token_cost": CACHED,
    "cache_creation_input_token_cost": CACHE_WRITE,
    "output_cost_per_reasoning_token": "llm.reasoning_tokens",
    "input_cost_per_audio_token": "llm.audio_input_tokens",
    "cache_read_input_audio_token_cost": "llm.cached_audio_input_tokens",
    "output_cost_per_audio_token": "llm.audio_output_tokens",
    "input_cost_per_image_token": "llm.image_input_tokens",
    "output_cost_per_image_token": "llm.image_output_tokens",
    "input_cost_per_video_per_second": "media.video_seconds",
    "output_cost_per_video_per_second": "media.video_seconds",
    "input_cost_per_query": "api.requests",
    "input_cost_per_request": "api.requests",
}
_SPEECH = {
    "input_cost_per_token": "tts.input_tokens",
    "output_cost_per_audio_token": "tts.audio_tokens",
    "input_cost_per_character": "tts.characters",
    "output_cost_per_second": "tts.seconds",
}
_BY_MODE = {
    "audio_transcription": {
        "input_cost_per_audio_token": "stt.audio_tokens",
        "output_cost_per_token": "stt.output_tokens",
        "input_cost_per_second": "stt.seconds",
        "output_cost_per_second": "stt.seconds",
    },
    "audio_speech": _SPEECH,
    "image_generation": {"output_cost_per_image": "media.images"},
    "image_edit": {"output_cost_per_image": "media.images"},
    "video_generation": {"output_cost_per_second": "media.video_seconds"},
    # A few speech models come without a mode; only they are priced by the character.
    "": {"input_cost_per_character": "tts.characters"},
}

#: Why a key becomes no price; the first pattern that fits counts.
_REASONS = (
    (r"(in|out)put_dbu_cost_per_token|cost_per_second", "the same price in another unit"),
    (r"input_cost_per_token_cache_hit", "the same price as cache_read_input_token_cost"),
    (r"explicit_cache_read.*", "caches asked for and caches found are one meter"),
    (r".*_pixel", "no meter counts pixels"),
    (r".*_page|ocr_.*", "no meter counts pages"),
    (r".*video_token.*", "no meter counts video tokens"),
    (r".*_image_token.*|cache_creation_input_audio.*", "no meter for this kind of token in a cache"),
    (r".*_image(_.*)?", "per picture only where pictures are what the model makes"),
    (r".*_character", "per character only where text is spoken"),
    (r".*_per_second.*", "no meter for seconds of this mode"),
    (r"search_context.*|google_maps.*", "searches made by the model: add a price on api.requests"),
    (r"off_peak_pricing", "prices do not depend on the time of day"),
    (r".*multiplier.*|provider_specific_entry", "an uplift by region or speed: price it as a model of its own"),
    (r"search_free_requests", "an allowance the provider gives for searches"),
    (r"output_cost_per_token", "what a speech model writes is audio, priced by output_cost_per_audio_token"),
    (r"(guardrail|citation|code_interpreter|computer_use|file_search|vector_store)_.*|.*_text_message", "no meter"),
)

_KEY = re.compile(
    r"(?P<base>.+?)(_(?P<size>\d+(\.\d+)?[pkPK]?))?(_above_(?P<hours>\d{1,4})hr)?(_above_(?P<above_k>\d{1,9})k_tokens)?"
    r"(_(?P<tier>batches|flex|priority|ultrafast|balanced|decisions))?"
)
_PRICE_KEY = re.compile(r".*(cost|pricing|multiplier).*|provider_specific_entry|search_free_requests")


@dataclass(frozen=True, slots=True)
class Key:
    """A price key taken apart. `tier` is empty for the standard one, `above_k` 0 for every prompt length."""

    base: str
    size: str = ""
    hours: int = 0
    above_k: int = 0
    tier: str = ""


def is_price(key: str) -> bool:
    """Whether a key of an entry has to do with prices, understood or not."""
    return _PRICE_KEY.fullmatch(key) is not None


def take_apart(key: str) -> Key:
    """A key's base and qualifiers; a key that has none of them is all base."""
    found = _KEY.fullmatch(key)
    assert found, "every non-empty text has a base"
    return Key(
        base=found["base"],
        size=found["size"] or "",
        hours=int(found["hours"] or 0),
        above_k=int(found["above_k"] or 0),
        tier=(found["tier"] or "").replace("batches", "batch"),
    )


def meter_of(key: Key, mode: str, bases: frozenset[str]) -> str | None:
    """The meter a key prices in an entry of this mode that has these bases; None: there is none."""
    meter = _BY_MODE.get(mode, {}).get(key.base) or _METERS.get(key.base)
    match mode, key.base:
        case "audio_speech", "output_cost_per_token" if "output_cost_per_audio_token" not in bases:
            meter = "tts.audio_tokens"
        case "audio_speech", "output_cost_per_token":
            return None
        case "image_generation", "input_cost_per_image" if not any(base.startswith("output_cost") for base in bases):
            meter = "media.images"
        case "image_generation", "input_cost_per_image" if "output_cost_per_pixel" in bases:
            meter = "media.images"
        case "realtime", "input_cost_per_second" if "input_cost_per_audio_token" not in bases:
            meter = "compute.seconds"
    if key.hours:
        meter = CACHE_WRITE_1H if meter == CACHE_WRITE and key.hours == 1 and not key.above_k else None
    if key.above_k:
        meter = LONG.get(meter or "")
    if key.size and meter not in ("media.images", "media.video_seconds"):
        return None
    return meter


def reason_of(key: str) -> str:
    """Why a key became no price."""
    parts = take_apart(key)
    if parts.hours:
        return f"{key}: no meter for a cache entry kept this long"
    if parts.above_k:
        return f"{key}: only text and its cache have long-prompt meters"
    return f"{key}: " + next(
        (why for pattern, why in _REASONS if re.fullmatch(pattern, parts.base)), "not known to this importer"
    )
