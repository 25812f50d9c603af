"""What is found out about a deployment; what is to be thought of it is decided elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from polos.model.records import Micros
from polos.model.workers import WorkerReport

# Seconds: a worker reports once a second, and is gone after ten times that.
SILENT = 10.0


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """The database server.

    Attributes:
        version: its numbers, such as ``(15, 4)``.
        text: how it calls itself.
        isolation: of a transaction as Polos begins it, such as ``read committed``.
        read_only: whether it refuses writes, as a standby does.
        careless: settings by which it may forget what it has acknowledged, with their values.
    """

    dialect: str
    version: tuple[int, ...]
    text: str
    isolation: str
    read_only: bool = False
    careless: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ClockFacts:
    """The database's clock against this host's.

    Attributes:
        ahead: seconds by which the database's is ahead; negative where it is behind.
        uncertainty: seconds by which that may be wrong, half of the round trip.
    """

    ahead: float
    uncertainty: float


@dataclass(frozen=True, slots=True)
class ConnectionFacts:
    """Connections of a server, all programs together.

    Attributes:
        limit: how many an ordinary user may open.
        used: how many are open.
    """

    limit: int
    used: int


@dataclass(frozen=True, slots=True)
class PoolerFacts:
    """Whether something like PgBouncer is between this host and PostgreSQL.

    Attributes:
        between: whether the server process is another one than the one that was promised.
        by_transaction: whether two open connections were served by one server process.
    """

    between: bool
    by_transaction: bool


@dataclass(frozen=True, slots=True)
class FileFacts:
    """The file of an SQLite database.

    Attributes:
        file_system: the kind of file system that holds it; empty where that can't be known.
        journal: SQLite's journal mode.
        synchronous: SQLite's ``PRAGMA synchronous``, as a number.
    """

    path: str
    file_system: str
    journal: str
    synchronous: int


@dataclass(frozen=True, slots=True)
class SeenWorker:
    """A worker as it reported itself.

    Attributes:
        silent: seconds since then, by the database's clock.
    """

    report: WorkerReport
    silent: float

    @property
    def is_alive(self) -> bool:
        """Whether it has reported lately."""
        return self.silent <= SILENT


@dataclass(frozen=True, slots=True)
class DueWork:
    """Executions of one workflow that could run now and that no worker has claimed.

    Attributes:
        queue: the queue that was asked for; None leaves that to Celery's routing.
        number: how many.
        oldest: when the oldest of them was created.
    """

    workflow_id: str
    queue: str | None
    number: int
    oldest: Micros


@dataclass(frozen=True, slots=True)
class Overview:
    """A project at one moment, by the database's clock."""

    now: Micros
    workers: tuple[SeenWorker, ...]
    counts: Mapping[str, int]
    due: tuple[DueWork, ...]
    workflows: frozenset[str]
