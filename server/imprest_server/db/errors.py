"""Errors of starting up: what an operator must put right before Imprest can serve."""


class StartupError(Exception):
    """Imprest cannot start; the message says what to change. Commands print it without a traceback."""


class UnsafeDatabaseError(StartupError):
    """The database is set up so that it may lose or garble money.

    Attributes:
        findings: one sentence per unsafe setting, with what to change.
    """

    def __init__(self, findings: list[str]) -> None:
        self.findings = findings
        super().__init__("this database must not hold money:\n" + "\n".join(f"  - {f}" for f in findings))


class EmbeddedPostgresError(StartupError):
    """The embedded Postgres cannot be started."""


class NoPostgresError(EmbeddedPostgresError):
    """There are no Postgres programs to run."""


class WrongPostgresVersionError(EmbeddedPostgresError):
    """The data was written by another major version of Postgres than the programs at hand."""


class DataDirError(EmbeddedPostgresError):
    """The data directory cannot be used by this user."""


class DataDirInUseError(EmbeddedPostgresError):
    """Another Imprest process holds the data directory.

    Attributes:
        pid: the process that holds it, or None when it has not said so yet.
    """

    def __init__(self, data_dir: object, pid: int | None) -> None:
        self.pid = pid
        who = f"another imprest (pid {pid})" if pid else "another imprest"
        super().__init__(f"{data_dir} is in use by {who}: stop it, or choose another directory with --data-dir")


class DatabaseUnreachableError(StartupError):
    """Nobody answers where the database should be, or lets us in."""


class AppRoleError(StartupError):
    """The role that the server works as is missing, or this login may not become it."""


class SchemaError(StartupError):
    """The tables are not those that this version of Imprest works with.

    Attributes:
        found: the revision that the database is at, or None when it has no tables of ours.
    """

    def __init__(self, message: str, found: str | None) -> None:
        self.found = found
        super().__init__(message)


class MigrationsPendingError(SchemaError):
    """The tables are older than this version of Imprest: migrations must run first."""


class SchemaTooNewError(SchemaError):
    """The tables were migrated by a later version of Imprest."""


class MigrationFailedError(StartupError):
    """A migration could not run to its end; the database is as it was before."""
