"""Who is to be notified of an execution's end."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_BINARY = mysql.VARCHAR(255, charset="utf8mb4", collation="utf8mb4_bin")
KEY = sa.String(255).with_variant(_BINARY, "mysql", "mariadb")


def upgrade() -> None:
    op.add_column("polos_executions", sa.Column("listener", KEY, nullable=True))
