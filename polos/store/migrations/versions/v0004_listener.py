"""Who is to be notified of an execution's end."""

from __future__ import annotations

import sqlalchemy as sa

from polos.store.columns import Key
from polos.store.migrations.additions import add_column

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_column("polos_executions", sa.Column("listener", Key, nullable=True))
