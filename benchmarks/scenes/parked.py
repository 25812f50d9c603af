"""What parked executions cost: a sweep's time, bytes in the database, memory of a worker.

Half of them wait for a time that is far off, the others for a child that does. Sweeps beside them
and sweeps of a store without any take turns; then a worker lives beside each, and its memory is
read when it is ready, after some work, and after as much again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass

import psutil
from sqlalchemy import text

from benchmarks.figures import alternate, summarize
from benchmarks.flows import steps, wait
from benchmarks.scene import Options, Scene
from benchmarks.scenes.sheet import Row, one, publish, scaled
from benchmarks.scenes.site import Servers, Site, on_files, on_redis
from benchmarks.scenes.step_cost import NoBroker
from polos.engine.owner import this_process
from polos.engine.sweeper import Sweeper
from polos.model.workers import WorkerReport
from tests.support.bulk import park_many
from tests.support.processes import Program

COUNT = 100_000
TICKS = 20
WORK = 20
MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class Memory:
    """Of a worker, in MB: its main process's RSS, and the PSS of each process at the end."""

    ready: float
    worked: float
    again: float
    pss: tuple[float, ...]


class Sweeps:
    """Sweeps of one store with all duties, in this process."""

    def __init__(self, site: Site) -> None:
        store, settings = site.client.bound.store, site.settings
        ids = (wait.id, steps.id)
        report = WorkerReport("bench@host", str(this_process()), 4, 4, ("polos",), ids)
        self._sweeper = Sweeper(lambda: store, NoBroker(), settings, lambda: report)
        self._sweeper.tick()
        # As after one lease of contact: expired leases are looked for from then on.
        self._sweeper._contact_since = time.monotonic() - 2 * settings.lease_seconds

    def times(self) -> list[float]:
        """Seconds of each of some."""
        took = []
        for _ in range(TICKS):
            began = time.perf_counter()
            assert self._sweeper.tick() == 0
            took.append(time.perf_counter() - began)
        return took

    def close(self) -> None:
        self._sweeper.sign_off()


def park(site: Site, count: int) -> float:
    """Park so many; the bytes of each in the database."""
    store = site.client.bound.store
    before = size(site)
    park_many(store, wait.id, wait.encode_payload({"seconds": 1}), count)
    store.database.run(text("ANALYZE"))
    return (size(site) - before) / count


def size(site: Site) -> int:
    """Bytes of the database with its indexes."""
    store = site.client.bound.store
    if site.stack.database:
        return int(store.database.run(text("SELECT pg_database_size(current_database())"))[0][0])
    store.database.run(text("PRAGMA wal_checkpoint(TRUNCATE)"))
    return (site.stack.folder / "polos" / "polos.db").stat().st_size


def memory(site: Site) -> Memory:
    """Of a worker with two processes that lives beside what is parked."""
    worker = site.worker()
    found = [rss(worker)]
    for _ in range(2):
        trickle(site)
        found.append(rss(worker))
    shares = pss(worker)
    # Both sites have one broker: none may take the other's messages.
    site.workers.close()
    return Memory(found[0], found[1], found[2], shares)


def trickle(site: Site) -> None:
    """Real work, some at a time."""
    for _ in range(WORK // 4):
        handles = [steps.start(site.client, {"steps": 2}) for _ in range(4)]
        for handle in handles:
            assert handle.result_sync(60) == 2


def rss(worker: Program) -> float:
    return float(psutil.Process(worker.pid).memory_info().rss) / MEGABYTE


def pss(worker: Program) -> tuple[float, ...]:
    """What each process adds to what they share: the main one, then its pool's."""
    found = []
    for process in [psutil.Process(worker.pid), *worker.children()]:
        with suppress(psutil.NoSuchProcess):
            found.append(float(process.memory_full_info().pss) / MEGABYTE)
    return tuple(found)


def rows(name: str, sites: Sequence[Site], options: Options) -> list[Row]:
    """Beside none, and beside many."""
    empty, full = sites
    count = 1_000 if options.smoke else COUNT
    each = park(full, count)
    sweeps = {"none": Sweeps(empty), "many": Sweeps(full)}
    rounds = alternate({key: it.times for key, it in sweeps.items()}, options.rounds)
    times = {
        key: scaled(summarize([second for turn in turns for second in turn]), 1000)
        for key, turns in rounds.items()
    }
    for it in sweeps.values():
        it.close()
    none, many = memory(empty), memory(full)
    what, beside = f"{name}: {count:,} parked", "none parked"
    more = (many.again - none.again) * MEGABYTE / count
    return [
        Row(f"{what}, a sweep", "ms", times["many"], beside, times["none"]),
        Row(f"{what}, database", "bytes each", one(each)),
        Row(f"{what}, a worker's memory", "bytes each", one(more)),
        Row(f"{what}, a worker ready, RSS", "MB", one(many.ready), beside, one(none.ready)),
        Row(f"{what}, after work", "MB", one(many.worked), beside, one(none.worked)),
        Row(f"{what}, after as much again", "MB", one(many.again), beside, one(none.again)),
        Row(f"{what}, main process, PSS", "MB", one(many.pss[0]), beside, one(none.pss[0])),
        Row(f"{what}, a pool process, PSS", "MB", one(many.pss[1]), beside, one(none.pss[1])),
    ]


def run(options: Options) -> None:
    found = []
    with Servers() as servers:
        kinds: dict[str, Callable[[], AbstractContextManager[Site]]] = {
            "SQLite": on_files,
            "PostgreSQL": lambda: on_redis(servers),
        }
        for name, opened in kinds.items():
            with ExitStack() as stack:
                sites = [stack.enter_context(opened()) for _ in range(2)]
                found += rows(name, sites, options)
    publish(options, "parked", found)


SCENE = Scene("parked", "100,000 parked executions: sweeps and memory", run)
