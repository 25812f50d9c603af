"""A workflow: a durable function that can be started."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from polos.definition.declaration import Declaration
from polos.definition.default_client import client_and_payload
from polos.definition.handle import ExecutionHandle, decode_result
from polos.definition.names import check_seconds, check_tags, check_text, check_wait
from polos.definition.options import WorkflowOptions
from polos.definition.task_calls import TaskCalls
from polos.model.ports import StartRequest, WorkflowClient

PayloadT = TypeVar("PayloadT")
ResultT_co = TypeVar("ResultT_co", covariant=True)

# Labels; the other texts of a start name something.
_MAY_BE_EMPTY = ("session_id", "user_id")


class Workflow(Declaration, TaskCalls, Generic[PayloadT, ResultT_co]):
    """A durable function; made by ``@workflow``.

    Calling it, ``wf(ctx, payload)``, calls the plain function, which is handy in tests.

    Attributes:
        id: the workflow's id; its Celery task is ``polos.<id>``.
        description: as given, else the first line of the function's docstring.
        function: the function.
        is_async: whether the function is an ``async def``.
        queue: the Celery queue of its executions; None leaves that to Celery's routing.
        retries: how often a failed execution is tried again as a whole.
        timeout_seconds: the most seconds that one execution may take; None means no limit.
        celery_options: the options of the workflow's own Celery task, read-only.
        version: as given.
        trigger_on_event: as given, and so are the next five; they have no effect yet.
        batch_size: how many events are to start one execution.
        batch_timeout_seconds: how long to wait for a full batch, in seconds.
        schedule: a cron expression, or a dict with it and a time zone.
        on_start: functions to call before it.
        on_end: functions to call after it.
        state_schema: the model that an ``initial_state`` has to fit.
        options: what ``@workflow`` was given.
    """

    def __init__(
        self, function: Callable[..., Any], options: WorkflowOptions, local: Mapping[str, Any]
    ) -> None:
        super().__init__(function, options, local)
        functools.update_wrapper(self, function, updated=())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the plain function; what it returns, a coroutine for an ``async def``."""
        return self.function(*args, **kwargs)

    async def run(  # noqa: PLR0913
        self,
        client: WorkflowClient | PayloadT | dict[str, Any] | None = None,
        payload: PayloadT | dict[str, Any] | None = None,
        queue: str | None = None,
        concurrency_key: str | None = None,
        session_id: str | None = None,
        user_id: str | None = None,
        timeout: float | None = 600.0,
        initial_state: Any = None,
        *,
        idempotency_key: str | None = None,
        execution_id: str | None = None,
        tags: Sequence[str] = (),
    ) -> ResultT_co:
        """Start an execution and wait for its result.

        Example::

            result = await order_workflow.run(client, Order(id="a1"), timeout=60)

        Args:
            client: whom to ask; by default the client of ``Polos(app)``. It may be left out
                altogether: ``run(payload)``.
            payload: what the function gets, a model or a dict that fits its annotation.
            queue: the Celery queue; by default the workflow's own.
            concurrency_key: a label; nothing is limited by it yet.
            session_id: a label, ``ctx.session_id``.
            user_id: a label, ``ctx.user_id``.
            timeout: seconds to wait; None waits for ever. The execution outlives it.
            initial_state: kept with it; ``ctx.state`` does not give it yet.
            idempotency_key: a second start with the same key gives the first execution.
            execution_id: an id of your own; by default a new one.
            tags: at most 32 labels to list it by.

        Returns:
            An instance of the annotated return type.

        Raises:
            TypeError: the payload is no model, dict or None, or ``client`` is no client.
            ValueError: the payload doesn't fit (``InvalidPayload``), or a label is too long.
            StepExecutionError: a step failed.
            WorkflowFailedError: the workflow failed with anything else.
            ExecutionCancelledError: it was cancelled.
            WorkflowTimeoutError: it has not ended in time, and goes on.
            ExecutionExists: the chosen id is taken.
            StoreUnavailable: the database can't be reached.
            ConfigurationError: there is no client.
        """
        check_wait(timeout)
        handle = await asyncio.to_thread(
            self._started,
            client,
            payload,
            initial_state,
            awaited=True,
            queue=queue,
            concurrency_key=concurrency_key,
            session_id=session_id,
            user_id=user_id,
            idempotency_key=idempotency_key,
            execution_id=execution_id,
            tags=tags,
        )
        return await handle.result(timeout)

    def run_sync(  # noqa: PLR0913
        self,
        client: WorkflowClient | PayloadT | dict[str, Any] | None = None,
        payload: PayloadT | dict[str, Any] | None = None,
        queue: str | None = None,
        concurrency_key: str | None = None,
        session_id: str | None = None,
        user_id: str | None = None,
        timeout: float | None = 600.0,
        initial_state: Any = None,
        *,
        idempotency_key: str | None = None,
        execution_id: str | None = None,
        tags: Sequence[str] = (),
    ) -> ResultT_co:
        """The same as ``run``, for code without an event loop; blocks.

        Example::

            result = order_workflow.run_sync(client, Order(id="a1"), timeout=60)
        """
        check_wait(timeout)
        handle = self._started(
            client,
            payload,
            initial_state,
            awaited=True,
            queue=queue,
            concurrency_key=concurrency_key,
            session_id=session_id,
            user_id=user_id,
            idempotency_key=idempotency_key,
            execution_id=execution_id,
            tags=tags,
        )
        return handle.result_sync(timeout)

    async def invoke(  # noqa: PLR0913
        self,
        client: WorkflowClient | PayloadT | dict[str, Any] | None = None,
        payload: PayloadT | dict[str, Any] | None = None,
        queue: str | None = None,
        concurrency_key: str | None = None,
        session_id: str | None = None,
        user_id: str | None = None,
        initial_state: Any = None,
        run_timeout_seconds: float | None = None,
        *,
        idempotency_key: str | None = None,
        execution_id: str | None = None,
        tags: Sequence[str] = (),
    ) -> ExecutionHandle[ResultT_co]:
        """Start an execution and don't wait for it.

        Example::

            handle = await order_workflow.invoke(client, Order(id="a1"))

        Args:
            client: whom to ask; by default the client of ``Polos(app)``. It may be left out
                altogether: ``invoke(payload)``.
            payload: what the function gets, a model or a dict that fits its annotation.
            queue: the Celery queue; by default the workflow's own.
            concurrency_key: a label; nothing is limited by it yet.
            session_id: a label, ``ctx.session_id``.
            user_id: a label, ``ctx.user_id``.
            initial_state: kept with it; ``ctx.state`` does not give it yet.
            run_timeout_seconds: the most seconds that the execution may take; by default the
                workflow's ``timeout_seconds``.
            idempotency_key: a second start with the same key gives the first execution.
            execution_id: an id of your own; by default a new one.
            tags: at most 32 labels to list it by.

        Raises:
            TypeError: the payload is no model, dict or None, or ``client`` is no client.
            ValueError: the payload doesn't fit (``InvalidPayload``), or a label is too long.
            ExecutionExists: the chosen id is taken.
            StoreUnavailable: the database can't be reached.
            ConfigurationError: there is no client.
        """
        return await asyncio.to_thread(
            self.start,
            client,
            payload,
            queue,
            concurrency_key,
            session_id,
            user_id,
            initial_state,
            run_timeout_seconds,
            idempotency_key=idempotency_key,
            execution_id=execution_id,
            tags=tags,
        )

    def start(  # noqa: PLR0913
        self,
        client: WorkflowClient | PayloadT | dict[str, Any] | None = None,
        payload: PayloadT | dict[str, Any] | None = None,
        queue: str | None = None,
        concurrency_key: str | None = None,
        session_id: str | None = None,
        user_id: str | None = None,
        initial_state: Any = None,
        run_timeout_seconds: float | None = None,
        *,
        idempotency_key: str | None = None,
        execution_id: str | None = None,
        connection: Any = None,
        tags: Sequence[str] = (),
    ) -> ExecutionHandle[ResultT_co]:
        """The same as ``invoke``, for code without an event loop.

        With ``connection`` the execution is part of the caller's own database transaction: rolled
        back with it, it never was; committed with it, it runs, also if this process dies right
        after. Errors of the database are those of the caller's own driver.

        Example::

            handle = order_workflow.start(client, Order(id="a1"))

            with Session(engine) as session, session.begin():
                session.add(order)
                order_workflow.start(Order(id=order.id), connection=session)

        Args:
            client: as ``invoke`` has it, and so are all that are not named here.
            connection: a connection to the database in which Polos keeps its executions:
                SQLAlchemy's ``Connection``, ``Session`` or ``scoped_session``, Django's
                ``connection``, or one of psycopg or sqlite3. Outside of a transaction the
                execution is written at once. An asynchronous session gives its own:
                ``await session.run_sync(lambda it: order_workflow.start(order, connection=it))``.

        Raises:
            TypeError: ``connection`` is none of those; and what ``invoke`` raises.
            ConfigurationError: it leads to a database without the tables of Polos.
            SchemaError: it leads to one with an older schema.
            ExecutionExists: the chosen id is taken; the transaction goes on.
        """
        return self._started(
            client,
            payload,
            initial_state,
            run_timeout_seconds,
            queue=queue,
            concurrency_key=concurrency_key,
            session_id=session_id,
            user_id=user_id,
            idempotency_key=idempotency_key,
            execution_id=execution_id,
            connection=connection,
            tags=tags,
        )

    def decode_result(self, data: bytes) -> ResultT_co:
        """A stored result, an instance of the annotated return type."""
        result: ResultT_co = decode_result(data, self.result_type)
        return result

    def _started(
        self,
        client: Any,
        payload: Any,
        initial_state: Any,
        run_timeout_seconds: float | None = None,
        *,
        awaited: bool = False,
        connection: Any = None,
        tags: Sequence[str] = (),
        **texts: str | None,
    ) -> ExecutionHandle[ResultT_co]:
        asked, payload = client_and_payload(client, payload, self.id)
        limit = asked.max_value_bytes
        checked: dict[str, Any] = {
            name: check_text(name, text, empty=name in _MAY_BE_EMPTY)
            for name, text in texts.items()
        }
        request = StartRequest(
            workflow_id=self.id,
            payload=self.encode_payload(payload, limit),
            queue=checked.pop("queue") or self.queue,
            priority=self.celery_options.get("priority"),
            initial_state=self.encode_state(initial_state, limit),
            run_timeout_seconds=(
                check_seconds("run_timeout_seconds", run_timeout_seconds) or self.timeout_seconds
            ),
            awaited=awaited,
            connection=connection,
            tags=check_tags(tags),
            **checked,
        )
        return ExecutionHandle.of(asked.start(request), asked, self.result_type)
