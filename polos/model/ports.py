"""What one floor needs of another that it must not import.

``Effects`` is all that a workflow's steps know of the engine; ``Dispatcher`` sends hints;
``WorkflowClient`` is what ``wf.run(client, …)`` needs of a client; a ``ProjectClient`` does what a
client does, with a store or by way of a server; a ``Transactor`` gives a step's function the
connection to write through.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from polos.model.listing import ExecutionPage, ExecutionQuery
from polos.model.records import Execution, Hint, Kind, Micros, Progress, StepRequest

T = TypeVar("T")

# Begins a transaction of the store's database, and gives the connection that a step's function
# gets; commits at the block's end, or rolls back for an exception.
Transactor = Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True, slots=True)
class ChildRequest:
    """One call of ``ctx.step.invoke`` or ``invoke_and_wait``; the payload is encoded by now."""

    key: str
    workflow_id: str
    payload: bytes
    queue: str | None = None
    concurrency_key: str | None = None
    initial_state: bytes | None = None
    run_timeout_seconds: float | None = None
    result_type: Any = Any


@dataclass(frozen=True, slots=True)
class TaskRequest:
    """One call of ``ctx.step.task``.

    Attributes:
        signature: a Celery signature; only the sender looks into it.
        timeout: seconds after which the step fails.
        resend_after: seconds after which a task that has not ended is sent again.
    """

    key: str
    signature: Any
    timeout: float | None = None
    resend_after: float | None = None


@dataclass(frozen=True, slots=True)
class TaskSending:
    """A task that is to be sent for a step.

    Attributes:
        task_id: what Celery is to call it, the same each time that it is sent.
        signature: without groups at its end; what its last task returns is the step's value.
    """

    execution_id: str
    step_key: str
    task_id: str
    signature: Any


class TaskSender(Protocol):
    """Sends the tasks of steps."""

    def split(self, key: str, signature: Any) -> Sequence[Any] | None:
        """The members of a group, each to be sent by itself; None for all else.

        Raises:
            TypeError: it can't be sent as the step of that key.
        """
        ...

    def send(self, sending: TaskSending) -> bool:
        """Publish it; False where the broker is away. Raises whatever is wrong with the task."""
        ...

    def revoke(self, task_ids: Sequence[str]) -> None:
        """Keep tasks from being started, as far as that can be done; never raises."""
        ...


class Effects(Protocol):
    """What a workflow's steps ask of the engine."""

    def record(self, key: str, kind: Kind, make: Callable[[], Any]) -> Any:
        """The recorded value of ``key``, or ``make()``, recorded. Returns without suspending."""
        ...

    def now(self) -> Micros:
        """The database's time, kept up by this machine's monotonic clock."""
        ...

    async def run(self, request: StepRequest) -> Any:
        """The value of a step, run at most until its checkpoint is there."""
        ...

    async def wait_until(self, key: str, due: Callable[[], Micros]) -> None:
        """Return when the time has come; ``due`` is asked only where nothing is recorded."""
        ...

    async def invoke(self, request: ChildRequest) -> Execution:
        """Start a child, exactly once."""
        ...

    async def invoke_and_wait(self, request: ChildRequest) -> Any:
        """Start a child, exactly once, and give its result."""
        ...

    async def task(self, request: TaskRequest) -> Any:
        """Send a Celery task, or a group of them, and give what it returns."""
        ...


class Dispatcher(Protocol):
    """Sends hints to the workers."""

    def dispatch(self, hints: Sequence[Hint]) -> int:
        """Publish them; how many the broker took. Never raises for a broker that is away."""
        ...

    def is_away(self) -> bool:
        """Whether the broker was out of reach when it was last asked."""
        ...


class WorkflowClient(Protocol):
    """What workflows and handles need of a client."""

    @property
    def project_id(self) -> str:
        """The namespace whose executions it sees."""
        ...

    @property
    def max_value_bytes(self) -> int:
        """The largest encoded value that is kept."""
        ...

    def start(self, request: StartRequest) -> Execution:
        """Write the execution and send its hint."""
        ...

    def get(self, execution_id: str) -> Execution:
        """The stored execution; raises ExecutionNotFound."""
        ...

    def cancel(self, execution_id: str) -> bool:
        """Cancel; False where it had ended already."""
        ...

    def wait(self, execution_id: str, timeout: float | None) -> Execution:
        """Block until it has ended; raises WorkflowTimeoutError."""
        ...

    def wait_async(self, execution_id: str, timeout: float | None) -> Awaitable[Execution]:
        """The same without blocking the loop."""
        ...


class ProjectClient(Protocol):
    """All that is done with the executions of a project from outside, whatever the way to them."""

    @property
    def project_id(self) -> str:
        """The namespace whose executions it sees."""
        ...

    @property
    def is_open(self) -> bool:
        """Whether it has been used."""
        ...

    def start(self, request: StartRequest) -> Execution:
        """Write the execution and send its hint."""
        ...

    def start_many(self, requests: Sequence[StartRequest]) -> list[Execution]:
        """Write executions that are due at once, all or none, and send their hints."""
        ...

    def get(self, execution_id: str) -> Execution:
        """The stored execution; raises ExecutionNotFound."""
        ...

    def cancel(self, execution_id: str) -> bool:
        """Cancel an execution and its children; False where it had ended already."""
        ...

    def list_executions(self, query: ExecutionQuery) -> ExecutionPage:
        """One page of a list."""
        ...

    def progress(self, execution_id: str) -> tuple[Execution, Progress]:
        """An execution and how far it has come; raises ExecutionNotFound."""
        ...

    def retry(self, execution_id: str) -> Execution:
        """Try a failed execution again; raises IllegalTransition."""
        ...

    def fork(self, execution_id: str, from_step: str | None, payload: bytes | None) -> Execution:
        """Start one with what another had recorded before a step; raises StepNotFound."""
        ...

    def prune(self, older_than: float) -> int:
        """Delete what ended so many seconds ago; how many executions."""
        ...

    def wait(self, execution_id: str, timeout: float | None) -> Execution:
        """Block until it has ended; raises WorkflowTimeoutError."""
        ...

    def wait_async(self, execution_id: str, timeout: float | None) -> Awaitable[Execution]:
        """The same without blocking the loop."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


@dataclass(frozen=True, slots=True)
class StartRequest:
    """One start of a workflow from outside; payload and state are encoded and validated.

    Attributes:
        start_within_seconds: not begun within this time, it never is; also below 0.
        awaited: whether the caller is going to wait for the end.
        connection: the caller's own, in whose transaction it is to be written.
        deployment_id: a label; the client's own where left out.
        declared: whether the workflow's code is where the start comes from, so that it is started
            also where no worker has been seen that has it.
    """

    workflow_id: str
    payload: bytes
    queue: str | None = None
    priority: int | None = None
    concurrency_key: str | None = None
    session_id: str | None = None
    user_id: str | None = None
    idempotency_key: str | None = None
    execution_id: str | None = None
    initial_state: bytes | None = None
    run_timeout_seconds: float | None = None
    celery_options: bytes | None = None
    known_to_celery: bool = False
    dispatch: bool = True
    delay_seconds: float = 0.0
    start_within_seconds: float | None = None
    awaited: bool = False
    connection: Any = None
    tags: tuple[str, ...] = ()
    deployment_id: str | None = None
    declared: bool = False


__all__ = [
    "ChildRequest",
    "Dispatcher",
    "Effects",
    "ProjectClient",
    "StartRequest",
    "TaskRequest",
    "TaskSender",
    "TaskSending",
    "Transactor",
    "WorkflowClient",
]
