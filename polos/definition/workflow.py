"""``@workflow``: makes a function durable."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar, overload

from pydantic import BaseModel

from polos.definition.context import SyncWorkflowContext, WorkflowContext
from polos.definition.options import Hooks, Schedule, WorkflowOptions
from polos.definition.registry import registry
from polos.definition.workflow_class import Workflow

PayloadT = TypeVar("PayloadT", bound=BaseModel | dict[str, Any] | None)
ResultT = TypeVar("ResultT")


class WorkflowDecorator:
    """What ``@workflow(…)`` gives: makes a function a workflow with these options.

    Args:
        options: what ``@workflow`` was given.
    """

    def __init__(self, options: WorkflowOptions) -> None:
        self._options = options

    @overload
    def __call__(
        self, func: Callable[[WorkflowContext, PayloadT], Coroutine[Any, Any, ResultT]], /
    ) -> Workflow[PayloadT, ResultT]: ...

    @overload
    def __call__(
        self, func: Callable[[WorkflowContext], Coroutine[Any, Any, ResultT]], /
    ) -> Workflow[None, ResultT]: ...

    @overload
    def __call__(
        self, func: Callable[[SyncWorkflowContext, PayloadT], ResultT], /
    ) -> Workflow[PayloadT, ResultT]: ...

    @overload
    def __call__(
        self, func: Callable[[SyncWorkflowContext], ResultT], /
    ) -> Workflow[None, ResultT]: ...

    def __call__(self, func: Callable[..., Any], /) -> Workflow[Any, Any]:
        """The workflow of a function, which is also made known to ``registry``."""
        return _declared(func, self._options, sys._getframe(1).f_locals)


@overload
def workflow(
    func: Callable[[WorkflowContext, PayloadT], Coroutine[Any, Any, ResultT]], /
) -> Workflow[PayloadT, ResultT]: ...


@overload
def workflow(
    func: Callable[[WorkflowContext], Coroutine[Any, Any, ResultT]], /
) -> Workflow[None, ResultT]: ...


@overload
def workflow(
    func: Callable[[SyncWorkflowContext, PayloadT], ResultT], /
) -> Workflow[PayloadT, ResultT]: ...


@overload
def workflow(func: Callable[[SyncWorkflowContext], ResultT], /) -> Workflow[None, ResultT]: ...


@overload
def workflow(
    func: None = None,
    /,
    *,
    id: str | None = None,
    description: str | None = None,
    queue: str | None = None,
    trigger_on_event: str | None = None,
    batch_size: int = 1,
    batch_timeout_seconds: float | None = None,
    schedule: Schedule = None,
    on_start: Hooks = None,
    on_end: Hooks = None,
    state_schema: type[BaseModel] | None = None,
    retries: int = 0,
    timeout_seconds: float | None = None,
    celery: Mapping[str, Any] | None = None,
    version: str | None = None,
) -> WorkflowDecorator: ...


def workflow(  # noqa: PLR0913
    func: Callable[..., Any] | None = None,
    /,
    *,
    id: str | None = None,
    description: str | None = None,
    queue: str | None = None,
    trigger_on_event: str | None = None,
    batch_size: int = 1,
    batch_timeout_seconds: float | None = None,
    schedule: Schedule = None,
    on_start: Hooks = None,
    on_end: Hooks = None,
    state_schema: type[BaseModel] | None = None,
    retries: int = 0,
    timeout_seconds: float | None = None,
    celery: Mapping[str, Any] | None = None,
    version: str | None = None,
) -> Workflow[Any, Any] | WorkflowDecorator:
    """Make a function a durable workflow: ``@workflow``, ``@workflow()`` or ``@workflow(id=…)``.

    The function takes ``(ctx)`` or ``(ctx, payload)``. The payload is annotated with ``dict``, a
    Pydantic model or a union of them; the return annotation is the type of the result.

    Example::

        @workflow(id="order_processor", queue="orders")
        async def process_order(ctx: WorkflowContext, payload: Order) -> Receipt:
            await ctx.step.run("reserve", reserve_items, payload.items)
            return Receipt(number=await ctx.step.uuid("number"))

    Args:
        func: the function.
        id: letters, digits, ``_``, ``-`` and ``.``, at most 200; by default the function's name.
        description: for people; by default the first line of the docstring.
        queue: the Celery queue; by default what Celery's routing says.
        trigger_on_event: the topic whose events are to start it. This, the two that follow,
            ``schedule``, ``on_start`` and ``on_end`` are checked and kept, so that code which has
            them can be imported, but have no effect yet: a ``UserWarning`` says so.
        batch_size: how many events are to start one execution.
        batch_timeout_seconds: how long to wait for a full batch, in seconds; None: no limit.
        schedule: a cron expression, or a dict with it and a time zone. Celery's ``beat_schedule``
            starts workflows by the clock.
        on_start: a function, or several, to call before it.
        on_end: a function, or several, to call after it.
        state_schema: the Pydantic model that an ``initial_state`` has to fit; ``ctx.state`` does
            not give it yet.
        retries: how often a failed execution is tried again as a whole, after pauses of 1, 2, 4 …
            at most 10 seconds; what has succeeded is not done again.
        timeout_seconds: the most seconds that one execution may take, its waits and retries
            included; then it fails with ``ExecutionTimedOut``. None: no limit.
        celery: options of the workflow's own Celery task: ``rate_limit``, ``priority``, …
        version: a label for this version of the code.

    Raises:
        TypeError: the function can't be a workflow; the text says what to change.
        ValueError: the id is taken or not acceptable, or options contradict each other.
    """
    options = WorkflowOptions(
        id=id,
        description=description,
        queue=queue,
        trigger_on_event=trigger_on_event,
        batch_size=batch_size,
        batch_timeout_seconds=batch_timeout_seconds,
        schedule=schedule,
        on_start=on_start,
        on_end=on_end,
        state_schema=state_schema,
        retries=retries,
        timeout_seconds=timeout_seconds,
        celery=celery,
        version=version,
    )
    if func is None:
        return WorkflowDecorator(options)
    return _declared(func, options, sys._getframe(1).f_locals)


def _declared(
    func: Callable[..., Any], options: WorkflowOptions, local: Mapping[str, Any]
) -> Workflow[Any, Any]:
    made: Workflow[Any, Any] = Workflow(func, options, local)
    registry.add(made)
    if options.without_effect:
        warnings.warn(
            f"workflow {made.id!r}: what is given as {', '.join(options.without_effect)} has no "
            "effect yet; call what comes before or after in a step, and start it by beat or by "
            "wf.start()",
            stacklevel=3,
        )
    return made


__all__ = ["Workflow", "WorkflowDecorator", "workflow"]
