"""What parked executions cost: the time of a sweep, and a worker's memory.

Half of them wait for a time that is far off, the others for a child that does. ``--counts`` of
them. The sweep is timed in this process, then a worker lives beside them: its memory is read
before it has worked, after some real work, and after as much again.
"""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import text

from benchmarks.flows import steps, wait
from polos import PolosClient
from polos.engine.owner import this_process
from polos.engine.sweeper import Sweeper
from polos.model.records import Hint, WorkerReport
from polos.model.settings import Settings
from polos.store.sql_store import SqlStore
from tests.acceptance.stacks import Stack, Workers, embedded_stack, server_stack
from tests.support.bulk import park_many
from tests.support.processes import Program
from tests.support.servers import PostgresServer, RedisServer

COUNTS = (1_000, 10_000, 100_000)
TICKS = 100
WORK = 20
MEGABYTE = 1024 * 1024


class NoBroker:
    """The hints of a timed sweep go nowhere; there are none."""

    def dispatch(self, hints: Sequence[Hint]) -> int:
        return len(hints)

    def is_away(self) -> bool:
        return False


def sweeps(store: SqlStore, settings: Settings) -> list[float]:
    """Seconds of each of many sweeps with all duties."""
    report = WorkerReport("bench@host", str(this_process()), 4, 4, ("polos",), (wait.id, steps.id))
    sweeper = Sweeper(lambda: store, NoBroker(), settings, lambda: report)
    sweeper.tick()
    # As after one lease of contact: expired leases are looked for from then on.
    sweeper._contact_since = time.monotonic() - 2 * settings.lease_seconds
    times = []
    for _ in range(TICKS):
        began = time.perf_counter()
        assert sweeper.tick() == 0
        times.append(time.perf_counter() - began)
    sweeper.sign_off()
    return times


def memory(worker: Program) -> float:
    """Of the worker's main process, in megabytes."""
    return float(psutil.Process(worker.pid).memory_info().rss) / MEGABYTE


def trickle(client: PolosClient) -> None:
    """Real work, some at a time."""
    for _ in range(WORK // 4):
        handles = [steps.start(client, {"steps": 2}) for _ in range(4)]
        for handle in handles:
            assert handle.result_sync(60) == 2


def beside_work(stack: Stack, client: PolosClient) -> tuple[float, float, float]:
    """A worker's memory: ready, after some work, and after as much again."""
    workers = Workers(stack)
    try:
        worker = workers(slots=2, flows="benchmarks.flows")
        found = [memory(worker)]
        for _ in range(2):
            trickle(client)
            found.append(memory(worker))
    finally:
        workers.close()
    return found[0], found[1], found[2]


def measure(stack: Stack, count: int) -> None:
    client = stack.client()
    store = client.bound.store
    park_many(store, wait.id, wait.encode_payload({"seconds": 1}), count)
    store.database.run(text("ANALYZE"))
    times = sorted(sweeps(store, client.settings))
    before, after, again = beside_work(stack, client)
    p95 = times[int(len(times) * 0.95) - 1]
    print(
        f"{stack.database.partition('+')[0] or 'SQLite':<12} {count:>8} "
        f"{statistics.median(times) * 1000:>9.1f} {p95 * 1000:>9.1f} {times[-1] * 1000:>9.1f} "
        f"{before:>9.0f} {after:>9.0f} {again:>9.0f}",
        flush=True,
    )
    client.close()


def run(opened: Callable[[Path], Any], counts: Sequence[int]) -> None:
    for count in counts:
        with tempfile.TemporaryDirectory() as folder, opened(Path(folder)) as stack:
            measure(stack, count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counts", type=int, nargs="+", default=COUNTS)
    counts = parser.parse_args().counts
    logging.disable(logging.WARNING)
    os.environ.pop("POLOS_DATABASE_URL", None)
    print(f"{'':<12} {'':>8} {'a sweep, in milliseconds':>29} {'memory of the worker, in MB':>29}")
    print(
        f"{'database':<12} {'parked':>8} {'median':>9} {'p95':>9} {'max':>9} "
        f"{'ready':>9} {'worked':>9} {'again':>9}"
    )
    run(embedded_stack, counts)
    with ExitStack() as servers:
        postgres = servers.enter_context(PostgresServer())
        redis = servers.enter_context(RedisServer())
        run(lambda folder: server_stack(folder, redis, postgres), counts)


if __name__ == "__main__":
    main()
