"""What the requests of one process share: the projects' stores, and threads to ask them in."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from celery import Celery

from polos import codec
from polos.binding.of_app import bound_of
from polos.client.direct import DirectClient
from polos.definition.masking import masked
from polos.model.keys import ApiKey
from polos.model.settings import Settings
from polos.server.known_keys import KnownKeys
from polos.store.api_keys import opened_by
from polos.store.sql_store import SqlStore

T = TypeVar("T")

# Each holds a connection while it asks.
_THREADS = 8
_MOST_PROJECTS = 1_000
_NAME = "_polos_served"


class Served:
    """What is served of one Celery app that Polos is bound to.

    Args:
        bound: what binds the app and a store.

    Attributes:
        keys: those of the API.
    """

    def __init__(self, bound: Any) -> None:
        self.bound = bound
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="polos-server")
        self._lock = threading.Lock()
        self._clients: dict[str, DirectClient] = {}
        self._parts: dict[Any, Any] = {}
        self.keys = KnownKeys(self._opened_by)

    @property
    def settings(self) -> Settings:
        """The settings of the app's Polos."""
        found: Settings = self.bound.settings
        return found

    def client(self, project_id: str) -> DirectClient:
        """Who starts executions of a project, and reads them; all share one database."""
        if project_id == self.settings.project_id:
            own: DirectClient = self.bound.client
            return own
        with self._lock:
            if project_id not in self._clients:
                # Anybody may name any project.
                if len(self._clients) >= _MOST_PROJECTS:
                    self._clients.clear()
                self._clients[project_id] = DirectClient(
                    project_id, lambda: self._store_of(project_id), self.bound.dispatcher
                )
            return self._clients[project_id]

    def store(self, project_id: str) -> SqlStore:
        """The store of a project.

        Raises:
            StoreUnavailable: the database can't be reached.
        """
        return self.client(project_id).store

    def shown(self, value: Any) -> Any:
        """A payload, a result, a step's value or input as people see it: plain, and masked."""
        return codec.redacted(codec.plain(value), self.settings.redact)

    def shown_text(self, text: str) -> str:
        """An error's text or a traceback as people see it."""
        return codec.redacted_text(text, self.settings.redact)

    def shown_details(self, found: Any) -> Any:
        """What ``get_execution`` and ``to_dict`` give, as people see it."""
        return masked(found, self.settings.redact)

    def part(self, kind: Callable[[Served], T]) -> T:
        """The one thing of a kind that all requests share, made at its first use."""
        with self._lock:
            if kind not in self._parts:
                self._parts[kind] = kind(self)
            found: T = self._parts[kind]
            return found

    async def ask(self, work: Callable[..., T], *args: Any) -> T:
        """Run what waits for the database in a thread: the loop is Flower's too."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *args)

    async def _opened_by(self, key: str) -> ApiKey | None:
        return await self.ask(lambda: opened_by(self.bound.store.database, key))

    def _store_of(self, project_id: str) -> SqlStore:
        settings = self.settings
        return SqlStore(
            self.bound.store.database,
            project_id,
            early=settings.wait_threshold_seconds,
            horizon=settings.countdown_horizon,
        )


def served_of(app: Celery) -> Served | None:
    """What is served of a Celery app; None where Polos is not bound to it."""
    bound = bound_of(app)
    if bound is None:
        return None
    found = app.__dict__.get(_NAME)
    if found is None or found.bound is not bound:
        found = app.__dict__[_NAME] = Served(bound)
    served: Served = found
    return served
