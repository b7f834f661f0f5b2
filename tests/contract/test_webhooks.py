"""The server signs, the client library and the documented snippet verify: the three agree, and on nothing else."""

import re
from pathlib import Path
from typing import Any

import pytest

from imprest_client.webhooks import (
    SIGNATURE_HEADER,
    MalformedSignature,
    SignatureExpired,
    SignatureMismatch,
    verify,
)
from imprest_server.budgets.channels.signing import HEADER, signature

BODY = b'{"summary":"Budget b has reached 80 %"}'
AT = 1_800_000_000
SECRET, OLD = "whsec_new", "whsec_old"
SIGNED = signature([SECRET], AT, BODY)
DOCUMENT = (Path(__file__).parents[2] / "docs" / "ALERTS.md").read_text()


def documented() -> Any:
    """The function of docs/ALERTS.md."""
    (snippet,) = re.findall(r"```python\n(import hashlib.*?)```", DOCUMENT, re.DOTALL)
    names: dict[str, Any] = {}
    exec(snippet, names)
    return names["is_genuine"]


def test_both_sides_name_the_same_header() -> None:
    assert HEADER == SIGNATURE_HEADER
    assert HEADER in DOCUMENT


def test_a_known_signature_stays_what_it_is() -> None:
    """Receivers in other languages are built on it. This one was made with openssl."""
    known = "b8569b78799ff9e3cbff0fc2d63a33a2b57f3282abd07c37ae5e8e7d79a5f163"
    assert signature(["secret"], 1700000000, b"{}") == f"t=1700000000,v1={known}"


@pytest.mark.parametrize("off", [0, 300, -300])
def test_what_the_server_signs_is_accepted(off: int) -> None:
    verify(SECRET, SIGNED, BODY, now=AT + off)
    assert documented()(SECRET, SIGNED, BODY, now=AT + off)


@pytest.mark.parametrize("off", [301, -301])
def test_an_old_one_is_refused(off: int) -> None:
    with pytest.raises(SignatureExpired):
        verify(SECRET, SIGNED, BODY, now=AT + off)
    assert not documented()(SECRET, SIGNED, BODY, now=AT + off)


@pytest.mark.parametrize(
    ("secret", "header", "body"),
    [
        (SECRET + "x", SIGNED, BODY),
        (SECRET, SIGNED, BODY + b" "),
        (SECRET, SIGNED.replace(str(AT), str(AT + 1)), BODY),
        (SECRET, signature([OLD], AT, BODY), BODY),
        (SECRET, f"t={AT},v1={'0' * 64}", BODY),
    ],
)
def test_a_forged_one_is_refused(secret: str, header: str, body: bytes) -> None:
    with pytest.raises(SignatureMismatch):
        verify(secret, header, body, now=AT)
    assert not documented()(secret, header, body, now=AT)


def test_while_a_secret_is_rotated_either_one_verifies() -> None:
    both = signature([SECRET, OLD], AT, BODY)
    assert both.count("v1=") == 2
    for secret in (SECRET, OLD):
        verify(secret, both, BODY, now=AT)
        assert documented()(secret, both, BODY, now=AT)
    verify([OLD, SECRET], SIGNED, BODY, now=AT)


@pytest.mark.parametrize(
    "header",
    [
        None, "", "v1", f"t={AT}", f"v1={'0' * 64}", f"t={AT},v1=", f"t={AT},v1=xyz", f"t=,v1={'0' * 64}",
        f"t=-1,v1={'0' * 64}", f"t={AT},t={AT},v1={'0' * 64}", f"t={AT},v1={'ä' * 64}", f"t=١,v1={'0' * 64}",
        SIGNED.replace("v1", "v2"), f"t={'9' * 5000},v1={'0' * 64}",
    ],
)  # fmt: skip
def test_what_is_no_signature_is_refused(header: str | None) -> None:
    with pytest.raises(MalformedSignature):
        verify(SECRET, header, BODY, now=AT)
    assert not documented()(SECRET, header or "", BODY, now=AT)


def test_a_header_without_end_is_not_read() -> None:
    with pytest.raises(MalformedSignature):
        verify(SECRET, SIGNED + "," * 2000, BODY, now=AT)


@pytest.mark.parametrize("secret", ["", [], [""]])
def test_an_empty_secret_is_a_mistake(secret: Any) -> None:
    with pytest.raises(ValueError, match="empty"):
        verify(secret, SIGNED, BODY, now=AT)
