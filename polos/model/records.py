"""The rows as the rest of Polos sees them: frozen, with aware times.

Times inside are ``Micros``: whole microseconds since the epoch, UTC, by the database's clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, NewType

from polos.model.states import Status

ExecutionId = NewType("ExecutionId", str)
Micros = NewType("Micros", int)

SECOND = 1_000_000
# So many deaths in a row without a new checkpoint make an execution a suspect.
SUSPECT = 2
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def micros(seconds: float) -> Micros:
    """Seconds as microseconds."""
    return Micros(round(seconds * SECOND))


def as_datetime(moment: Micros) -> datetime:
    """The aware datetime (UTC) of a moment."""
    return _EPOCH + timedelta(microseconds=moment)


def as_micros(moment: datetime) -> Micros:
    """The moment of a datetime; a naive one means UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return Micros((aware - _EPOCH) // timedelta(microseconds=1))


class Kind(StrEnum):
    """What a checkpoint or a wait belongs to."""

    STEP = "step"
    TIMER = "wait"
    UUID = "uuid"
    NOW = "now"
    RANDOM = "random"
    INVOKE = "invoke"
    CHILD = "invoke_and_wait"
    TASK = "task"
    TRANSACTION = "transaction"


# What an outstanding wait of these kinds is for: the back-off before the next attempt.
RETRIED = frozenset({Kind.STEP, Kind.TRANSACTION})


@dataclass(frozen=True, slots=True)
class Failure:
    """An error as it is stored: the same text and type on the first pass and on every replay.

    Attributes:
        reason: the text.
        error_type: qualified name of the exception.
        step_key: the step it came from; empty for an error of the workflow's own code.
        attempts: how often that step was tried.
        traceback: for people; never part of what is raised again.
        cause: of an error of the workflow's own code, the step whose error led to it.
    """

    reason: str
    error_type: str
    step_key: str = ""
    attempts: int = 0
    traceback: str = ""
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What one step came to.

    Attributes:
        turn: the execution's ``wakeups`` as its writer had seen them.
        position: the order among the checkpoints of that turn; 0 is a completion from outside.
        value: the encoded value; None where ``failure`` is set.
        started_at: when its first attempt began, if it took any time.
        history: the attempts that failed before, encoded.
        input: what it was given, as JSON text that may be cut; for people.
    """

    step_key: str
    kind: Kind
    turn: int = 0
    position: int = 0
    value: bytes | None = None
    failure: Failure | None = None
    attempts: int = 1
    started_at: Micros | None = None
    created_at: Micros | None = None
    history: bytes | None = None
    input: bytes | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """Something an execution waits for.

    Attributes:
        kind: ``TIMER`` for a time, ``CHILD`` for a child, ``STEP`` for the back-off before a retry.
        due_at: when it ends by itself.
        target_id: the child's execution id.
        attempts: of a step in back-off, how many attempts have failed.
        failure: of a step in back-off, the last error.
        history: of a step in back-off, the attempts that have failed, encoded.
        input: what it was given, as JSON text that may be cut; for people.
    """

    step_key: str
    kind: Kind
    due_at: Micros | None = None
    target_id: str | None = None
    attempts: int = 0
    failure: Failure | None = None
    started_at: Micros | None = None
    history: bytes | None = None
    input: bytes | None = None


@dataclass(frozen=True, slots=True)
class Tried:
    """One attempt of a step that failed.

    Attributes:
        at: when it failed.
        again_at: when the next attempt was due; older rows don't say it.
    """

    at: Micros
    error_type: str
    reason: str
    again_at: Micros | None = None


@dataclass(frozen=True, slots=True)
class NewExecution:
    """An execution that is about to be written, status ``queued``.

    Attributes:
        start_within_seconds: not claimed within this time, it never is; also below 0.
        listener: the channel that is to hear of its end.
        tags: labels to list it by; each once.
    """

    id: ExecutionId
    workflow_id: str
    project_id: str
    payload: bytes
    queue: str | None = None
    priority: int | None = None
    session_id: str | None = None
    user_id: str | None = None
    deployment_id: str | None = None
    concurrency_key: str | None = None
    idempotency_key: str | None = None
    initial_state: bytes | None = None
    parent_execution_id: str | None = None
    parent_step_key: str | None = None
    root_execution_id: str | None = None
    root_workflow_id: str | None = None
    run_timeout_seconds: float | None = None
    celery_options: bytes | None = None
    known_to_celery: bool = False
    delay_seconds: float = 0.0
    start_within_seconds: float | None = None
    listener: str | None = None
    forked_from: str | None = None
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Execution:
    """One durable run of a workflow, as stored.

    Attributes:
        run_timeout: how long it may take, in microseconds.
        deadline_at: when that time is over.
        retried: how often the whole of it was tried again.
        retries_used: how often by itself since it was started, or since a person retried it.
        forked_from: the execution whose checkpoints it began with.
    """

    id: ExecutionId
    workflow_id: str
    project_id: str
    status: Status
    payload: bytes
    created_at: Micros
    result: bytes | None = None
    failure: Failure | None = None
    queue: str | None = None
    priority: int | None = None
    session_id: str | None = None
    user_id: str | None = None
    deployment_id: str | None = None
    initial_state: bytes | None = None
    parent_execution_id: str | None = None
    parent_step_key: str | None = None
    parent_waits: bool = False
    root_execution_id: str | None = None
    root_workflow_id: str | None = None
    celery_options: bytes | None = None
    known_to_celery: bool = False
    unannounced: bool = False
    claims: int = 0
    recoveries: int = 0
    recovered_checkpoints: int = 0
    wakeups: int = 0
    cancel_requested_at: Micros | None = None
    wake_at: Micros | None = None
    started_at: Micros | None = None
    finished_at: Micros | None = None
    run_timeout: Micros | None = None
    deadline_at: Micros | None = None
    retried: int = 0
    retries_used: int = 0
    forked_from: str | None = None

    @property
    def cancel_requested(self) -> bool:
        """Whether it is to be cancelled, or its time is over."""
        return self.cancel_requested_at is not None

    @property
    def expired(self) -> bool:
        """Whether it ended because nobody began it in time."""
        return self.status is Status.CANCELLED and not self.cancel_requested

    @property
    def is_fresh(self) -> bool:
        """Whether nothing can be recorded of it yet: no worker had it before, and it is no fork."""
        return self.claims <= 1 and self.forked_from is None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an execution has come.

    Attributes:
        checkpoints: what its steps came to, in the order in which it met that.
        waits: what it waits for.
        children: the executions that its steps have started.
        tags: its labels, sorted.
        executing: the steps whose functions run, of those that have done so for some seconds.
        worker: who runs it.
    """

    checkpoints: tuple[Checkpoint, ...] = ()
    waits: tuple[Wait, ...] = ()
    children: tuple[Child, ...] = ()
    tags: tuple[str, ...] = ()
    executing: tuple[str, ...] = ()
    worker: str | None = None


@dataclass(frozen=True, slots=True)
class Child:
    """A child as its parent's progress shows it."""

    id: ExecutionId
    workflow_id: str
    status: Status
    step_key: str
    created_at: Micros
    started_at: Micros | None = None
    finished_at: Micros | None = None


@dataclass(frozen=True, slots=True)
class Hint:
    """What the broker carries: that an execution may have work.

    Losing it delays, doubling it does nothing.

    Attributes:
        countdown: seconds until it is due.
        due_at: when that is, where it has a countdown; on its way a hint may wait behind others.
        reason: for people who read it in Flower.
        celery_options: the kept options of the execution's first message, encoded.
    """

    execution_id: ExecutionId
    workflow_id: str
    queue: str | None = None
    priority: int | None = None
    countdown: float = 0.0
    reason: str = "start"
    celery_options: bytes | None = None
    due_at: Micros | None = None

    @classmethod
    def of(
        cls,
        execution: Execution,
        reason: str = "start",
        countdown: float = 0.0,
        due_at: Micros | None = None,
    ) -> Hint:
        """The hint for an execution, with all that has to go with each of its messages."""
        return cls(
            execution.id,
            execution.workflow_id,
            execution.queue,
            execution.priority,
            countdown,
            reason,
            execution.celery_options,
            due_at,
        )


@dataclass(frozen=True, slots=True)
class Claimed:
    """A claim that was won.

    Attributes:
        now: the database's time of the claim.
        checkpoints: all that is recorded, in the order in which it was resolved.
        waits: what was outstanding at the last park or checkpoint.
    """

    execution: Execution
    token: str
    now: Micros
    checkpoints: tuple[Checkpoint, ...] = ()
    waits: tuple[Wait, ...] = ()


@dataclass(frozen=True, slots=True)
class StepRequest:
    """One call of ``ctx.step.run``, or of ``transaction``.

    Attributes:
        is_async: whether the function is known to be ``async def``.
        kind: ``STEP`` or ``TRANSACTION``.
    """

    key: str
    func: Any
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    policy: Any = None
    is_async: bool = False
    kind: Kind = Kind.STEP
