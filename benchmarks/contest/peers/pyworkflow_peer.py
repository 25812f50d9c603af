"""PyWorkflow: Celery on Redis, its storage in PostgreSQL; steps as tasks, or local ones."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from urllib.parse import urlsplit

from protocol import DATABASE, REDIS, mark, noop, serve

_at = urlsplit(DATABASE)
os.environ |= {
    "PYWORKFLOW_RUNTIME": "celery",
    "PYWORKFLOW_STORAGE_TYPE": "postgres",
    "PYWORKFLOW_POSTGRES_HOST": _at.hostname or "",
    "PYWORKFLOW_POSTGRES_PORT": str(_at.port),
    "PYWORKFLOW_POSTGRES_USER": _at.username or "",
    "PYWORKFLOW_POSTGRES_DATABASE": _at.path.removeprefix("/"),
    "PYWORKFLOW_CELERY_BROKER": REDIS,
    "PYWORKFLOW_CELERY_RESULT_BACKEND": REDIS,
    "PYWORKFLOW_LOG_LEVEL": "ERROR",
}

from pyworkflow import get_workflow_run, sleep, start, step, workflow  # noqa: E402
from pyworkflow.cli import main  # noqa: E402
from pyworkflow.observability.logging import configure_logging  # noqa: E402
from pyworkflow.storage.postgres import (  # noqa: E402
    PostgresMigrationRunner,
    PostgresStorageBackend,
)
from pyworkflow.storage.schemas import RunStatus  # noqa: E402

LOCAL = bool(os.environ.get("CONTEST_LOCAL_STEPS"))
POLLING = 0.002


@step(force_local=LOCAL)
async def one(number: int) -> int:
    """The same step with the same arguments would be taken for one that is done."""
    return noop()


@workflow(name="steps")
async def steps(name: str, count: int) -> int:
    mark("begin", name)
    for number in range(count):
        await one(number)
    mark("end", name)
    return count


@workflow(name="sleep")
async def sleeps(name: str, seconds: int) -> None:
    mark("sleep", name)
    await sleep(seconds)
    mark("woke", name)


class PyworkflowDriver:
    def __init__(self) -> None:
        self._loop = asyncio.Runner()
        self._queued: list[str] = []
        self._names = iter(range(1_000_000_000))

    def run(self, count: int) -> None:
        self._loop.run(self._start_and_wait(count))

    async def _start_and_wait(self, count: int) -> None:
        run_id = await start(steps, self._name(), count)
        while (status := await self._status(run_id)) != RunStatus.COMPLETED:
            assert status in (RunStatus.PENDING, RunStatus.RUNNING, RunStatus.SUSPENDED), status
            await asyncio.sleep(POLLING)

    async def _status(self, run_id: str) -> RunStatus:
        # Its row is the worker's: there is none until one has taken it.
        run = await get_workflow_run(run_id)
        return run.status if run else RunStatus.PENDING

    def queue(self, count: int, workflows: int) -> None:
        async def queue() -> list[str]:
            return [await start(steps, self._name(), count) for _ in range(workflows)]

        self._queued = self._loop.run(queue())

    def sleep(self, seconds: int, count: int) -> None:
        async def begin() -> None:
            for _ in range(count):
                await start(sleeps, self._name(), seconds)

        self._loop.run(begin())

    def ended(self) -> int:
        async def count() -> int:
            return sum([await self._status(x) == RunStatus.COMPLETED for x in self._queued])

        return self._loop.run(count())

    def _name(self) -> str:
        return f"{os.getpid()}-{next(self._names)}-{time.monotonic_ns()}"


async def prepare() -> None:
    """Make the tables.

    0.4.0 can't on an empty database: its fifth migration alters a table that it makes only after
    all migrations. So the tables are made without them, and then they are run.
    """

    async def nothing(_: object) -> None:
        pass

    storage = PostgresStorageBackend(dsn=DATABASE)
    migrate = PostgresMigrationRunner.run_migrations
    for migrations in (nothing, migrate):
        PostgresMigrationRunner.run_migrations = migrations
        await storage.connect()
        await storage.disconnect()


def work(processes: int) -> None:
    """``pyworkflow worker run``, which imports this module by its name."""
    main(["--module", "pyworkflow_peer", "worker", "run", "--", f"--concurrency={processes}"])


if __name__ == "__main__":
    if sys.argv[1] == "prepare":
        asyncio.run(prepare())
    else:
        configure_logging(level="ERROR")
        serve(PyworkflowDriver())
