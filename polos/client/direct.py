"""The client that speaks to the store and the broker itself."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from uuid import uuid4

from polos.client.watcher import Watcher
from polos.definition.registry import registry
from polos.errors import ExecutionExists, ExecutionNotFound, WorkflowNotFound
from polos.model.listing import ExecutionPage, ExecutionQuery
from polos.model.ports import Dispatcher, StartRequest
from polos.model.records import Execution, ExecutionId, Hint, NewExecution, Progress
from polos.store.forking import Fork
from polos.store.joining import start_within
from polos.store.sql_store import SqlStore

log = logging.getLogger("polos.client")

# What a start gives and no execution changes.
_STARTED = ("workflow_id", "payload", "initial_state", "priority", "session_id", "user_id")
# Executions that are deleted in one transaction.
_PRUNED_AT_ONCE = 500


class DirectClient:
    """Starts executions and reads them, in one store and over one broker.

    Args:
        open_store: opens the store, at the first use.
        dispatcher: sends hints.
        deployment_id: the label that its executions get.
    """

    def __init__(
        self,
        project_id: str,
        open_store: Callable[[], SqlStore],
        dispatcher: Dispatcher,
        deployment_id: str | None = None,
    ) -> None:
        self._project_id = project_id
        self._open_store = open_store
        self._dispatcher = dispatcher
        self._deployment_id = deployment_id
        self._store: SqlStore | None = None
        self._watcher: Watcher | None = None
        # By process: one that is forked while the store is opened must not wait for its parent.
        self._locks: dict[int, threading.RLock] = {}

    @property
    def project_id(self) -> str:
        """The namespace whose executions this client sees."""
        return self._project_id

    @property
    def store(self) -> SqlStore:
        """The store, opened at its first use."""
        if self._store is None:
            with self._lock():
                if self._store is None:
                    self._store = self._open_store()
        return self._store

    @property
    def is_open(self) -> bool:
        """Whether the store has been opened."""
        return self._store is not None

    @property
    def watcher(self) -> Watcher:
        """Who waits for ends."""
        if self._watcher is None:
            with self._lock():
                if self._watcher is None:
                    self._watcher = Watcher(self.store)
        return self._watcher

    def start(self, request: StartRequest) -> Execution:
        """Write the execution and send its hint.

        A broker that is away delays the start but does not fail it: the sweep sends the hint.
        With a connection, nothing else is asked, and the hint is sent after its commit.

        Raises:
            WorkflowNotFound: neither this process nor any worker knows the workflow.
            ExecutionExists: the chosen id is taken.
            StoreUnavailable: the database can't be reached; nothing was started, unless the
                error is ``uncertain``.
        """
        new = self._new(request)
        if request.connection is not None:
            committed = self._send_soon if request.dispatch else _leave
            return start_within(request.connection, new, committed)[0]
        self._check_known([request])
        if request.awaited:
            new = replace(new, listener=self.watcher.expect(new.id))
        execution, fresh = self.store.start(new)
        if fresh and request.dispatch and not request.delay_seconds:
            self._dispatcher.dispatch([Hint.of(execution)])
        return execution

    def start_once(self, request: StartRequest) -> tuple[Execution, bool]:
        """As ``start``, but one that is repeated, with its id, gives what the first one started.

        Who asks over a network may have to ask again, not knowing whether he was heard.

        Returns:
            the execution, and whether it was not there before.

        Raises:
            ExecutionExists: the id is taken by another one.
        """
        try:
            started = self.start(request)
        except ExecutionExists as error:
            found = self.store.get(error.execution_id)
            if found is None or not _is_start_of(request, found):
                raise
            return found, False
        return started, request.execution_id in (None, started.id)

    def start_many(self, requests: Sequence[StartRequest]) -> list[Execution]:
        """Write executions that are due at once, all or none, and send their hints.

        Raises:
            WorkflowNotFound: neither this process nor any worker knows one of the workflows.
            StoreUnavailable: as ``start`` has it.
        """
        self._check_known(requests)
        started = self.store.start_many([self._new(request) for request in requests])
        self._dispatcher.dispatch([Hint.of(execution) for execution, fresh in started if fresh])
        return [execution for execution, _ in started]

    def get(self, execution_id: str) -> Execution:
        """The stored execution; raises ExecutionNotFound."""
        found = self.store.get(execution_id)
        if found is None:
            raise ExecutionNotFound(execution_id)
        return found

    def cancel(self, execution_id: str) -> bool:
        """Cancel an execution and its children; False where it had ended already."""
        self.get(execution_id)
        found, hints = self.store.cancel(execution_id)
        self._dispatcher.dispatch(hints)
        return found

    def list_executions(self, query: ExecutionQuery) -> ExecutionPage:
        """One page of a list."""
        return self.store.list_executions(query)

    def progress(self, execution_id: str) -> tuple[Execution, Progress]:
        """An execution and how far it has come; raises ExecutionNotFound."""
        return self.get(execution_id), self.store.progress(execution_id)

    def retry(self, execution_id: str) -> Execution:
        """Try a failed execution again, from where it failed.

        Raises:
            ExecutionNotFound: there is none of that id.
            IllegalTransition: it has not failed.
        """
        self._dispatcher.dispatch(self.store.retry(execution_id))
        return self.get(execution_id)

    def fork(
        self,
        execution_id: str,
        from_step: str | None,
        payload: bytes | None,
        new_id: str | None = None,
    ) -> Execution:
        """Start an execution with what another one had recorded before one of its steps.

        Args:
            execution_id: whose steps it begins with.
            from_step: the first step that it runs itself; None for all of them.
            payload: another payload, encoded.
            new_id: its own id; one that is repeated gives what the first one started.

        Raises:
            ExecutionNotFound: there is none of that id.
            StepNotFound: it has no such step.
            ExecutionExists: the new id is taken by another one.
        """
        forked = self.store.fork(Fork(execution_id, new_id or str(uuid4()), from_step, payload))
        self._dispatcher.dispatch([Hint.of(forked)])
        return forked

    def prune(self, older_than: float) -> int:
        """Delete what ended so many seconds ago, in small batches; how many executions."""
        total = pruned = self.store.prune(older_than, _PRUNED_AT_ONCE)
        while pruned:
            pruned = self.store.prune(older_than, _PRUNED_AT_ONCE)
            total += pruned
        return total

    def wait(self, execution_id: str, timeout: float | None) -> Execution:
        """Block until the execution has ended; raises WorkflowTimeoutError."""
        return self.watcher.wait(execution_id, timeout)

    async def wait_async(self, execution_id: str, timeout: float | None) -> Execution:
        """The same without blocking the running loop."""
        return await self.watcher.wait_async(execution_id, timeout)

    def close(self) -> None:
        """Close the store's connections."""
        if self._watcher is not None:
            self._watcher.close()
        if self._store is not None:
            self._store.close()

    def _lock(self) -> threading.RLock:
        return self._locks.setdefault(os.getpid(), threading.RLock())

    def _send_soon(self, execution: Execution) -> None:
        """Send a hint, but don't hold up an event loop with it."""
        send = partial(self._dispatcher.dispatch, [Hint.of(execution)])
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            send()
        else:
            loop.run_in_executor(None, send)

    def _check_known(self, requests: Sequence[StartRequest]) -> None:
        asked = dict.fromkeys(it.workflow_id for it in requests if not it.declared)
        missing = [id_ for id_ in asked if registry.get(id_) is None]
        known = self.store.known_workflows() if missing else frozenset()
        for id_ in missing:
            if id_ not in known:
                raise WorkflowNotFound(id_, known | {flow.id for flow in registry.all()})

    def _new(self, request: StartRequest) -> NewExecution:
        id_ = ExecutionId(request.execution_id or str(uuid4()))
        return NewExecution(
            id=id_,
            workflow_id=request.workflow_id,
            project_id=self._project_id,
            payload=request.payload,
            queue=request.queue,
            priority=request.priority,
            session_id=request.session_id,
            user_id=request.user_id,
            deployment_id=request.deployment_id or self._deployment_id,
            concurrency_key=request.concurrency_key,
            idempotency_key=request.idempotency_key,
            initial_state=request.initial_state,
            run_timeout_seconds=request.run_timeout_seconds,
            celery_options=request.celery_options,
            known_to_celery=request.known_to_celery,
            delay_seconds=request.delay_seconds,
            start_within_seconds=request.start_within_seconds,
            tags=request.tags,
        )


def _is_start_of(request: StartRequest, found: Execution) -> bool:
    """Whether an execution of the id that was asked for is what that start has written."""
    # Of one that has its key, the store had said so.
    if request.idempotency_key is not None or found.parent_execution_id or found.forked_from:
        return False
    return all(getattr(request, name) == getattr(found, name) for name in _STARTED)


def _leave(execution: Execution) -> None:
    """The sweep sends its hint."""
