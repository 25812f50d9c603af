"""A Flower of its own, as a program, and what is sent to it by hand."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from polos import PolosClient
from polos.codec import encode_payload
from polos.model.keys import ApiKey
from polos.model.ports import StartRequest
from polos.model.settings import Settings
from polos.store import api_keys
from tests.support.processes import Program
from tests.support.servers import HOST, free_port

FLOWS = "tests.server.flows"
WORKFLOW = "api_anything"
BASE = "/api/polos"
_START_SECONDS = 60.0


@dataclass
class Attacked:
    """Flower with the tab, with two projects in its store, and nobody who runs anything.

    Attributes:
        client: of its store, for the project ``shop``.
        other: the same for ``other``.
        http: knows nobody, and comes from this machine.
    """

    program: Program
    port: int
    client: PolosClient
    other: PolosClient
    http: httpx.Client

    def new_key(self, project: str = "shop") -> tuple[ApiKey, dict[str, str]]:
        """A key, and the header that carries it."""
        made, key = api_keys.create(self.client.bound.store.database, project, "tests")
        return made, {"Authorization": f"Bearer {key}"}

    def revoke(self, key: ApiKey) -> None:
        """Take a key back."""
        api_keys.revoke(self.client.bound.store.database, key.id)

    def start(self, payload: dict[str, Any] | None = None, **given: Any) -> str:
        """Start an execution of the shop's; its id."""
        return self.client.start(StartRequest(WORKFLOW, encode_payload(payload), **given)).id

    def raw(self, *parts: bytes, patience: float = 30.0) -> bytes:
        """What is answered to these bytes, until the connection is closed or falls silent."""
        with self.connected(patience) as connection:
            for part in parts:
                connection.sendall(part)
            answer = b""
            while b"\r\n\r\n" not in answer and (more := connection.recv(65536)):
                answer += more
            return answer

    def connected(self, patience: float = 30.0) -> socket.socket:
        """A connection."""
        return socket.create_connection((HOST, self.port), timeout=patience)

    def head(self, line: str, *headers: str) -> bytes:
        """The beginning of a request from this machine."""
        lines = [f"{line} HTTP/1.1", f"Host: {HOST}:{self.port}", *headers, "", ""]
        return "\r\n".join(lines).encode()

    def memory(self) -> int:
        """The bytes that it holds."""
        return int(psutil.Process(self.program.pid).memory_info().rss)

    def assert_well(self) -> None:
        """It still answers, and what it knows is there."""
        assert self.program.running, self.program.tail()
        assert self.http.get(f"{BASE}/health").json()["status"] == "ok"
        assert self.http.get(f"{BASE}/executions", params={"limit": 1}).status_code == 200


@contextmanager
def attacked(
    folder: Path, broker: str, database: str, *options: str, **env: str
) -> Iterator[Attacked]:
    """Start one, with these options of Flower's."""
    port = free_port()
    args = ["-m", "celery", "-A", "polos.celery_app", "flower", f"--port={port}"]
    program = Program(
        [sys.executable, *args, f"--address={HOST}", *options],
        log=folder / f"flower-{port}.log",
        name="flower",
        cwd=folder,
        env={
            "POLOS_BROKER_URL": broker,
            "POLOS_DATABASE_URL": database,
            "POLOS_AUTO_MIGRATE": "1",
            "POLOS_PROJECT_ID": "shop",
            "POLOS_WORKFLOWS": FLOWS,
            **env,
        },
    )
    given = {"broker_url": broker, "database_url": database, "auto_migrate": True}
    clients = [
        PolosClient(settings=Settings.load(**given, project_id=project))
        for project in ("shop", "other")
    ]
    with (
        program,
        httpx.Client(base_url=f"http://{HOST}:{port}", timeout=60, trust_env=False) as http,
    ):
        made = Attacked(program, port, *clients, http)
        program.wait_for(lambda: _answers(http), _START_SECONDS)
        yield made
    for client in clients:
        client.close()


def _answers(http: httpx.Client) -> bool:
    try:
        return http.get(f"{BASE}/health").status_code == 200
    except httpx.TransportError:
        return False
