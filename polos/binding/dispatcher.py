"""Sends hints as Celery messages: the task of the workflow, under the execution's id."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from celery import Celery
from kombu.connection import ConnectionPool
from kombu.exceptions import KombuError
from kombu.pools import ProducerPool

from polos.binding.delayed import delayed
from polos.binding.gevent_pool import in_greenlet
from polos.binding.kept_options import message_options
from polos.binding.message_templates import Templates
from polos.binding.names import AHEAD_HEADER, DUE_HEADER, HINT_HEADER, task_name
from polos.errors import CodecError
from polos.model.records import Hint

log = logging.getLogger("polos.dispatch")

# What a task, or an annotation of it, says of its messages.
_TASK_OPTIONS = (
    "queue",
    "exchange",
    "routing_key",
    "priority",
    "serializer",
    "compression",
    "delivery_mode",
)
# A broker that is away is asked again after this many seconds; until then hints are left out.
_REST = 1.0
_ONE_RETRY = {"max_retries": 1, "interval_start": 0, "interval_step": 0.1, "interval_max": 0.1}


class CeleryDispatcher:
    """Publishes through the broker of a Celery app, never waiting long for one that is away.

    Args:
        app: whose broker, routes and message settings are used.
        undelivered: hears of executions whose hints a broker that is away did not take.
    """

    def __init__(
        self, app: Celery, undelivered: Callable[[Sequence[str]], None] = lambda ids: None
    ) -> None:
        self._app = app
        self._undelivered = undelivered
        self._pools: dict[int, Any] = {}
        self._templates = Templates(app)
        self._away_until = 0.0
        self._in_contact = True

    def dispatch(self, hints: Sequence[Hint]) -> int:
        """Publish hints; how many the broker took. The sweep sends the others again."""
        return in_greenlet(lambda: self._dispatch(hints)) if hints else 0

    def _dispatch(self, hints: Sequence[Hint]) -> int:
        quick: list[Hint] = []
        # Celery's way first: it makes templates for those of the same kind that follow.
        sent = self._publish_each(self._without_template(hints, quick))
        return sent + (self._publish_at_once(quick) if quick else 0)

    def close(self) -> None:
        """Close this process's connections; the next hint makes new ones."""
        in_greenlet(self._close)

    def is_away(self) -> bool:
        """Whether the broker was out of reach when it was last asked."""
        return not self._in_contact

    def _is_resting(self) -> bool:
        return time.monotonic() < self._away_until

    def _without_template(self, hints: Sequence[Hint], quick: list[Hint]) -> Iterator[Hint]:
        """The hints that Celery has to send; those that have a template are put into ``quick``."""
        valid = self._templates.check()
        for hint in hints:
            if valid and self._templates.have(hint):
                quick.append(hint)
            else:
                yield hint

    def _publish_each(self, hints: Iterable[Hint]) -> int:
        """Publish hints in Celery's way, one after the other; how many the broker took."""
        sent, left = 0, iter(hints)
        for hint in left:
            taken = not self._is_resting() and self._publish(hint)
            if not taken and self._is_resting():
                self._undelivered([it.execution_id for it in (hint, *left)])
                break
            sent += taken
        return sent

    def _publish_at_once(self, hints: Sequence[Hint]) -> int:
        """Publish hints for which there are templates; how many the broker took."""
        try:
            if self._is_resting():
                return self._publish_each(hints)
            with self._pool().acquire(block=True) as producer:
                self._templates.send(producer, hints)
        except Exception as error:
            # Celery's way finds a lost connection again, and knows what is wrong. What was taken
            # all the same comes twice, which does nothing.
            log.debug("%d hints are sent in Celery's way: %s", len(hints), error)
            self._templates.forget()
            return self._publish_each(hints)
        self._took_it()
        return len(hints)

    def _took_it(self) -> None:
        if not self._in_contact:
            log.warning("the broker is back")
        self._in_contact = True

    def _publish(self, hint: Hint) -> bool:
        try:
            self._send(hint)
        except (KombuError, OSError, ImportError) as error:
            # A driver that is missing here may be there where the sweep runs.
            self._away_until = time.monotonic() + _REST
            if self._in_contact:
                log.warning(
                    "the broker can't be reached (%s); executions are kept in the store and sent "
                    "when it is back. Check POLOS_BROKER_URL",
                    error,
                )
            self._in_contact = False
            return False
        except Exception:
            # A route or a queue that is wrong for one must not keep the others back.
            log.exception("the hint of %s can't be sent", hint.execution_id)
            return False
        self._took_it()
        return True

    def _send(self, hint: Hint) -> None:
        app, name = self._app, task_name(hint.workflow_id)
        route = self._route(hint, name)
        if hint.countdown:
            later = delayed(app, route, hint.countdown)
            if later is None:
                return  # the sweep sends it when it is due
            route = later
        options = _options(hint)
        headers = options.pop("headers", None) or {}
        message = app.amqp.create_task_message(
            hint.execution_id,
            name,
            (),
            {},
            countdown=hint.countdown or None,
            argsrepr=f"({hint.reason})",
            kwargsrepr="{}",
            create_sent_event=app.conf.task_send_sent_event,
            **{"ignore_result": None, **options},
        )
        with (
            self._pool().acquire(block=True) as producer,
            self._templates.watching(producer, hint),
        ):
            app.amqp.send_task_message(
                producer,
                name,
                message,
                headers=headers | _headers(hint),
                retry=True,
                retry_policy=_ONE_RETRY,
                **route,
            )

    def _route(self, hint: Hint, name: str) -> dict[str, Any]:
        """Where a hint goes, and how, by all that Celery is told of such a task."""
        app: Any = self._app
        task = app.tasks.get(name)
        wanted = {option: getattr(task, option, None) for option in _TASK_OPTIONS}
        wanted |= {
            option: value
            for option, value in (("queue", hint.queue), ("priority", hint.priority))
            if value is not None
        }
        given = {option: value for option, value in wanted.items() if value is not None}
        route: dict[str, Any] = app.amqp.router.route(given, name, task_type=task)
        return route

    def _pool(self) -> Any:
        # After a fork the parent's sockets stay the parent's. One pool too many has none yet.
        pid = os.getpid()
        found = self._pools.get(pid)
        return self._pools.setdefault(pid, self._make_pool()) if found is None else found

    def _make_pool(self) -> ProducerPool:
        connection = self._app.connection_for_write(transport_options=_ONE_RETRY)
        pool = ConnectionPool(connection, limit=self._app.conf.broker_pool_limit or 10)
        return ProducerPool(pool, limit=pool.limit)

    def _close(self) -> None:
        self._templates.forget()
        producers = self._pools.pop(os.getpid(), None)
        if producers is not None:
            producers.force_close_all()
            producers.connections.force_close_all()


def _headers(hint: Hint) -> dict[str, Any]:
    return {HINT_HEADER: True, AHEAD_HEADER: hint.countdown, DUE_HEADER: hint.due_at}


def _options(hint: Hint) -> dict[str, Any]:
    try:
        return message_options(hint.celery_options)
    except CodecError as error:
        # The hint is sent all the same: whoever claims the execution fails it for this.
        log.error("execution %s: %s", hint.execution_id, error)
        return {}
