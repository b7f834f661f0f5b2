"""Usage between the wire and the core: reports in, rated lines out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from google.protobuf.message import Message

from imprest.v1 import usage_pb2
from imprest_server.core.errors import InvalidArgument
from imprest_server.core.ids import format_price_version_id
from imprest_server.core.usage import RatedLine, UsageLine, UsageReport
from imprest_server.pricing.rules import check_usage
from imprest_server.transport.convert import parse_decimal, parse_time, to_decimal, to_money


def parse_usage(request: Message, field: str) -> UsageReport | None:
    """The UsageReport in `field`; None when it is absent. Raises InvalidArgument when it cannot be rated."""
    if not request.HasField(field):
        return None
    report: usage_pb2.UsageReport = getattr(request, field)
    usage = UsageReport(
        lines=tuple(_line_of(line, f"{field}.lines[{n}].") for n, line in enumerate(report.lines)),
        start_time=parse_time(report, "start_time", f"{field}."),
        end_time=parse_time(report, "end_time", f"{field}."),
        labels=dict(report.labels),
    )
    check_usage(usage, field)
    return usage


def parse_monthly(lines: Iterable[usage_pb2.UsageLine], field: str) -> tuple[UsageLine, ...]:
    """Lines that are charged every month, without ids of their own. Raises InvalidArgument for what cannot be rated."""
    parsed = tuple(_line_of(line, f"{field}[{n}].") for n, line in enumerate(lines))
    check_usage(UsageReport(lines=parsed), field.removesuffix("lines").rstrip(".") or "subscription")
    return tuple(replace(line, line_id="") for line in parsed)


def _line_of(line: usage_pb2.UsageLine, path: str) -> UsageLine:
    quantity = parse_decimal(line, "quantity", path)
    if quantity is None:
        raise InvalidArgument(field=f"{path}quantity", problem="is required")
    return UsageLine(
        line_id=line.line_id,
        meter=line.meter,
        provider=line.provider,
        model=line.model,
        quantity=quantity,
        destination=line.destination,
        operation=line.operation,
        labels=dict(line.labels),
    )


def to_usage_line(line: UsageLine) -> usage_pb2.UsageLine:
    """A usage line."""
    return usage_pb2.UsageLine(
        line_id=line.line_id,
        meter=line.meter,
        provider=line.provider,
        model=line.model,
        quantity=to_decimal(line.quantity),
        destination=line.destination,
        operation=line.operation,
        labels=line.labels,
    )


def to_rated_line(rated: RatedLine, currency: str) -> usage_pb2.RatedLine:
    """A usage line with its price and its cost, both in `currency`."""
    return usage_pb2.RatedLine(
        line=to_usage_line(rated.line),
        price=to_money(currency, rated.price),
        cost=to_money(currency, rated.cost),
        exact_price=to_decimal(rated.exact_price),
        exact_cost=to_decimal(rated.exact_cost),
        price_version=format_price_version_id(rated.price_version),
        cost_version="" if rated.cost_version is None else format_price_version_id(rated.cost_version),
        match=rated.match,
        duplicate=rated.duplicate,
    )
