"""Which projects, and which workflows of one, there are: one step through an index for each."""

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam, func, select

from polos.store.database import Database
from polos.store.schema import executions as table
from polos.store.workers import known_workflows

MOST = 200
_next_project = select(func.min(table.c.project_id).label("found")).where(
    table.c.project_id > bindparam("last")
)
_next_workflow = select(func.min(table.c.workflow_id).label("found")).where(
    table.c.project_id == bindparam("project"), table.c.workflow_id > bindparam("last")
)


def projects(database: Database) -> tuple[str, ...]:
    """The projects that have executions, sorted; the first ``MOST``."""
    return tuple(_steps(database, _next_project, {}))


def workflows(database: Database, project_id: str) -> tuple[str, ...]:
    """The workflows that have executions or a worker, sorted; the first ``MOST``."""
    started = _steps(database, _next_workflow, {"project": project_id})
    return tuple(sorted({*started, *known_workflows(database, project_id)})[:MOST])


def _steps(database: Database, statement: Any, named: dict[str, str]) -> list[str]:
    """Not DISTINCT: that reads all of the index."""
    found: list[str] = []
    while len(found) < MOST:
        last = database.run(statement, named | {"last": found[-1] if found else ""})[0].found
        if last is None:
            break
        found.append(last)
    return found
