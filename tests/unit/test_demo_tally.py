"""The demo's own arithmetic: its prices, and the check that must catch books that lost money."""

from dataclasses import replace
from decimal import Decimal

import pytest

from examples.callcenter.calls import Usage
from examples.callcenter.tally import AccountTally, BookFigures, differences
from examples.callcenter.tariff import affordable_s, estimate, price

_SEEN = AccountTally(
    "USD", credited=Decimal(20), charged=Decimal("7.5"), refunded=Decimal("0.5"), absorbed=Decimal("0.25")
)
_BOOK = BookFigures(
    wallet=Decimal(14),
    receivable=Decimal(1),
    held=Decimal(0),
    received=Decimal("20.00"),
    revenue=Decimal("7.75"),
    refunds=Decimal("0.5"),
    overrun_loss=Decimal("0.25"),
)
_NANO = Decimal("0.000000001")


def test_right_books_have_no_differences() -> None:
    assert differences(_SEEN, _BOOK) == []


@pytest.mark.parametrize("figure", list(BookFigures.__dataclass_fields__))
@pytest.mark.parametrize("error", [_NANO, -_NANO, Decimal(1)])
def test_a_wrong_figure_is_caught(figure: str, error: Decimal) -> None:
    wrong = replace(_BOOK, **{figure: getattr(_BOOK, figure) + error})
    assert differences(_SEEN, wrong) != []


@pytest.mark.parametrize("figure", ["credited", "charged", "refunded", "absorbed"])
def test_an_acknowledged_amount_that_the_book_lacks_is_caught(figure: str) -> None:
    assert differences(replace(_SEEN, **{figure: getattr(_SEEN, figure) + _NANO}), _BOOK) != []


def test_a_lost_charge_in_words() -> None:
    lost = replace(_BOOK, wallet=_BOOK.wallet + 2, revenue=_BOOK.revenue - 2)
    assert differences(_SEEN, lost) == [
        "wallet less receivable: seen 13.0, booked 15",
        "charges less refunds: seen 7.0, booked 5.00",
    ]


def test_price() -> None:
    usage = Usage(90, llm_input_tokens=1_000, llm_output_tokens=100, tts_characters=250, stt_seconds=90)
    # 1.5 min at 0.009, 1.5 min at 0.0085, 1000 at 0.80, 100 at 3.20 and 250 at 36.00 per million
    assert price("inbound", usage) == Decimal("0.0135") + Decimal("0.01275") + Decimal("0.0008") + Decimal(
        "0.00032"
    ) + Decimal("0.009")
    assert price("outbound", Usage(1)) == Decimal("0.000241667")  # one rounding, to the nano
    assert estimate("outbound", 3) == Decimal("0.16")


def test_affordable_is_the_longest_that_the_amount_pays_for() -> None:
    usage = Usage(600, llm_input_tokens=70_001, llm_output_tokens=3_001, tts_characters=8_003, stt_seconds=600)
    for cents in (0, 1, 7, 30, 1000):
        amount = Decimal(cents) / 100
        longest = affordable_s("inbound", usage, amount)
        assert price("inbound", usage.after(longest)) <= amount
        assert longest == 600 or price("inbound", usage.after(longest + 1)) > amount
