"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa

from polos.store.columns import Blob, Key, LongText, exact
from polos.store.migrations.additions import add_index, add_table

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _executions()
    _executions_indexes()
    _leaders()
    _workers()
    _workflows()
    _checkpoints()
    _waits()


def _executions() -> None:
    add_table(
        "polos_executions",
        sa.Column("id", Key, nullable=False),
        sa.Column("project_id", Key, nullable=False),
        sa.Column("workflow_id", Key, nullable=False),
        sa.Column("status", exact(16), nullable=False),
        sa.Column("payload", Blob, nullable=False),
        sa.Column("result", Blob, nullable=True),
        sa.Column("failure", Blob, nullable=True),
        sa.Column("queue", Key, nullable=True),
        sa.Column("priority", sa.Integer(), nullable=True),
        sa.Column("session_id", Key, nullable=True),
        sa.Column("user_id", Key, nullable=True),
        sa.Column("deployment_id", Key, nullable=True),
        sa.Column("concurrency_key", Key, nullable=True),
        sa.Column("idempotency_key", Key, nullable=True),
        sa.Column("initial_state", Blob, nullable=True),
        sa.Column("parent_execution_id", Key, nullable=True),
        sa.Column("parent_step_key", Key, nullable=True),
        sa.Column("parent_waits", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("root_execution_id", Key, nullable=True),
        sa.Column("root_workflow_id", Key, nullable=True),
        sa.Column("deadline_at", sa.BigInteger(), nullable=True),
        sa.Column("celery_options", Blob, nullable=True),
        sa.Column("known_to_celery", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("unannounced", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("claims", sa.Integer(), server_default="0", nullable=False),
        sa.Column("recoveries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("recovered_checkpoints", sa.Integer(), server_default="0", nullable=False),
        sa.Column("wakeups", sa.Integer(), server_default="0", nullable=False),
        sa.Column("cancel_requested_at", sa.BigInteger(), nullable=True),
        sa.Column("cancel_descends", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=True),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.Column("wake_at", sa.BigInteger(), nullable=True),
        sa.Column("dispatch_at", sa.BigInteger(), nullable=True),
        sa.Column("dispatches", sa.Integer(), server_default="0", nullable=False),
        sa.Column("lease_token", Key, nullable=True),
        sa.Column("lease_owner", Key, nullable=True),
        sa.Column("lease_worker", Key, nullable=True),
        sa.Column("lease_expires_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "(status = 'completed' AND result IS NOT NULL) OR (status <> 'completed' AND result IS NULL)",
            name="polos_ck_result",
        ),
        sa.CheckConstraint(
            "(status = 'failed' AND failure IS NOT NULL) OR (status <> 'failed' AND failure IS NULL)",
            name="polos_ck_failure",
        ),
        sa.CheckConstraint(
            "(status = 'running' AND lease_token IS NOT NULL AND lease_expires_at IS NOT NULL) OR (status <> 'running' AND lease_token IS NULL AND lease_expires_at IS NULL)",
            name="polos_ck_lease",
        ),
        sa.CheckConstraint(
            "(status IN ('cancelled', 'completed', 'failed') AND finished_at IS NOT NULL) OR (NOT status IN ('cancelled', 'completed', 'failed') AND finished_at IS NULL)",
            name="polos_ck_finished",
        ),
        sa.CheckConstraint(
            "status IN ('cancelled', 'completed', 'failed', 'queued', 'running', 'waiting')",
            name="polos_ck_status",
        ),
        sa.PrimaryKeyConstraint("id"),
    )


def _executions_indexes() -> None:
    add_index("polos_ix_descends", "polos_executions", ["cancel_descends"], "cancel_descends")
    add_index("polos_ix_dispatch", "polos_executions", ["dispatch_at"], "dispatch_at IS NOT NULL")
    add_index(
        "polos_ix_lease", "polos_executions", ["lease_expires_at"], "lease_expires_at IS NOT NULL"
    )
    add_index(
        "polos_ix_parent",
        "polos_executions",
        ["parent_execution_id"],
        "parent_execution_id IS NOT NULL",
    )
    add_index(
        "polos_ux_idempotency",
        "polos_executions",
        ["project_id", "workflow_id", "idempotency_key"],
        "idempotency_key IS NOT NULL",
        unique=True,
    )


def _leaders() -> None:
    add_table(
        "polos_leaders",
        sa.Column("project_id", Key, nullable=False),
        sa.Column("duty", Key, nullable=False),
        sa.Column("holder", Key, nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", "duty"),
    )


def _workers() -> None:
    add_table(
        "polos_workers",
        sa.Column("project_id", Key, nullable=False),
        sa.Column("name", Key, nullable=False),
        sa.Column("owner", Key, nullable=False),
        sa.Column("slots", sa.Integer(), nullable=False),
        sa.Column("idle", sa.Integer(), nullable=False),
        sa.Column("queues", LongText, nullable=False),
        sa.Column("workflows", LongText, nullable=False),
        sa.Column("broker", Key, nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", "name"),
    )


def _workflows() -> None:
    add_table(
        "polos_workflows",
        sa.Column("project_id", Key, nullable=False),
        sa.Column("id", Key, nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", "id"),
    )


def _checkpoints() -> None:
    add_table(
        "polos_checkpoints",
        sa.Column("execution_id", Key, nullable=False),
        sa.Column("step_key", Key, nullable=False),
        sa.Column("kind", exact(32), nullable=False),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("value", Blob, nullable=True),
        sa.Column("failure", Blob, nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("(value IS NULL) <> (failure IS NULL)", name="polos_ck_checkpoint"),
        sa.ForeignKeyConstraint(["execution_id"], ["polos_executions.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("execution_id", "step_key"),
    )


def _waits() -> None:
    add_table(
        "polos_waits",
        sa.Column("execution_id", Key, nullable=False),
        sa.Column("step_key", Key, nullable=False),
        sa.Column("kind", exact(32), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("target_id", Key, nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("failure", Blob, nullable=True),
        sa.Column("started_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("due_at IS NOT NULL OR target_id IS NOT NULL", name="polos_ck_wait"),
        sa.ForeignKeyConstraint(["execution_id"], ["polos_executions.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("execution_id", "step_key"),
    )
