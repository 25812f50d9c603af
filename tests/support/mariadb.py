"""A MariaDB for tests, from the system's package, with a port of 127.0.0.1 and a folder of its own.

The server is not a service: it runs beside one that is installed, and ends with the test.
"""

from __future__ import annotations

import os
import shutil
import signal
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pymysql

from tests.support.processes import Program
from tests.support.servers import HOST, UNPRIVILEGED, Server

_USER, _PASSWORD = "polos", "polos"
_START_SECONDS = 60.0
_NO_SUCH_THREAD = 1094
# Commits are durable, as by default; only what costs time at the start and memory is made small.
_SETTINGS = {
    "innodb-buffer-pool-size": "48M",
    "innodb-log-file-size": "16M",
    "innodb-flush-log-at-trx-commit": "1",
    "performance-schema": "off",
    "skip-name-resolve": "on",
    # What many servers have, and Polos must not depend on.
    "character-set-server": "latin1",
    "collation-server": "latin1_swedish_ci",
    "transaction-isolation": "REPEATABLE-READ",
    "sql-mode": "NO_ENGINE_SUBSTITUTION",
}


class MariaServer(Server):
    """A MariaDB whose user ``polos`` may do everything but what takes an administrator."""

    name = "mariadb"

    def __init__(self, port: int | None = None) -> None:
        self._server, self._install = _binary("mariadbd"), _binary("mariadb-install-db")
        super().__init__(port)
        self._data = self.folder / "data"
        # Not the system's: a server that starts removes what it takes for its own remains,
        # the temporary tables of every other one in the same folder.
        self._temporary = self.folder / "tmp"
        self._user = UNPRIVILEGED if os.geteuid() == 0 else None

    def url(self, database: str, *, dialect: str = "mariadb") -> str:
        """A database of this server, as SQLAlchemy takes it."""
        return f"{dialect}+pymysql://{_USER}:{_PASSWORD}@{HOST}:{self.port}/{database}"

    def connect(self) -> pymysql.Connection[Any]:
        """A plain connection of the administrator that commits each statement."""
        return pymysql.connect(unix_socket=str(self._socket), user="root", autocommit=True)

    def execute(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements as the administrator; the rows of the last one."""
        connection = self.connect()
        with connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall())

    @contextmanager
    def fresh_database(self, prefix: str = "polos", *, dialect: str = "mariadb") -> Iterator[str]:
        """The SQLAlchemy URL of a new, empty database, dropped afterwards."""
        database = f"{prefix}_{uuid.uuid4().hex[:12]}"
        self.execute(f"CREATE DATABASE {database}")
        try:
            yield self.url(database, dialect=dialect)
        finally:
            # Started: the test may have left it stopped or frozen.
            self.start().close_connections(database)
            self.execute(f"DROP DATABASE {database}")

    def close_connections(self, database: str) -> None:
        """End all connections to a database: one may hold locks on its tables."""
        listed = "SELECT id FROM information_schema.processlist WHERE db = '{}'"
        for (id_,) in self.execute(listed.format(database)):
            try:
                self.execute(f"KILL {id_}")
            except pymysql.OperationalError as error:
                # It may have ended by itself in between.
                if error.args[0] != _NO_SUCH_THREAD:
                    raise

    def stop(self) -> None:
        """End it in an orderly way."""
        assert self._program is not None
        self._program.stop(_START_SECONDS)

    def restart(self) -> None:
        """Stop it and start it again at the same address, with its data."""
        self.stop()
        self.start()

    def answers(self) -> bool:
        """Whether it takes a connection."""
        try:
            self.connect().close()
        except pymysql.OperationalError:
            return False
        return True

    def start(self) -> MariaServer:
        """Start it and wait until it answers; at the first time, with its user."""
        new = not self._data.exists()
        super().start()
        if new:
            self.execute(
                f"CREATE USER {_USER}@'127.0.0.1' IDENTIFIED BY '{_PASSWORD}'",
                f"GRANT ALL ON *.* TO {_USER}@'127.0.0.1'",
            )
        return self

    @property
    def _socket(self) -> Path:
        return self.folder / "socket"

    def _launch(self) -> Program:
        if not self._data.exists():
            self._prepare()
        return Program(
            [self._server, *self._options(), f"--port={self.port}"],
            log=self.log,
            name=self.name,
            cwd=self._data,
            user=self._user,
            last_signal=signal.SIGKILL,
        ).start()

    def _options(self) -> list[str]:
        return [
            "--no-defaults",
            f"--datadir={self._data}",
            f"--tmpdir={self._temporary}",
            f"--bind-address={HOST}",
            f"--socket={self._socket}",
            f"--pid-file={self.folder / 'pid'}",
            *(f"--{name}={value}" for name, value in _SETTINGS.items()),
        ]

    def _prepare(self) -> None:
        self._data.mkdir(mode=0o700)
        self._temporary.mkdir(mode=0o700)
        if self._user:
            self.folder.chmod(0o755)
            for path in (self.folder, self._data, self._temporary):
                shutil.chown(path, self._user)
        command = [
            self._install,
            *self._options(),
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            "--skip-name-resolve",
        ]
        with Program(command, log=self.log, cwd=self._data, user=self._user) as install:
            assert install.wait(_START_SECONDS) == 0, install.tail()

    def _end(self) -> None:
        self.kill()


def _binary(name: str) -> str:
    # Debian has the server where only administrators look.
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    assert found, "no MariaDB: on Debian and Ubuntu, apt-get install mariadb-server"
    return found
