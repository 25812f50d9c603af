"""Where workers and clients meet: a broker and a database, and the workers between them."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from polos import ExecutionHandle, PolosClient
from polos.model.settings import Settings
from tests.acceptance import ledger
from tests.acceptance.ledger import Ledger
from tests.support.mariadb import MariaServer
from tests.support.pgbouncer import PgBouncer
from tests.support.processes import Program, until
from tests.support.servers import PostgresServer, RedisServer

FLOWS = "tests.acceptance.flows"
DatabaseServer = PostgresServer | PgBouncer | MariaServer
_START_SECONDS = 60.0


@dataclass
class Stack:
    """A broker and a database.

    Attributes:
        folder: for the ledger, the logs, and the embedded broker and database.
        broker: its URL; empty for the embedded one.
        database: its URL; empty for the embedded one.
        redis: the broker's server, where there is one.
        databases: the server of the database, or the pooler in front of it.
        workers: all that were started, also those that have ended.
        app: the Celery app of its workers.
    """

    name: str
    folder: Path
    broker: str = ""
    database: str = ""
    redis: RedisServer | None = None
    databases: DatabaseServer | None = None
    workers: list[Program] = field(default_factory=list)
    app: str = "polos.celery_app"

    @property
    def ledger(self) -> Ledger:
        """What steps did."""
        return Ledger(self.folder / "ledger")

    @property
    def env(self) -> dict[str, str | None]:
        """What a program needs in its environment."""
        return {
            "HOME": str(self.folder),
            "POLOS_HOME": str(self.folder / "polos"),
            "POLOS_BROKER_URL": self.broker,
            "POLOS_DATABASE_URL": self.database,
            "POLOS_AUTO_MIGRATE": "1",
            "CELERY_RESULT_BACKEND": self.broker or None,
            ledger.VARIABLE: str(self.ledger.path),
        }

    def client(self, **settings: Any) -> PolosClient:
        """A client in this process."""
        given = {"broker_url": self.broker, "database_url": self.database, "auto_migrate": True}
        return PolosClient(settings=Settings.load(**given | settings))

    def queued_messages(self) -> int:
        """How many messages nobody has fetched."""
        if self.redis is not None:
            return int(self.redis.command("LLEN polos").removeprefix(":"))
        return len(list(self.folder.glob("polos/broker/messages/*.polos.msg")))


@contextmanager
def embedded_stack(folder: Path) -> Iterator[Stack]:
    """What one has without servers: the filesystem broker and SQLite."""
    with pytest.MonkeyPatch.context() as patch:
        stack = Stack("embedded", folder)
        patch.setenv("POLOS_HOME", str(folder / "polos"))
        patch.setenv(ledger.VARIABLE, str(stack.ledger.path))
        yield stack


@contextmanager
def server_stack(folder: Path, redis: RedisServer, databases: DatabaseServer) -> Iterator[Stack]:
    """Redis, empty, and a new database on a server, or through a pooler."""
    redis.start().flush()
    with databases.start().fresh_database() as url, pytest.MonkeyPatch.context() as patch:
        stack = Stack("servers", folder, redis.url, url, redis, databases)
        patch.setenv(ledger.VARIABLE, str(stack.ledger.path))
        yield stack


class Workers:
    """Starts workers, and ends them with the test, or the module, that they are for."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._opened = ExitStack()
        self.started: list[Program] = []

    def __call__(
        self,
        pool: str = "prefork",
        slots: int = 1,
        name: str = "worker",
        *,
        app: str = "",
        flows: str | Path = FLOWS,
        env: Mapping[str, str | None] | None = None,
        args: tuple[str, ...] = (),
        prefix: tuple[str, ...] = (),
        ready: bool = True,
        mingle: bool = False,
    ) -> Program:
        """Start ``celery worker``.

        Args:
            app: by default the stack's.
            prefix: a command that runs the worker, such as ``unshare``.
            ready: whether to wait until it takes work.
            mingle: whether it may spend its first second on looking for others, as by default.
        """
        number = len(self._stack.workers)
        node = f"{name}{number}"
        command = [*prefix, sys.executable, "-m", "celery", "-A", app or self._stack.app]
        command += ["worker", f"--pool={pool}"]
        command += ["-c", str(slots), "-n", f"{node}@localhost", "-l", "INFO", *args]
        command += [] if mingle else ["--without-mingle"]
        program = Program(
            command,
            log=self._stack.folder / f"{node}.log",
            name=node,
            cwd=self._stack.folder,
            env={**self._stack.env, "POLOS_WORKFLOWS": str(flows), **(env or {})},
        )
        self._stack.workers.append(program)
        self.started.append(program)
        self._opened.callback(_end, program)
        program.start()
        if ready:
            program.wait_for(" ready.", _START_SECONDS)
        return program

    def close(self) -> None:
        """Kill what still runs."""
        self._opened.close()


def _end(program: Program) -> None:
    # At once: what a worker does when it is asked to end, tests of their own show.
    program.kill(signal.SIGKILL, group=True)
    program.close()


def received(worker: Program, execution: ExecutionHandle[Any] | str) -> int:
    """How often a worker says that it got a message of this execution."""
    id_ = execution if isinstance(execution, str) else execution.id
    return len(re.findall(rf"Task polos\.\S+\[{re.escape(id_)}\] received", worker.text()))


def wait_for_status(handle: ExecutionHandle[Any], status: str, deadline: float = 60.0) -> None:
    """Wait until the store says so."""
    until(
        lambda: handle.status() == status,
        deadline,
        message=lambda: f"{handle.workflow_id} is {handle.status()}, not {status}",
    )
