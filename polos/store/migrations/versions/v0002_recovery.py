"""Whom a process's death is held against, what it was doing, and an index of what waits."""

from __future__ import annotations

import sqlalchemy as sa

from polos.store.columns import LongText
from polos.store.migrations.additions import add_column, add_index, is_mysql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_column(
        "polos_executions",
        sa.Column("lease_accountable", sa.Boolean(), server_default=sa.true(), nullable=False),
    )
    add_column("polos_executions", sa.Column("lease_steps", LongText, nullable=True))
    if is_mysql():
        add_index("polos_ix_waiting", "polos_executions", ["status", "dispatch_at"])
    else:
        add_index("polos_ix_wake", "polos_executions", ["dispatch_at"], "wake_at IS NOT NULL")
