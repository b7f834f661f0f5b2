"""Prices as messages: what a reply without pages may hold."""

from decimal import Decimal

import pytest

from imprest_server.pricing.model import Difference, Price
from imprest_server.transport.prices import MAX_LISTED, MAX_LISTED_BYTES, to_differences


@pytest.mark.parametrize(("source", "listed"), [("", MAX_LISTED), ("x" * 1000, None)], ids=["many", "large"])
def test_a_reply_lists_no_more_than_a_client_can_receive(source: str, listed: int | None) -> None:
    prices = [Price(meter="llm.input_tokens", model=str(n), source=source) for n in range(MAX_LISTED + 1000)]
    changed = [Price(meter=p.meter, model=p.model, unit_price=Decimal(1), source=source) for p in prices]
    messages = to_differences([Difference(p.key, p, c) for p, c in zip(prices, changed, strict=True)])
    size = sum(message.ByteSize() for message in messages)
    assert size <= MAX_LISTED_BYTES
    assert len(messages) == listed if listed else size > MAX_LISTED_BYTES - 3000
    assert [message.after.model for message in messages] == [str(n) for n in range(len(messages))]
