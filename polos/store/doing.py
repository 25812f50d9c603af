"""What listed executions wait for, or do: a few lines of each, however much it is."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import CompoundSelect, bindparam, select, union_all

from polos.model.finding import Awaited
from polos.model.records import Kind
from polos.store.database import Database
from polos.store.rows import steps_of
from polos.store.schema import waits

SOME = 3
# For how many executions one statement asks: each size is a statement of its own.
_AT_ONCE = (1, 10, 50)


def awaited_by(database: Database, ids: Sequence[str]) -> dict[str, tuple[Awaited, ...]]:
    """The first waits of executions by their ids, one more than ``SOME`` of each."""
    found: dict[str, tuple[Awaited, ...]] = {}
    left = list(ids)
    while left:
        size = next((it for it in _AT_ONCE if it >= len(left)), _AT_ONCE[-1])
        asked, left = left[:size], left[size:]
        named = {f"id_{number}": "" for number in range(size)}
        named |= {f"id_{number}": id_ for number, id_ in enumerate(asked)}
        for row in database.run(_first_of(size), named):
            found[row.execution_id] = (*found.get(row.execution_id, ()), _awaited(row))
    return found


def steps_noted(lease_steps: str | None) -> tuple[str, ...]:
    """The steps that run, as the holder of the lease says; none where that can't be read."""
    try:
        return tuple(map(str, steps_of(lease_steps)))
    except (TypeError, ValueError):
        return ()


@cache
def _first_of(size: int) -> CompoundSelect[Any]:
    """Not one query with a window function: that reads all waits of one that has 10,000."""
    parts = []
    for number in range(size):
        of = waits.alias(f"w{number}")
        shown = (of.c.execution_id, of.c.step_key, of.c.kind, of.c.due_at, of.c.target_id)
        first = select(*shown).where(of.c.execution_id == bindparam(f"id_{number}"))
        parts.append(select(first.order_by(of.c.step_key).limit(SOME + 1).subquery(f"s{number}")))
    return union_all(*parts)


def _awaited(row: Any) -> Awaited:
    return Awaited(row.step_key, Kind(row.kind), row.due_at, row.target_id)
