"""A day of each workflow in figures, of what is looked at at most: the newest ``MOST``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from sqlalchemy import and_, bindparam, case, func, or_, select

from polos.model.facts import SeenWorker
from polos.model.finding import Count
from polos.model.records import SECOND, Micros
from polos.model.states import Status
from polos.model.statistics import Day, Due, FlowDay, Lasted
from polos.store.clock import now_micros
from polos.store.columns import MYSQL
from polos.store.database import Database
from polos.store.overview import seen_workers
from polos.store.projects import workflows
from polos.store.schema import executions as table
from polos.store.sources import DISPATCHED

MOST = 100_000
_MOST_DUE = 10_000
_HOURS = 24
_HOUR = 3600 * SECOND
_project: Any = bindparam("project")
_since: Any = bindparam("since")
_most: Any = bindparam("most")


def day(database: Database, project_id: str, most: int = MOST) -> Day:
    """The last 24 hours of a project.

    Args:
        database: where it is.
        project_id: the project.
        most: how many of what was created, and of what ended, are looked at.
    """
    now = Micros(database.run(select(now_micros()))[0][0])
    since = Micros(now - _HOURS * _HOUR)
    named = {"project": project_id, "since": since, "most": most, "last": most - 1}
    figures = _Figures(workflows(database, project_id))
    for row in database.run(_created, named):
        figures.created(row)
    for row in database.run(_ended, named):
        figures.ended(row)
    for row in database.run(_lasted, named):
        figures.lasted(row)
    dues = database.run(_due, {"project": project_id})
    for row in dues:
        figures.due(row)
    figures.workers(seen_workers(database, project_id))
    return Day(
        now,
        figures.flows(),
        _first(database, _created_from, named) or since,
        _first(database, _ended_from, named) or since,
        bool(dues) and dues[0].looked > _MOST_DUE,
    )


def _newest(index: str, moment: Any, *shown: Any) -> Any:
    window: Any = (
        select(moment.label("moment"), *shown)
        .where(table.c.project_id == _project, moment >= _since)
        .order_by(moment.desc())
        .limit(_most)
    )
    for dialect in sorted(MYSQL):
        window = window.with_hint(table, f"FORCE INDEX ({index})", dialect)
    return window


def _hourly(window: Any, *grouped: Any) -> Any:
    # Whole numbers on each database: MySQL's / has a fraction.
    hour = func.floor((window.c.moment - _since) / float(_HOUR)).label("hour")
    return select(hour, *grouped, func.count().label("number")).group_by(hour, *grouped)


_created_window = _newest("polos_ix_created", table.c.created_at, table.c.workflow_id).subquery()
_created = _hourly(_created_window, _created_window.c.workflow_id)
_ended_window = _newest(
    "polos_ix_finished", table.c.finished_at, table.c.workflow_id, table.c.status
).subquery()
_ended = _hourly(_ended_window, _ended_window.c.workflow_id, _ended_window.c.status)
# Where the window is full, its last one.
_created_from = _newest("polos_ix_created", table.c.created_at).offset(bindparam("last")).limit(1)
_ended_from = _newest("polos_ix_finished", table.c.finished_at).offset(bindparam("last")).limit(1)

_took_window = _newest(
    "polos_ix_finished",
    table.c.finished_at,
    table.c.workflow_id,
    table.c.status,
    (table.c.finished_at - table.c.started_at).label("took"),
).subquery()
_ranked = (
    select(
        _took_window.c.workflow_id,
        _took_window.c.took,
        func.row_number()
        .over(partition_by=_took_window.c.workflow_id, order_by=_took_window.c.took)
        .label("place"),
        func.count().over(partition_by=_took_window.c.workflow_id).label("number"),
    )
    .where(_took_window.c.status == Status.COMPLETED.value, _took_window.c.took.is_not(None))
    .subquery()
)


def _at(part: int) -> Any:
    """The nearest rank: whole numbers, whatever a database makes of a division."""
    reached = _ranked.c.place * 100 >= _ranked.c.number * part
    return func.min(case((reached, _ranked.c.took)))


_lasted = select(_ranked.c.workflow_id, _at(50).label("p50"), _at(95).label("p95")).group_by(
    _ranked.c.workflow_id
)

_due_window = (
    select(
        table.c.project_id,
        table.c.workflow_id,
        table.c.status,
        table.c.wake_at,
        table.c.dispatch_at,
        table.c.created_at,
    )
    .where(*DISPATCHED)
    .order_by(table.c.dispatch_at)
    .limit(_MOST_DUE + 1)
    .subquery()
)
_due_now = or_(
    _due_window.c.status == Status.QUEUED.value,
    and_(_due_window.c.status == Status.WAITING.value, _due_window.c.wake_at <= now_micros()),
)
_looked = select(func.count()).select_from(_due_window).scalar_subquery()
_due = (
    select(
        _due_window.c.workflow_id,
        func.count().label("number"),
        func.min(func.coalesce(_due_window.c.wake_at, _due_window.c.created_at)).label("oldest"),
        _looked.label("looked"),
    )
    .where(_due_window.c.project_id == _project, _due_now)
    .group_by(_due_window.c.workflow_id)
)


def _first(database: Database, statement: Any, named: dict[str, Any]) -> Micros | None:
    rows = database.run(statement, named)
    return Micros(rows[0].moment) if rows else None


class _Figures:
    """Gathers them."""

    def __init__(self, known: Iterable[str]) -> None:
        self._found: dict[str, dict[str, Any]] = defaultdict(dict, {id_: {} for id_ in known})
        self._hours: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0] * _HOURS)

    def created(self, row: Any) -> None:
        """So many, in one hour."""
        self._add(row, "started")
        self._in_hour(row, "by_hour")

    def ended(self, row: Any) -> None:
        """So many, in one hour, in one way."""
        self._add(row, "ended")
        if row.status == Status.FAILED.value:
            self._add(row, "failed")
            self._in_hour(row, "failed_by_hour")

    def lasted(self, row: Any) -> None:
        """How long they took."""
        found = Lasted(int(row.p50) / SECOND, int(row.p95) / SECOND)
        self._found[row.workflow_id]["lasted"] = found

    def due(self, row: Any) -> None:
        """So many."""
        count = Count(row.number, row.number > _MOST_DUE)
        self._found[row.workflow_id]["due"] = Due(count, Micros(row.oldest))

    def workers(self, seen: Iterable[SeenWorker]) -> None:
        """Those that live."""
        for worker in seen:
            for id_ in worker.report.workflows if worker.is_alive else ():
                flow = self._found[id_]
                flow["workers"] = (*flow.get("workers", ()), worker.report.name)

    def flows(self) -> tuple[FlowDay, ...]:
        """All of it, by workflow."""
        for (id_, name), hours in self._hours.items():
            self._found[id_][name] = tuple(hours)
        return tuple(FlowDay(id_, **self._found[id_]) for id_ in sorted(self._found))

    def _add(self, row: Any, name: str) -> None:
        flow = self._found[row.workflow_id]
        flow[name] = flow.get(name, 0) + row.number

    def _in_hour(self, row: Any, name: str) -> None:
        hour = min(max(int(row.hour), 0), _HOURS - 1)
        self._hours[row.workflow_id, name][hour] += row.number
