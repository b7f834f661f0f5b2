"""Usage as people type it: `llm.input_tokens=1200,provider=openai,model=gpt-4o`. Pure."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from imprest_client.ctl.failures import UsageError
from imprest_client.pricing_model import UsageLine

_QUANTITY: Final = re.compile(r"\d{1,20}(\.\d{1,18})?", re.ASCII)
_FIELDS: Final = ("provider", "model", "to")


def parse_line(text: str) -> UsageLine:
    """`METER=QUANTITY[,provider=NAME][,model=NAME][,to=NUMBER]`. Raises UsageError when it is not."""
    first, *rest = text.split(",")
    meter, equals, quantity = first.partition("=")
    given: dict[str, str] = {}
    for part in rest:
        name, separator, value = part.partition("=")
        if not separator or name not in _FIELDS or name in given:
            raise _no_line(text)
        given[name] = value
    if not meter or not equals:
        raise _no_line(text)
    return line_of(meter, quantity, **given)


def line_of(meter: str, quantity: str, *, provider: str = "", model: str = "", to: str = "") -> UsageLine:
    """A usage line; raises UsageError when the quantity is none."""
    if not _QUANTITY.fullmatch(quantity):
        raise UsageError(
            f"{quantity!r} is not a quantity",
            hint="write it like 1200 or 0.5, in the meter's unit (`imprestctl prices meters`)",
        )
    number = to.removeprefix("+")
    if number and not number.isdecimal():
        raise UsageError(f"{to!r} is not a number to call", hint="write the digits, such as +14155550100")
    return UsageLine(meter=meter, quantity=Decimal(quantity), provider=provider, model=model, destination=number)


def _no_line(text: str) -> UsageError:
    return UsageError(
        f"{text!r} is not usage",
        hint="write METER=QUANTITY, then what is known of it: llm.input_tokens=1200,provider=openai,model=gpt-4o or "
        "telephony.outbound_seconds=90,to=+14155550100",
    )
