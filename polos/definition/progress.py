"""An execution with its steps, as plain data for people and for programs."""

from __future__ import annotations

import json
from typing import Any

from polos import codec
from polos.definition.handle import snapshot
from polos.errors import CodecError
from polos.model.records import (
    RETRIED,
    Checkpoint,
    Child,
    Execution,
    Failure,
    Kind,
    Micros,
    Progress,
    Wait,
    as_datetime,
)

# What a step's ``status`` may be.
COMPLETED, FAILED, WAITING, RETRYING = "completed", "failed", "waiting", "retrying"


def details(execution: Execution, progress: Progress) -> dict[str, Any]:
    """All of an execution: how it stands, its steps in their order, its children and its tags."""
    children = {child.step_key: child for child in progress.children}
    done = [_done(row, children.get(row.step_key)) for row in progress.checkpoints]
    waits = sorted(progress.waits, key=lambda wait: (wait.started_at or 0, wait.step_key))
    return {
        **snapshot(execution),
        "queue": execution.queue,
        "priority": execution.priority,
        "deployment_id": execution.deployment_id,
        "attempts": execution.claims,
        "retried": execution.retried,
        "forked_from": execution.forked_from,
        "wake_at": _iso(execution.wake_at),
        "deadline_at": _iso(execution.deadline_at),
        "cancel_requested_at": _iso(execution.cancel_requested_at),
        "tags": list(progress.tags),
        "worker": progress.worker,
        "executing": list(progress.executing),
        "steps": done + [_outstanding(wait, children.get(wait.step_key)) for wait in waits],
        "children": [_child(child) for child in progress.children],
    }


def _done(row: Checkpoint, child: Child | None) -> dict[str, Any]:
    return {
        "key": row.step_key,
        "kind": row.kind.value,
        "status": COMPLETED if row.failure is None else FAILED,
        "attempts": row.attempts,
        "started_at": _iso(row.started_at),
        "finished_at": _iso(row.created_at),
        "due_at": None,
        **_error(row.failure),
        "input": _input(row.input),
        "value": _plain(row.value),
        "history": _history(row.history),
        "child_execution_id": _started(row, child),
    }


def _outstanding(wait: Wait, child: Child | None) -> dict[str, Any]:
    is_child = wait.kind is Kind.CHILD
    return {
        "key": wait.step_key,
        "kind": wait.kind.value,
        "status": RETRYING if wait.kind in RETRIED else WAITING,
        "attempts": wait.attempts,
        "started_at": _iso(wait.started_at),
        "finished_at": None,
        "due_at": _iso(wait.due_at),
        **_error(wait.failure),
        "input": _input(wait.input),
        "value": None,
        "history": _history(wait.history),
        "child_execution_id": (wait.target_id or (child and child.id)) if is_child else None,
    }


def _started(row: Checkpoint, child: Child | None) -> str | None:
    if row.kind is Kind.INVOKE:
        value = _plain(row.value)
        return value if isinstance(value, str) else None
    return child.id if row.kind is Kind.CHILD and child is not None else None


def _child(child: Child) -> dict[str, Any]:
    return {
        "id": child.id,
        "workflow_id": child.workflow_id,
        "status": child.status.value,
        "step_key": child.step_key,
        "created_at": _iso(child.created_at),
        "started_at": _iso(child.started_at),
        "finished_at": _iso(child.finished_at),
    }


def _error(failure: Failure | None) -> dict[str, Any]:
    return {
        "error": failure and failure.reason,
        "error_type": failure and failure.error_type,
    }


def _history(data: bytes | None) -> list[dict[str, Any]]:
    return [
        {"at": _iso(tried.at), "error_type": tried.error_type, "error": tried.reason}
        for tried in codec.decode_history(data)
    ]


def _input(data: bytes | None) -> Any:
    try:
        return None if data is None else json.loads(data)
    except ValueError:
        return data.decode("utf-8", "replace") if data else None


def _plain(value: bytes | None) -> Any:
    try:
        return None if value is None else codec.plain(codec.decode(value, lenient=True))
    except CodecError as error:
        # One step that can't be read must not hide the others.
        return f"(can't be read: {error})"


def _iso(moment: Micros | None) -> str | None:
    return None if moment is None else as_datetime(moment).isoformat()
