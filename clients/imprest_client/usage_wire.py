"""Between the messages of usage and the library's values."""

from __future__ import annotations

from decimal import Decimal

from google.type.decimal_pb2 import Decimal as DecimalMessage

from imprest.v1 import usage_pb2
from imprest_client import pricing_model as model
from imprest_client.money import to_decimal
from imprest_client.times import from_time, to_time


def to_number(value: Decimal | int | str) -> DecimalMessage:
    """A quantity, unit price or rate as a message, exactly. A float is refused: it has been rounded already.

    Raises:
        TypeError: it is a float.
        ValueError: it is not a finite number.
    """
    if isinstance(value, float):
        raise TypeError("a number is a Decimal, an int or a str, not a float")
    try:
        number = Decimal(value)
    except ArithmeticError:
        raise ValueError(f"{value!r} is not a number") from None
    if not number.is_finite():
        raise ValueError(f"{value} is not a finite number")
    return DecimalMessage(value=str(number))


def from_number(message: DecimalMessage) -> Decimal:
    """A quantity, unit price or rate; 0 when it is absent."""
    return Decimal(message.value or "0")


def to_usage_line(line: model.UsageLine) -> usage_pb2.UsageLine:
    """A usage line as a message."""
    return usage_pb2.UsageLine(
        line_id=line.line_id,
        meter=line.meter,
        provider=line.provider,
        model=line.model,
        quantity=to_number(line.quantity),
        destination=line.destination.removeprefix("+"),
        operation=line.operation,
        labels=line.labels,
    )


def to_report(usage: model.Usage) -> usage_pb2.UsageReport:
    """Lines, or a report of them, as a message."""
    report = model.report_of(usage)
    return usage_pb2.UsageReport(
        lines=[to_usage_line(line) for line in report.lines],
        start_time=None if report.start_time is None else to_time(report.start_time),
        end_time=None if report.end_time is None else to_time(report.end_time),
        labels=report.labels,
    )


def usage_line(message: usage_pb2.UsageLine) -> model.UsageLine:
    """A usage line."""
    return model.UsageLine(
        line_id=message.line_id,
        meter=message.meter,
        provider=message.provider,
        model=message.model,
        quantity=from_number(message.quantity),
        destination=message.destination,
        operation=message.operation,
        labels=dict(message.labels),
    )


def usage_report(message: usage_pb2.UsageReport) -> model.UsageReport:
    """A report of usage."""
    return model.UsageReport(
        lines=tuple(usage_line(line) for line in message.lines),
        start_time=from_time(message.start_time) if message.HasField("start_time") else None,
        end_time=from_time(message.end_time) if message.HasField("end_time") else None,
        labels=dict(message.labels),
    )


def rated_line(message: usage_pb2.RatedLine) -> model.RatedLine:
    """A usage line with its price and cost."""
    is_known = bool(message.cost_version) or message.duplicate
    return model.RatedLine(
        line=usage_line(message.line),
        price=to_decimal(message.price),
        cost=to_decimal(message.cost) if is_known else None,
        exact_price=from_number(message.exact_price),
        exact_cost=from_number(message.exact_cost) if is_known else None,
        price_version=message.price_version,
        cost_version=message.cost_version,
        match=message.match,
        duplicate=message.duplicate,
    )
