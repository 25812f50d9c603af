"""An engine and a client that are a dict each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from itertools import count
from typing import Any, TypeVar

from polos.definition.steps import Steps
from polos.definition.sync_steps import SyncSteps
from polos.errors import ExecutionNotFound
from polos.model.ports import ChildRequest, StartRequest, TaskRequest
from polos.model.records import Execution, ExecutionId, Failure, Kind, Micros, StepRequest
from polos.model.states import Status

T = TypeVar("T")


class FakeEffects:
    """Records in a dict; a second one made with the same dict is a replay."""

    def __init__(self, recorded: dict[str, Any] | None = None, now: int = 1_700_000_000_123_456):
        self.recorded = {} if recorded is None else recorded
        self.kinds: dict[str, Kind] = {}
        self.clock = now
        self.steps: list[StepRequest] = []
        self.waits: dict[str, Micros] = {}
        self.children: list[ChildRequest] = []
        self.tasks: list[TaskRequest] = []
        self.child_result: Any = None

    def record(self, key: str, kind: Kind, make: Callable[[], Any]) -> Any:
        self.kinds[key] = kind
        if key not in self.recorded:
            self.recorded[key] = make()
        return self.recorded[key]

    def now(self) -> Micros:
        return Micros(self.clock)

    async def run(self, request: StepRequest) -> Any:
        self.steps.append(request)
        if request.key not in self.recorded:
            value = request.func(*request.args, **request.kwargs)
            self.recorded[request.key] = await value if asyncio.iscoroutine(value) else value
        return self.recorded[request.key]

    async def wait_until(self, key: str, due: Callable[[], Micros]) -> None:
        if key not in self.recorded:
            self.recorded[key] = due()
        self.waits[key] = self.recorded[key]

    async def invoke(self, request: ChildRequest) -> Execution:
        self.children.append(request)
        return Execution(
            id=ExecutionId(f"child-{request.key}"),
            workflow_id=request.workflow_id,
            project_id="default",
            status=Status.QUEUED,
            payload=request.payload,
            created_at=self.now(),
            parent_execution_id="e1",
            parent_step_key=request.key,
        )

    async def invoke_and_wait(self, request: ChildRequest) -> Any:
        self.children.append(request)
        return self.child_result

    async def task(self, request: TaskRequest) -> Any:
        self.tasks.append(request)
        return self.child_result

    def steps_for(self, execution_id: str = "e1") -> Steps:
        return Steps(self, execution_id=execution_id)

    def sync_steps_for(self, execution_id: str = "e1") -> SyncSteps:
        return SyncSteps(self.steps_for(execution_id), drive)


def drive(coroutine: Coroutine[Any, Any, T], /) -> T:
    return asyncio.run(coroutine)


class FakeClient:
    """Keeps what was started; ``ends`` says what each comes to."""

    project_id = "default"
    max_value_bytes = 1_000_000

    def __init__(self, **end: Any) -> None:
        self.end = end
        self.requests: list[StartRequest] = []
        self.executions: dict[str, Execution] = {}
        self.timeouts: list[float | None] = []
        self._numbers = count(1)

    def start(self, request: StartRequest) -> Execution:
        self.requests.append(request)
        execution = Execution(
            id=ExecutionId(request.execution_id or f"e{next(self._numbers)}"),
            workflow_id=request.workflow_id,
            project_id=self.project_id,
            status=Status.QUEUED,
            payload=request.payload,
            created_at=Micros(1_700_000_000_000_000),
            session_id=request.session_id,
            user_id=request.user_id,
        )
        self.executions[execution.id] = execution
        return execution

    def get(self, execution_id: str) -> Execution:
        if execution_id not in self.executions:
            raise ExecutionNotFound(execution_id)
        return self.executions[execution_id]

    def cancel(self, execution_id: str) -> bool:
        execution = self.get(execution_id)
        self.executions[execution_id] = replace(execution, status=Status.CANCELLED)
        return not execution.status.ended

    def wait(self, execution_id: str, timeout: float | None) -> Execution:
        self.timeouts.append(timeout)
        self.executions[execution_id] = replace(self.get(execution_id), **self.end)
        return self.executions[execution_id]

    async def wait_async(self, execution_id: str, timeout: float | None) -> Execution:
        return self.wait(execution_id, timeout)


def completing(result: bytes) -> FakeClient:
    return FakeClient(
        status=Status.COMPLETED, result=result, finished_at=Micros(1_700_000_001_000_000)
    )


def failing(failure: Failure) -> FakeClient:
    return FakeClient(status=Status.FAILED, failure=failure)
