"""Lists of executions, newest first, each page found by where the one before it ended."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Table, and_, bindparam, literal_column, or_, select

from polos.model.listing import ExecutionPage, ExecutionQuery, ExecutionSummary, Place
from polos.model.records import Micros, as_datetime
from polos.model.states import Status
from polos.store import tags
from polos.store.columns import MYSQL
from polos.store.database import Database
from polos.store.executions import one_of
from polos.store.schema import IS_LISTED, LISTED
from polos.store.schema import executions as table
from polos.store.schema import tags as tags_table
from polos.store.unindexed import of_project

# Not the payloads and results, which may be large.
SHOWN = (
    table.c.id,
    table.c.workflow_id,
    table.c.status,
    table.c.created_at,
    table.c.started_at,
    table.c.finished_at,
    table.c.wake_at,
    table.c.cancel_requested_at,
    table.c.session_id,
    table.c.user_id,
    table.c.deployment_id,
    table.c.queue,
    table.c.parent_execution_id,
    table.c.root_execution_id,
    table.c.forked_from,
    table.c.claims,
    table.c.retried,
)
_project: Any = bindparam("project")
_EQUAL = ("workflow_id", "session_id", "user_id", "parent_execution_id")


def list_executions(database: Database, project_id: str, query: ExecutionQuery) -> ExecutionPage:
    """One page of what is asked for."""
    rows = database.run(_statement(query), {"project": project_id})
    shown = rows[: query.limit]
    labels = tags.find(database, [row.id for row in shown])
    items = tuple(summary_of(row, labels.get(row.id, ())) for row in shown)
    if len(rows) <= query.limit or not shown:
        return ExecutionPage(items)
    return ExecutionPage(items, Place(shown[-1].created_at, shown[-1].id).to_cursor())


def _statement(query: ExecutionQuery) -> Any:
    created_at, id_ = table.c.created_at, table.c.id
    source: Any = select(*SHOWN)
    if query.tag is not None:
        created_at, id_ = tags_table.c.created_at, tags_table.c.execution_id
        source = source.join_from(tags_table, table, tags_table.c.execution_id == table.c.id)
        source = source.where(
            tags_table.c.project_id == _project, tags_table.c.tag == query.tag, of_project()
        )
    elif query.parent_execution_id is not None or query.statuses == (Status.RUNNING,):
        source = source.where(of_project())
    else:
        source = source.where(table.c.project_id == _project)
    listed = (
        source.where(*_conditions(query, created_at, id_))
        .order_by(created_at.desc(), id_.desc())
        .limit(query.limit + 1)
    )
    of, index = _index(query)
    for dialect in sorted(MYSQL) if index else ():
        # It finds the index by itself, but then reads it from its end instead of from the place.
        listed = listed.with_hint(of, f"FORCE INDEX ({index})", dialect)
    return listed


def _index(query: ExecutionQuery) -> tuple[Table, str]:
    """The index that has what is asked for in its order, and its table; no name for none."""
    if query.tag is not None:
        return tags_table, "polos_ix_tag"
    if query.parent_execution_id is not None or query.statuses == (Status.RUNNING,):
        return table, ""
    for name in ("session", "user"):
        if getattr(query, f"{name}_id") is not None:
            return table, f"polos_ix_{name}"
    if len(query.statuses) == 1 and LISTED.issuperset(query.statuses):
        return table, "polos_ix_status"
    return table, "polos_ix_created" if query.workflow_id is None else "polos_ix_workflow"


def _conditions(
    query: ExecutionQuery, created_at: ColumnElement[Any], id_: ColumnElement[Any]
) -> list[ColumnElement[bool]]:
    given = {name: getattr(query, name) for name in _EQUAL}
    found = [table.c[name] == value for name, value in given.items() if value is not None]
    if query.statuses:
        found += _stands(query.statuses)
    if query.created_after is not None:
        found.append(created_at >= query.created_after)
    if query.created_before is not None:
        found.append(created_at < query.created_before)
    if query.after is not None:
        moment, last = query.after.created_at, query.after.id
        # Not a comparison of rows: MySQL finds no index for those.
        found.append(and_(created_at <= moment, or_(created_at < moment, id_ < last)))
    return found


def _stands(statuses: tuple[Status, ...]) -> list[ColumnElement[bool]]:
    """Conditions on the status, in the words of the indexes that are for it."""
    found: list[ColumnElement[bool]] = [one_of(statuses)]
    if LISTED.issuperset(statuses):
        found.append(literal_column(f"{table.name}.{IS_LISTED}"))
    if statuses == (Status.QUEUED,):
        found.append(table.c.dispatch_at.is_not(None))
    if statuses == (Status.RUNNING,):
        found.append(table.c.lease_expires_at.is_not(None))
    return found


def summary_of(row: Any, labels: tuple[str, ...]) -> ExecutionSummary:
    """An execution in a list, of a row with the columns ``SHOWN``."""
    return ExecutionSummary(
        id=row.id,
        workflow_id=row.workflow_id,
        status=Status(row.status),
        created_at=as_datetime(row.created_at),
        started_at=_moment(row.started_at),
        finished_at=_moment(row.finished_at),
        wake_at=_moment(row.wake_at),
        cancel_requested_at=_moment(row.cancel_requested_at),
        session_id=row.session_id,
        user_id=row.user_id,
        deployment_id=row.deployment_id,
        queue=row.queue,
        parent_execution_id=row.parent_execution_id,
        root_execution_id=row.root_execution_id,
        forked_from=row.forked_from,
        attempts=row.claims,
        retried=row.retried,
        tags=labels,
    )


def _moment(moment: Micros | None) -> Any:
    return None if moment is None else as_datetime(moment)
