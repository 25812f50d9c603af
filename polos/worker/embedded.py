"""``Polos``: client and worker in one, or a Celery app with Polos bound to it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from functools import partial
from typing import Any
from uuid import uuid4

from celery import Celery

from polos.binding.app_factory import make_app, make_memory_app
from polos.binding.bound import Bound
from polos.definition.registry import registry
from polos.definition.workflow import Workflow
from polos.model.settings import Settings
from polos.worker.arguments import registry_of, slots_of
from polos.worker.client import PolosClient
from polos.worker.thread_worker import ThreadWorker

_START_SECONDS = 30.0
_STOP_SECONDS = 10.0


class Polos(PolosClient):
    """A client with a worker of its own, or the binding to a Celery app that exists.

    Without an app, ``async with Polos()`` runs a Celery worker in a thread of this process. Its
    messages stay in the process unless a broker is configured; its executions are in
    ``POLOS_DATABASE_URL`` or the embedded database, and survive the process.

    With an app, that app's workers run the workflows, each as a task of its own; nothing of the
    app's own settings is changed.

    Args:
        app: the Celery app to bind to.
        database_url: a SQLAlchemy URL; ``polos_database_url`` of the app's configuration,
            ``POLOS_DATABASE_URL``, or the embedded database.
        broker_url: the broker of the own worker.
        project_id: the namespace in the store.
        deployment_id: a label for the executions that it starts.
        workflows: what the own worker runs; all that are defined where left out.
        max_concurrent_workflows: executions of the own worker at once; by default the number of
            processors, at least 4.

    Raises:
        TypeError: ``app`` is no Celery app, or one of the workflows none.
        ConfigurationError: the app has Polos already, or a setting can't work.

    Example::

        async with Polos() as polos:
            result = await simple_workflow.run(polos, SimplePayload(name="Ada"))
    """

    def __init__(
        self,
        app: Celery | None = None,
        database_url: str | None = None,
        *,
        broker_url: str | None = None,
        project_id: str | None = None,
        deployment_id: str | None = None,
        workflows: Sequence[Workflow[Any, Any]] | None = None,
        max_concurrent_workflows: int | None = None,
    ) -> None:
        given: dict[str, Any] = {
            "database_url": database_url,
            "broker_url": broker_url,
            "project_id": project_id,
            "deployment_id": deployment_id,
        }
        if app is not None and not isinstance(app, Celery):
            raise TypeError(
                f"Polos was given a {type(app).__name__} as its app; pass a Celery app, and other "
                "arguments by their names"
            )
        # What the app is configured by may be said later.
        load = partial(Settings.load, app.conf, **given) if app is not None else None
        super().__init__(settings=load or Settings.load(**given))
        self._app = app
        self._slots = slots_of(max_concurrent_workflows)
        self._known = registry if workflows is None else registry_of(workflows)
        self._thread: ThreadWorker | None = None
        if app is not None:
            self._bound = self._bind(app)

    @property
    def app_name(self) -> str | None:
        """The main name of the Celery app that this is bound to; None without one."""
        return None if self._app is None else self._app.main

    def runs(self, workflow_id: str) -> bool:
        """Whether a workflow is one of this binding's."""
        return self._known.get(workflow_id) is not None

    def set_default(self) -> None:
        """Make this the client of calls that name none, whatever other apps there are.

        Example::

            polos = Polos(app)
            polos.set_default()
        """
        registry.set_default_client(self)

    def close(self) -> None:
        """Let go of the app, and close connections; the next use binds it again."""
        registry.remove_bound_client(self)
        if registry.default_client() is self:
            registry.set_default_client(None)
        super().close()

    async def __aenter__(self) -> Polos:
        """Start the own worker; returns when it takes work."""
        await asyncio.to_thread(self.start_worker)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop the own worker; what it runs may finish."""
        await asyncio.to_thread(self.stop_worker)

    def __enter__(self) -> Polos:
        """Start the own worker; returns when it takes work."""
        self.start_worker()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the own worker; what it runs may finish."""
        self.stop_worker()

    def start_worker(self) -> None:
        """Start the own worker, and return when it takes work.

        Raises:
            StoreUnavailable: the database can't be reached.
            SchemaError: the database has an older schema, or none.
        """
        bound = self.bound
        bound.store.known_workflows()
        self._thread = ThreadWorker(
            bound.app,
            self._slots,
            f"polos-{uuid4().hex[:8]}@{os.uname().nodename}",
            bound.hand_on,
            queues=self._queues(bound.app),
        )
        self._thread.start(_START_SECONDS)
        if registry.default_client() is None:
            registry.set_default_client(self)

    def stop_worker(self) -> None:
        """Stop the own worker; what it runs may finish."""
        if self._thread is not None:
            self._thread.stop(_STOP_SECONDS)
            self._thread = None
        if self._app is None:
            self.close()

    def _make_bound(self) -> Bound:
        if self._app is None:
            return Bound(self._own_app(), self.settings, self._known)
        return self._bind(self._app)

    def _bind(self, app: Celery) -> Bound:
        bound = Bound(app, self._settings, self._known)
        # The app holds it: it lives as long as the app does, whoever else keeps it.
        bound.used_by = self
        registry.add_bound_client(self)
        return bound

    def _own_app(self) -> Celery:
        if self.settings.broker_url:
            return make_app(self.settings)
        return make_memory_app(f"polos-{uuid4().hex}")

    def _queues(self, app: Celery) -> list[str]:
        own = {workflow.queue for workflow in self._known.all() if workflow.queue}
        return [app.conf.task_default_queue, *sorted(own)]
