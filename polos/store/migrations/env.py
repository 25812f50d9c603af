"""Alembic runs this; the connection comes from ``polos.store.migrate``."""

from __future__ import annotations

from alembic import context

from polos.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table="polos_schema",
)
# The caller has begun the transaction, and holds the lock that keeps others out.
context.run_migrations()
