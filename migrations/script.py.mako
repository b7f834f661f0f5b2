"""${message}.

Expand before contract: the servers of the release before this one must still work with what this leaves behind.
"""

from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    """TODO: say what changes and why. New tables: row-level security, a policy, and grants to imprest_app."""
    ${upgrades if upgrades else "raise NotImplementedError"}
