"""Sends the tasks that are steps through the Celery app that they belong to."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from traceback import walk_tb
from typing import Any

from celery import Celery
from celery.exceptions import CPendingDeprecationWarning
from kombu.exceptions import OperationalError

from polos.binding.gevent_pool import in_greenlet
from polos.binding.names import STEP_DONE, STEP_FAILED, steps_queue
from polos.binding.task_canvas import needs_backend, prepared, split
from polos.errors import ConfigurationError
from polos.model.ports import TaskSending

log = logging.getLogger("polos.step")

_CLIENTS = {"kombu", "amqp", "redis"}


class CeleryTaskSender:
    """The ``TaskSender`` of one Celery app.

    Args:
        app: sends what has no app of its own.
        project_id: whose workers are to hear of the ends.
    """

    def __init__(self, app: Celery, project_id: str) -> None:
        self._app = app
        self._queue = steps_queue(project_id)

    def split(self, key: str, signature: Any) -> Sequence[Any] | None:
        """The members of a group; None for all else. Raises TypeError for what can't be sent."""
        return split(key, signature)

    def send(self, sending: TaskSending) -> bool:
        """Publish a task; False where the broker is away.

        Raises:
            ConfigurationError: it is a chord, or becomes one, and there is no result backend.
        """
        link, link_error = (self._told(name, sending) for name in (STEP_DONE, STEP_FAILED))
        signature = prepared(sending.signature, self._app, link, link_error)
        self._check_backend(signature)
        try:
            in_greenlet(lambda: _publish(signature, sending.task_id))
        except Exception as error:
            if not is_lost_connection(error):
                raise
            log.warning(
                "execution=%s step=%s: the broker did not take the task (%s); it is sent later",
                sending.execution_id,
                sending.step_key,
                error,
            )
            return False
        return True

    def revoke(self, task_ids: Sequence[str]) -> None:
        """Ask the workers not to start tasks; those that run go on."""
        try:
            in_greenlet(lambda: self._app.control.revoke(list(task_ids)))
        except Exception as error:  # the best that can be done; each transport has its own errors
            log.warning("the tasks %s could not be revoked: %s", ", ".join(task_ids), error)

    def _told(self, name: str, sending: TaskSending) -> Any:
        """The callback that tells of the end. Workers without Polos send it as a message."""
        return self._app.signature(
            name,
            kwargs={
                "execution_id": sending.execution_id,
                "step_key": sending.step_key,
                "task_id": sending.task_id,
            },
            options={"queue": self._queue, "serializer": "json", "ignore_result": True},
            app=self._app,
        )

    def _check_backend(self, signature: Any) -> None:
        if not needs_backend(signature):
            return
        try:
            signature.app.backend.ensure_chords_allowed()
        except NotImplementedError as error:
            raise ConfigurationError(
                "Celery needs a result backend for a chord, or a group with a task behind it: set "
                "result_backend, or make the group a step of its own and its body the next one"
            ) from error


def is_lost_connection(error: Exception) -> bool:
    """Whether it tells of a broker that is away, and not of the task."""
    if isinstance(error, AttributeError):
        # A client that goes on with what was closed under it finds None there. A task or a signal
        # of the user's may raise this as well, in frames of its own.
        *_, (frame, _) = walk_tb(error.__traceback__)
        return str(frame.f_globals.get("__name__")).partition(".")[0] in _CLIENTS
    return isinstance(error, OperationalError | OSError)


def _publish(signature: Any, task_id: str) -> None:
    with warnings.catch_warnings():
        # It speaks of link_error on a chord, which each task of it has here already.
        warnings.simplefilter("ignore", CPendingDeprecationWarning)
        signature.apply_async(task_id=task_id)
