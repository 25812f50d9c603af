"""Children: each is written together with what its parent keeps of it, and many at once.

On PostgreSQL one statement checks the parent's lease and writes them all. It reads nothing that
could be older than its lock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

from sqlalchemy import (
    BigInteger,
    Boolean,
    Connection,
    Integer,
    LargeBinary,
    bindparam,
    cast,
    func,
    select,
    true,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import UserDefinedType

from polos.errors import LeaseLost
from polos.model.records import Checkpoint, Execution, ExecutionId, NewExecution, Wait
from polos.store import checkpoints, waits
from polos.store.clock import now_micros
from polos.store.database import Database
from polos.store.executions import insert_executions, moments
from polos.store.portions import portions
from polos.store.prebuilt import Prebuilt
from polos.store.rows import (
    begun,
    checkpoint_values,
    execution_of,
    new_values,
    wait_values,
)
from polos.store.schema import checkpoints as checkpoints_table
from polos.store.schema import executions as table
from polos.store.schema import waits as waits_table

Child = tuple[NewExecution, Checkpoint | Wait]
KeptT = TypeVar("KeptT", Checkpoint, Wait)

# What goes into one transaction is bounded by these.
_MOST = 200
_MOST_BYTES = 1024 * 1024

_found = select(table).where(table.c.id.in_(bindparam("ids", expanding=True)))
_GIVEN = tuple(new_values(NewExecution(ExecutionId(""), "", "", b"")))
_MOMENTS = ("delay", "until_deadline", "start_within")


class _Array(UserDefinedType[Any]):
    """The values of one column in many rows; the driver takes the list as it is."""

    cache_ok = True

    def __init__(self, element: str) -> None:
        self.element = element

    def get_col_spec(self, **_: Any) -> str:
        """Its name in SQL."""
        return f"{self.element}[]"


def start(
    database: Database, parent_id: str, token: str, children: Sequence[Child]
) -> Mapping[str, Execution]:
    """Write children, unless they are there already; by id, those that are now this parent's.

    Of a child whose id another execution has, nothing is written.

    Args:
        children: each with what the parent keeps of it, either waits or checkpoints; so many
            as ``in_portions`` puts together.

    Raises:
        LeaseLost: the token no longer holds the parent's lease; nothing was written.
    """
    if database.dialect == "postgresql":
        return _start_at_once(database, parent_id, token, children)
    return database.transaction(lambda it: _start(it, parent_id, token, children))


def in_portions(
    children: Sequence[tuple[NewExecution, KeptT]],
) -> list[Sequence[tuple[NewExecution, KeptT]]]:
    """The children in their order, as many together as go into one transaction."""
    return portions(children, lambda child: len(child[0].payload), _MOST, _MOST_BYTES)


def _start(
    connection: Connection, parent_id: str, token: str, children: Sequence[Child]
) -> Mapping[str, Execution]:
    if connection.execute(checkpoints.lock_lease, _named(parent_id, token)).one_or_none() is None:
        raise LeaseLost(parent_id)
    ids = {"ids": [new.id for new, _ in children]}
    known = {row.id for row in connection.execute(_found, ids)}
    fresh = [child for child in children if child[0].id not in known]
    kept = [row for _, row in fresh]
    insert_executions(
        connection, [new_values(new, parent_waits=isinstance(row, Wait)) for new, row in fresh]
    )
    waits.add(connection, parent_id, [row for row in kept if isinstance(row, Wait)])
    rows = [row for row in kept if isinstance(row, Checkpoint)]
    if rows:
        checkpoints.write(connection, parent_id, token, rows)
    return _own(connection.execute(_found, ids).all(), children)


def _start_at_once(
    database: Database, parent_id: str, token: str, children: Sequence[Child]
) -> Mapping[str, Execution]:
    waited = isinstance(children[0][1], Wait)
    rows = database.run(_statement(waited), _parameters(parent_id, token, children))
    if not rows:
        raise LeaseLost(parent_id)
    made = {row.id: row for row in rows}
    started: dict[str, Execution] = {
        new.id: begun(
            new,
            made[new.id].created_at,
            deadline_at=made[new.id].deadline_at,
            parent_waits=waited,
        )
        for new, _ in children
        if new.id in made
    }
    # The commit went through before, its answer did not; or an id is another execution's.
    missing = [child for child in children if child[0].id not in started]
    if missing:
        found = database.run(_found, {"ids": [new.id for new, _ in missing]})
        started |= _own(found, missing)
    return started


def _own(found: Sequence[Any], children: Sequence[Child]) -> dict[str, Execution]:
    keys = {new.id: (new.parent_execution_id, new.parent_step_key) for new, _ in children}
    return {
        row.id: execution_of(row)
        for row in found
        if (row.parent_execution_id, row.parent_step_key) == keys[row.id]
    }


def _named(parent_id: str, token: str) -> dict[str, Any]:
    return {"the_id": parent_id, "the_token": token}


def _parameters(parent_id: str, token: str, children: Sequence[Child]) -> dict[str, Any]:
    """One list for each column: the statement is the same for any number of children."""
    rows = [new_values(new, parent_waits=isinstance(kept, Wait)) for new, kept in children]
    kept = [
        wait_values(parent_id, row) if isinstance(row, Wait) else checkpoint_values(row)
        for _, row in children
    ]
    return (
        _named(parent_id, token)
        | {f"new_{name}": [row[name] for row in rows] for name in _GIVEN}
        | {f"kept_{name}": [row[name] for row in kept] for name in kept[0]}
    )


@cache
def _statement(waited: bool) -> Prebuilt:
    """A row for each child that was made, or one without a child; none where the lease is lost."""
    fenced = checkpoints.fence.cte("fenced")
    target = waits_table if waited else checkpoints_table
    names = [column.name for column in target.c]
    kept = [name for name in names if name not in {"execution_id", "created_at"}]
    given = _given([*_GIVEN], target, kept)
    made_at = moments(*(given.c[f"new_{name}"] for name in _MOMENTS))
    plain = [name for name in _GIVEN if name not in _MOMENTS]
    made = (
        postgresql.insert(table)
        .from_select(
            [*plain, *made_at],
            select(*(given.c[f"new_{name}"] for name in plain), *made_at.values()).select_from(
                fenced.join(given, true())
            ),
            include_defaults=False,
        )
        .on_conflict_do_nothing(index_elements=[table.c.id])
        .returning(table.c.id, table.c.created_at, table.c.deadline_at)
        .cte("made")
    )
    stamp = {} if waited else {"created_at": now_micros()}
    written = (
        postgresql.insert(target)
        .from_select(
            ["execution_id", *kept, *stamp],
            select(
                fenced.c.id, *(given.c[f"kept_{name}"] for name in kept), *stamp.values()
            ).select_from(fenced.join(given, true()).join(made, made.c.id == given.c.new_id)),
            include_defaults=False,
        )
        .on_conflict_do_nothing()
        .returning(target.c.step_key)
        .cte("written")
    )
    return Prebuilt(
        select(fenced.c.id.label("parent"), made.c.id, made.c.created_at, made.c.deadline_at)
        .select_from(fenced.outerjoin(made, true()))
        .add_cte(written)
    )


def _given(new: Sequence[str], target: Any, kept: Sequence[str]) -> Any:
    """What is given, as rows."""
    types = {f"new_{name}": table.c[name].type for name in new if name not in _MOMENTS}
    types |= {f"new_{name}": BigInteger() for name in _MOMENTS}
    types |= {f"kept_{name}": target.c[name].type for name in kept}
    arrays = (
        cast(bindparam(name, type_=_Array(_in_sql(type_))), _Array(_in_sql(type_)))
        for name, type_ in types.items()
    )
    return func.unnest(*arrays).table_valued(*types, name="given").render_derived()


def _in_sql(type_: Any) -> str:
    # Without its length: a cast would cut a text off, where a column refuses it.
    for kind, name in ((LargeBinary, "BYTEA"), (Boolean, "BOOLEAN"), (BigInteger, "BIGINT")):
        if isinstance(type_, kind):
            return name
    return "INTEGER" if isinstance(type_, Integer) else "VARCHAR"
