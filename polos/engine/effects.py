"""What a workflow's steps ask for, carried out by an attempt."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from polos.codec import decode_history, encode, encode_history, failure_of
from polos.engine.attempt import Attempt, value_of
from polos.engine.given import given_to
from polos.engine.interrupting import call_user
from polos.engine.signals import is_own_exit
from polos.engine.tasks import TaskWaits
from polos.engine.transactions import Final, transacted
from polos.engine.trial import Trial
from polos.errors import CodecError, ExecutionExists, LeaseLost
from polos.model.ports import ChildRequest, Dispatcher, TaskRequest, TaskSender
from polos.model.records import (
    Checkpoint,
    Execution,
    ExecutionId,
    Failure,
    Hint,
    Kind,
    Micros,
    NewExecution,
    StepRequest,
    Tried,
    Wait,
    micros,
)
from polos.model.retry import RetryPolicy
from polos.model.steps import child_id
from polos.store.children import in_portions
from polos.store.sql_store import SqlStore

log = logging.getLogger("polos.step")

_PLAIN = frozenset({type(None), bool, int, float, str, bytes, list, dict, tuple})


class AttemptEffects:
    """The ``Effects`` of one attempt.

    Args:
        attempt: the attempt.
        store: to read children that were started before.
        dispatcher: sends the hints of new children.
        sender: sends the tasks that are steps.
    """

    def __init__(
        self, attempt: Attempt, store: SqlStore, dispatcher: Dispatcher, sender: TaskSender
    ) -> None:
        self._attempt = attempt
        self._branches = attempt.branches
        self._journal = attempt.journal
        self._store = store
        self._dispatcher = dispatcher
        self._limit = attempt.settings.max_value_bytes
        self._tasks = TaskWaits(attempt, sender)
        attempt.start_children = self._start_children

    def now(self) -> Micros:
        """The database's time; this, or a little less."""
        return self._attempt.clock.at_least()

    def record(self, key: str, kind: Kind, make: Callable[[], Any]) -> Any:
        """The recorded value of ``key``, or ``make()``, recorded."""
        found = self._branches.ask(key, kind)
        if found is not None:
            return value_of(found)
        value = make()
        if kind is Kind.NOW:
            # The next step's effect may depend on it, so it must outlive a crash there.
            [row] = self._journal.commit([Checkpoint(key, kind, value=encode(value))])
            return value_of(row)
        self._journal.defer(key, kind, encode(value))
        return value

    async def wait_until(self, key: str, due: Callable[[], Micros]) -> None:
        """Return when the time has come."""
        if self._branches.ask(key, Kind.TIMER) is not None:
            await self._branches.replayed(key)
            return
        await self._branches.live()
        clock = self._attempt.clock
        stored = self._journal.stored_waits.get(key)
        if stored is None or stored.due_at is None:
            # ``due`` counts from ``now()``, which may lag; what is added keeps it from being early.
            started = clock.at_least()
            lag = clock.at_most() - clock.at_least()
            stored = Wait(key, Kind.TIMER, Micros(due() + lag), started_at=started)
        assert stored.due_at is not None
        await self._branches.timer(stored, stored.due_at)

    async def run(self, request: StepRequest) -> Any:
        """The value of a step."""
        if self._branches.ask(request.key, request.kind) is not None:
            return value_of(await self._branches.replayed(request.key))
        await self._branches.live()
        row = await self._live_step(request)
        return value_of(await self._branches.deliver(row, paused=not request.is_async))

    async def invoke(self, request: ChildRequest) -> Execution:
        """Start a child, exactly once."""
        found = self._branches.ask(request.key, Kind.INVOKE)
        if found is None:
            await self._branches.live()
            child = self._child(request)
            row = Checkpoint(request.key, Kind.INVOKE, value=encode(child.id))
            started = self._journal.start_child(child, row)
            self._send([started])
            return started
        return self._started(value_of(found), request)

    async def invoke_and_wait(self, request: ChildRequest) -> Any:
        """Start a child, exactly once, and give its result."""
        key = request.key
        if self._branches.ask(key, Kind.CHILD) is not None:
            row = await self._branches.replayed(key)
        else:
            await self._branches.live()
            wait = self._journal.stored_waits.get(key)
            if wait is None:
                child = self._child(request)
                wait = Wait(key, Kind.CHILD, target_id=child.id, started_at=self.now())
                row = await self._branches.new_child(child, wait)
            else:
                row = await self._branches.outside(wait)
        return value_of(row, request.result_type)

    async def task(self, request: TaskRequest) -> Any:
        """Send a Celery task, or a group of them, and give what it returns."""
        return await self._tasks.run(request)

    # -- children --------------------------------------------------------------------------

    def _child(self, request: ChildRequest) -> NewExecution:
        parent = self._journal.execution
        return NewExecution(
            id=ExecutionId(child_id(parent.id, request.key, parent.retried)),
            workflow_id=request.workflow_id,
            project_id=parent.project_id,
            payload=request.payload,
            queue=request.queue,
            priority=parent.priority,
            session_id=parent.session_id,
            user_id=parent.user_id,
            deployment_id=parent.deployment_id,
            concurrency_key=request.concurrency_key,
            initial_state=request.initial_state,
            parent_execution_id=parent.id,
            parent_step_key=request.key,
            root_execution_id=parent.root_execution_id or parent.id,
            root_workflow_id=parent.root_workflow_id or parent.workflow_id,
            run_timeout_seconds=request.run_timeout_seconds,
        )

    def _start_children(self) -> None:
        """Start what the branches have asked for since the loop was idle, all together."""
        for some in in_portions(self._branches.take_new_children()):
            started = self._journal.start_children(some)
            self._send(list(started.values()))
            for child, wait in some:
                if child.id not in started:
                    self._branches.refuse(wait.step_key, ExecutionExists(child.id))

    def _send(self, children: Sequence[Execution]) -> None:
        self._dispatcher.dispatch([Hint.of(child) for child in children])

    def _started(self, child_id: str, request: ChildRequest) -> Execution:
        found = self._journal.persist(lambda: self._store.get(child_id))
        if found is not None:
            return found
        # It has ended and was pruned; its handle must stay what it was.
        new, parent = self._child(request), self._journal.execution
        return Execution(
            id=new.id,
            workflow_id=new.workflow_id,
            project_id=new.project_id,
            status=parent.status,
            payload=new.payload,
            created_at=parent.created_at,
            parent_execution_id=parent.id,
            parent_step_key=request.key,
            root_execution_id=new.root_execution_id,
            root_workflow_id=new.root_workflow_id,
        )

    # -- a step that really runs -----------------------------------------------------------

    async def _live_step(self, request: StepRequest) -> Checkpoint:
        policy: RetryPolicy = request.policy or RetryPolicy()
        wait = self._journal.stored_waits.get(request.key)
        failed = 0 if wait is None else wait.attempts
        started = (wait.started_at if wait else None) or self.now()
        history = None if wait is None else wait.history
        # As it is before the function may change it.
        given = self._input(request) if wait is None else wait.input
        if wait is not None and wait.due_at is not None:
            await self._branches.timer(wait, wait.due_at)
        while True:
            this = Trial(request.key, request.kind, failed + 1, started, history, given)
            row, error = await self._try(request, policy, this)
            if row is not None and not self._journal.has(row):
                [row] = self._journal.commit([row], self._branches.waits_to_store())
            if row is not None:
                return row
            failed += 1
            at = self._attempt.clock.at_most()
            due = Micros(at + micros(policy.delay(failed)))
            history = _longer(history, error, at, due)
            wait = Wait(
                request.key, request.kind, due, None, failed, error, started, history, given
            )
            self._journal.keep_wait(wait)
            await self._branches.timer(wait, due)

    def _input(self, request: StepRequest) -> bytes | None:
        settings = self._attempt.settings
        return given_to(request, settings.redact) if settings.record_inputs else None

    async def _try(
        self, request: StepRequest, policy: RetryPolicy, this: Trial
    ) -> tuple[Checkpoint | None, Failure | None]:
        """One attempt of a step: its checkpoint, or the error after which it is tried again.

        Args:
            this: what the checkpoint says of it, whatever it comes to.
        """
        key, attempt = request.key, this.attempts
        began = time.monotonic()
        try:
            value = await self._call(request, policy.timeout, this)
        except (Exception, SystemExit) as error:
            if self._must_pass(error):
                raise
            cause = error.cause if isinstance(error, Final) else error
            failure = failure_of(cause, key, attempt)
            again = cause is error and self._again(error, policy, attempt)
            # Of attempts in between, as many as there may be, one line each.
            self._log_failed(failure, began, where=attempt == 1 or not again)
            return (None, failure) if again else (this.row(failure=failure), None)
        if request.kind is Kind.TRANSACTION:
            self._log(logging.INFO, key, attempt, began, "committed")
            return value, None
        try:
            data = encode(value, self._limit)
        except CodecError as error:
            failure = failure_of(error, key, attempt)
            self._log_failed(failure, began)
            return this.row(failure=failure), None
        self._log(logging.INFO, key, attempt, began, "done")
        return this.row(value=data), None

    def _must_pass(self, error: BaseException) -> bool:
        """Whether it is no failure of the step's own."""
        if isinstance(error, SystemExit):
            return not is_own_exit(error)
        if self._attempt.is_interruption(error):
            return self._attempt.raised_in_function  # at this step, and not by it
        return isinstance(error, LeaseLost) and self._journal.closed

    def _again(self, error: BaseException, policy: RetryPolicy, attempt: int) -> bool:
        """Whether it is tried again; not after what came from outside, unless it says so."""
        outside = self._attempt.is_interruption(error) and policy.retry_on is None
        return policy.again(error, attempt) and not outside

    def _function(self, request: StepRequest, this: Trial) -> Callable[[], Any]:
        """What is called for a step; for a transaction, what gives its committed checkpoint."""
        if request.kind is not Kind.TRANSACTION:
            return partial(request.func, *request.args, **request.kwargs)
        for wait in self._branches.waits_to_store():
            self._journal.keep_wait(wait)
        return partial(transacted, self._journal, request, this, self._limit)

    async def _call(self, request: StepRequest, timeout: float | None, this: Trial) -> Any:
        key, attempt = request.key, self._attempt
        function = self._function(request, this)
        attempt.working += 1
        try:
            if timeout is None:
                return await self._returned(request, function)
            async with asyncio.timeout(timeout):
                return await self._returned(request, function)
        except TimeoutError as error:
            if timeout is None or str(error):
                raise
            raise TimeoutError(f"it took longer than its timeout of {timeout:g} s") from error
        finally:
            attempt.working -= 1
            attempt.finish(key)

    async def _returned(self, request: StepRequest, function: Callable[[], Any]) -> Any:
        key, attempt = request.key, self._attempt
        if request.is_async:
            attempt.begin(key)
            return await attempt.interruptible(function())
        returned = await self._branches.call(partial(_begun, attempt, key, function))
        return await attempt.interruptible(returned) if _may_be_awaited(returned) else returned

    def _log_failed(self, failure: Failure, began: float, *, where: bool = False) -> None:
        text = f"failed: {failure.error_type}: {failure.reason}"
        trace = f"\n{failure.traceback.rstrip()}" if where else ""
        self._log(logging.WARNING, failure.step_key, failure.attempts, began, text, trace)

    def _log(
        self, level: int, key: str, attempt: int, began: float, text: str, trace: str = ""
    ) -> None:
        if not log.isEnabledFor(level):
            return
        execution = self._journal.execution
        log.log(
            level,
            "execution=%s workflow=%s step=%s attempt=%d %s after %.3f s%s",
            execution.id,
            execution.workflow_id,
            key,
            attempt,
            text,
            time.monotonic() - began,
            trace,
            extra={
                "execution_id": execution.id,
                "workflow_id": execution.workflow_id,
                "step": key,
                "attempt": attempt,
            },
        )


def _longer(
    history: bytes | None, failure: Failure | None, at: Micros, again_at: Micros
) -> bytes | None:
    if failure is None:
        return history
    tried = Tried(at, failure.error_type, failure.reason, again_at)
    return encode_history([*decode_history(history), tried])


def _begun(attempt: Attempt, key: str, function: Callable[[], Any]) -> Any:
    attempt.begin(key)
    return call_user(function)


def _may_be_awaited(returned: Any) -> bool:
    # Values of these types are none, and inspect looks long before it says so.
    return type(returned) not in _PLAIN and inspect.isawaitable(returned)
