"""What can be wrong with a usage report by itself. Every problem is found. The clock is not asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from imprest_server.core.errors import InvalidArgument
from imprest_server.core.usage import UsageLine, UsageReport
from imprest_server.pricing.meters import METERS
from imprest_server.pricing.rules.checks import MAX_NAME, unknown_meter
from imprest_server.pricing.rules.values import Problem, number_problem, text_problem

MAX_LINES = 200
#: A nano of a token or second is below anything that is measured.
MAX_DECIMALS = 9
MAX_TEXT = 255
MAX_LABELS = 64
MAX_LABEL_KEY = 63
MAX_DESTINATION = 32
#: Every line is kept and answered with its own labels and the report's: all of them together, so that a small report
#: makes neither a batch that takes too long nor a reply that is too large.
MAX_LABEL_BYTES = 1_000_000


def check_usage(usage: UsageReport, field: str = "usage") -> None:
    """The report can be rated; raises InvalidArgument with every problem found."""
    if problems := list(_report(usage, field)):
        raise InvalidArgument.of(problems)


def _report(usage: UsageReport, field: str) -> Iterator[Problem]:
    if len(usage.lines) > MAX_LINES:
        yield f"{field}.lines", f"must be at most {MAX_LINES}, not {len(usage.lines)}"
        return
    seen: dict[str, int] = {}
    for index, line in enumerate(usage.lines):
        path = f"{field}.lines[{index}]"
        yield from _line(line, path)
        if line.line_id and seen.setdefault(line.line_id, index) != index:
            yield f"{path}.line_id", f"must differ from that of {field}.lines[{seen[line.line_id]}]"
    if usage.start_time is not None and usage.end_time is not None and usage.start_time > usage.end_time:
        yield f"{field}.end_time", "must not be before start_time"
    if usage.labels:
        yield from _labels(usage.labels, f"{field}.labels")
    taken = _size(usage.labels) * len(usage.lines) + sum(_size(line.labels) for line in usage.lines)
    if taken > MAX_LABEL_BYTES:
        yield f"{field}.labels", f"must be at most {MAX_LABEL_BYTES} bytes over all lines, not {taken}"


def _line(line: UsageLine, path: str) -> Iterator[Problem]:
    known = METERS.get(line.meter)
    if not line.meter:
        yield f"{path}.meter", "is required"
    elif known is None:
        yield f"{path}.meter", f"{line.meter[:MAX_NAME]} {unknown_meter(line.meter[:MAX_NAME])}"
    elif known.is_allocation:
        yield f"{path}.meter", f"{line.meter} is not used but allocated: it follows from the COST books"
    if problem := number_problem(line.quantity, MAX_DECIMALS):
        yield f"{path}.quantity", problem
    for name, text, limit in (
        ("line_id", line.line_id, MAX_TEXT),
        ("provider", line.provider, MAX_NAME),
        ("model", line.model, MAX_NAME),
        ("operation", line.operation, MAX_TEXT),
    ):
        if text and (problem := text_problem(text, limit)):
            yield f"{path}.{name}", problem
    if line.destination and not (
        line.destination.isascii() and line.destination.isdigit() and len(line.destination) <= MAX_DESTINATION
    ):
        yield f"{path}.destination", f"must be at most {MAX_DESTINATION} digits, without the plus"
    if line.labels:
        yield from _labels(line.labels, f"{path}.labels")


def _size(labels: Mapping[str, str]) -> int:
    return sum(len(key.encode()) + len(value.encode()) for key, value in labels.items()) if labels else 0


def _labels(labels: Mapping[str, str], path: str) -> Iterator[Problem]:
    if len(labels) > MAX_LABELS:
        yield path, f"must be at most {MAX_LABELS} pairs, not {len(labels)}"
    for key, value in labels.items():
        if not key:
            yield path, "must not have an empty key"
        elif problem := text_problem(key, MAX_LABEL_KEY):
            yield path, f"a key {problem}"
        if problem := text_problem(value, MAX_TEXT):
            yield f"{path}[{key[:MAX_LABEL_KEY]}]", problem
