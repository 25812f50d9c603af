"""Who takes part, with which versions and settings, and how its programs are started."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.environments import ROOT, Environment

PEERS = Path(__file__).with_name("peers")

Command = tuple[str, ...]
Commands = Callable[[int], tuple[Command, ...]]

RATE, DEEP, WAITS = "rate", "deep", "waits"


@dataclass(frozen=True)
class Contestant:
    """One way to run workflows.

    Attributes:
        script: its programs, in ``peers``; ``driver`` starts the client.
        settings: what a report says of how it was run.
        workers: the commands of so many processes; what follows the interpreter.
        environment: where its packages are; this one where None.
        env: for all of its programs.
        prepare: whether ``<script> prepare`` makes its tables.
        ready: what a worker says when it takes work.
        parts: what it is measured in, besides latencies.
        progress: what it marks when work is done, and how many of those are one workflow.
        steps: of the workflows that are run one at a time.
        idle_workers: whether workers take part when its client runs one workflow at a time.
    """

    name: str
    script: str
    settings: str
    workers: Commands
    environment: Environment | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    prepare: bool = False
    ready: str = " ready."
    parts: tuple[str, ...] = (RATE, DEEP, WAITS)
    progress: tuple[str, int] = ("end", 1)
    steps: tuple[int, ...] = (10, 100)
    idle_workers: bool = True

    @property
    def python(self) -> str:
        """The interpreter of its programs."""
        return str(self.environment.python) if self.environment else sys.executable

    @property
    def program(self) -> str:
        """Its script."""
        return str(PEERS / self.script)

    @property
    def import_path(self) -> str:
        """PYTHONPATH of its programs; a peer sees nothing of this tree but its script."""
        return str(PEERS) if self.environment else str(ROOT)

    def in_this_environment(self) -> Contestant:
        """For a trial: run by this interpreter, so that nothing is installed, and less of it."""
        return replace(
            self, environment=None, env={**self.env, "PYTHONPATH": str(PEERS)}, parts=(RATE,)
        )

    @property
    def versions(self) -> str:
        """For a report."""
        return self.environment.versions if self.environment else "this tree"


def _celery(app: str) -> Commands:
    """One worker with a prefork pool of so many processes, with Celery's own defaults."""
    options = ("worker", "--without-mingle")
    return lambda processes: (("-m", "celery", "-A", app, *options, f"--concurrency={processes}"),)


def _each(script: str) -> Commands:
    """As many programs as processes."""
    path = str(PEERS / script)
    return lambda processes: tuple((path, "worker", str(number)) for number in range(processes))


POLOS = Contestant(
    "polos",
    "polos_peer.py",
    "celery worker, prefork, one task per process; all settings at their defaults; "
    "fsync and synchronous_commit on",
    _celery("polos.celery_app"),
    env={"POLOS_WORKFLOWS": "benchmarks.contest.peers.polos_peer"},
    prepare=True,
)
CELERY = Contestant(
    "celery chain",
    "celery_peer.py",
    "prefork, Celery's defaults; the result of each task kept in Redis; not durable",
    _celery("celery_peer"),
    Environment("celery", ("celery[redis]==5.7.0", "kombu==5.7.0", "redis==8.1.0")),
    # Chains advance side by side: with many queued, none ends until nearly all do.
    progress=("step", 10),
)
_DBOS = Environment("dbos", ("dbos==3.4.0", "psycopg[binary]==3.3.9"))
DBOS = Contestant(
    "dbos",
    "dbos_peer.py",
    "one at a time: called directly in the client's process; queued: its Queue, "
    "worker_concurrency 8, polling_interval_sec 0.02, one process per worker",
    _each("dbos_peer.py"),
    _DBOS,
    prepare=True,
    idle_workers=False,
)
DBOS_QUEUE = Contestant(
    "dbos, its queue",
    "dbos_peer.py",
    "as dbos, but started through its Queue and awaited with polling_interval_sec 0.02",
    _each("dbos_peer.py"),
    _DBOS,
    env={"CONTEST_THROUGH_QUEUE": "1"},
    prepare=True,
    parts=(),
)
ABSURD = Contestant(
    "absurd",
    "absurd_peer.py",
    "synchronous workers, one process each, concurrency 1, batch_size 4, poll_interval 0.01",
    _each("absurd_peer.py"),
    Environment("absurd", ("absurd-sdk==0.5.1", "absurdctl==0.5.1", "psycopg[binary]==3.3.9")),
    prepare=True,
)
_PYWORKFLOW = Environment(
    "pyworkflow", ("pyworkflow-engine[postgres,redis]==0.4.0", "celery[redis]==5.7.0")
)
# The end of its banner; what it says later its log level hides.
_PYWORKFLOW_READY = "pyworkflow.streams.drain_scheduled_signals"
PYWORKFLOW = Contestant(
    "pyworkflow",
    "pyworkflow_peer.py",
    "pyworkflow worker run, prefork, all queues, its defaults; broker Redis, storage PostgreSQL",
    lambda processes: (("-c", f"import pyworkflow_peer; pyworkflow_peer.work({processes})"),),
    _PYWORKFLOW,
    prepare=True,
    ready=_PYWORKFLOW_READY,
    parts=(RATE, WAITS),
)
PYWORKFLOW_LOCAL = Contestant(
    "pyworkflow, local steps",
    "pyworkflow_peer.py",
    "as pyworkflow, with force_local=True steps",
    PYWORKFLOW.workers,
    _PYWORKFLOW,
    env={"CONTEST_LOCAL_STEPS": "1"},
    prepare=True,
    ready=_PYWORKFLOW_READY,
    parts=(RATE, DEEP),
)

_RESTATE = Environment(
    "restate",
    ("restate-sdk==1.3.0", "hypercorn==0.18.0"),
    node=("@restatedev/restate-server@1.7.12",),
)
RESTATE = Contestant(
    "restate",
    "restate_peer.py",
    "one restate-server with its defaults (own log, fsync on) beside the service processes, "
    "which Hypercorn serves; PostgreSQL and Redis are not used",
    lambda processes: ((str(PEERS / "restate_peer.py"), "worker", str(processes)),),
    _RESTATE,
    env={"CONTEST_NODE_MODULES": str(_RESTATE.node_modules)},
)

PREFECT = Contestant(
    "prefect",
    "prefect_peer.py",
    "a flow of tasks in the client's process, its server on SQLite (the bundled PostgreSQL "
    "lacks pg_trgm); results of tasks are not kept, as is its default; one at a time only",
    lambda _: ((str(PEERS / "prefect_peer.py"), "worker"),),
    Environment("prefect", ("prefect==3.9.1",)),
    ready="Check out the dashboard",
    steps=(10,),
    parts=(),
)

ALL = (POLOS, DBOS, DBOS_QUEUE, ABSURD, PYWORKFLOW, PYWORKFLOW_LOCAL, CELERY, RESTATE, PREFECT)
