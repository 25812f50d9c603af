"""Many executions at once, written into the store past it, as it would have written them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import uuid4

from sqlalchemy import Table, insert, select

from polos.model.records import ExecutionId, Hint, Kind, NewExecution, micros
from polos.model.states import Status
from polos.store.clock import now_micros
from polos.store.rows import new_values
from polos.store.schema import executions, tags, waits
from polos.store.sql_store import SqlStore

_AT_ONCE = 500
_FAR = micros(30 * 86_400)
_AHEAD = micros(30)
_NOT_COLUMNS = ("delay", "until_deadline")


def queue_many(store: SqlStore, workflow_id: str, payload: bytes, count: int) -> list[Hint]:
    """Queued executions whose hints were sent a while ago; these hints, to be sent indeed."""
    now = _now(store)
    rows = [
        _row(workflow_id, payload, now - micros(10) + number, dispatch_at=now - count + number)
        for number in range(count)
    ]
    _insert(store, executions, rows)
    return [Hint(ExecutionId(row["id"]), workflow_id) for row in rows]


def park_many(store: SqlStore, workflow_id: str, payload: bytes, count: int) -> None:
    """Executions that wait: every second one for a time, the others for a child that waits."""
    now = _now(store)
    timed, told, kept = [], [], []
    for number in range(count // 2):
        # Not all at one moment: neither are those of a real site.
        wake_at = now + _FAR + number * 1000
        child = _parked_row(workflow_id, payload, wake_at, number)
        parent = _parked_row(workflow_id, payload, None, number)
        child |= {"parent_execution_id": parent["id"], "parent_step_key": "wait"}
        child |= {"parent_waits": True, "root_execution_id": parent["id"]}
        told.append(parent)
        timed.append(child)
        kept += [_wait(child["id"], Kind.TIMER, wake_at, None)]
        kept += [_wait(parent["id"], Kind.CHILD, None, child["id"])]
    _insert(store, executions, told)
    _insert(store, executions, timed)
    _insert(store, waits, kept)


def finish_many(store: SqlStore, count: int) -> None:
    """Executions that have ended, one in a hundred not well, with labels of every kind."""
    rows = [_ended_row(number) for number in range(count)]
    _insert(store, executions, rows)
    labels = [
        {"execution_id": row["id"], "tag": f"tag-{number % 30}", "project_id": "default"}
        | {"created_at": row["created_at"]}
        for number, row in enumerate(rows)
        if number % 3 == 1
    ]
    _insert(store, tags, labels)


def _ended_row(number: int) -> dict[str, Any]:
    moment = 1_000_000_000_000 + number * 1000
    failed, labelled, child = number % 100 == 7, number % 2 == 1, number % 10 == 2
    given: dict[str, Any] = {
        "id": f"e{number:06}",
        "finished_at": moment,
        "claims": 1,
        "status": (Status.FAILED if failed else Status.COMPLETED).value,
        "failure": b"{}" if failed else None,
        "result": None if failed else b"1",
        "session_id": f"session-{number % 50}" if labelled else None,
        "user_id": f"user-{number % 20}" if labelled else None,
        "parent_execution_id": f"e{number // 100:06}" if child else None,
        "parent_step_key": "kid" if child else None,
    }
    return _row(f"flow-{number % 4}", b"{}", moment, **given)


def _row(workflow_id: str, payload: bytes, created_at: int, **given: Any) -> dict[str, Any]:
    new = NewExecution(ExecutionId(str(uuid4())), workflow_id, "default", payload)
    values = {name: value for name, value in new_values(new).items() if name not in _NOT_COLUMNS}
    return values | {"created_at": created_at} | given


def _parked_row(
    workflow_id: str, payload: bytes, wake_at: int | None, number: int
) -> dict[str, Any]:
    dispatch_at = None if wake_at is None else wake_at - _AHEAD
    given = {"status": Status.WAITING.value, "claims": 1, "wakeups": 0}
    return _row(workflow_id, payload, number, wake_at=wake_at, dispatch_at=dispatch_at, **given)


def _wait(id_: str, kind: Kind, due_at: int | None, target: str | None) -> dict[str, Any]:
    values = {"execution_id": id_, "step_key": "wait", "kind": kind.value, "attempts": 0}
    return values | {"due_at": due_at, "target_id": target}


def _now(store: SqlStore) -> int:
    return int(store.database.run(select(now_micros()))[0][0])


def _insert(store: SqlStore, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    with store.database.engine.begin() as connection:
        for batch in _batches(rows):
            connection.execute(insert(table), batch)


def _batches(rows: Sequence[dict[str, Any]]) -> Iterator[Sequence[dict[str, Any]]]:
    for begin in range(0, len(rows), _AT_ONCE):
        yield rows[begin : begin + _AT_ONCE]
