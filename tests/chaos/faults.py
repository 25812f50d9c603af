"""The kinds of faults: what each does, how it heals, and whether it hit work in flight."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from tests.chaos.fleet import Fleet, processes_of
from tests.chaos.ledger import Ledger
from tests.chaos.proxy import drawn_cut
from tests.chaos.setups import LEASE_SECONDS, Files, Setup
from tests.support.processes import Program

# So long a blow waits for work to hit, and is left out where none comes. Blows at workers that
# only just start would keep them from ever working.
_AIM_SECONDS = 40.0
_IN_FLIGHT = text("SELECT count(*) FROM polos_executions WHERE status IN ('queued', 'running')")


@dataclass(frozen=True)
class Target:
    """A worker to be struck.

    Attributes:
        pids: all its processes, which have effects in flight.
    """

    worker: Program
    pids: set[int]


class NothingToHit(Exception):
    """The blow is left out."""


@dataclass
class Scene:
    """What faults strike.

    Attributes:
        turn: whose turn it is to strike workers.
    """

    setup: Setup
    fleet: Fleet
    ledger: Ledger
    lock: threading.Lock = field(default_factory=threading.Lock)
    turn: threading.Lock = field(default_factory=threading.Lock)

    def in_flight(self, pids: set[int]) -> int:
        """How many effects these processes have begun and not ended."""
        with self.lock:
            return self.ledger.update().in_flight(pids)

    @contextmanager
    def aim(self, rng: random.Random) -> Iterator[Target]:
        """A worker with effects in flight, to be struck in the block: one blow after another."""
        with self.turn:
            # Counted from its turn on: others may have aimed for long before.
            end = time.monotonic() + _AIM_SECONDS
            while not (busy := self._busy()):
                if time.monotonic() > end:
                    raise NothingToHit
                time.sleep(0.02)
            yield rng.choice(busy)

    def _busy(self) -> list[Target]:
        found = [(worker, processes_of(worker)) for worker in self.fleet.running()]
        return [Target(*pair) for pair in found if self.in_flight(pair[1])]

    def aim_at_executions(self) -> bool:
        """Wait for executions that are queued or running; whether there were any in the end."""
        end = time.monotonic() + _AIM_SECONDS
        while not self._executions_in_flight():
            if time.monotonic() > end:
                return False
            time.sleep(0.02)
        return True

    def _executions_in_flight(self) -> int:
        with suppress(SQLAlchemyError), self.setup.direct.connect() as connection:
            return int(connection.execute(_IN_FLIGHT).scalar_one())
        return 0


# Whether it hit work in flight.
Strike = Callable[[Scene, random.Random], bool]


@dataclass(frozen=True)
class Fault:
    """A kind of fault.

    Attributes:
        strike: does it, and heals what does not heal by itself.
        needs: what a set-up must have for it.
    """

    name: str
    strike: Strike
    needs: Callable[[Setup], bool] = lambda setup: True


def kill_child(scene: Scene, rng: random.Random) -> bool:
    """SIGKILL of one process of a worker's pool."""
    with scene.aim(rng) as target:
        children = sorted(target.pids - {target.worker.pid})
        busy = [pid for pid in children if scene.in_flight({pid})] or children
        pid = rng.choice(busy)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        return scene.in_flight({pid}) > 0


def kill_worker(scene: Scene, rng: random.Random) -> bool:
    """SIGKILL of a worker with its pool, or of its main process alone."""
    with scene.aim(rng) as target:
        target.worker.kill(signal.SIGKILL, group=rng.random() < 0.7)
        return scene.in_flight(target.pids) > 0


def kill_all(scene: Scene, rng: random.Random) -> bool:
    """SIGKILL of everything at once."""
    with scene.aim(rng):
        workers = scene.fleet.running()
        pids = set().union(*map(processes_of, workers))
        for worker in workers:
            worker.kill(signal.SIGKILL, group=True)
        return scene.in_flight(pids) > 0


def freeze(scene: Scene, rng: random.Random) -> bool:
    """SIGSTOP for longer than a lease, then SIGCONT: the zombie."""
    with scene.aim(rng) as target:
        target.worker.kill(signal.SIGSTOP, group=True)
        hit = scene.in_flight(target.pids) > 0
    try:
        time.sleep(LEASE_SECONDS * rng.uniform(1.4, 2.2))
    finally:
        target.worker.kill(signal.SIGCONT, group=True)
    return hit


def terminate(scene: Scene, rng: random.Random) -> bool:
    """SIGTERM."""
    with scene.aim(rng) as target:
        scene.fleet.ask_to_end(target.worker)
        return True


def broker_restart(scene: Scene, rng: random.Random) -> bool:
    """The broker ends and is back at once."""
    with scene.setup.broker_lock:
        hit = scene.aim_at_executions()
        _broker(scene).restart()
    return hit


def broker_forgets(scene: Scene, rng: random.Random) -> bool:
    """The broker loses all messages."""
    with scene.setup.broker_lock:
        hit = scene.aim_at_executions()
        assert scene.setup.broker is not None
        scene.setup.broker.forget()
    return hit


def broker_away(scene: Scene, rng: random.Random) -> bool:
    """The broker is away for seconds."""
    with scene.setup.broker_lock:
        hit = scene.aim_at_executions()
        _broker(scene).stop()
        time.sleep(rng.uniform(1.0, 6.0))
        _broker(scene).start()
    return hit


def database_crash(scene: Scene, rng: random.Random) -> bool:
    """``pg_ctl stop -m immediate``, and back, at once or after seconds."""
    server = scene.setup.postgres
    assert server is not None
    with scene.setup.database_lock:
        hit = scene.aim_at_executions()
        server.stop("immediate")
        time.sleep(rng.choice((0.0, rng.uniform(0.5, 5.0))))
        server.start()
    return hit


def database_held(scene: Scene, rng: random.Random) -> bool:
    """Somebody holds SQLite's write lock for about as long as a lease."""
    hit = scene.aim_at_executions()
    with scene.setup.database_lock, scene.setup.direct.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        time.sleep(rng.uniform(0.5, LEASE_SECONDS * 1.3))
        connection.rollback()
    return hit


def cut_commit(scene: Scene, rng: random.Random) -> bool:
    """A connection is cut in the middle of a COMMIT, or before its answer."""
    return _cut(scene, rng, b"COMMIT")


def cut_statement(scene: Scene, rng: random.Random) -> bool:
    """A connection is cut in the middle of any message, or before its answer."""
    return _cut(scene, rng, b"")


def _cut(scene: Scene, rng: random.Random, pattern: bytes) -> bool:
    proxy = scene.setup.proxy
    assert proxy is not None
    cuts = [proxy.arm(drawn_cut(rng, pattern)) for _ in range(rng.randint(1, 3))]
    hit = cuts[0].done.wait(_AIM_SECONDS)
    for cut in cuts:
        proxy.disarm(cut)
    return hit


def _broker(scene: Scene) -> Any:
    return scene.setup.broker


def _has_broker_server(setup: Setup) -> bool:
    return not isinstance(setup.broker, Files)


def _has_database_server(setup: Setup) -> bool:
    return setup.postgres is not None


FAULTS = {
    fault.name: fault
    for fault in (
        Fault("kill child", kill_child),
        Fault("kill worker", kill_worker),
        Fault("kill all", kill_all),
        Fault("freeze", freeze),
        Fault("terminate", terminate),
        Fault("broker forgets", broker_forgets),
        Fault("broker restart", broker_restart, _has_broker_server),
        Fault("broker away", broker_away, _has_broker_server),
        Fault("database crash", database_crash, _has_database_server),
        Fault("database held", database_held, lambda setup: not _has_database_server(setup)),
        Fault("cut commit", cut_commit, _has_database_server),
        Fault("cut statement", cut_statement, _has_database_server),
    )
}


def kinds_for(setup: Setup) -> list[str]:
    """The kinds that a set-up can have."""
    return [name for name, fault in FAULTS.items() if fault.needs(setup)]
