"""``ctx.step`` of a plain ``def`` workflow: the same operations, without ``await``."""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol, TypeVar, overload

from pydantic import BaseModel

from polos.definition.handle import ExecutionHandle
from polos.definition.registry import AnyWorkflow
from polos.definition.steps import Steps
from polos.definition.workflow_class import Workflow
from polos.model.retry import Errors

T = TypeVar("T")
PayloadT = TypeVar("PayloadT")
ResultT = TypeVar("ResultT")


class Drive(Protocol):
    """Runs a coroutine to its end."""

    def __call__(self, coroutine: Coroutine[Any, Any, T], /) -> T:
        """What the coroutine returned."""
        ...


class SyncSteps:
    """Durable operations of a plain ``def`` workflow; each is described in ``Steps``.

    Example::

        @workflow
        def nightly(ctx: SyncWorkflowContext) -> int:
            rows = ctx.step.run("fetch", fetch_rows)
            ctx.step.wait_for("pause", minutes=5)
            return len(rows)

    Args:
        steps: the same operations, to be awaited.
        drive: runs one of them to its end.
    """

    def __init__(self, steps: Steps, drive: Drive) -> None:
        self._steps = steps
        self._drive = drive

    @overload
    def run(
        self,
        key: str,
        func: Callable[..., Awaitable[T]],
        *args: Any,
        max_retries: int = 2,
        base_delay: float = 1.0,
        max_delay: float = 10.0,
        retry_on: Errors | None = None,
        no_retry_on: Errors = (),
        timeout: float | None = None,
        jitter: float = 0.0,
        **kwargs: Any,
    ) -> T: ...

    @overload
    def run(
        self,
        key: str,
        func: Callable[..., T],
        *args: Any,
        max_retries: int = 2,
        base_delay: float = 1.0,
        max_delay: float = 10.0,
        retry_on: Errors | None = None,
        no_retry_on: Errors = (),
        timeout: float | None = None,
        jitter: float = 0.0,
        **kwargs: Any,
    ) -> T: ...

    def run(  # noqa: PLR0913
        self,
        key: str,
        func: Callable[..., Any],
        *args: Any,
        max_retries: int = 2,
        base_delay: float = 1.0,
        max_delay: float = 10.0,
        retry_on: Errors | None = None,
        no_retry_on: Errors = (),
        timeout: float | None = None,
        jitter: float = 0.0,
        **kwargs: Any,
    ) -> Any:
        """Call a function, plain or ``async def``, and record what it returns; see ``Steps.run``.

        Example::

            charge = ctx.step.run("charge", charge_card, order, max_retries=5)
        """
        return self._drive(
            self._steps.run(
                key,
                func,
                *args,
                max_retries=max_retries,
                base_delay=base_delay,
                max_delay=max_delay,
                retry_on=retry_on,
                no_retry_on=no_retry_on,
                timeout=timeout,
                jitter=jitter,
                **kwargs,
            )
        )

    def transaction(  # noqa: PLR0913
        self,
        key: str,
        func: Callable[..., T],
        *args: Any,
        max_retries: int = 2,
        base_delay: float = 1.0,
        max_delay: float = 10.0,
        retry_on: Errors | None = None,
        no_retry_on: Errors = (),
        jitter: float = 0.0,
        **kwargs: Any,
    ) -> T:
        """Call a function whose writes are committed with the step; see ``Steps.transaction``.

        Example::

            ctx.step.transaction("debit", debit, order.account, order.amount)
        """
        return self._drive(
            self._steps.transaction(
                key,
                func,
                *args,
                max_retries=max_retries,
                base_delay=base_delay,
                max_delay=max_delay,
                retry_on=retry_on,
                no_retry_on=no_retry_on,
                jitter=jitter,
                **kwargs,
            )
        )

    def wait_for(
        self,
        key: str,
        seconds: float = 0,
        minutes: float = 0,
        hours: float = 0,
        days: float = 0,
        weeks: float = 0,
    ) -> None:
        """Wait durably for the sum of the parts; see ``Steps.wait_for``.

        Example::

            ctx.step.wait_for("cooldown", hours=1, minutes=30)
        """
        self._drive(self._steps.wait_for(key, seconds, minutes, hours, days, weeks))

    def wait_until(self, key: str, datetime: dt.datetime) -> None:
        """Wait durably for a moment; see ``Steps.wait_until``.

        Example::

            ctx.step.wait_until("opening", datetime(2030, 1, 1, 9, tzinfo=UTC))
        """
        self._drive(self._steps.wait_until(key, datetime))

    def uuid(self, key: str) -> str:
        """A UUID, the same on every replay; see ``Steps.uuid``.

        Example::

            confirmation = ctx.step.uuid("confirmation")
        """
        return self._drive(self._steps.uuid(key))

    def random(self, key: str) -> float:
        """A number from 0 up to, but without, 1, the same on every replay; see ``Steps.random``.

        Example::

            if ctx.step.random("sampled") < 0.1: ...
        """
        return self._drive(self._steps.random(key))

    def now(self, key: str) -> int:
        """Milliseconds since 1970, UTC, the same on every replay; see ``Steps.now``.

        Example::

            ordered_at = ctx.step.now("ordered_at")
        """
        return self._drive(self._steps.now(key))

    def task(
        self,
        key: str,
        signature: Any,
        timeout: float | None = None,
        resend_after: float | None = None,
    ) -> Any:
        """Send an existing Celery task and give what it returns; see ``Steps.task``.

        Example::

            receipt = ctx.step.task("charge", charge_card.s(42), timeout=3600)
        """
        return self._drive(self._steps.task(key, signature, timeout, resend_after))

    @overload
    def invoke(
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
    def invoke(
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

    def invoke(
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
        """Start a child, exactly once, and don't wait for it; see ``Steps.invoke``.

        Example::

            handle = ctx.step.invoke("ship", shipping, Parcel(id=order.id))
        """
        return self._drive(
            self._steps.invoke(
                key,
                workflow,
                payload,
                initial_state=initial_state,
                queue=queue,
                concurrency_key=concurrency_key,
                run_timeout_seconds=run_timeout_seconds,
            )
        )

    @overload
    def invoke_and_wait(
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
    def invoke_and_wait(
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

    def invoke_and_wait(
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
        """Start a child, exactly once, and wait for its result; see ``Steps.invoke_and_wait``.

        Example::

            receipt = ctx.step.invoke_and_wait("pay", payment, Payment(total=12))
        """
        return self._drive(
            self._steps.invoke_and_wait(
                key,
                workflow,
                payload,
                initial_state=initial_state,
                queue=queue,
                concurrency_key=concurrency_key,
                run_timeout_seconds=run_timeout_seconds,
            )
        )
