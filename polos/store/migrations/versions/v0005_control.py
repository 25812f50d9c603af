"""Lists, tags, forks, retries of whole executions, and deadlines for their start."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_BINARY = mysql.VARCHAR(255, charset="utf8mb4", collation="utf8mb4_bin")
KEY = sa.String(255).with_variant(_BINARY, "mysql", "mariadb")
BLOB = sa.LargeBinary().with_variant(mysql.LONGBLOB(), "mysql", "mariadb")


def upgrade() -> None:
    for column in (
        sa.Column("start_by", sa.BigInteger(), nullable=True),
        sa.Column("run_timeout", sa.BigInteger(), nullable=True),
        sa.Column("retried", sa.Integer(), server_default="0", nullable=False),
        sa.Column("retries_used", sa.Integer(), server_default="0", nullable=False),
        sa.Column("forked_from", KEY, nullable=True),
    ):
        op.add_column("polos_executions", column)
    for table in ("polos_checkpoints", "polos_waits"):
        op.add_column(table, sa.Column("history", BLOB, nullable=True))
    _indexes()
    _tags()


def _indexes() -> None:
    _index("polos_ix_created", ["project_id", "created_at", "id"])
    _index("polos_ix_workflow", ["project_id", "workflow_id", "created_at", "id"])
    _index(
        "polos_ix_session",
        ["project_id", "session_id", "created_at", "id"],
        "session_id IS NOT NULL",
    )
    _index("polos_ix_user", ["project_id", "user_id", "created_at", "id"], "user_id IS NOT NULL")
    listed = "status IN ('cancelled', 'failed', 'waiting')"
    _index("polos_ix_status", ["project_id", "status", "created_at", "id"], listed)
    _index("polos_ix_finished", ["project_id", "finished_at"], "finished_at IS NOT NULL")
    open_ = "deadline_at IS NOT NULL AND finished_at IS NULL"
    _index("polos_ix_deadline", ["deadline_at"], open_)
    _index("polos_ix_start_by", ["start_by"], "start_by IS NOT NULL AND started_at IS NULL")


def _index(name: str, columns: list[str], where: str | None = None) -> None:
    options: dict[str, Any] = {}
    if where is not None:
        options = {"postgresql_where": sa.text(where), "sqlite_where": sa.text(where)}
    op.create_index(name, "polos_executions", columns, **options)


def _tags() -> None:
    op.create_table(
        "polos_tags",
        sa.Column("execution_id", KEY, nullable=False),
        sa.Column("tag", KEY, nullable=False),
        sa.Column("project_id", KEY, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["execution_id"], ["polos_executions.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("execution_id", "tag"),
    )
    op.create_index(
        "polos_ix_tag", "polos_tags", ["project_id", "tag", "created_at", "execution_id"]
    )
