"""The inner half of an attempt: the user's function once, and what came of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from polos.codec import failure_of
from polos.definition.context import SyncWorkflowContext, WorkflowContext
from polos.definition.registry import Registry
from polos.definition.steps import Steps
from polos.definition.sync_steps import SyncSteps
from polos.definition.workflow import Workflow
from polos.engine.attempt import Attempt
from polos.engine.clock import StoreClock
from polos.engine.effects import AttemptEffects
from polos.engine.interrupting import call_user, receiving
from polos.engine.journal import Journal
from polos.engine.keeper import Lease
from polos.engine.loop import abandon_thread_loop, thread_loop
from polos.engine.signals import AttemptAborted, ParkSignal
from polos.engine.suspicion import Suspicion
from polos.errors import CodecError, StepExecutionError
from polos.model.outcome import Cancelled, Completed, Failed, Outcome
from polos.model.ports import Dispatcher, TaskSender
from polos.model.records import Execution, Failure, as_datetime
from polos.model.settings import Settings
from polos.store.sql_store import SqlStore

log = logging.getLogger("polos.execution")

AnyWorkflow = Workflow[Any, Any]


class Inner:
    """Runs functions of workflows; claims nothing and commits no outcome.

    Args:
        store: for children that were started before.
        dispatcher: sends the hints of new children.
        registry: the workflows whose code is here.
        settings: thresholds and limits.
        stopping: whether this process was told to end.
        sender: sends the tasks that are steps.
    """

    def __init__(
        self,
        store: SqlStore,
        dispatcher: Dispatcher,
        registry: Registry,
        settings: Settings,
        stopping: Callable[[], bool],
        sender: TaskSender,
    ) -> None:
        self._sender = sender
        self._store = store
        self._dispatcher = dispatcher
        self._registry = registry
        self._settings = settings
        self._stopping = stopping

    def run(
        self,
        workflow: AnyWorkflow,
        journal: Journal,
        clock: StoreClock,
        lease: Lease,
        suspicion: Suspicion,
    ) -> Outcome:
        """Call the function, and tell what came of it.

        Raises:
            AttemptAborted: it was stopped without an outcome.
        """
        thread = thread_loop()
        attempt = Attempt(journal, clock, thread, self._settings, suspicion, self._stopping)
        lease.attempt = attempt
        try:
            suspicion.begin()
            with receiving(attempt):
                outcome = self._outcome(workflow, attempt)
            if attempt.aborted is not None:
                raise AttemptAborted(attempt.aborted)
        finally:
            ended = attempt.leave()
            lease.attempt = None
            thread.loop.rest()
            if not ended:
                self._abandon(journal.execution)
        return outcome

    def _outcome(self, workflow: AnyWorkflow, attempt: Attempt) -> Outcome:
        execution_id = attempt.journal.execution.id
        try:
            result = self._call(workflow, attempt)
            data = workflow.encode_result(result, self._settings.max_value_bytes)
        except (asyncio.CancelledError, ParkSignal) as signal:
            if attempt.parked is not None:
                return attempt.parked
            if attempt.cancelling:
                return Cancelled()
            return Failed(failure_of(signal))
        except Exception as error:
            if attempt.parked is not None:
                return attempt.parked
            if attempt.cancel_wanted:
                # Often the end of a child that was cancelled with it.
                log.info("execution %s, cancelled, raised %r", execution_id, error)
                return Cancelled()
            if isinstance(error, StepExecutionError):
                return Failed(_step_failure(error))
            return Failed(failure_of(error))
        if attempt.parked is not None:
            log.warning(
                "execution %s was parked, but its function caught the signal and returned; what "
                "it returned is dropped. Don't catch BaseException around steps",
                execution_id,
            )
            return attempt.parked
        return Completed(data)

    def _call(self, workflow: AnyWorkflow, attempt: Attempt) -> Any:
        execution = attempt.journal.execution
        payload = _payload(workflow, execution)
        steps = Steps(
            AttemptEffects(attempt, self._store, self._dispatcher, self._sender),
            execution.id,
            self._registry,
            self._settings.max_value_bytes,
        )
        arguments = (payload,) if workflow.takes_payload else ()
        if not workflow.is_async:
            sync_context = _context(SyncWorkflowContext, execution, SyncSteps(steps, attempt.drive))
            return call_user(workflow.function, sync_context, *arguments)
        context = _context(WorkflowContext, execution, steps)
        coroutine: Coroutine[Any, Any, Any] = workflow.function(context, *arguments)
        return attempt.drive(coroutine)

    def _abandon(self, execution: Execution) -> None:
        log.warning(
            "execution %s: tasks of an ended attempt did not end within %g s of being cancelled; "
            "they are left behind with their event loop",
            execution.id,
            self._settings.unwind_seconds,
        )
        abandon_thread_loop()


def _payload(workflow: AnyWorkflow, execution: Execution) -> Any:
    try:
        return workflow.decode_payload(execution.payload)
    except CodecError as error:
        raise CodecError(f"the payload can't be read: {error}") from error


def _step_failure(error: StepExecutionError) -> Failure:
    found = failure_of(error, error.step_key, error.attempts)
    error_type = error.error_type or "StepExecutionError"
    return replace(found, reason=error.reason, error_type=error_type)


def _context(kind: Any, execution: Execution, steps: Any) -> Any:
    return kind(
        workflow_id=execution.workflow_id,
        execution_id=execution.id,
        session_id=execution.session_id,
        user_id=execution.user_id,
        step=steps,
        parent_execution_id=execution.parent_execution_id,
        root_execution_id=execution.root_execution_id,
        root_workflow_id=execution.root_workflow_id,
        retry_count=execution.retried,
        created_at=as_datetime(execution.created_at),
        deployment_id=execution.deployment_id,
    )
