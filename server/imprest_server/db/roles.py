"""The role that the server works as. It belongs to the whole cluster, so it is not part of any migration.

Migrations grant `imprest_app` what the server needs and no more. A login is that role itself (the embedded
Postgres does so) or a member of it, and every connection of the server becomes it: so the login that owns the
tables has no more power than any other while it serves. Where the migrating login may not create roles, an
administrator does.
"""

import psycopg

from imprest_server.db.data_dir import APP_ROLE
from imprest_server.db.errors import AppRoleError

# Another database of the same cluster may be migrated at the same time, hence the exceptions.
_CREATE = f"""
DO $$ BEGIN
    CREATE ROLE {APP_ROLE} NOLOGIN;
    GRANT {APP_ROLE} TO CURRENT_USER;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$
"""


def app_role_exists(connection: psycopg.Connection) -> bool:
    """Tell whether the cluster has the role."""
    return connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [APP_ROLE]).fetchone() is not None


def ensure_app_role(connection: psycopg.Connection) -> None:
    """Create the role when it is missing, with the current user as a member, who can then serve as well.

    Raises:
        AppRoleError: it is missing and the current user may not create roles.
    """
    if app_role_exists(connection):
        return
    try:
        connection.execute(_CREATE)
    except psycopg.errors.InsufficientPrivilege as error:
        raise AppRoleError(
            f"the role {APP_ROLE} is missing and {connection.info.user} may not create it: as an administrator, run\n"
            f"  CREATE ROLE {APP_ROLE} NOLOGIN; GRANT {APP_ROLE} TO {connection.info.user};"
        ) from error


def become_app_role(connection: psycopg.Connection) -> None:
    """Give up every other privilege for the rest of the session.

    Raises:
        AppRoleError: this login is not a member of the role, or there is no such role.
    """
    try:
        connection.execute("SELECT set_config('role', %s, false)", [APP_ROLE])
    except psycopg.Error as error:
        raise cannot_become(connection, error) from error


def cannot_become(connection: psycopg.BaseConnection[object], error: psycopg.Error) -> Exception:
    """Return what to raise when `set_config('role', …)` failed: an AppRoleError, or `error` if it is another matter."""
    if isinstance(error, psycopg.errors.InvalidParameterValue):
        return AppRoleError(f"the role {APP_ROLE} is missing: run `imprest migrate`")
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return AppRoleError(
            f"{connection.info.user} may not become {APP_ROLE}, the role the server works as: as an administrator, "
            f"run\n  GRANT {APP_ROLE} TO {connection.info.user};"
        )
    return error
