"""Records in the store what tasks that are steps came to, in the process where they end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from celery.exceptions import ChordError, Reject
from celery.utils.serialization import UnpickleableExceptionWrapper
from kombu.utils.json import dumps, loads

from polos.binding.gevent_pool import in_native_thread
from polos.codec import encode, failure_of
from polos.engine.contact import Contact
from polos.errors import CodecError
from polos.model.ports import Dispatcher
from polos.model.records import Failure, Hint
from polos.store.sql_store import SqlStore

# A finished task waits for a database that is away so long, in seconds; then a message tells it.
_PATIENCE = 5.0


@dataclass(frozen=True, slots=True)
class Ended:
    """A task of a step that has ended.

    Attributes:
        outcome: its encoded value, or why it failed.
        attempts: how often it ran.
    """

    execution_id: str
    step_key: str
    task_id: str
    outcome: bytes | Failure
    attempts: int = 1


class Completions:
    """The ends of tasks, as the workers of one app see them.

    Args:
        store: gives the store.
        dispatcher: wakes the executions.
        contact: waits for a database that is away.
        limit: gives the most bytes that a value may take.
        slots: how many greenlets may be at it at once, under gevent.
    """

    def __init__(
        self,
        store: Callable[[], SqlStore],
        dispatcher: Dispatcher,
        contact: Contact,
        limit: Callable[[], int],
        slots: Callable[[], int],
    ) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._contact = contact
        self._limit = limit
        self._slots = slots

    def outcome_of(self, value: Any) -> bytes | Failure:
        """What is kept of a value: what Celery's JSON makes of it."""
        try:
            return encode(loads(dumps(value)), self._limit())
        except (CodecError, TypeError, ValueError, RecursionError) as error:
            found = failure_of(error)
            return replace(found, reason=f"what the task returned can't be kept: {found.reason}")

    def record(self, ended: Ended, give_up: Callable[[], bool] | None = None) -> bool:
        """Record the end of a task; False where this store has no such execution.

        Args:
            ended: the task.
            give_up: whether to ask no more for a database that is away; after some seconds, where
                it is left out.

        Raises:
            StoreError: the database is away, or of no use.
        """
        deadline = time.monotonic() + _PATIENCE
        late = give_up or (lambda: time.monotonic() > deadline)
        hints = in_native_thread(
            lambda: self._contact.insist(lambda: self._complete(ended), late), self._slots()
        )
        if hints:
            self._dispatcher.dispatch(hints)
        return hints is not None

    def _complete(self, ended: Ended) -> tuple[Hint, ...] | None:
        return self._store().complete_task(
            ended.execution_id, ended.step_key, ended.task_id, ended.outcome, ended.attempts
        )


def failure_from(error: BaseException, attempts: int) -> Failure:
    """A task's error as it was raised: Celery may hand on another one that can be pickled."""
    if isinstance(error, Reject):
        # Its own text is that of a tuple.
        reason = f"the task rejected its message: {error.reason}"
        return replace(failure_of(error, attempts=attempts), reason=reason)
    if isinstance(error, ChordError) and isinstance(error.__context__, Exception):
        # The error of the chord's header, of which this one has the text only.
        error = error.__context__
    raised = sys.exc_info()[1]
    stands_in = isinstance(error, UnpickleableExceptionWrapper)
    if raised is not None and (stands_in or isinstance(raised, type(error))):
        return failure_of(raised, attempts=attempts)
    found = failure_of(error, attempts=attempts)
    if isinstance(error, UnpickleableExceptionWrapper):
        return replace(found, error_type=f"{error.exc_module}.{error.exc_cls_name}")
    return found
