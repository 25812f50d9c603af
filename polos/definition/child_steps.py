"""The steps that start other workflows."""

from __future__ import annotations

from typing import Any, TypeVar, overload

from pydantic import BaseModel

from polos.codec import unpackable
from polos.definition.children import ChildRequests
from polos.definition.handle import ExecutionHandle
from polos.definition.registry import AnyWorkflow
from polos.definition.workflow_class import Workflow
from polos.model.ports import Effects

PayloadT = TypeVar("PayloadT")
ResultT = TypeVar("ResultT")


class ChildSteps:
    """The part of ``ctx.step`` that starts children.

    Args:
        effects: the engine.
        children: makes the requests.
    """

    def __init__(self, effects: Effects, children: ChildRequests) -> None:
        self._effects = effects
        self._children = children

    @overload
    async def invoke(
        self,
        key: str,
        workflow: Workflow[PayloadT, ResultT],
        payload: PayloadT | dict[str, Any] | None = None,
        *,
        initial_state: Any = None,
        queue: str | None = None,
        concurrency_key: str | None = None,
        run_timeout_seconds: float | None = None,
    ) -> ExecutionHandle[ResultT]: ...

    @overload
    async def invoke(
        self,
        key: str,
        workflow: str,
        payload: BaseModel | dict[str, Any] | None = None,
        *,
        initial_state: Any = None,
        queue: str | None = None,
        concurrency_key: str | None = None,
        run_timeout_seconds: float | None = None,
    ) -> ExecutionHandle[Any]: ...

    async def invoke(
        self,
        key: str,
        workflow: AnyWorkflow | str,
        payload: Any = None,
        *,
        initial_state: Any = None,
        queue: str | None = None,
        concurrency_key: str | None = None,
        run_timeout_seconds: float | None = None,
    ) -> ExecutionHandle[Any]:
        """Start a child, exactly once, and don't wait for it.

        Example::

            handle = await ctx.step.invoke("ship", shipping, Parcel(id=order.id))

        Args:
            key: the step's key.
            workflow: the workflow, or its id.
            payload: what the child gets, a model or a dict that fits its annotation.
            initial_state: kept with it; ``ctx.state`` does not give it yet.
            queue: the Celery queue; by default the child's own.
            concurrency_key: a label; nothing is limited by it yet.
            run_timeout_seconds: the most seconds that the child may take; by default its
                ``timeout_seconds``.

        Raises:
            TypeError: ``workflow`` or the payload is of a wrong kind.
            InvalidPayload: the payload doesn't fit the child's annotation.
            DuplicateStepKey: the key was used before in this execution.
        """
        request = self._children.make(
            key,
            workflow,
            payload,
            initial_state,
            run_timeout_seconds,
            queue=queue,
            concurrency_key=concurrency_key,
        )
        started = await self._effects.invoke(request)
        return ExecutionHandle.of(started, result_type=request.result_type)

    @overload
    async def invoke_and_wait(
        self,
        key: str,
        workflow: Workflow[PayloadT, ResultT],
        payload: PayloadT | dict[str, Any] | None = None,
        *,
        initial_state: Any = None,
        queue: str | None = None,
        concurrency_key: str | None = None,
        run_timeout_seconds: float | None = None,
    ) -> ResultT: ...

    @overload
    async def invoke_and_wait(
        self,
        key: str,
        workflow: str,
        payload: BaseModel | dict[str, Any] | None = None,
        *,
        initial_state: Any = None,
        queue: str | None = None,
        concurrency_key: str | None = None,
        run_timeout_seconds: float | None = None,
    ) -> Any: ...

    async def invoke_and_wait(
        self,
        key: str,
        workflow: AnyWorkflow | str,
        payload: Any = None,
        *,
        initial_state: Any = None,
        queue: str | None = None,
        concurrency_key: str | None = None,
        run_timeout_seconds: float | None = None,
    ) -> Any:
        """Start a child, exactly once, and wait durably for its result.

        Example::

            receipt = await ctx.step.invoke_and_wait("pay", payment, Payment(total=12))
            print(receipt.number)

        Args:
            key: the step's key.
            workflow: the workflow, or its id.
            payload: what the child gets, a model or a dict that fits its annotation.
            initial_state: kept with it; ``ctx.state`` does not give it yet.
            queue: the Celery queue; by default the child's own.
            concurrency_key: a label; nothing is limited by it yet.
            run_timeout_seconds: the most seconds that the child may take; by default its
                ``timeout_seconds``.

        Returns:
            An instance of the child's annotated result model, which can also be unpacked,
            ``Receipt(**receipt)``; plain data for a child without one.

        Raises:
            StepExecutionError: the child failed or was cancelled.
            TypeError: ``workflow`` or the payload is of a wrong kind.
            InvalidPayload: the payload doesn't fit the child's annotation.
            DuplicateStepKey: the key was used before in this execution.
        """
        request = self._children.make(
            key,
            workflow,
            payload,
            initial_state,
            run_timeout_seconds,
            queue=queue,
            concurrency_key=concurrency_key,
        )
        return unpackable(await self._effects.invoke_and_wait(request))
