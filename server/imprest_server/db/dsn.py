"""What may be said about a database address: never its password."""

from __future__ import annotations

import psycopg
from psycopg.conninfo import conninfo_to_dict

from imprest_server.db.errors import StartupError


class BadDatabaseUrlError(StartupError):
    """The database's address cannot be read."""


def describe(dsn: str) -> str:
    """Name a database for people: "imprest on db.example:5432".

    Raises:
        BadDatabaseUrlError: this is no libpq URI or key-value string. The message does not repeat it.
    """
    try:
        given = conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:
        raise BadDatabaseUrlError(
            "the database URL cannot be read: give it as postgresql://user:password@host:5432/name, with special "
            "characters percent-encoded"
        ) from None
    if "@" in str(given.get("host", "")):  # a part of the password, which had to be encoded
        raise BadDatabaseUrlError("special characters in the database URL's password must be percent-encoded")
    name = given.get("dbname") or given.get("user") or "the default database"
    host = given.get("host") or given.get("hostaddr") or "the local socket"
    port = given.get("port")
    return f"{name} on {host}:{port}" if port else f"{name} on {host}"
