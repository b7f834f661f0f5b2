"""Usage as it is sent."""

from decimal import Decimal

from imprest_client import UsageLine
from imprest_client.usage_wire import to_usage_line, usage_line


def test_a_number_is_sent_without_its_plus() -> None:
    line = UsageLine(meter="telephony.outbound_seconds", quantity=Decimal(60), destination="+4930123456")
    assert usage_line(to_usage_line(line)).destination == "4930123456"
