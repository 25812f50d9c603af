"""How soon a parent of many children is worth waking again."""

from __future__ import annotations

import sqlalchemy as sa

from polos.store.migrations.additions import add_column

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_column("polos_executions", sa.Column("wake_after", sa.BigInteger(), nullable=True))
