"""Runs the migrations on the connection that `imprest_server.db.migrations` hands in, in its transaction."""

from alembic import context

from imprest_server.db.tables import metadata

connection = context.config.attributes.get("connection")
if connection is None:
    raise SystemExit("migrations run with `imprest migrate`, which takes a lock and sets timeouts first")

context.configure(connection=connection, target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
