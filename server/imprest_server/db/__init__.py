"""Everything that knows about Postgres itself: pool, tables, roles, migrations and the embedded server.

Owns the connection to the database and the shape of its tables. Does not own the statements of the
features: those live in each feature's `store`.
"""
