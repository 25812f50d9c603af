"""What the workers stand on: a broker, a database, and what of them can be broken."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine

from polos.store.database import Database
from polos.store.migrate import upgrade
from tests.acceptance.stacks import Stack
from tests.chaos import audit, ledger
from tests.chaos.ledger import Ledger
from tests.chaos.proxy import Proxy
from tests.support.rabbit import RabbitServer
from tests.support.servers import PostgresServer, RedisServer

NAMES = ("servers", "embedded", "rabbitmq")
LEASE_SECONDS = 3.0
QUEUE = "polos"

# Short, so that leases run out and both kinds of waits occur within seconds.
SETTINGS = {
    "POLOS_LEASE_SECONDS": str(LEASE_SECONDS),
    "POLOS_COUNTDOWN_HORIZON": "2",
    # Many are interrupted more often than a poisoned one would be in years.
    "POLOS_MAX_RECOVERIES": "1000",
}


class Redis:
    """Redis as a broker."""

    def __init__(self, server: RedisServer) -> None:
        self._server = server
        self.restart = server.restart
        self.stop = server.stop

    def forget(self) -> None:
        """FLUSHALL."""
        self._server.flush()

    def start(self) -> None:
        """Be there again, and empty."""
        self._server.start()


class Rabbit:
    """RabbitMQ as a broker, behind a proxy: it takes long to start, and so is seldom ended."""

    def __init__(self, server: RabbitServer, proxy: Proxy) -> None:
        self._server = server
        self.restart = server.restart
        self.stop = proxy.refuse
        self.start = proxy.take

    def forget(self) -> None:
        """Purge the queue."""
        self._server.purge(QUEUE)


class Files:
    """The embedded broker: it can only be emptied."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def forget(self) -> None:
        """Delete the files of all messages."""
        for file in self._folder.glob("*.msg"):
            file.unlink(missing_ok=True)


@dataclass
class Setup:
    """Where workers and clients meet, and what can be done to it.

    Attributes:
        stack: the URLs, and the programs that were started.
        direct: the database past the proxy, to look at it.
        results: the URL of Celery's result backend, which no fault touches; empty without one.
        broker: what can be done to the broker; files can only be forgotten.
        postgres, proxy: where the database is a server.
        env: what workers get in their environment besides what the stack says.
    """

    stack: Stack
    direct: Engine
    results: str = ""
    broker: Redis | Rabbit | Files | None = None
    postgres: PostgresServer | None = None
    proxy: Proxy | None = None
    env: dict[str, str | None] = field(default_factory=dict)
    broker_lock: threading.Lock = field(default_factory=threading.Lock)
    database_lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def name(self) -> str:
        """Which of them it is."""
        return self.stack.name

    @property
    def folder(self) -> Path:
        """For the ledger, the logs and the files of the embedded ones."""
        return self.stack.folder

    def ledger(self) -> Ledger:
        """What steps did."""
        return Ledger(self.folder / "ledger")


@contextmanager
def opened(name: str, folder: Path) -> Iterator[Setup]:
    """A set-up of that name with nothing in it, its servers its own."""
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        made = _embedded(folder, patch) if name == "embedded" else _servers(name, folder, stack)
        stack.callback(made.direct.dispose)
        made.env |= {
            **SETTINGS,
            ledger.VARIABLE: str(folder / "ledger"),
            "CELERY_RESULT_BACKEND": made.results or None,
        }
        database = Database(made.stack.database)
        upgrade(database)
        database.close()
        audit.install(made.direct)
        yield made


def _embedded(folder: Path, patch: pytest.MonkeyPatch) -> Setup:
    home = folder / "polos"
    patch.setenv("POLOS_HOME", str(home))
    home.mkdir(parents=True, exist_ok=True)
    direct = create_engine(f"sqlite:///{home / 'polos.db'}", connect_args={"timeout": 60})
    return Setup(Stack("embedded", folder), direct, broker=Files(home / "broker" / "messages"))


def _servers(name: str, folder: Path, stack: ExitStack) -> Setup:
    # Chords are counted in the result backend: it is Celery's, so nothing happens to it.
    results = stack.enter_context(RedisServer())
    postgres = stack.enter_context(
        # Outlives a kill all the same, and doesn't wait for a disk that others use.
        PostgresServer(fsync=False, settings={"max_connections": "300"})
    )
    proxy = Proxy(postgres.port)
    stack.callback(proxy.close)
    broker: Redis | Rabbit
    if name == "rabbitmq":
        rabbit = stack.enter_context(RabbitServer())
        door = Proxy(rabbit.port)
        stack.callback(door.close)
        url = rabbit.url.replace(f":{rabbit.port}/", f":{door.port}/")
        broker = Rabbit(rabbit, door)
    else:
        redis = stack.enter_context(RedisServer())
        url, broker = redis.url, Redis(redis)
    database = stack.enter_context(postgres.fresh_database())
    through = database.replace(f":{postgres.port}/", f":{proxy.port}/")
    made = Stack(name, folder, url, through)
    return Setup(made, create_engine(database), results.url, broker, postgres, proxy)
