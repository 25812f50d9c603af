"""The same world with Celery in it: a real broker, real messages, and Celery's own trace of tasks.

The worker's consumer alone is played: one message after another is fetched, held until it is due,
traced, acknowledged. What was fetched dies with the process: the filesystem broker redelivers
nothing.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from celery import Celery
from celery.app.trace import build_tracer
from kombu import Queue

from polos.binding.app_factory import QUEUE, make_app
from polos.binding.bound import Bound
from polos.definition.registry import registry
from polos.model.settings import Settings
from polos.store.sql_store import SqlStore
from tests.acceptance.ledger import effect
from tests.boundaries.traps import ACKNOWLEDGE, PUBLISH, STORE_RESULT, BrokerAway
from tests.boundaries.verdict import LINKED
from tests.boundaries.world import ROOT, World

HOME = "POLOS_HOME"


class Door(World):
    """A client and a worker of one Celery app, with a result backend."""

    def start(self) -> None:
        """Send the subject's task, with a callback, as any Celery program does."""
        if ROOT in [row.id for row in self._outside.executions()]:
            return
        linked = self._app.signature(LINKED, (ROOT,), immutable=True)
        self._app.tasks[self._name].apply_async(task_id=ROOT, link=linked, link_error=linked)

    def finish(self) -> None:
        """Go on until all is quiet and Celery knows the end."""
        super().finish()
        while (message := self.broker.take()) is not None:
            self._deliver(message)
        assert self._app.AsyncResult(ROOT).ready(), "Celery was not told of the end"

    @property
    def _name(self) -> str:
        return f"polos.{self.subject.workflow.id}"

    def _connect(self) -> None:
        self._app = _app(self.settings)
        bound = BoundTo(self._app, self.settings, self.store)
        bound._keeper = self.keeper
        self.client, self.dispatcher = bound.client, bound.dispatcher
        self.broker = Consumer(self._app)
        self._count_publishing()

    def _count_publishing(self) -> None:
        cross, send = self._boundaries.cross, self.dispatcher._send
        store = self._app.backend.store_result
        self.dispatcher._send = lambda hint: cross(PUBLISH, lambda: send(hint), _away)
        self._app.backend.store_result = lambda *args, **named: cross(
            STORE_RESULT, lambda: store(*args, **named), _away
        )

    def _deliver(self, hint: Any) -> None:
        headers = hint.headers
        args, kwargs, embedded = hint.payload
        task = self._app.tasks[headers["task"]]
        request = {**headers, **embedded, "delivery_info": hint.delivery_info, "hostname": "w1"}
        trace = build_tracer(headers["task"], task, app=self._app, propagate=False)
        trace(headers["id"], args, kwargs, request)
        self._boundaries.cross(ACKNOWLEDGE, hint.ack, _away)


class BoundTo(Bound):
    """Bound to a store that is open."""

    def __init__(self, app: Celery, settings: Settings, store: SqlStore) -> None:
        self._opened = store
        super().__init__(app, settings, registry)

    def _open_store(self) -> SqlStore:
        return self._opened


class Consumer:
    """Fetches messages, and holds those that have a countdown."""

    def __init__(self, app: Celery) -> None:
        self._channel = app.connection_for_read().default_channel
        self._queue = Queue(QUEUE, routing_key=QUEUE)(self._channel)
        self._queue.declare()
        self._held: list[tuple[float, Any]] = []

    def take(self) -> Any:
        """The next message that is due."""
        self._fetch()
        for number, (due, message) in enumerate(self._held):
            if due <= time.monotonic():
                del self._held[number]
                return message
        return None

    def dues(self) -> dict[str, float]:
        """The tasks of which there are messages, each with the first moment."""
        self._fetch()
        held = sorted(self._held, key=lambda pair: pair[0], reverse=True)
        return {message.headers["id"]: due for due, message in held}

    def _fetch(self) -> None:
        while (message := self._queue.get()) is not None:
            eta = message.headers.get("eta")
            late = (datetime.fromisoformat(eta) - datetime.now(UTC)).total_seconds() if eta else 0
            self._held.append((time.monotonic() + late, message))


def _app(settings: Settings) -> Celery:
    app = make_app(settings)
    results = Path(os.environ[HOME]) / "results"
    results.mkdir(parents=True, exist_ok=True)
    app.conf.result_backend = f"file://{results}"
    app.conf.task_store_errors_even_if_ignored = True

    @app.task(name=LINKED, shared=False)
    def linked(execution: str) -> None:
        effect(execution, LINKED)

    return app


def _away() -> None:
    raise BrokerAway
