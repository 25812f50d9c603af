"""The handle of an execution: who it is, how it stands and what it came to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from polos import codec
from polos.definition.annotations import is_model
from polos.definition.default_client import chosen_client
from polos.definition.names import check_wait
from polos.definition.payload import faults_text
from polos.errors import (
    CodecError,
    ExecutionCancelledError,
    ExecutionTimedOut,
    StepExecutionError,
    WorkflowFailedError,
)
from polos.model.ports import WorkflowClient
from polos.model.records import Execution, Failure, Micros, as_datetime
from polos.model.states import Status

ResultT_co = TypeVar("ResultT_co", covariant=True)


@dataclass(frozen=True)
class ExecutionHandle(Generic[ResultT_co]):
    """An execution that was started.

    Example::

        handle = await order_workflow.invoke(client, Order(id="a1"))
        print(handle.id, handle.status())
        result = await handle.result(timeout=60)

    Attributes:
        id: the execution's id; also the id of its Celery task.
        workflow_id: the workflow's id.
        created_at: when it was written, an aware datetime in UTC.
        parent_execution_id: the execution whose step started it; None if no step did.
        root_workflow_id: the workflow at the top of its tree; None if it is itself at the top.
        root_execution_id: the execution at the top of its tree; None if it is itself at the top.
        session_id: as given at the start.
        user_id: as given at the start.
        step_key: the key of the step that started it; None if no step did.
    """

    id: str
    workflow_id: str
    created_at: datetime
    parent_execution_id: str | None = None
    root_workflow_id: str | None = None
    root_execution_id: str | None = None
    session_id: str | None = None
    user_id: str | None = None
    step_key: str | None = None
    _client: WorkflowClient | None = field(default=None, repr=False, compare=False)
    _result_type: Any = field(default=Any, repr=False, compare=False)

    @classmethod
    def of(
        cls, execution: Execution, client: WorkflowClient | None = None, result_type: Any = Any
    ) -> ExecutionHandle[Any]:
        """The handle of a stored execution.

        Args:
            execution: the execution.
            client: what the handle asks; by default the client of ``Polos(app)``.
            result_type: the annotated result type of its workflow.
        """
        return ExecutionHandle(
            id=execution.id,
            workflow_id=execution.workflow_id,
            created_at=as_datetime(execution.created_at),
            parent_execution_id=execution.parent_execution_id,
            root_workflow_id=execution.root_workflow_id,
            root_execution_id=execution.root_execution_id,
            session_id=execution.session_id,
            user_id=execution.user_id,
            step_key=execution.parent_step_key,
            _client=client,
            _result_type=result_type,
        )

    async def get(self, client: WorkflowClient | None = None) -> dict[str, Any]:
        """A fresh look at the execution, as plain data.

        Example::

            (await handle.get())["status"]  # "completed"

        Args:
            client: whom to ask; by default the client that it was started with.

        Returns:
            A dict with ``id``, ``workflow_id``, ``status``, ``result``, ``error``, ``error_type``,
            ``created_at``, ``started_at`` and ``finished_at`` (ISO 8601 texts, UTC), and the ids
            of ``to_dict()``. What isn't there is None.

        Raises:
            ExecutionNotFound: it was pruned.
            ConfigurationError: there is no client.
        """
        return snapshot(await asyncio.to_thread(self._chosen(client, "get").get, self.id))

    async def cancel(self, client: WorkflowClient | None = None) -> bool:
        """Cancel the execution and its children, but not its parents.

        Example::

            await handle.cancel()

        Args:
            client: whom to ask; by default the client that it was started with.

        Returns:
            False where it had ended already.

        Raises:
            ExecutionNotFound: it was pruned.
            ConfigurationError: there is no client.
        """
        return await asyncio.to_thread(self._chosen(client, "cancel").cancel, self.id)

    async def result(self, timeout: float | None = None) -> ResultT_co:
        """Wait for the end and give the result, an instance of the annotated result type.

        Example::

            result = await handle.result(timeout=60)

        Args:
            timeout: seconds to wait; None waits for ever.

        Raises:
            StepExecutionError: a step of it failed.
            WorkflowFailedError: it failed with anything else.
            ExecutionCancelledError: it was cancelled.
            WorkflowTimeoutError: it has not ended in time, and goes on.
            ConfigurationError: there is no client.
        """
        check_wait(timeout)
        client = self._chosen(None, "result")
        return self._value(await client.wait_async(self.id, timeout))

    def result_sync(self, timeout: float | None = None) -> ResultT_co:
        """The same as ``result``, for code without an event loop; blocks.

        Example::

            receipt = order_workflow.start(client, Order(id="a1")).result_sync(timeout=60)

        Args:
            timeout: seconds to wait; None waits for ever.
        """
        check_wait(timeout)
        return self._value(self._chosen(None, "result_sync").wait(self.id, timeout))

    def status(self) -> Status:
        """How the execution stands now; one short, blocking look into the store.

        Example::

            handle.status() in ("completed", "failed", "cancelled")

        Returns:
            A member of an enum of texts: ``handle.status() == "running"``.

        Raises:
            ExecutionNotFound: it was pruned.
            ConfigurationError: there is no client.
        """
        return self._chosen(None, "status").get(self.id).status

    def to_dict(self) -> dict[str, Any]:
        """The handle as plain data: its public attributes, ``created_at`` as ISO 8601 text.

        Example::

            handle.to_dict()["id"] == handle.id
        """
        names = [item.name for item in fields(self) if not item.name.startswith("_")]
        plain = {name: getattr(self, name) for name in names}
        return {**plain, "created_at": self.created_at.isoformat()}

    def _chosen(self, client: WorkflowClient | None, method: str) -> WorkflowClient:
        asked = self._client if client is None else client
        return chosen_client(asked, f"ExecutionHandle.{method}()")

    def _value(self, execution: Execution) -> ResultT_co:
        value: ResultT_co = value_of(execution, self._result_type)
        return value


def value_of(execution: Execution, result_type: Any = Any) -> Any:
    """The result of an execution that has ended, or its error.

    Args:
        execution: the execution.
        result_type: what the result is to be an instance of.

    Raises:
        StepExecutionError: a step of it failed.
        WorkflowFailedError: it failed with anything else.
        ExecutionCancelledError: it was cancelled.
        CodecError: its result can't be read.
        ValueError: it has not ended.
    """
    if execution.status is Status.COMPLETED:
        return _result(execution, lambda data: decode_result(data, result_type))
    if execution.status is Status.CANCELLED:
        raise ExecutionCancelledError(execution.id)
    if execution.status is not Status.FAILED:
        raise ValueError(
            f"execution {execution.id} is {execution.status}: it has no result yet; wait for it"
        )
    raise error_of(execution.failure or Failure("no reason was kept", ""), execution.id)


def _result(execution: Execution, read: Callable[[bytes], Any]) -> Any:
    try:
        return None if execution.result is None else read(execution.result)
    except CodecError as error:
        raise CodecError(
            f"the result of execution {execution.id} can't be read: {error}"
        ) from error


def decode_result(data: bytes, result_type: Any) -> Any:
    """A stored result, as an instance of the annotated type.

    Raises:
        CodecError: it can't be made one.
    """
    value = codec.decode(data, result_type)
    if not is_model(result_type):
        return value  # validated before it was stored; validators may not like their own output
    try:
        return codec.coerce(value, result_type)
    except ValidationError as error:
        raise CodecError(faults_text("a kept result", error)) from error


def error_of(failure: Failure, execution_id: str) -> StepExecutionError | WorkflowFailedError:
    """The exception that tells the caller of a failed execution what it failed with."""
    if failure.step_key or failure.error_type.rpartition(".")[2] == StepExecutionError.__name__:
        return StepExecutionError(
            failure.reason, failure.step_key, failure.attempts, failure.error_type
        )
    if failure.error_type == ExecutionTimedOut.__name__:
        return ExecutionTimedOut(failure.reason, execution_id)
    return WorkflowFailedError(failure.reason, execution_id, failure.error_type)


def snapshot(execution: Execution) -> dict[str, Any]:
    """An execution as plain data that JSON can carry."""
    failure = execution.failure
    return {
        **ExecutionHandle.of(execution).to_dict(),
        "status": execution.status.value,
        "result": _plain_result(execution),
        "error": failure and failure.reason,
        "error_type": failure and failure.error_type,
        "started_at": _iso(execution.started_at),
        "finished_at": _iso(execution.finished_at),
    }


def _plain_result(execution: Execution) -> Any:
    return codec.plain(_result(execution, lambda data: codec.decode(data, lenient=True)))


def _iso(moment: Micros | None) -> str | None:
    return None if moment is None else as_datetime(moment).isoformat()
