"""What the numbers were measured on: no host names, no paths."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path


def describe_machine(postgres_version: str) -> Mapping[str, str]:
    """Names and values, for people."""
    return {
        "CPU": f"{_cpu_model()}, {os.cpu_count()} cores",
        "Memory": _memory(),
        "System": f"{platform.system()} {platform.release()} {platform.machine()}",
        "Postgres": f"{postgres_version}, as `imprest serve` starts it (fsync on), on the same machine",
        "Python": platform.python_version(),
        "Libraries": ", ".join(f"{name} {version(name)}" for name in ("grpcio", "psycopg", "SQLAlchemy", "uvloop")),
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory() -> str:
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError):
        return "unknown"
    return f"{size / 2**30:.0f} GiB"
