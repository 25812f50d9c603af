"""A project as a whole: its workers, how many executions are in which state, what is due."""

from __future__ import annotations

from sqlalchemy import and_, bindparam, func, or_, select

from polos.model.facts import DueWork, Overview, SeenWorker
from polos.model.records import SECOND, Micros
from polos.model.states import Status
from polos.store.clock import now_micros
from polos.store.database import Database
from polos.store.schema import executions as table
from polos.store.schema import workers
from polos.store.unindexed import of_project
from polos.store.workers import known_workflows, report_of

# What has been silent for longer is no worker of now: names of containers never come back.
_FORGOTTEN = 86_400 * SECOND

_counts = (
    select(table.c.status, func.count().label("number"))
    .where(table.c.project_id == bindparam("project"))
    .group_by(table.c.status)
)
# As the sweep finds them: by the index on what is to be sent.
_is_due = or_(
    table.c.status == Status.QUEUED.value,
    and_(table.c.status == Status.WAITING.value, table.c.wake_at <= now_micros()),
)
_due = (
    select(
        table.c.workflow_id,
        table.c.queue,
        func.count().label("number"),
        func.min(table.c.created_at).label("oldest"),
    )
    .where(of_project(), table.c.dispatch_at.is_not(None), _is_due)
    .group_by(table.c.workflow_id, table.c.queue)
    .order_by(table.c.workflow_id, table.c.queue)
)
_seen = (
    select(workers, (now_micros() - workers.c.seen_at).label("silent"))
    .where(
        workers.c.project_id == bindparam("project"),
        workers.c.seen_at > now_micros() - _FORGOTTEN,
    )
    .order_by(workers.c.name)
)
_projects = (
    select(workers.c.project_id)
    .where(workers.c.seen_at > now_micros() - 60 * SECOND)
    .distinct()
    .order_by(workers.c.project_id)
)


def overview(database: Database, project_id: str, *, counted: bool = True) -> Overview:
    """How a project stands.

    Args:
        database: where it is.
        project_id: the project.
        counted: whether to count its executions, for which all of them are read.
    """
    named = {"project": project_id}
    counts = {row.status: row.number for row in database.run(_counts, named)} if counted else {}
    return Overview(
        now=Micros(database.run(select(now_micros()))[0][0]),
        workers=seen_workers(database, project_id),
        counts={status.value: counts.get(status.value, 0) for status in Status if counted},
        due=due_work(database, project_id),
        workflows=known_workflows(database, project_id),
    )


def due_work(database: Database, project_id: str) -> tuple[DueWork, ...]:
    """What could run now and nobody has claimed."""
    return tuple(
        DueWork(row.workflow_id, row.queue, row.number, Micros(row.oldest))
        for row in database.run(_due, {"project": project_id})
    )


def seen_workers(database: Database, project_id: str) -> tuple[SeenWorker, ...]:
    """Workers that have not signed off, also those that fell silent within the last day."""
    found = []
    for row in database.run(_seen, {"project": project_id}):
        report = report_of(row)
        if report is not None:
            found.append(SeenWorker(report, row.silent / SECOND))
    return tuple(found)


def projects_at_work(database: Database) -> tuple[str, ...]:
    """The projects of the workers that reported within the last minute."""
    return tuple(row.project_id for row in database.run(_projects))
