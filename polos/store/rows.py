"""Rows to records, and back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from polos.codec import decode_failure, encode_failure
from polos.errors import CodecError
from polos.model.records import (
    Checkpoint,
    Child,
    Execution,
    ExecutionId,
    Failure,
    Hint,
    Kind,
    Micros,
    NewExecution,
    Wait,
    micros,
)
from polos.model.states import Status

# Of many steps that are executing, the first ones are named.
_MOST_NAMED = 5

SAME_NAME = (
    "workflow_id",
    "project_id",
    "payload",
    "created_at",
    "result",
    "queue",
    "priority",
    "session_id",
    "user_id",
    "deployment_id",
    "initial_state",
    "parent_execution_id",
    "parent_step_key",
    "parent_waits",
    "root_execution_id",
    "root_workflow_id",
    "celery_options",
    "known_to_celery",
    "unannounced",
    "claims",
    "recoveries",
    "recovered_checkpoints",
    "wakeups",
    "cancel_requested_at",
    "wake_at",
    "started_at",
    "finished_at",
    "run_timeout",
    "deadline_at",
    "retried",
    "retries_used",
    "forked_from",
)
_same = attrgetter(*SAME_NAME)


def failure_of(data: bytes | None) -> Failure | None:
    """The stored failure, if there is one; of one that is damaged, that."""
    try:
        return None if data is None else decode_failure(data)
    except CodecError as error:
        # Rows are read many at a time: one of them must not hide the others.
        return Failure(f"it failed, and the reason can't be read: {error}", "CodecError")


def failure_bytes(failure: Failure | None) -> bytes | None:
    """What is stored of a failure."""
    return None if failure is None else encode_failure(failure)


def execution_of(row: Any) -> Execution:
    """The record of a whole row of ``polos_executions``."""
    return Execution(
        id=ExecutionId(row.id),
        status=Status(row.status),
        failure=failure_of(row.failure),
        **dict(zip(SAME_NAME, _same(row), strict=True)),
    )


def begun(
    new: NewExecution,
    created_at: Micros,
    wake_at: Micros | None = None,
    deadline_at: Micros | None = None,
    *,
    parent_waits: bool = False,
) -> Execution:
    """The record of an execution that has just been written."""
    timeout = run_timeout_of(new)
    if deadline_at is None and timeout is not None:
        deadline_at = Micros(created_at + timeout)
    return Execution(
        id=new.id,
        workflow_id=new.workflow_id,
        project_id=new.project_id,
        status=Status.WAITING if new.delay_seconds else Status.QUEUED,
        payload=new.payload,
        created_at=created_at,
        queue=new.queue,
        priority=new.priority,
        session_id=new.session_id,
        user_id=new.user_id,
        deployment_id=new.deployment_id,
        initial_state=new.initial_state,
        parent_execution_id=new.parent_execution_id,
        parent_step_key=new.parent_step_key,
        parent_waits=parent_waits,
        root_execution_id=new.root_execution_id,
        root_workflow_id=new.root_workflow_id,
        celery_options=new.celery_options,
        known_to_celery=new.known_to_celery,
        wake_at=wake_at,
        run_timeout=timeout,
        deadline_at=deadline_at,
        forked_from=new.forked_from,
    )


def hint_of(row: Any, reason: str, countdown: float = 0.0, due_at: Micros | None = None) -> Hint:
    """The hint for an execution of which at least the hint's columns were read."""
    return Hint(
        execution_id=ExecutionId(row.id),
        workflow_id=row.workflow_id,
        queue=row.queue,
        priority=row.priority,
        countdown=countdown,
        reason=reason,
        celery_options=row.celery_options,
        due_at=due_at,
    )


def _kind(row: Any) -> Kind:
    try:
        return Kind(row.kind)
    except ValueError:
        known = ", ".join(sorted(Kind))
        raise CodecError(
            f"step {row.step_key!r} is kept as one of the unknown kind {row.kind!r}; this code "
            f"knows {known}. A newer release may have written it"
        ) from None


def checkpoint_of(row: Any) -> Checkpoint:
    """The record of a row of ``polos_checkpoints``."""
    return Checkpoint(
        step_key=row.step_key,
        kind=_kind(row),
        turn=row.turn,
        position=row.position,
        value=row.value,
        failure=failure_of(row.failure),
        attempts=row.attempts,
        started_at=row.started_at,
        created_at=row.created_at,
        history=row.history,
        input=row.input,
    )


def wait_of(row: Any) -> Wait:
    """The record of a row of ``polos_waits``."""
    return Wait(
        step_key=row.step_key,
        kind=_kind(row),
        due_at=row.due_at,
        target_id=row.target_id,
        attempts=row.attempts,
        failure=failure_of(row.failure),
        started_at=row.started_at,
        history=row.history,
        input=row.input,
    )


def checkpoint_values(row: Checkpoint) -> dict[str, Any]:
    """The columns of a checkpoint, but for the execution's id and the time."""
    return {
        "step_key": row.step_key,
        "kind": row.kind.value,
        "turn": row.turn,
        "position": row.position,
        "value": row.value,
        "failure": failure_bytes(row.failure),
        "attempts": row.attempts,
        "started_at": row.started_at,
        "history": row.history,
        "input": row.input,
    }


def wait_values(execution_id: str, wait: Wait) -> dict[str, Any]:
    """The columns of a wait."""
    return {
        "execution_id": execution_id,
        "step_key": wait.step_key,
        "kind": wait.kind.value,
        "due_at": wait.due_at,
        "target_id": wait.target_id,
        "attempts": wait.attempts,
        "failure": failure_bytes(wait.failure),
        "started_at": wait.started_at,
        "history": wait.history,
        "input": wait.input,
    }


def new_values(new: NewExecution, *, parent_waits: bool = False) -> dict[str, Any]:
    """The columns of a new execution, but for those that the database's clock gives."""
    return {
        "id": new.id,
        "project_id": new.project_id,
        "workflow_id": new.workflow_id,
        "status": (Status.WAITING if new.delay_seconds else Status.QUEUED).value,
        "delay": micros(new.delay_seconds) if new.delay_seconds else None,
        "payload": new.payload,
        "queue": new.queue,
        "priority": new.priority,
        "session_id": new.session_id,
        "user_id": new.user_id,
        "deployment_id": new.deployment_id,
        "concurrency_key": new.concurrency_key,
        "idempotency_key": new.idempotency_key,
        "initial_state": new.initial_state,
        "parent_execution_id": new.parent_execution_id,
        "parent_step_key": new.parent_step_key,
        "parent_waits": parent_waits,
        "root_execution_id": new.root_execution_id,
        "root_workflow_id": new.root_workflow_id,
        "celery_options": new.celery_options,
        "known_to_celery": new.known_to_celery,
        "listener": new.listener,
        "forked_from": new.forked_from,
        "run_timeout": run_timeout_of(new),
        "until_deadline": run_timeout_of(new),
        "start_within": _micros(new.start_within_seconds),
    }


def run_timeout_of(new: NewExecution) -> Micros | None:
    """How long a new execution may take."""
    return _micros(new.run_timeout_seconds)


def _micros(seconds: float | None) -> Micros | None:
    return None if seconds is None else micros(seconds)


def steps_text(keys: Sequence[str]) -> str:
    """The steps that an execution is in, as ``lease_steps`` has them: of many the first ones."""
    return json.dumps(list(keys[:_MOST_NAMED]))


def steps_of(text: str | None) -> tuple[str, ...]:
    """The steps that an execution is in, for all that is known."""
    return tuple(json.loads(text)) if text else ()


def child_of(row: Any) -> Child:
    """A child, of a row with its columns."""
    return Child(
        ExecutionId(row.id),
        row.workflow_id,
        Status(row.status),
        row.parent_step_key or "",
        row.created_at,
        row.started_at,
        row.finished_at,
    )
