"""A PgBouncer for tests, from the system's package, in front of a PostgreSQL of the tests."""

from __future__ import annotations

import os
import shutil
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from tests.support.processes import Program
from tests.support.servers import HOST, UNPRIVILEGED, PostgresServer, Server


class PgBouncer(Server):
    """Hands out another connection of the PostgreSQL for each transaction.

    Args:
        postgres: the server behind it, with all its databases.
        connections: how many it opens to each of them; fewer than its clients have.
    """

    name = "pgbouncer"

    def __init__(self, postgres: PostgresServer, connections: int = 8) -> None:
        self._binary = _binary()
        super().__init__()
        self._postgres = postgres
        self._connections = connections

    def url(self, database: str = "postgres") -> str:
        """A database behind it, as SQLAlchemy takes it."""
        return f"postgresql+psycopg://postgres@{HOST}:{self.port}/{database}"

    @contextmanager
    def fresh_database(self, prefix: str = "polos") -> Iterator[str]:
        """The SQLAlchemy URL of a new, empty database behind it, dropped afterwards."""
        with self._postgres.fresh_database(prefix) as url:
            yield self.url(url.rpartition("/")[2])

    def connect(self, database: str = "postgres", timeout: int = 5) -> psycopg.Connection:
        """A plain connection through it that commits each statement."""
        return psycopg.connect(
            host=HOST,
            port=self.port,
            user="postgres",
            dbname=database,
            autocommit=True,
            connect_timeout=timeout,
        )

    def stop(self) -> None:
        """End it, and all connections through it, at once."""
        assert self._program is not None
        self._program.stop(sig=signal.SIGTERM)

    def answers(self) -> bool:
        """Whether it takes connections."""
        try:
            socket.create_connection((HOST, self.port), 5).close()
        except OSError:
            return False
        return True

    def _launch(self) -> Program:
        config = self.folder / "pgbouncer.ini"
        config.write_text(
            "[databases]\n"
            f"* = host={HOST} port={self._postgres.port} user=postgres\n"
            "[pgbouncer]\n"
            f"listen_addr = {HOST}\n"
            f"listen_port = {self.port}\n"
            "unix_socket_dir =\n"
            "auth_type = any\n"
            "pool_mode = transaction\n"
            f"default_pool_size = {self._connections}\n"
            "max_client_conn = 1000\n"
            # Else a server that was restarted is kept waiting for.
            "server_login_retry = 0\n"
            "admin_users = postgres\n"
        )
        user = UNPRIVILEGED if os.geteuid() == 0 else None
        if user:
            self.folder.chmod(0o755)
            config.chmod(0o644)
        return Program(
            [self._binary, config], log=self.log, name=self.name, cwd=self.folder, user=user
        ).start()

    def _end(self) -> None:
        self.kill()


def _binary() -> str:
    # Debian has it where only administrators look.
    found = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    assert found, "no PgBouncer: on Debian and Ubuntu, apt-get install pgbouncer"
    return found
