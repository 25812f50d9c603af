"""How a worker's consumer treats bad messages, unknown workflows and a lost broker."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from typing import Any

from celery import bootsteps
from celery.app.task import Context

from polos.binding.message_guard import guarded
from polos.binding.names import HINT_HEADER, PREFIX, workflow_id_of
from polos.binding.of_app import bound_of
from polos.errors import StoreUnavailable

log = logging.getLogger("polos.worker")

# Celery's own pauses grow to 30 s; an execution should not wait for that once the broker is back.
_RECONNECT = {"interval_start": 0.5, "interval_step": 0.5, "interval_max": 2.0}
# So many tries take as long as one of Celery's own, with which a worker counts until it gives up.
_TRIES_FOR_ONE = 15


class ConsumerStep(bootsteps.StartStopStep):
    """Adapts a worker's consumer before it connects for the first time."""

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self._bound = bound_of(consumer.app)
        self._connections = consumer.connection_errors
        self._celerys_own = consumer.on_unknown_task
        self._named: set[str] = set()
        consumer.on_unknown_task = self.on_unknown_task
        consumer.create_task_handler = guarded(consumer, consumer.create_task_handler)
        consumer.ensure_connected = partial(_ensure_connected, consumer.ensure_connected)

    def on_unknown_task(self, body: Any, message: Any, error: Exception) -> None:
        """Leave an execution whose code is elsewhere to the workers that have it."""
        headers = _headers_of(message)
        name, id_ = str(headers.get("task", "")), headers.get("id")
        if not name.startswith(PREFIX) or not id_:
            self._celerys_own(body, message, error)
            return
        workflow_id = workflow_id_of(name)
        try:
            if not headers.get(HINT_HEADER) and not self._kept(message, workflow_id):
                self._celerys_own(body, message, error)
                return
        except StoreUnavailable as trouble:
            log.warning("%s; the message of execution %s goes back to the broker", trouble, id_)
            message.reject_log_error(log, self._connections, requeue=True)
            return
        # The store has it, and the sweep sends it to a worker that can run it.
        message.ack_log_error(log, self._connections)
        self._say(workflow_id, str(id_))

    def _kept(self, message: Any, workflow_id: str) -> bool:
        """Whether the store has the execution that a plain message starts."""
        found = message.decode()
        if isinstance(found, Mapping):
            args, kwargs, embed = found.get("args", ()), found.get("kwargs", {}), {}
        else:
            # What follows the task is in the body, under the names that the request has for it.
            args, kwargs, embed = found
        headers = _headers_of(message)
        request = Context(headers, delivery_info=message.delivery_info, **(embed or {}))
        return bool(self._bound.starts.adopt_unknown(request, workflow_id, args, kwargs))

    def _say(self, workflow_id: str, execution_id: str) -> None:
        level = logging.DEBUG if workflow_id in self._named else logging.WARNING
        self._named.add(workflow_id)
        log.log(
            level,
            "this worker has no workflow %r; execution %s is left to the workers that have it. "
            "Import its module here, or give the workflow a queue of its own",
            workflow_id,
            execution_id,
        )


def _headers_of(message: Any) -> dict[str, Any]:
    """What describes a task; in protocol 1 that is the body."""
    headers = dict(message.headers or {})
    if "task" in headers:
        return headers
    body = message.decode()
    return {**body, **headers} if isinstance(body, Mapping) else headers


def _ensure_connected(celerys_own: Any, connection: Any) -> Any:
    ensure = connection.ensure_connection

    def ensure_connection(errback: Any, max_retries: int | None = None, **options: Any) -> Any:
        tries = max_retries * _TRIES_FOR_ONE if max_retries else max_retries
        return ensure(errback, tries, **{**options, **_RECONNECT})

    connection.ensure_connection = ensure_connection
    return celerys_own(connection)
