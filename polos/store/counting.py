"""How many executions there are in each state, counted as far as people care."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sqlalchemy import bindparam, case, func, literal_column, select

from polos.model.finding import Count, Sought
from polos.model.states import Status
from polos.store.database import Database
from polos.store.executions import one_of
from polos.store.schema import IS_LISTED, LISTED
from polos.store.schema import executions as table
from polos.store.sources import DISPATCHED, conditions, sources_of
from polos.store.unindexed import of_project
from polos.store.windows import Order, window_of

MOST = 10_000
_project: Any = bindparam("project")
_in_project = table.c.project_id == _project
_is_ended = table.c.finished_at.is_not(None)


def counts(database: Database, project_id: str, sought: Sought) -> dict[Status, Count]:
    """How many of those that are looked for are in each state, whatever state is looked for.

    Exact up to ``MOST`` in each state; where more is looked for than a project or its states, up
    to ``MOST`` together.
    """
    asked = replace(sought.at(None), statuses=())
    named = {"project": project_id}
    if asked.is_narrow:
        return _in_window(database, named, asked)
    found = {status: _listed(database, named, status) for status in LISTED}
    running = _number(database, named, (of_project(), table.c.lease_expires_at.is_not(None)), MOST)
    found[Status.RUNNING] = _count(running)
    found[Status.QUEUED] = _queued(database, named)
    found[Status.COMPLETED] = _completed(database, named, found)
    return {status: found[status] for status in Status}


def _in_window(database: Database, named: dict[str, str], asked: Sought) -> dict[Status, Count]:
    [source] = sources_of(database, asked)
    # The status is to be among the columns.
    seen = replace(source, rest=replace(source.rest, statuses=tuple(Status)))
    window = window_of(asked, Order.of(asked), seen).limit(MOST + 1).subquery("looked")
    wanted = conditions(dict(window.c), source.rest)
    found = select(window.c.status, func.count().label("number")).where(*wanted)
    rows = {row.status: row.number for row in database.run(found.group_by(window.c.status), named)}
    further = database.run(window_of(asked, Order.of(asked), source).offset(MOST).limit(1), named)
    full = bool(further) and further[0].id.startswith(asked.id_prefix or "")
    return {status: Count(rows.get(status.value, 0), full) for status in Status}


def _listed(database: Database, named: dict[str, str], status: Status) -> Count:
    having: Any = (_in_project, one_of((status,)), literal_column(f"{table.name}.{IS_LISTED}"))
    return _count(_number(database, named, having, MOST))


def _queued(database: Database, named: dict[str, str]) -> Count:
    """Among all that is to be sent soon, in all projects: the index knows no other order."""
    most = 2 * MOST
    window = (
        select(table.c.project_id, table.c.status)
        .where(*DISPATCHED)
        .order_by(table.c.dispatch_at)
        .limit(most)
        .subquery("looked")
    )
    own = case(
        ((window.c.project_id == _project) & (window.c.status == Status.QUEUED.value), 1), else_=0
    )
    found = select(func.count().label("looked"), func.coalesce(func.sum(own), 0).label("number"))
    row = database.run(found.select_from(window), named)[0]
    number = int(row.number)
    return Count(min(number, MOST), number > MOST or row.looked == most)


def _completed(database: Database, named: dict[str, str], found: dict[Status, Count]) -> Count:
    """What has ended, without those that ended otherwise: there is no index of it."""
    others = [found[Status.FAILED], found[Status.CANCELLED]]
    if any(it.more for it in others):
        window = (
            select(table.c.status)
            .where(_in_project, _is_ended)
            .order_by(table.c.finished_at.desc())
            .limit(2 * MOST)
            .subquery("looked")
        )
        counted = select(func.count().label("number")).select_from(window)
        done = counted.where(window.c.status == Status.COMPLETED.value)
        return Count(min(database.run(done, named)[0].number, MOST), True)
    besides = sum(it.number for it in others)
    return _count(_number(database, named, (_in_project, _is_ended), MOST + besides) - besides)


def _number(database: Database, named: dict[str, str], having: Any, most: int) -> int:
    some: Any = select(literal_column("1").label("one")).where(*having).limit(most + 1)
    counted = select(func.count().label("number")).select_from(some.subquery("some"))
    return int(database.run(counted, named)[0].number)


def _count(number: int) -> Count:
    return Count(min(number, MOST), number > MOST)
