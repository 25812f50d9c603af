"""Lists, tags, forks, retries of whole executions, and deadlines for their start."""

from __future__ import annotations

import sqlalchemy as sa

from polos.store.columns import Blob, Key
from polos.store.migrations.additions import add_column, add_index, add_table

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


_LISTS: tuple[tuple[str, list[str], str | None], ...] = (
    ("polos_ix_created", ["project_id", "created_at", "id"], None),
    ("polos_ix_workflow", ["project_id", "workflow_id", "created_at", "id"], None),
    (
        "polos_ix_session",
        ["project_id", "session_id", "created_at", "id"],
        "session_id IS NOT NULL",
    ),
    ("polos_ix_user", ["project_id", "user_id", "created_at", "id"], "user_id IS NOT NULL"),
    (
        "polos_ix_status",
        ["project_id", "status", "created_at", "id"],
        "status IN ('cancelled', 'failed', 'waiting')",
    ),
    ("polos_ix_finished", ["project_id", "finished_at"], "finished_at IS NOT NULL"),
)


def upgrade() -> None:
    for column in (
        sa.Column("start_by", sa.BigInteger(), nullable=True),
        sa.Column("run_timeout", sa.BigInteger(), nullable=True),
        sa.Column("retried", sa.Integer(), server_default="0", nullable=False),
        sa.Column("retries_used", sa.Integer(), server_default="0", nullable=False),
        sa.Column("forked_from", Key, nullable=True),
    ):
        add_column("polos_executions", column)
    for table in ("polos_checkpoints", "polos_waits"):
        add_column(table, sa.Column("history", Blob, nullable=True))
    _indexes()
    _tags()


def _indexes() -> None:
    for name, columns, where in _LISTS:
        add_index(name, "polos_executions", columns, where)
    open_ = "deadline_at IS NOT NULL AND finished_at IS NULL"
    add_index("polos_ix_deadline", "polos_executions", ["finished_at", "deadline_at"], open_)
    add_index(
        "polos_ix_start_by",
        "polos_executions",
        ["started_at", "start_by"],
        "start_by IS NOT NULL AND started_at IS NULL",
    )


def _tags() -> None:
    add_table(
        "polos_tags",
        sa.Column("execution_id", Key, nullable=False),
        sa.Column("tag", Key, nullable=False),
        sa.Column("project_id", Key, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["execution_id"], ["polos_executions.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("execution_id", "tag"),
    )
    add_index("polos_ix_tag", "polos_tags", ["project_id", "tag", "created_at", "execution_id"])
