"""The ends of tasks that are steps, as far as Celery has no callback for them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from celery import Celery, signals, states
from celery.app import task as celerys_own
from celery.exceptions import Ignore, TaskRevokedError

from polos.binding.completions import Completions, Ended
from polos.binding.names import STEP_DONE, STEP_FAILED, steps_queue
from polos.binding.step_tasks import register
from polos.binding.tasks import PolosTask
from polos.codec import failure_of
from polos.model.records import Failure

Later = Callable[[Callable[[], None]], None]


class StepEnds:
    """Hears of the ends of an app's tasks.

    Args:
        app: the Celery app.
        completions: records them.
        project_id: gives what names the queue by which other workers tell of ends.
        stopping: whether this worker was told to end.
    """

    def __init__(
        self,
        app: Celery,
        completions: Completions,
        project_id: Callable[[], str],
        stopping: Callable[[], bool],
    ) -> None:
        self.completions = completions
        self._project_id = project_id
        self.stopping = stopping
        self._app = app
        self._later: tuple[int, Later] | None = None
        signals.task_postrun.connect(self._on_postrun, weak=True)
        signals.task_revoked.connect(self._on_revoked, weak=True)

    @property
    def steps_queue(self) -> str:
        """The queue by which other workers tell of ends."""
        return steps_queue(self._project_id())

    def register(self) -> None:
        """Register the callbacks in the app, which is ready for that."""
        register(self._app, self)

    def consume(self, app: Any) -> None:
        """Have a worker that begins consume the queue by which others tell of ends."""
        queues = app.amqp.queues
        # As those who send to it make it where it is missing: of one kind on both sides.
        queues.select_add(queues.get(self.steps_queue) or queues.new_missing(self.steps_queue))

    def set_main(self, later: Later) -> None:
        """This process reads messages and runs no tasks: what asks a database is done later.

        Args:
            later: calls a function soon, on another thread.
        """
        self._later = (os.getpid(), later)

    def in_turn(self, work: Callable[[], None]) -> None:
        """Call ``work``, now or where it does not hold up the reading of messages."""
        if self._later is not None and self._later[0] == os.getpid():
            self._later[1](work)
        else:
            work()

    def close(self) -> None:
        """Hear of nothing more."""
        signals.task_postrun.disconnect(self._on_postrun)
        signals.task_revoked.disconnect(self._on_revoked)
        if self._app.finalized:
            tasks: Any = self._app.tasks
            for name in (STEP_DONE, STEP_FAILED):
                tasks.pop(name, None)

    def _on_postrun(
        self, sender: Any = None, state: Any = None, retval: Any = None, **_: Any
    ) -> None:
        if state != states.IGNORED or not self._is_of_step(sender, sender.request):
            return
        if isinstance(retval, Ignore) and not _is_replacement(retval):
            reason = "the task ended with Ignore, which leaves no result"
            self._fail(sender.request, Failure(reason, failure_of(retval).error_type, attempts=1))

    def _on_revoked(
        self, sender: Any = None, request: Any = None, expired: Any = None, **_: Any
    ) -> None:
        if self._is_of_step(sender, request):
            reason = "the task expired" if expired else "the task was revoked"
            error = failure_of(TaskRevokedError(reason))
            self._fail(request, Failure(reason, error.error_type, attempts=1))

    def _is_of_step(self, task: Any, request: Any) -> bool:
        # A workflow's own task is ended by the store alone.
        own = getattr(task, "app", None) is self._app and not isinstance(task, PolosTask)
        return own and _step_of(request) is not None

    def _fail(self, request: Any, failure: Failure) -> None:
        step = _step_of(request) or {}
        callback: Any = self._app.tasks[STEP_FAILED]
        ended = Ended(**step, outcome=failure)
        self.in_turn(lambda: callback.tell(ended))


def _step_of(request: Any) -> Mapping[str, Any] | None:
    """What the errback of a step says; None where the task is of no step."""
    for errback in getattr(request, "errbacks", None) or ():
        if isinstance(errback, Mapping) and errback.get("task") == STEP_FAILED:
            step: Mapping[str, Any] = errback["kwargs"]
            return step
    return None


def _is_replacement(raised: BaseException) -> bool:
    """Whether Celery raised it, having sent another task in the place of this one."""
    last = raised.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return last is not None and last.tb_frame.f_code.co_filename == celerys_own.__file__
