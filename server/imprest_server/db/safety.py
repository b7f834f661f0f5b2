"""Refuses databases that could lose acknowledged money. Every process asks before it serves."""

from typing import Any

import psycopg
from psycopg.rows import TupleRow

from imprest_server.db.binaries import MIN_MAJOR
from imprest_server.db.errors import UnsafeDatabaseError

_SETTINGS_SQL = """
SELECT current_setting('fsync'),
       current_setting('full_page_writes'),
       current_setting('synchronous_commit'),
       current_setting('server_encoding'),
       current_setting('server_version_num')::int,
       current_setting('server_version')
"""


async def refuse_unsafe(connection: psycopg.AsyncConnection[TupleRow]) -> None:
    """Check the settings that durability rests on, as this connection's session sees them.

    `synchronous_commit` may be set per role and database, so ask with the role that will write. What lies below
    Postgres (a disk that lies about flushing) is out of sight here.

    Raises:
        UnsafeDatabaseError: naming every finding at once.
    """
    row = await (await connection.execute(_SETTINGS_SQL)).fetchone()
    assert row is not None
    # In a SQL_ASCII database psycopg cannot know what text means and returns bytes.
    values: list[Any] = [value.decode("ascii") if isinstance(value, bytes) else value for value in row]
    findings = unsafe_findings(*values)
    if findings:
        raise UnsafeDatabaseError(findings)


def unsafe_findings(
    fsync: str, full_page_writes: str, synchronous_commit: str, server_encoding: str, version_num: int, version: str
) -> list[str]:
    """Return a sentence for each setting that must change, from the values as Postgres shows them."""
    findings = []
    if fsync == "off":
        findings.append("fsync is off: a power cut loses or corrupts everything; set fsync = on and restart")
    if full_page_writes == "off":
        findings.append("full_page_writes is off: a power cut leaves torn pages; set full_page_writes = on and reload")
    if synchronous_commit == "off":
        findings.append(
            "synchronous_commit is off: a crash loses acknowledged operations; set it to on (or local, remote_write, "
            "remote_apply) in postgresql.conf and for this role and database"
        )
    if version_num < MIN_MAJOR * 10_000:
        findings.append(f"PostgreSQL {version} is too old; use {MIN_MAJOR} or newer")
    if server_encoding != "UTF8":
        findings.append(f"server_encoding is {server_encoding}; create the database with ENCODING 'UTF8'")
    return findings
