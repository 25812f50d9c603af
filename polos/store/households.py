"""A page of steps with the children that they started, and the executions around one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

from polos.model.listing import ExecutionQuery
from polos.model.records import Kind
from polos.model.steps import Asked, Family, Head, StepPage, StepRow, child_id
from polos.store import heads, step_pages
from polos.store.database import Database
from polos.store.listing import list_executions

_WITH_CHILD = frozenset({Kind.INVOKE.value, Kind.CHILD.value})
_MOST_SIBLINGS = 10
# An execution that was tried again more often may miss some of its first children here.
_MOST_RETRIES = 10


def steps(database: Database, project_id: str, head: Head, asked: Asked) -> StepPage:
    """One page of steps, each with its child."""
    execution = head.execution
    ends = execution.finished_at or head.now
    found = step_pages.page(database, execution.id, asked, execution.created_at, ends)
    wanted = {
        row.key: list(_child_ids(head, row))
        for row in (*found.rows, *found.waits)
        if row.kind in _WITH_CHILD
    }
    there = heads.relatives(database, project_id, [id_ for ids in wanted.values() for id_ in ids])

    def with_child(row: StepRow) -> StepRow:
        known = [there[id_] for id_ in wanted.get(row.key, ()) if id_ in there]
        if not known:
            return row
        child, payload = known[0]
        return replace(row, child=child, payload=payload)

    return replace(
        found,
        rows=tuple(map(with_child, found.rows)),
        waits=tuple(map(with_child, found.waits)),
        running=step_pages.unrecorded(database, execution.id, head.running),
    )


def _child_ids(head: Head, row: StepRow) -> Iterator[str]:
    """The ids that the child of a step may have, the likeliest first.

    Not looked for by its parent: of ten thousand children all would be read.
    """
    if row.target_id is not None:
        yield row.target_id
        return
    if row.kind == Kind.INVOKE.value:
        yield from _told(row)
        return
    execution = head.execution
    for retried in range(min(execution.retried, _MOST_RETRIES), -1, -1):
        yield child_id(execution.id, row.key, retried)
    if execution.forked_from is not None:
        # It was the source's child that gave what was taken over.
        yield child_id(execution.forked_from, row.key, 0)


def _told(row: StepRow) -> Iterator[str]:
    """The id that is the value of a step that only starts a child."""
    if row.value is not None and row.value.is_whole:
        try:
            value = json.loads(row.value.data)
        except ValueError:
            return
        if isinstance(value, str):
            yield value


def family(database: Database, project_id: str, head: Head, children: ExecutionQuery) -> Family:
    """The executions around one."""
    execution = head.execution
    above = heads.ancestors(database, project_id, execution.parent_execution_id)
    by_status = heads.children_by_status(database, project_id, execution.id)
    found = Family(ancestors=above, by_status=by_status)
    if by_status:
        asked = replace(children, parent_execution_id=execution.id)
        found = replace(found, children=list_executions(database, project_id, asked))
    if execution.parent_execution_id is None:
        return found
    return _with_siblings(database, project_id, head, _with_root(database, project_id, head, found))


def _with_root(database: Database, project_id: str, head: Head, found: Family) -> Family:
    root = head.execution.root_execution_id
    if root is None or any(it.id == root for it in found.ancestors):
        return found
    known = heads.relatives(database, project_id, [root])
    return replace(found, root=known[root][0] if root in known else None)


def _with_siblings(database: Database, project_id: str, head: Head, found: Family) -> Family:
    execution = head.execution
    parent = execution.parent_execution_id or ""
    query = ExecutionQuery(parent_execution_id=parent, limit=_MOST_SIBLINGS + 1)
    page = list_executions(database, project_id, query)
    others = tuple(it for it in page.items if it.id != execution.id)
    return replace(
        found,
        siblings=others[:_MOST_SIBLINGS],
        siblings_by_status=heads.children_by_status(database, project_id, parent),
    )
