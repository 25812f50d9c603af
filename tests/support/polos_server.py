"""A Polos server for tests: Flower with the API, a program of its own at one address."""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping

import httpx

from tests.support.processes import Program
from tests.support.servers import HOST, Server


class PolosServer(Server):
    """Serves a database and a broker.

    Args:
        database_url: the database.
        broker_url: the broker.
        env: what else to set in its environment.
        options: of Flower, such as ``--url_prefix=flows``.
    """

    name = "polos-server"

    def __init__(
        self,
        database_url: str,
        broker_url: str,
        *,
        env: Mapping[str, str | None] | None = None,
        options: tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        self._env = {
            "POLOS_DATABASE_URL": database_url,
            "POLOS_BROKER_URL": broker_url,
            "POLOS_AUTO_MIGRATE": "1",
            "FLOWER_UNAUTHENTICATED_API": "true",
            **(env or {}),
        }
        self._options = options

    @property
    def url(self) -> str:
        """What a client takes as ``api_url``."""
        return f"http://{HOST}:{self.port}{self._prefix}"

    @property
    def _prefix(self) -> str:
        given = [it for it in self._options if it.startswith("--url_prefix=")]
        return f"/{given[0].partition('=')[2]}" if given else ""

    def answers(self) -> bool:
        """Whether it can do its work."""
        try:
            address = f"{self.url}/api/polos/ready"
            return httpx.get(address, timeout=5, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def stop(self) -> None:
        """End it in an orderly way."""
        assert self._program is not None
        self._program.stop(sig=signal.SIGTERM)

    def text(self) -> str:
        """All that it has said."""
        return self.log.read_text(errors="replace")

    def _launch(self) -> Program:
        app = ["-m", "celery", "-A", "polos.celery_app", "flower"]
        place = [f"--address={HOST}", f"--port={self.port}"]
        args = [sys.executable, *app, *place, *self._options]
        return Program(args, log=self.log, name=self.name, cwd=self.folder, env=self._env).start()

    def _end(self) -> None:
        self.stop()
