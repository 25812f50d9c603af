"""Executions that are asked for in Celery's way: by ``apply_async``, or by a plain message."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from celery import Celery

from polos.binding.kept_options import keep, known_priority
from polos.binding.names import ETA_HEADER, EXPIRES_HEADER
from polos.client.direct import DirectClient
from polos.codec import encode_payload
from polos.definition.names import check_priority, check_text
from polos.definition.registry import Registry
from polos.errors import ExecutionExists, InvalidPayload, PolosError
from polos.model.ports import Dispatcher, StartRequest
from polos.model.records import Execution, Hint, as_datetime
from polos.model.settings import LONGEST_SECONDS, Settings

log = logging.getLogger("polos.worker")


class Starts:
    """Writes executions for one Celery app.

    Args:
        app: the Celery app.
        settings: the largest payload.
        client: writes them.
        dispatcher: sends their hints.
        registry: the workflows whose code is here.
    """

    def __init__(
        self,
        app: Celery,
        settings: Settings,
        client: DirectClient,
        dispatcher: Dispatcher,
        registry: Registry,
    ) -> None:
        self._app = app
        self._limit = settings.max_value_bytes
        self._client = client
        self._dispatcher = dispatcher
        self._registry = registry

    def start(
        self,
        workflow_id: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        task_id: str,
        options: Mapping[str, Any],
    ) -> str:
        """Write the execution of a task that Celery is asked to send, then send its hint."""
        request = self._request(workflow_id, args, kwargs, task_id, options)
        try:
            return self._client.start(request).id
        except ExecutionExists as error:
            # Celery may ask twice, when a crash kept it from noting that it had asked.
            stored = self._client.get(error.execution_id)
            if stored.workflow_id != workflow_id:
                raise
            self._dispatcher.dispatch([Hint.of(stored)])
            return stored.id

    def start_here(
        self,
        execution_id: str,
        workflow_id: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
    ) -> Execution:
        """Write an execution that is run where it is asked for, of which no worker is to hear."""
        request = self._request(workflow_id, args, kwargs, execution_id, {})
        here = replace(request, celery_options=None, known_to_celery=False, dispatch=False)
        try:
            return self._client.start(here)
        except ExecutionExists as error:
            return self._client.get(error.execution_id)

    def adopt(
        self, request: Any, workflow_id: str, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> None:
        """Write the execution that a program without Polos started by a plain message."""
        options = request.as_execution_options() | dict(request.delivery_info or {})
        options["queue"] = self._queue_of(
            options.pop("exchange", ""), options.pop("routing_key", "")
        )
        options["priority"] = known_priority(options.get("priority"))
        options |= {"eta": request.get(ETA_HEADER), "expires": request.get(EXPIRES_HEADER)}
        options["ignore_result"] = vars(request).get("ignore_result")
        try:
            start = self._request(workflow_id, args, kwargs, request.id, options)
            self._client.start(replace(start, dispatch=False))
        except ExecutionExists:
            log.debug("execution %s is stored already", request.id)
        except (TypeError, ValueError) as error:
            if self._client.store.get(request.id) is not None:
                # Whoever sent this, the execution of that id is not to blame.
                log.error("a message with the id of execution %s: %s", request.id, error)
                return
            if isinstance(error, PolosError):
                raise
            raise InvalidPayload(str(error)) from error

    def adopt_unknown(
        self, request: Any, workflow_id: str, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> bool:
        """Store an execution whose workflow another worker has; False where none ever had it."""
        if workflow_id not in self._client.store.known_workflows():
            return False
        self.adopt(request, workflow_id, args, kwargs)
        return True

    def _queue_of(self, exchange: str, routing_key: str) -> str | None:
        """The queue that a message came by; None where several or none fit."""
        fits = [
            name
            for name, queue in self._app.amqp.queues.consume_from.items()
            if routing_key in ({name} if not exchange else {queue.routing_key})
            and exchange in {"", queue.exchange.name}
        ]
        return fits[0] if len(fits) == 1 else None

    def _request(
        self,
        workflow_id: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        task_id: str,
        options: Mapping[str, Any],
    ) -> StartRequest:
        known = self._registry.get(workflow_id)
        payload, limit = _payload(workflow_id, args, kwargs), self._limit
        defaults = {} if known is None else known.celery_options
        return StartRequest(
            workflow_id=workflow_id,
            payload=known.encode_payload(payload, limit)
            if known
            else encode_payload(payload, limit),
            queue=_queue_name(options.get("queue")) or (known.queue if known else None),
            priority=check_priority("priority", options.get("priority", defaults.get("priority"))),
            execution_id=check_text("task_id", task_id, empty=False),
            run_timeout_seconds=known.timeout_seconds if known else None,
            celery_options=keep(options, task_id),
            known_to_celery=True,
            delay_seconds=self._delay(options),
            start_within_seconds=self._start_within(options.get("expires")),
        )

    def _delay(self, options: Mapping[str, Any]) -> float:
        """Seconds until ``countdown`` or ``eta``, as ``apply_async`` takes them."""
        if options.get("countdown"):
            return max(0.0, _bounded("countdown", float(options["countdown"])))
        eta = options.get("eta")
        return 0.0 if eta is None else max(0.0, self._until(eta))

    def _start_within(self, expires: Any) -> float | None:
        """Seconds until ``expires``, as ``apply_async`` takes it, has passed."""
        if expires is None or isinstance(expires, int | float):
            return None if expires is None else _bounded("expires", expires)
        return self._until(expires)

    def _until(self, moment: datetime | str) -> float:
        found = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
        aware = found if found.tzinfo else found.replace(tzinfo=self._app.timezone)
        # By the clock that the wait will end by, whatever the one of this machine says.
        return (aware - as_datetime(self._client.store.now())).total_seconds()


def _payload(workflow_id: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    if isinstance(args, str | bytes | Mapping):
        raise TypeError(
            f"workflow {workflow_id!r} was given its payload itself as args; pass a tuple of it, "
            "apply_async((payload,))"
        )
    if len(args) > 1 or (args and kwargs):
        raise TypeError(
            f"workflow {workflow_id!r} takes one payload, as one argument or as keyword arguments"
        )
    return args[0] if args else dict(kwargs) or None


def _queue_name(queue: Any) -> str | None:
    return check_text("queue", None if queue is None else str(getattr(queue, "name", queue)))


def _bounded(name: str, seconds: float) -> float:
    if not seconds <= LONGEST_SECONDS:  # which nan isn't either
        raise ValueError(f"{name} is {seconds} s; pass at most a hundred years")
    return seconds
