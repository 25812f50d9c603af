"""Labels of executions; written with them, and only where there are some."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select

from polos.model.records import NewExecution
from polos.store.database import Database
from polos.store.schema import executions
from polos.store.schema import tags as table

_insert = insert(table)
_created = select(executions.c.id, executions.c.created_at).where(
    executions.c.id.in_(bindparam("ids", expanding=True))
)
_found = (
    select(table.c.execution_id, table.c.tag)
    .where(table.c.execution_id.in_(bindparam("ids", expanding=True)))
    .order_by(table.c.execution_id, table.c.tag)
)


def write(connection: Connection, news: Sequence[NewExecution], *, again: bool = False) -> None:
    """Write the tags of executions that the same transaction has just written.

    Args:
        again: whether some of them may be there, from a commit whose answer was lost.
    """
    tagged = [new for new in news if new.tags]
    if not tagged:
        return
    ids = {"ids": [new.id for new in tagged]}
    moments = {row.id: row.created_at for row in connection.execute(_created, ids)}
    there = (
        {(row.execution_id, row.tag) for row in connection.execute(_found, ids)} if again else ()
    )
    rows = [it for new in tagged for it in rows_of(new, moments[new.id])]
    missing = [row for row in rows if (row["execution_id"], row["tag"]) not in there]
    if missing:
        connection.execute(_insert, missing)


def find(database: Database, ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The tags of executions by their ids; those without any are left out."""
    found: dict[str, tuple[str, ...]] = {}
    if ids:
        for row in database.run(_found, {"ids": list(ids)}):
            found[row.execution_id] = (*found.get(row.execution_id, ()), row.tag)
    return found


def of(connection: Connection, execution_id: str) -> tuple[str, ...]:
    """The tags of one execution, in the caller's transaction."""
    rows = connection.execute(_found, {"ids": [execution_id]})
    return tuple(row.tag for row in rows)


def rows_of(new: NewExecution, created_at: int) -> list[dict[str, Any]]:
    """The rows of an execution's tags, whose time is its own."""
    fixed = {"execution_id": new.id, "project_id": new.project_id, "created_at": created_at}
    return [fixed | {"tag": tag} for tag in new.tags]
