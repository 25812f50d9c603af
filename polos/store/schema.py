"""The tables. The migrations make them; a test holds the two against each other."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    false,
    text,
    true,
)

from polos.model.states import ENDED, Status
from polos.store.columns import MYSQL, Blob, Key, LongText, exact

SCHEMA = "0006"

metadata = MetaData()


def _one_of(statuses: frozenset[Status]) -> str:
    return ", ".join(f"'{status}'" for status in sorted(statuses))


LISTED = frozenset({Status.CANCELLED, Status.FAILED, Status.WAITING})
IS_LISTED = f"status IN ({_one_of(LISTED)})"
_ended = f"status IN ({_one_of(ENDED)})"
_all = _one_of(frozenset(Status))

executions = Table(
    "polos_executions",
    metadata,
    Column("id", Key, primary_key=True),
    Column("project_id", Key, nullable=False),
    Column("workflow_id", Key, nullable=False),
    Column("status", exact(16), nullable=False),
    Column("payload", Blob, nullable=False),
    Column("result", Blob),
    Column("failure", Blob),
    Column("queue", Key),
    Column("priority", Integer),
    Column("session_id", Key),
    Column("user_id", Key),
    Column("deployment_id", Key),
    Column("concurrency_key", Key),
    Column("idempotency_key", Key),
    Column("initial_state", Blob),
    Column("parent_execution_id", Key),
    Column("parent_step_key", Key),
    Column("parent_waits", Boolean, nullable=False, server_default=false()),
    Column("root_execution_id", Key),
    Column("root_workflow_id", Key),
    Column("deadline_at", BigInteger),
    Column("celery_options", Blob),
    Column("known_to_celery", Boolean, nullable=False, server_default=false()),
    Column("unannounced", Boolean, nullable=False, server_default=false()),
    Column("claims", Integer, nullable=False, server_default="0"),
    Column("recoveries", Integer, nullable=False, server_default="0"),
    Column("recovered_checkpoints", Integer, nullable=False, server_default="0"),
    Column("wakeups", Integer, nullable=False, server_default="0"),
    Column("cancel_requested_at", BigInteger),
    Column("cancel_descends", Boolean, nullable=False, server_default=false()),
    Column("created_at", BigInteger, nullable=False),
    Column("started_at", BigInteger),
    Column("finished_at", BigInteger),
    Column("wake_at", BigInteger),
    # Before this moment the end of one child of many is not worth a replay of all of them.
    Column("wake_after", BigInteger),
    Column("dispatch_at", BigInteger),
    Column("dispatches", Integer, nullable=False, server_default="0"),
    Column("lease_token", Key),
    Column("lease_owner", Key),
    Column("lease_worker", Key),
    Column("lease_expires_at", BigInteger),
    # Whether the death of the holder counts against the execution.
    Column("lease_accountable", Boolean, nullable=False, server_default=true()),
    # The steps that a suspect is in, as a JSON list.
    Column("lease_steps", LongText),
    # The PostgreSQL channel on which somebody waits for the end.
    Column("listener", Key),
    # Not begun by then, it never is.
    Column("start_by", BigInteger),
    # How long it may take; ``deadline_at`` is when that is over.
    Column("run_timeout", BigInteger),
    # How often the whole of it was tried again, and how often of that by itself.
    Column("retried", Integer, nullable=False, server_default="0"),
    Column("retries_used", Integer, nullable=False, server_default="0"),
    # The execution whose checkpoints it began with.
    Column("forked_from", Key),
    CheckConstraint(f"status IN ({_all})", name="polos_ck_status"),
    CheckConstraint(
        f"({_ended} AND finished_at IS NOT NULL) OR (NOT {_ended} AND finished_at IS NULL)",
        name="polos_ck_finished",
    ),
    CheckConstraint(
        "(status = 'running' AND lease_token IS NOT NULL AND lease_expires_at IS NOT NULL) OR "
        "(status <> 'running' AND lease_token IS NULL AND lease_expires_at IS NULL)",
        name="polos_ck_lease",
    ),
    CheckConstraint(
        "(status = 'completed' AND result IS NOT NULL) OR "
        "(status <> 'completed' AND result IS NULL)",
        name="polos_ck_result",
    ),
    CheckConstraint(
        "(status = 'failed' AND failure IS NOT NULL) OR (status <> 'failed' AND failure IS NULL)",
        name="polos_ck_failure",
    ),
)

Index(
    "polos_ix_dispatch",
    executions.c.dispatch_at,
    postgresql_where=executions.c.dispatch_at.is_not(None),
    sqlite_where=executions.c.dispatch_at.is_not(None),
)
# Else the sweep reads all that is queued to find what waits.
Index(
    "polos_ix_wake",
    executions.c.dispatch_at,
    postgresql_where=executions.c.wake_at.is_not(None),
    sqlite_where=executions.c.wake_at.is_not(None),
).ddl_if(callable_=lambda *_, dialect, **__: dialect.name not in MYSQL)
# MySQL has no index of a part of the rows; what makes them a part comes first in it then.
Index("polos_ix_waiting", executions.c.status, executions.c.dispatch_at).ddl_if(
    callable_=lambda *_, dialect, **__: dialect.name in MYSQL
)
Index(
    "polos_ix_lease",
    executions.c.lease_expires_at,
    postgresql_where=executions.c.lease_expires_at.is_not(None),
    sqlite_where=executions.c.lease_expires_at.is_not(None),
)
Index(
    "polos_ix_parent",
    executions.c.parent_execution_id,
    postgresql_where=executions.c.parent_execution_id.is_not(None),
    sqlite_where=executions.c.parent_execution_id.is_not(None),
)
Index(
    "polos_ix_descends",
    executions.c.cancel_descends,
    postgresql_where=executions.c.cancel_descends,
    sqlite_where=executions.c.cancel_descends,
)
Index(
    "polos_ux_idempotency",
    executions.c.project_id,
    executions.c.workflow_id,
    executions.c.idempotency_key,
    unique=True,
    postgresql_where=executions.c.idempotency_key.is_not(None),
    sqlite_where=executions.c.idempotency_key.is_not(None),
)

# For lists, newest first, page by page.
Index("polos_ix_created", executions.c.project_id, executions.c.created_at, executions.c.id)
Index(
    "polos_ix_workflow",
    executions.c.project_id,
    executions.c.workflow_id,
    executions.c.created_at,
    executions.c.id,
)
Index(
    "polos_ix_session",
    executions.c.project_id,
    executions.c.session_id,
    executions.c.created_at,
    executions.c.id,
    postgresql_where=executions.c.session_id.is_not(None),
    sqlite_where=executions.c.session_id.is_not(None),
)
Index(
    "polos_ix_user",
    executions.c.project_id,
    executions.c.user_id,
    executions.c.created_at,
    executions.c.id,
    postgresql_where=executions.c.user_id.is_not(None),
    sqlite_where=executions.c.user_id.is_not(None),
)
# For lists by status. Not those through which every execution goes: they would pay for it.
Index(
    "polos_ix_status",
    executions.c.project_id,
    executions.c.status,
    executions.c.created_at,
    executions.c.id,
    postgresql_where=text(IS_LISTED),
    sqlite_where=text(IS_LISTED),
)
Index(
    "polos_ix_finished",
    executions.c.project_id,
    executions.c.finished_at,
    postgresql_where=executions.c.finished_at.is_not(None),
    sqlite_where=executions.c.finished_at.is_not(None),
)
_has_deadline = executions.c.deadline_at.is_not(None) & executions.c.finished_at.is_(None)
Index(
    "polos_ix_deadline",
    executions.c.finished_at,
    executions.c.deadline_at,
    postgresql_where=_has_deadline,
    sqlite_where=_has_deadline,
)
_must_start = executions.c.start_by.is_not(None) & executions.c.started_at.is_(None)
Index(
    "polos_ix_start_by",
    executions.c.started_at,
    executions.c.start_by,
    postgresql_where=_must_start,
    sqlite_where=_must_start,
)

tags = Table(
    "polos_tags",
    metadata,
    Column(
        "execution_id", Key, ForeignKey("polos_executions.id", ondelete="CASCADE"), primary_key=True
    ),
    Column("tag", Key, primary_key=True),
    Column("project_id", Key, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)
Index("polos_ix_tag", tags.c.project_id, tags.c.tag, tags.c.created_at, tags.c.execution_id)

checkpoints = Table(
    "polos_checkpoints",
    metadata,
    Column(
        "execution_id", Key, ForeignKey("polos_executions.id", ondelete="CASCADE"), primary_key=True
    ),
    Column("step_key", Key, primary_key=True),
    Column("kind", exact(32), nullable=False),
    Column("turn", Integer, nullable=False),
    Column("position", Integer, nullable=False),
    Column("value", Blob),
    Column("failure", Blob),
    Column("attempts", Integer, nullable=False),
    Column("started_at", BigInteger),
    Column("created_at", BigInteger, nullable=False),
    # The attempts that failed before the last one.
    Column("history", Blob),
    # What it was given, for people; cut where it is long.
    Column("input", Blob),
    CheckConstraint("(value IS NULL) <> (failure IS NULL)", name="polos_ck_checkpoint"),
)

waits = Table(
    "polos_waits",
    metadata,
    Column(
        "execution_id", Key, ForeignKey("polos_executions.id", ondelete="CASCADE"), primary_key=True
    ),
    Column("step_key", Key, primary_key=True),
    Column("kind", exact(32), nullable=False),
    Column("due_at", BigInteger),
    Column("target_id", Key),
    Column("attempts", Integer, nullable=False),
    Column("failure", Blob),
    Column("started_at", BigInteger),
    Column("history", Blob),
    Column("input", Blob),
    CheckConstraint("due_at IS NOT NULL OR target_id IS NOT NULL", name="polos_ck_wait"),
)

workers = Table(
    "polos_workers",
    metadata,
    Column("project_id", Key, primary_key=True),
    Column("name", Key, primary_key=True),
    Column("owner", Key, nullable=False),
    Column("slots", Integer, nullable=False),
    Column("idle", Integer, nullable=False),
    Column("queues", LongText, nullable=False),
    Column("workflows", LongText, nullable=False),
    Column("broker", Key, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
    # What it has counted since it began, as JSON.
    Column("counts", LongText),
)

workflows = Table(
    "polos_workflows",
    metadata,
    Column("project_id", Key, primary_key=True),
    Column("id", Key, primary_key=True),
    Column("seen_at", BigInteger, nullable=False),
)

leaders = Table(
    "polos_leaders",
    metadata,
    Column("project_id", Key, primary_key=True),
    Column("duty", Key, primary_key=True),
    Column("holder", Key, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
)

api_keys = Table(
    "polos_api_keys",
    metadata,
    Column("id", Key, primary_key=True),
    Column("project_id", Key, nullable=False),
    Column("name", Key, nullable=False),
    # SHA-256 of the key, which is nowhere else.
    Column("digest", exact(64), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("used_at", BigInteger),
    Column("revoked_at", BigInteger),
)
Index("polos_ix_api_keys", api_keys.c.project_id, api_keys.c.created_at)
