"""Keys of the HTTP API, what steps were given, and what workers count."""

from __future__ import annotations

import sqlalchemy as sa

from polos.store.columns import Blob, Key, LongText, exact
from polos.store.migrations.additions import add_column, add_index, add_table

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("polos_checkpoints", "polos_waits"):
        add_column(table, sa.Column("input", Blob, nullable=True))
    add_column("polos_workers", sa.Column("counts", LongText, nullable=True))
    add_table(
        "polos_api_keys",
        sa.Column("id", Key, nullable=False),
        sa.Column("project_id", Key, nullable=False),
        sa.Column("name", Key, nullable=False),
        sa.Column("digest", exact(64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    add_index("polos_ix_api_keys", "polos_api_keys", ["project_id", "created_at"])
