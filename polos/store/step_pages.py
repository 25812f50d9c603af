"""The steps of an execution, page by page, however many there are and however large their values.

First the places of a page are found, which reads no value, then what is stored of just those.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    and_,
    bindparam,
    case,
    func,
    literal,
    literal_column,
    or_,
    select,
)

from polos.model.records import Kind, Micros
from polos.model.steps import Asked, StepPage, StepPlace, StepRow, Stretch
from polos.store.cuts import beginnings, cut_of
from polos.store.database import Database
from polos.store.schema import checkpoints, waits

# Into so many parts the time of an execution is cut, to show where its steps lie.
PARTS = 60
_MOST_WAITS = 10
_RETRIED = frozenset({Kind.STEP.value, Kind.TRANSACTION.value})

_ORDER = (checkpoints.c.turn, checkpoints.c.position, checkpoints.c.step_key)
_of_it = checkpoints.c.execution_id == bindparam("the_id")
_failed = checkpoints.c.failure.is_not(None)
_places: Any = select(*_ORDER).where(_of_it)
_rows = select(
    *_ORDER,
    checkpoints.c.kind,
    checkpoints.c.attempts,
    checkpoints.c.started_at,
    checkpoints.c.created_at,
    checkpoints.c.history,
    *beginnings(checkpoints.c.input, checkpoints.c.value, checkpoints.c.failure),
).where(_of_it, checkpoints.c.step_key.in_(bindparam("keys", expanding=True)))

_recorded = select(checkpoints.c.step_key).where(
    _of_it, checkpoints.c.step_key.in_(bindparam("keys", expanding=True))
)

# As ``waits.load``: one that has ended meanwhile is a checkpoint as well.
_is_open = and_(
    waits.c.execution_id == bindparam("the_id"),
    ~select(checkpoints.c.step_key)
    .where(
        checkpoints.c.execution_id == waits.c.execution_id,
        checkpoints.c.step_key == waits.c.step_key,
    )
    .exists(),
)
_count_waits = select(func.count()).select_from(waits).where(_is_open)
_waiting = (
    select(
        waits.c.step_key,
        waits.c.kind,
        waits.c.due_at,
        waits.c.target_id,
        waits.c.attempts,
        waits.c.started_at,
        waits.c.history,
        *beginnings(waits.c.input, waits.c.failure),
    )
    .where(_is_open)
    .order_by(
        case((waits.c.step_key == bindparam("first"), 0), else_=1),
        case((waits.c.due_at.is_(None), 1), else_=0),
        waits.c.due_at,
        waits.c.started_at,
        waits.c.step_key,
    )
    .limit(_MOST_WAITS)
)


def page(
    database: Database, execution_id: str, asked: Asked, begins: Micros, ends: Micros
) -> StepPage:
    """One page of an execution's steps, and how all of them lie in its time.

    Args:
        asked: which ones.
        begins: when the execution began.
        ends: when it ended, or the present.
    """
    place, found = _begin(database, execution_id, asked)
    which = asked if found else Asked(last=True, limit=asked.limit)
    places = _page_of(database, execution_id, which, place)
    waiting = int(database.run(_count_waits, {"the_id": execution_id})[0][0])
    waits_ = _outstanding(database, execution_id, asked.key) if waiting else ()
    density, before = _density(database, execution_id, places[0] if places else place, begins, ends)
    return StepPage(
        rows=_stored(database, execution_id, places),
        waits=waits_,
        before=before,
        total=sum(part.steps for part in density),
        failed=sum(part.failed for part in density),
        waiting=waiting,
        density=density,
        found=found or any(row.key == asked.key for row in waits_),
    )


def unrecorded(database: Database, execution_id: str, keys: Sequence[str]) -> tuple[str, ...]:
    """Those steps of which nothing is recorded yet."""
    if not keys:
        return ()
    named = {"the_id": execution_id, "keys": list(keys)}
    done = {row.step_key for row in database.run(_recorded, named)}
    return tuple(key for key in keys if key not in done)


def _begin(database: Database, execution_id: str, asked: Asked) -> tuple[StepPlace | None, bool]:
    """The place with which a page is to begin, and whether there is what was asked for."""
    if asked.key is not None:
        condition = checkpoints.c.step_key == asked.key
    elif asked.since is not None:
        condition = checkpoints.c.created_at >= asked.since
    elif asked.failed:
        condition = _failed if asked.after is None else and_(_failed, _follows(asked.after))
    else:
        return None, True
    rows = database.run(
        _places.where(condition).order_by(*_ORDER).limit(1), {"the_id": execution_id}
    )
    return (_place(rows[0]) if rows else None), bool(rows)


def _page_of(
    database: Database, execution_id: str, asked: Asked, begin: StepPlace | None
) -> list[StepPlace]:
    backwards = asked.last or asked.before is not None
    statement = _places
    if begin is not None:
        statement = statement.where(~_precedes(begin))
    elif asked.before is not None:
        statement = statement.where(_precedes(asked.before))
    elif asked.after is not None:
        statement = statement.where(_follows(asked.after))
    order = [column.desc() for column in _ORDER] if backwards else _ORDER
    rows = database.run(statement.order_by(*order).limit(asked.limit), {"the_id": execution_id})
    places = [_place(row) for row in rows]
    return places[::-1] if backwards else places


def _place(row: Any) -> StepPlace:
    return StepPlace(row.turn, row.position, row.step_key)


def _follows(place: StepPlace) -> ColumnElement[bool]:
    turn, position, key = _ORDER
    return or_(
        turn > place.turn,
        and_(
            turn == place.turn,
            or_(position > place.position, and_(position == place.position, key > place.key)),
        ),
    )


def _precedes(place: StepPlace) -> ColumnElement[bool]:
    turn, position, key = _ORDER
    return or_(
        turn < place.turn,
        and_(
            turn == place.turn,
            or_(position < place.position, and_(position == place.position, key < place.key)),
        ),
    )


def _density(
    database: Database,
    execution_id: str,
    first: StepPlace | None,
    begins: Micros,
    ends: Micros,
) -> tuple[tuple[Stretch, ...], int]:
    """All steps by when they ended, in one reading, and how many come before the page."""
    length = max(1, -(-(ends - begins + 1) // PARTS))
    at = checkpoints.c.created_at
    part = case(
        # What a fork took over ended before it began; the clock may have been set back, too.
        (at < begins, -1),
        (at >= begins + length * PARTS, PARTS - 1),
        else_=(at - begins) // literal(length, BigInteger),
    )
    before = literal_column("0") if first is None else case((_precedes(first), 1), else_=0)
    grouped = (
        select(
            part.label("part"),
            func.count().label("steps"),
            func.sum(case((_failed, 1), else_=0)).label("failed"),
            func.sum(before).label("before"),
            func.min(at).label("begins"),
        )
        .where(_of_it)
        .group_by(literal_column("part"))
    )
    rows = database.run(grouped, {"the_id": execution_id})
    found = [
        Stretch(int(row.part), int(row.steps), int(row.failed), Micros(int(row.begins)))
        for row in rows
    ]
    ordered = tuple(sorted(found, key=lambda it: it.number))
    return ordered, sum(int(row.before) for row in rows)


def _stored(
    database: Database, execution_id: str, places: Sequence[StepPlace]
) -> tuple[StepRow, ...]:
    if not places:
        return ()
    named = {"the_id": execution_id, "keys": [place.key for place in places]}
    rows = {row.step_key: row for row in database.run(_rows, named)}
    # One that is tried again was forgotten between the two questions.
    return tuple(_done(rows[place.key], place) for place in places if place.key in rows)


def _done(row: Any, place: StepPlace) -> StepRow:
    failure = cut_of(row, "failure")
    return StepRow(
        key=row.step_key,
        kind=row.kind,
        status="completed" if failure is None else "failed",
        attempts=row.attempts,
        place=place,
        started_at=row.started_at,
        ended_at=row.created_at,
        history=row.history,
        input=cut_of(row, "input"),
        value=cut_of(row, "value"),
        failure=failure,
    )


def _outstanding(database: Database, execution_id: str, first: str | None) -> tuple[StepRow, ...]:
    rows = database.run(_waiting, {"the_id": execution_id, "first": first or ""})
    found = [
        StepRow(
            key=row.step_key,
            kind=row.kind,
            status="retrying" if row.kind in _RETRIED else "waiting",
            attempts=row.attempts,
            started_at=row.started_at,
            due_at=row.due_at,
            target_id=row.target_id,
            history=row.history,
            input=cut_of(row, "input"),
            failure=cut_of(row, "failure"),
        )
        for row in rows
    ]
    return tuple(sorted(found, key=_by_time))


def _by_time(row: StepRow) -> tuple[bool, int, int, str]:
    """As the query has them, but for the one that is asked for."""
    return row.due_at is None, row.due_at or 0, row.started_at or 0, row.key
