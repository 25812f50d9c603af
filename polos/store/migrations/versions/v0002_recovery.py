"""Whom a process's death is held against, what it was doing, and an index of what waits."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "polos_executions",
        sa.Column("lease_accountable", sa.Boolean(), server_default=sa.true(), nullable=False),
    )
    op.add_column("polos_executions", sa.Column("lease_steps", sa.Text(), nullable=True))
    op.create_index(
        "polos_ix_wake",
        "polos_executions",
        ["dispatch_at"],
        postgresql_where=sa.text("wake_at IS NOT NULL"),
        sqlite_where=sa.text("wake_at IS NOT NULL"),
    )
