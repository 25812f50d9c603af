"""How late waits end, by the database's clock: a real worker, two stacks, waits of 1 to 3 s."""

from __future__ import annotations

import logging
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.flows import wait
from polos import PolosClient
from polos.model.settings import Settings
from tests.support.processes import Program
from tests.support.servers import PostgresServer, RedisServer

SECONDS = (1.0, 1.5, 2.0, 3.0)
EACH = 10


@contextmanager
def worker(environment: dict[str, str], folder: Path, pool: str) -> Iterator[None]:
    command = [sys.executable, "-m", "celery", "-A", "polos.celery_app", "worker"]
    options = ["-P", pool, "-c", "2", "-l", "info"]
    wanted = environment | {"POLOS_WORKFLOWS": "benchmarks.flows", "POLOS_AUTO_MIGRATE": "1"}
    log = folder / f"{pool}.log"
    with Program([*command, *options], name="worker", log=log, env=wanted) as program:
        program.wait_for(" ready.")
        yield


def measure(client: PolosClient) -> list[float]:
    late = []
    for seconds in SECONDS:
        handles = [wait.start(client, {"seconds": seconds}) for _ in range(EACH)]
        late += [handle.result_sync(60) for handle in handles]
    return late


def show(name: str, late: list[float]) -> None:
    ordered = sorted(late)
    p95 = ordered[int(len(ordered) * 0.95) - 1]
    print(
        f"{name:<40} {len(late):>4} {min(late) * 1000:>8.0f} "
        f"{statistics.median(late) * 1000:>8.0f} {p95 * 1000:>8.0f} {max(late) * 1000:>8.0f}"
    )


def run(name: str, pool: str, **given: str) -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        # The embedded broker of worker and client is found by this.
        os.environ["POLOS_HOME"] = str(folder)
        environment = {"POLOS_HOME": str(folder), **given}
        stack.enter_context(worker(environment, folder, pool))
        settings = Settings.load(
            database_url=given.get("POLOS_DATABASE_URL"), broker_url=given.get("POLOS_BROKER_URL")
        )
        show(f"{name}, {pool}", measure(PolosClient(settings=settings)))


def main() -> None:
    logging.disable(logging.WARNING)
    print(f"{'lateness in ms':<40} {'n':>4} {'min':>8} {'median':>8} {'p95':>8} {'max':>8}")
    for pool in ("prefork", "threads"):
        run("Embedded broker and SQLite", pool)
    with PostgresServer() as postgres, RedisServer() as redis:
        for pool in ("prefork", "threads"):
            with postgres.fresh_database() as url:
                environment = {"POLOS_DATABASE_URL": url, "POLOS_BROKER_URL": redis.url}
                run("Redis and PostgreSQL", pool, **environment)


if __name__ == "__main__":
    main()
