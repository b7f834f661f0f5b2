"""Page sizes and page tokens."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imprest_server.core.errors import InvalidArgument
from imprest_server.core.paging import MAX_PAGE_BYTES, cut_page, decode_token, encode_token, page_limit

SCOPE = ("list_things", "tenant", None, ["B", "A"], 7)


@pytest.mark.parametrize(("asked", "limit"), [(0, 100), (1, 1), (999, 999), (1000, 1000), (1001, 1000), (2**31, 1000)])
def test_page_sizes(asked: int, limit: int) -> None:
    assert page_limit(asked) == limit


def test_a_negative_page_size_is_denied() -> None:
    with pytest.raises(InvalidArgument) as caught:
        page_limit(-1)
    assert caught.value.field == "page_size"


@given(st.text(max_size=64))
def test_a_token_gives_back_its_key(key: str) -> None:
    assert decode_token(encode_token(SCOPE, key), SCOPE, str) == key


def test_no_token_is_the_first_page() -> None:
    assert decode_token("", SCOPE, str) is None


@pytest.mark.parametrize(
    "other",
    [
        ("list_others", "tenant", None, ["B", "A"], 7),
        ("list_things", "another", None, ["B", "A"], 7),
        ("list_things", "tenant", "", ["B", "A"], 7),
        ("list_things", "tenant", None, ["A", "B"], 7),
        ("list_things", "tenant", None, ["B", "A"], "7"),
    ],
)
def test_a_token_is_bound_to_its_scope(other: tuple[str | int | list[str] | None, ...]) -> None:
    with pytest.raises(InvalidArgument) as caught:
        decode_token(encode_token(SCOPE, "key"), other, str)
    assert caught.value.field == "page_token"


def _reencode(text: bytes) -> str:
    return urlsafe_b64encode(text).decode().rstrip("=")


def _text_of(token: str) -> bytes:
    return urlsafe_b64decode(token + "=" * (-len(token) % 4))


TOKEN = encode_token(SCOPE, "key-1")


@pytest.mark.parametrize(
    "token",
    [
        TOKEN[:-1],
        TOKEN + "A",
        TOKEN + "=",
        TOKEN + "\n",
        " " + TOKEN,
        TOKEN[:10] + "!" + TOKEN[10:],
        "ü" + TOKEN,
        "x",
        "....",
        "A" * 2000,
        _reencode(_text_of(TOKEN).replace(b"key-1", b"key-2")),
        _reencode(_text_of(TOKEN).replace(b"1.", b"2.", 1)),
        _reencode(b"\xff\xfe"),
    ],
)
def test_a_tampered_token_is_denied(token: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        decode_token(token, SCOPE, str)
    assert caught.value.field == "page_token"


@given(st.text(min_size=1, max_size=80))
def test_no_text_breaks_decoding(token: str) -> None:
    with pytest.raises(InvalidArgument):
        decode_token(token, SCOPE, str)


def test_a_key_that_does_not_parse_is_denied() -> None:
    with pytest.raises(InvalidArgument):
        decode_token(encode_token(SCOPE, "no uuid"), SCOPE, UUID)


def test_pages_are_cut() -> None:
    page, token = cut_page([1, 2, 3], 2, SCOPE, str, small)
    assert (page, decode_token(token, SCOPE, int)) == ([1, 2], 2)
    assert cut_page([1, 2], 2, SCOPE, str, small) == ([1, 2], "")
    assert cut_page([], 2, SCOPE, str, small) == ([], "")


def small(_item: int) -> int:
    return 1


def test_a_page_of_large_items_ends_early() -> None:
    """`size` is the item itself."""
    third, rest = MAX_PAGE_BYTES // 3, MAX_PAGE_BYTES - 2 * (MAX_PAGE_BYTES // 3)
    for items, count in [
        ([third, third, rest], 3),
        ([third, third, rest + 1], 2),
        ([third, MAX_PAGE_BYTES, 1], 1),
        ([MAX_PAGE_BYTES + 1, 1], 1),
    ]:
        page, token = cut_page(items, 10, SCOPE, str, int)
        assert page == items[:count]
        assert decode_token(token, SCOPE, int) == (None if count == len(items) else items[count - 1])
