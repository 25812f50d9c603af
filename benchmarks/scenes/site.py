"""Where a scene plays: servers, our workers and clients, and Celery's own beside them."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from celery import Celery

from benchmarks import machine
from benchmarks.flows import noop
from benchmarks.scenes import bare
from benchmarks.scenes.floors import Floor
from polos.store.database import embedded_url
from tests.acceptance.stacks import Stack, Workers, embedded_stack, server_stack
from tests.support.processes import Program
from tests.support.rabbit import RabbitServer
from tests.support.servers import PostgresServer, RedisServer

FLOWS = "benchmarks.flows"
_SECONDS = 120.0
# Between two looks at Celery's file backend; its default is half a second.
_LOOK = 0.002


class Site:
    """A broker and a database, with what runs on them.

    Args:
        stack: where they are.
        backend: where bare Celery's results go.
    """

    def __init__(self, stack: Stack, backend: str) -> None:
        self.stack = stack
        self.client = stack.client()
        self.settings = self.client.settings
        self.floor = Floor(stack.database or embedded_url())
        self.bare: Celery = bare.bare_app(self.settings, backend)
        # Sends without asking for a result, as one does who only queues.
        self.bare_silent: Celery = bare.bare_app(self.settings, None)
        self.workers = Workers(stack)
        self._env = {"CELERY_RESULT_BACKEND": None, bare.BACKEND: backend}

    def worker(self, pool: str = "prefork", slots: int = 2, *, flows: str = FLOWS) -> Program:
        """A worker of ours that has already worked; it logs warnings only, as by default."""
        worker = self._started("polos.celery_app", pool, slots, "worker", flows)
        for handle in [noop.start(self.client) for _ in range(2 * slots)]:
            handle.result_sync(_SECONDS)
        return worker

    def bare_worker(self, pool: str = "prefork", slots: int = 2) -> Program:
        """A worker of Celery's that has already worked."""
        worker = self._started("benchmarks.scenes.bare_worker", pool, slots, "bare", "")
        for sent in [self.bare_send() for _ in range(2 * slots)]:
            sent.get(_SECONDS, interval=_LOOK)
        return worker

    def bare_send(self, **options: Any) -> Any:
        """Send the task that does nothing, and ask for its result."""
        return bare.task(self.bare).apply_async(**options)

    def bare_round_trip(self) -> float:
        """Send it and fetch its result."""
        return float(self.bare_send().get(_SECONDS, interval=_LOOK))

    def forget_messages(self) -> None:
        """Empty Redis: a long queue costs memory, and messages sent again."""
        assert self.stack.redis is not None
        self.stack.redis.flush()

    def close(self) -> None:
        """End what runs."""
        self.workers.close()
        self.floor.close()
        self.client.close()
        for app in (self.bare, self.bare_silent):
            app.close()

    def _started(self, app: str, pool: str, slots: int, name: str, flows: str) -> Program:
        return self.workers(
            pool,
            slots,
            name,
            app=app,
            flows=flows,
            env=self._env,
            ready=False,
            args=("-l", "WARNING"),
        )


class Servers:
    """PostgreSQL and Redis, and RabbitMQ from the first time that it is asked for."""

    def __init__(self) -> None:
        self._opened = ExitStack()
        self.postgres = self._opened.enter_context(PostgresServer())
        self.redis = self._opened.enter_context(RedisServer())
        self._rabbit: RabbitServer | None = None
        with self.postgres.connect() as connection:
            machine.assert_durable_postgres(connection)

    @property
    def rabbit(self) -> RabbitServer:
        if self._rabbit is None:
            self._rabbit = self._opened.enter_context(RabbitServer())
        return self._rabbit

    def __enter__(self) -> Servers:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()


@contextmanager
def on_redis(servers: Servers) -> Iterator[Site]:
    """Redis and PostgreSQL."""
    with _folder() as folder, server_stack(folder, servers.redis, servers.postgres) as stack:
        yield from _opened(stack, servers.redis.url)


@contextmanager
def on_rabbit(servers: Servers) -> Iterator[Site]:
    """RabbitMQ and PostgreSQL."""
    with _folder() as folder, servers.postgres.fresh_database() as url:
        yield from _opened(Stack("rabbitmq", folder, servers.rabbit.url, url), "rpc://")


@contextmanager
def on_files(servers: Servers | None = None) -> Iterator[Site]:
    """The embedded broker and SQLite."""
    with _folder() as folder, embedded_stack(folder) as stack:
        results = folder / "results"
        results.mkdir()
        yield from _opened(stack, f"file://{results}")


def _opened(stack: Stack, backend: str) -> Iterator[Site]:
    site = Site(stack, backend)
    try:
        if not stack.database:
            machine.assert_durable_sqlite(site.client.bound.store)
        yield site
    finally:
        site.close()


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def seconds(call: Callable[[], object], count: int = 1) -> list[float]:
    """How long each of so many calls takes."""
    took = []
    for _ in range(count):
        began = time.perf_counter()
        call()
        took.append(time.perf_counter() - began)
    return took
