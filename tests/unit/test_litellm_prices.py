"""The LiteLLM price file: each kind of key on its meter, exactly; whatever is left out has a reason."""

import json
from collections import Counter
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imprest_server.core.errors import InvalidArgument
from imprest_server.pricing.importers.imported import Imported
from imprest_server.pricing.importers.litellm import read_litellm
from imprest_server.pricing.meters import METERS
from imprest_server.pricing.model import BookSide, ChargeModel
from imprest_server.pricing.rules.checks import check_prices

_CONTENT = (Path(__file__).parents[2] / "examples" / "litellm_prices.json").read_bytes()
_TODAY = date(2026, 3, 31)


def _read(content: bytes = _CONTENT, today: date = _TODAY) -> Imported:
    return read_litellm(content, today)


def _entry(**keys: object) -> Imported:
    return _read(json.dumps({"m": {"litellm_provider": "p", "mode": "chat"} | keys}).encode())


def _prices(provider: str, model: str) -> dict[str, str]:
    """Meter → price of what its unit is sold in, of one model."""
    return {
        price.meter: f"{price.unit_price:f}/{price.per_quantity:f}"
        for price in _read().prices
        if (price.provider, price.model) == (provider, model)
    }


def _reasons(name: str, today: date = _TODAY) -> set[str]:
    return {skipped.reason for skipped in _read(today=today).skipped if skipped.name == name}


@pytest.mark.parametrize(
    ("provider", "model", "expected"),
    [
        pytest.param(
            "northwind",
            "north-1",
            {
                "llm.input_tokens": "2.5/1000000",
                "llm.output_tokens": "11/1000000",
                "llm.cached_input_tokens": "0.546875/1000000",
                "llm.cache_write_tokens": "3.125/1000000",
                "llm.cache_write_1h_tokens": "5/1000000",
            },
            id="tokens and caches; of two entries for one model the one that names its provider",
        ),
        pytest.param(
            "northwind",
            "north-1@batch",
            {
                "llm.input_tokens": "1.25/1000000",
                "llm.output_tokens": "5/1000000",
                "llm.cached_input_tokens": "0.546875/1000000",
                "llm.cache_write_tokens": "3.125/1000000",
                "llm.cache_write_1h_tokens": "5/1000000",
            },
            id="a service tier is a variant, complete",
        ),
        pytest.param(
            "northwind",
            "north-long",
            {
                "llm.input_tokens": "1.25/1000000",
                "llm.output_tokens": "10/1000000",
                "llm.cached_input_tokens": "0.31/1000000",
                "llm.reasoning_tokens": "2/1000000",
                "llm.long_input_tokens": "2.5/1000000",
                "llm.long_output_tokens": "15/1000000",
                "llm.long_cached_input_tokens": "0.31/1000000",
            },
            id="long prompts have meters of their own",
        ),
        pytest.param(
            "northwind",
            "north-long@priority",
            {
                "llm.input_tokens": "2/1000000",
                "llm.output_tokens": "18/1000000",
                "llm.cached_input_tokens": "0.31/1000000",
                "llm.reasoning_tokens": "18/1000000",
                "llm.long_input_tokens": "4.5/1000000",
                "llm.long_output_tokens": "18/1000000",
                "llm.long_cached_input_tokens": "0.31/1000000",
            },
            id="a long prompt in a tier without a price of its own costs the dearer",
        ),
        pytest.param(
            "northwind",
            "north-steps",
            {"llm.input_tokens": "0.04/1000000", "llm.output_tokens": "0.2/1000000"},
            id="several thresholds: no long price without saying which",
        ),
        pytest.param(
            "northwind",
            "north-steps@>32k",
            {"llm.long_input_tokens": "0.13/1000000", "llm.long_output_tokens": "0.5/1000000"},
            id="first threshold",
        ),
        pytest.param(
            "northwind",
            "north-steps@>256k",
            {"llm.long_input_tokens": "0.27/1000000", "llm.long_output_tokens": "1.1/1000000"},
            id="second threshold",
        ),
        pytest.param(
            "northwind",
            "north-table",
            {
                "llm.input_tokens": "0.4/1000000",
                "llm.output_tokens": "1.2/1000000",
                "llm.long_input_tokens": "1.2/1000000",
                "llm.long_output_tokens": "3.6/1000000",
            },
            id="the same as a table",
        ),
        pytest.param(
            "azure",
            "eu/south-1",
            {"llm.input_tokens": "2.75/1000000", "llm.output_tokens": "11/1000000"},
            id="a region stays in the model's name",
        ),
        pytest.param(
            "bedrock",
            "eu.south.v1:0",
            {"llm.input_tokens": "3/1000000", "llm.output_tokens": "15/1000000"},
            id="an interface of a provider is the provider",
        ),
        pytest.param(
            "vertex_ai",
            "east-talk",
            {
                "llm.input_tokens": "4/1000000",
                "llm.output_tokens": "16/1000000",
                "llm.audio_input_tokens": "32/1000000",
                "llm.audio_output_tokens": "64/1000000",
                "llm.cached_audio_input_tokens": "0.4/1000000",
                "llm.image_input_tokens": "5/1000000",
            },
            id="audio and pictures",
        ),
        pytest.param(
            "east",
            "east-live",
            {"compute.seconds": "833.3333333333334/1000000"},
            id="a session by the second; more than 18 decimals move to the million",
        ),
        pytest.param("listen", "hear-2", {"stt.seconds": "0.00007167/1"}, id="recognition by the second"),
        pytest.param(
            "listen",
            "hear-text",
            {"stt.audio_tokens": "2.5/1000000", "stt.output_tokens": "10/1000000"},
            id="recognition by the token",
        ),
        pytest.param("say", "say-1", {"tts.characters": "15/1000000"}, id="speech by the character"),
        pytest.param(
            "say",
            "say-2",
            {"tts.input_tokens": "0.6/1000000", "tts.audio_tokens": "12/1000000", "tts.seconds": "0.00025/1"},
            id="speech by token and second",
        ),
        pytest.param("draw", "brush", {"media.images": "0.04/1"}, id="pictures"),
        pytest.param("draw", "brush@4K", {"media.images": "0.08/1"}, id="large pictures"),
        pytest.param("draw", "film", {"media.video_seconds": "0.165/1"}, id="video"),
        pytest.param("draw", "film@480p", {"media.video_seconds": "0.04/1"}, id="small video"),
        pytest.param("rank", "sort-1", {"api.requests": "0.002/1", "llm.input_tokens": "0/1000000"}, id="queries"),
        pytest.param("gift", "free", {}, id="all zero is not known to be free"),
        pytest.param("old", "gone", {"llm.input_tokens": "1/1000000"}, id="in force on its last day"),
    ],
)
def test_a_model_s_prices(provider: str, model: str, expected: dict[str, str]) -> None:
    assert _prices(provider, model) == expected


@pytest.mark.parametrize(
    ("name", "reasons"),
    [
        ("sample_spec", {"not a model"}),
        ("fallback_generalizations", {"not a model"}),
        (
            "north-1",
            {
                "another price of the same model than northwind/north-1, which stays",
                "search_context_cost_per_query: searches made by the model: add a price on api.requests",
            },
        ),
        (
            "northwind/north-table",
            {"output_cost_per_reasoning_token_above_256k_tokens: only text and its cache have long-prompt meters"},
        ),
        ("bedrock/eu-west-1/1-month-commitment/south.v1", {"capacity bought in advance, not usage"}),
        ("vertex_ai/east-talk", {"input_cost_per_second: no meter for seconds of this mode"}),
        (
            "say-2",
            {"output_cost_per_token: what a speech model writes is audio, priced by output_cost_per_audio_token"},
        ),
        ("draw/brush", {"input_cost_per_pixel: no meter counts pixels"}),
        ("gift/free", {"every price is zero: free, or not known"}),
        (
            "bad/wrong",
            {
                "input_cost_per_token: not a price",
                "output_cost_per_token: not a price",
                "wisdom_cost_per_insight: not known to this importer",
                "no price in it",
            },
        ),
    ],
)
def test_what_is_left_out_has_a_reason(name: str, reasons: set[str]) -> None:
    assert _reasons(name) == reasons


def test_a_retired_model_is_left_out_the_day_after() -> None:
    assert _reasons("old/gone") == set()
    assert _reasons("old/gone", date(2026, 4, 1)) == {"retired by its provider"}


def test_every_entry_is_a_price_or_skipped() -> None:
    found = _read()
    sources = {price.source.removeprefix("LiteLLM ").partition(",")[0] for price in found.prices}
    assert sources | {skipped.name for skipped in found.skipped} == set(json.loads(_CONTENT))


def test_a_long_price_says_from_where_on() -> None:
    sources = {(p.model, p.meter): p.source for p in _read().prices}
    assert sources["north-long", "llm.long_input_tokens"] == "LiteLLM northwind/north-long, prompts above 200k tokens"
    assert sources["north-table", "llm.long_input_tokens"] == "LiteLLM northwind/north-table, prompts above 256k tokens"
    assert sources["north-long", "llm.input_tokens"] == "LiteLLM northwind/north-long"


def test_prices_can_be_published() -> None:
    prices = _read().prices
    assert {price.meter for price in prices} <= set(METERS)
    assert {price.charge_model for price in prices} == {ChargeModel.PER_UNIT}
    assert max(Counter(price.key for price in prices).values()) == 1
    check_prices(prices, BookSide.COST)


def test_the_order_of_the_file_does_not_matter() -> None:
    turned = json.dumps(dict(reversed(json.loads(_CONTENT).items()))).encode()
    assert {p.key: p for p in _read(turned).prices} == {p.key: p for p in _read().prices}


@given(st.integers(1, 10**9 - 1), st.integers(0, 15))
def test_a_number_is_what_the_file_says(digits: int, decimals: int) -> None:
    """Not one digit is lost on the way, whatever the notation."""
    text = f"{digits}e-{decimals}"
    content = json.dumps({"m": {"litellm_provider": "p", "mode": "chat", "input_cost_per_token": "?"}})
    (price,) = _read(content.replace('"?"', text).encode()).prices
    assert price.unit_price == Decimal(text) * 1_000_000
    assert price.per_quantity == 1_000_000


def test_digits_that_a_float_would_lose() -> None:
    content = b'{"m": {"litellm_provider": "p", "mode": "chat", "input_cost_per_token": 0.000000123456789012345678}}'
    (price,) = _read(content).prices
    assert str(price.unit_price) == "0.123456789012345678"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[1]",
        b"{}",
        b"\xff",
        b'{"m": {"price": 1}}',
        b'{"m": {"litellm_provider": "p", "input_cost_per_token": NaN}}',
        b"[" * 100_000,
    ],
)
def test_another_file_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidArgument):
        _read(content)


@pytest.mark.parametrize("bounds", [[1e300], ["0"], [], None, [-1000], [10**13]])
def test_a_row_without_a_threshold_is_reported(bounds: object) -> None:
    rows = [{"input_cost_per_token": 1e-6, "range": [0, 32000]}, {"input_cost_per_token": 2e-6, "range": bounds}]
    read = _entry(tiered_pricing=rows)
    assert [(price.meter, price.model) for price in read.prices] == [("llm.input_tokens", "m")]
    assert [skipped.reason for skipped in read.skipped] == [
        "tiered_pricing: a row that does not say from which prompt length on it counts"
    ]


def test_a_key_with_too_many_digits_is_reported() -> None:
    key = f"input_cost_per_token_above_{'9' * 5000}k_tokens"
    read = _entry(input_cost_per_token=1e-6, **{key: 2e-6})
    assert len(read.prices) == 1
    assert [skipped.reason.endswith("not known to this importer") for skipped in read.skipped] == [True]


@pytest.mark.parametrize("value", [-1, True, "0.1", None, {"low": 1}, [1], 1e-60, 1e300])
def test_what_is_not_a_price_is_skipped(value: object) -> None:
    found = _entry(input_cost_per_token=value, output_cost_per_token=1e-6)
    assert [price.meter for price in found.prices] == ["llm.output_tokens"]
    assert [skipped.reason for skipped in found.skipped] == ["input_cost_per_token: not a price"]


def test_more_than_18_decimals_per_million_are_skipped() -> None:
    found = _entry(input_cost_per_token=1.5e-25, output_cost_per_token=1e-6)
    assert [skipped.reason for skipped in found.skipped] == ["a price with more than 18 decimals per million"]
