"""Celery's callbacks of the tasks that are steps.

Where Celery calls them in a worker with Polos, the end is recorded there and then: before the task
is acknowledged, and with no message. A worker without Polos sends them as messages, as it does all
callbacks; so does one whose store is another, or out of reach. Then a worker with Polos runs them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import Any, Protocol

from celery import Celery, Task
from celery import current_task as finished_task
from celery.exceptions import Reject
from celery.states import PROPAGATE_STATES

from polos.binding.completions import Completions, Ended, failure_from
from polos.binding.names import STEP_DONE, STEP_FAILED
from polos.binding.task_sender import is_lost_connection
from polos.errors import StoreError, StoreUnavailable
from polos.model.records import Failure

log = logging.getLogger("polos.step")

# A message for an execution that this store doesn't have goes on to others so often. The pauses
# grow to this many seconds.
_MOST_HOPS = 10
_LONGEST_PAUSE = 20
# Between two tries to tell of an end while neither database nor broker can be reached, in seconds.
_PAUSE = 1.0
# What travels of an end, beside what it came to.
_TOLD = ("execution_id", "step_key", "task_id", "attempts")


class Place(Protocol):
    """What the callbacks need of the binding that they are registered by."""

    completions: Completions

    @property
    def steps_queue(self) -> str:
        """The queue by which workers without Polos tell of ends."""
        ...

    def stopping(self) -> bool:
        """Whether this worker was told to end."""
        ...

    def in_turn(self, work: Any) -> None:
        """Call ``work``, now or where it holds nothing up."""
        ...


class StepTask(Task):
    """What both callbacks have in common."""

    abstract = True
    acks_late = True
    reject_on_worker_lost = True
    ignore_result = True
    typing = False
    place: Place

    def tell(self, ended: Ended) -> None:
        """Record an end, or have another worker do so: again and again, until one of both can.

        Of an error that is raised here Celery would make a failure of a task that has returned.

        Raises:
            Reject: this worker ends before that; a task that is acknowledged late runs again.
        """
        try:
            if self.place.completions.record(ended):
                return
        except StoreError as error:
            log.warning("%s; the end of task %s goes on as a message", error, ended.task_id)
        try:
            self._pass_on(ended, 0)
        except Exception as error:
            if not is_lost_connection(error):
                raise
            self._insist(ended, error)

    def settle(self, ended: Ended, hops: int) -> None:
        """Record an end that came as a message."""
        try:
            if self.place.completions.record(ended, self.place.stopping):
                return
        except StoreUnavailable as error:
            raise Reject(str(error), requeue=True) from error
        if hops >= _MOST_HOPS:
            log.error(
                "the end of task %s is dropped: no store here has execution %s. It was removed, or "
                "its worker uses another database with the same project and broker",
                ended.task_id,
                ended.execution_id,
            )
            return
        self._pass_on(ended, hops + 1)

    def _insist(self, ended: Ended, error: Exception) -> None:
        told = False
        while not told:
            log.warning("the end of task %s can't be told (%s); again soon", ended.task_id, error)
            if self.place.stopping():
                raise Reject(str(error), requeue=True) from error
            time.sleep(_PAUSE)
            with suppress(StoreError):
                told = self.place.completions.record(ended)
            told = told or self._is_sent(ended)

    def _is_sent(self, ended: Ended) -> bool:
        try:
            # Its own: one of the pool may be that which was lost.
            with self.app.connection_for_write() as connection:
                self._pass_on(ended, 0, connection=connection)
        except Exception as error:
            if not is_lost_connection(error):
                raise
            return False
        return True

    def _pass_on(self, ended: Ended, hops: int, **options: Any) -> None:
        outcome = ended.outcome
        failed = isinstance(outcome, Failure)
        told = {name: getattr(ended, name) for name in _TOLD} | {"hops": hops}
        told |= {"failure": asdict(outcome)} if isinstance(outcome, Failure) else {"kept": outcome}
        options |= {"queue": self.place.steps_queue, "serializer": "json"}
        if hops:
            options["countdown"] = min(2**hops, _LONGEST_PAUSE)
        # Not this class's own, which would record it again.
        Task.apply_async(self.app.tasks[STEP_FAILED if failed else STEP_DONE], (), told, **options)


class StepDone(StepTask):
    """The last task of a step has returned."""

    name = STEP_DONE

    def apply_async(
        self, args: Any = None, kwargs: Any = None, task_id: Any = None, *rest: Any, **options: Any
    ) -> Any:
        """Celery sends what follows a task that has just returned."""
        step = dict(kwargs or {})
        outcome = self.place.completions.outcome_of(args[0] if args else None)
        attempts = _attempts(getattr(finished_task, "request", None))
        self.tell(Ended(**step, outcome=outcome, attempts=attempts))
        return self.AsyncResult(task_id or step["task_id"])

    def run(self, value: Any = None, **told: Any) -> None:
        """Record an end that another worker tells of."""
        kept = told.get("kept")
        outcome = kept if isinstance(kept, bytes) else self.place.completions.outcome_of(value)
        self.settle(_ended(told, outcome), told.get("hops", 0))


class StepFailed(StepTask):
    """A task of a step has failed."""

    name = STEP_FAILED

    @staticmethod
    def __header__(request: Any, error: Any, traceback: Any, **step: Any) -> None:
        """Tells Celery that it can be called with the error, where that was raised."""

    def run(self, *error: Any, **told: Any) -> None:
        """Record a failure: in the worker of the task, or as another one tells of it."""
        match error:
            case (request, BaseException() as raised, _):
                tries = _attempts(request)
                ended = _ended(told | {"attempts": tries}, failure_from(raised, tries))
                self.place.in_turn(lambda: self.tell(ended))
            case (str(failed_id),):
                self.settle(_ended(told, self._stored(failed_id)), 0)
            case _ if told.get("failure"):
                self.settle(_ended(told, Failure(**told["failure"])), told.get("hops", 0))
            case _:
                # Of a chord's header, by a setting that leaves the error out; its body tells more.
                log.debug("task %s: an error of its chord's header", told.get("task_id"))

    def _stored(self, failed_id: str) -> Failure:
        """What the result backend has of a failure; the message names only the task."""
        try:
            result = self.app.AsyncResult(failed_id)
            if result.state in PROPAGATE_STATES:
                return failure_from(result.result, 1)
        except Exception as error:  # there is no backend, or each one's own errors
            log.debug("the error of task %s can't be looked up: %s", failed_id, error)
        return Failure(
            f"its task {failed_id} failed in a worker without Polos; that worker's log says why",
            "unknown",
            attempts=1,
        )


def register(app: Celery, place: Place) -> None:
    """Register the callbacks in an app."""
    for kind in (StepDone, StepFailed):
        made: Any = type(str(kind.__name__), (kind,), {"place": place})
        app.register_task(made())


def _ended(told: Mapping[str, Any], outcome: bytes | Failure) -> Ended:
    return Ended(
        told["execution_id"],
        told["step_key"],
        told["task_id"],
        outcome,
        told.get("attempts", 1),
    )


def _attempts(request: Any) -> int:
    return int(getattr(request, "retries", 0) or 0) + 1
