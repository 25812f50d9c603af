"""Deletes what has ended, a few executions at a time.

An execution goes when it and its parent, its root and its children have all ended: until then
somebody may look one of them up.
"""

from __future__ import annotations

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    bindparam,
    delete,
    func,
    literal_column,
    select,
)

from polos.model.records import micros
from polos.store.clock import now_micros
from polos.store.database import Database
from polos.store.schema import checkpoints
from polos.store.schema import executions as table

# With a row go its checkpoints, so few rows may be many.
_MOST_CHECKPOINTS = 5_000

_others = table.alias("others")


def _none_open(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    # One look for each row. An EXISTS may become a join, planned for fewer rows than there are.
    is_open: Select[tuple[object]] = select(literal_column("1")).where(
        _others.c.finished_at.is_(None), condition
    )
    return is_open.limit(1).scalar_subquery().is_(None)


_old = (
    select(table.c.id)
    .where(
        table.c.project_id == bindparam("project"),
        table.c.finished_at <= select(now_micros() - bindparam("age")).scalar_subquery(),
        ~table.c.unannounced,
        ~table.c.cancel_descends,
        _none_open(_others.c.id == table.c.parent_execution_id),
        _none_open(_others.c.id == table.c.root_execution_id),
        _none_open(_others.c.parent_execution_id == table.c.id),
    )
    .order_by(table.c.finished_at)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
_sizes = (
    select(checkpoints.c.execution_id, func.count().label("number"))
    .where(checkpoints.c.execution_id.in_(bindparam("ids", expanding=True)))
    .group_by(checkpoints.c.execution_id)
)
_delete = delete(table).where(table.c.id.in_(bindparam("ids", expanding=True)))


def prune(database: Database, project_id: str, older_than: float, most: int) -> int:
    """Delete at most so many executions that ended ``older_than`` seconds ago; how many."""
    named = {"project": project_id, "age": micros(older_than), "most": most}

    def work(connection: Connection) -> int:
        old = list(connection.execute(_old, named).scalars())
        chosen = _few(connection, old)
        if chosen:
            connection.execute(_delete, {"ids": chosen})
        return len(chosen)

    return database.transaction(work)


def _few(connection: Connection, old: list[str]) -> list[str]:
    if not old:
        return []
    sizes = {row.execution_id: row.number for row in connection.execute(_sizes, {"ids": old})}
    chosen: list[str] = []
    total = 0
    for id_ in old:
        total += sizes.get(id_, 0)
        if chosen and total > _MOST_CHECKPOINTS:
            break
        chosen.append(id_)
    return chosen
