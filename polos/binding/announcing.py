"""What Celery is told of the ends of executions."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from celery import Celery, states

from polos.binding.delivery import Delivery
from polos.codec import decode_payload, plain
from polos.definition.handle import value_of
from polos.definition.registry import Registry
from polos.engine.runner import Hop
from polos.errors import CodecError, PolosError, StoreUnavailable
from polos.model.outcome import Cancelled, Completed, Failed, Parked, TriedAgain
from polos.model.records import Execution
from polos.model.states import Status
from polos.store.sql_store import SqlStore

log = logging.getLogger("polos.worker")


class Ends:
    """Puts what a delivery came to into Celery's terms, and notes when Celery has taken an end.

    Args:
        app: the Celery app.
        store: gives the store.
        known: the workflows.
    """

    def __init__(self, app: Celery, store: Callable[[], SqlStore], known: Registry) -> None:
        self._app = app
        self._store = store
        self._registry = known
        # What Celery is being told of, as states of its own.
        self._telling: dict[str, str] = {}
        # Those of them that it has to be told of again.
        self._again: set[str] = set()

    def delivery(self, execution_id: str, workflow_id: str, hop: Hop) -> Delivery:
        """What the task of a message is to end as."""
        if isinstance(hop.outcome, Parked | TriedAgain):
            return Delivery(waiting=hop.outcome.reason)
        ended = self._ended(execution_id, workflow_id, hop)
        if ended is None:
            return Delivery(dropped=True)
        told = self.told(ended)
        if ended.known_to_celery or ended.unannounced:
            self._telling[execution_id] = told.state
            self._again.discard(execution_id)
        if self._app.conf.result_extended:
            # One that can't be read is what the execution has failed with.
            with suppress(CodecError):
                return replace(told, args=(plain(decode_payload(ended.payload, Any)),))
        return told

    def told(self, ended: Execution) -> Delivery:
        """An end in Celery's terms."""
        if ended.status is Status.CANCELLED:
            why = "expired before it began" if ended.expired else "was cancelled"
            return Delivery(revoked=f"execution {ended.id} {why}")
        try:
            workflow = self._registry.require(ended.workflow_id)
            return Delivery(result=plain(value_of(ended, workflow.result_type)))
        except PolosError as error:
            return Delivery(error=error)

    def follow(self, write: Callable[[], str], insist: Callable[[Callable[[], str]], str]) -> str:
        """Write an execution; one that follows an end waits for a store that is away.

        The backend notes that a chord has gone on when its body is only a message, which may be
        lost before it is stored.

        Args:
            write: writes it.
            insist: has that done, however long it takes while this worker runs.

        Raises:
            StoreUnavailable: it is away; the end that this follows stays unannounced.
        """
        task = self._app.current_worker_task
        if task is None or not self.is_telling(task.request.id):
            return write()
        try:
            return insist(write)
        except StoreUnavailable:
            self.tell_again(task.request.id)
            raise

    def tell_again(self, execution_id: str) -> None:
        """What follows this end may not have been sent: it stays unannounced."""
        self._again.add(execution_id)

    def is_telling(self, execution_id: str) -> bool:
        """Whether Celery is being told of this end, and sends what follows it."""
        return execution_id in self._telling

    def is_completed(self, execution_id: str) -> bool:
        """Whether Celery is being told that this execution has completed."""
        return self._telling.get(execution_id) == str(states.SUCCESS)

    def announced(self, execution_id: str, state: str) -> None:
        """Celery has stored an end as this state, and sent what follows it."""
        # Of another one than it was told, as where the chain could not be sent, it is told again.
        taken = self._telling.pop(execution_id, None) == state
        if not taken or execution_id in self._again:
            self._again.discard(execution_id)
            return
        try:
            self._store().announced(execution_id)
        except StoreUnavailable as error:
            log.warning("%s; the end of %s is announced again", error, execution_id)

    def _ended(self, execution_id: str, workflow_id: str, hop: Hop) -> Execution | None:
        """The end that Celery is to be told; None where it is none of this message's business."""
        if hop.execution is None:
            # An end whose announcement a crash prevented is told again.
            stored = self._store().get(execution_id)
            _say_if_strange(execution_id, workflow_id, stored)
            same = stored is not None and stored.workflow_id == workflow_id
            over = stored is not None and stored.status.ended and stored.unannounced
            return stored if same and over else None
        match hop.outcome:
            case Completed(result):
                return replace(hop.execution, status=Status.COMPLETED, result=result)
            case Failed(failure):
                return replace(hop.execution, status=Status.FAILED, failure=failure)
            case Cancelled():
                # It may have been asked for only after the claim.
                at = hop.execution.cancel_requested_at or hop.execution.created_at
                return replace(hop.execution, status=Status.CANCELLED, cancel_requested_at=at)
            case _:
                return None


def _say_if_strange(execution_id: str, workflow_id: str, stored: Execution | None) -> None:
    """Name a message for what is not there, or is another workflow's; it is dropped."""
    if stored is None:
        log.error("a message for execution %s, which is not stored, is dropped", execution_id)
    elif stored.workflow_id != workflow_id:
        log.error(
            "a message for execution %s as one of workflow %s is dropped: it is one of %s",
            execution_id,
            workflow_id,
            stored.workflow_id,
        )
