"""What the tests of the API have at hand."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from polos import Polos
from tests.support.api_server import ApiServer
from tests.support.servers import HOST


@dataclass(frozen=True)
class Api:
    """A server, the client of its store, and a client of its API."""

    server: ApiServer
    polos: Polos
    http: httpx.Client

    def start(self, workflow_id: str, payload: Any = None, **more: Any) -> dict[str, Any]:
        """Start a workflow through the API."""
        body = {"payload": payload, **more}
        answer = self.http.post(f"/workflows/{workflow_id}/executions", json=body)
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def ended(self, execution_id: str) -> dict[str, Any]:
        """An execution when it has ended."""
        answer = self.http.get(f"/executions/{execution_id}/result", params={"timeout": 30})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    @contextmanager
    def asking(self, paths: Sequence[str]) -> Iterator[list[socket.socket]]:
        """Requests whose answers nobody reads; their connections are closed in the end."""
        with ExitStack() as stack:
            lines = []
            for path in paths:
                line = socket.create_connection((HOST, self.server.port))
                stack.callback(line.close)
                line.sendall(f"GET /api/polos{path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                lines.append(line)
            yield lines


def read_until(line: socket.socket, end: bytes) -> str:
    """What comes on a connection, up to a text."""
    line.settimeout(60)
    text = b""
    while end not in text:
        part = line.recv(65_536)
        assert part, text
        text += part
    return text.decode()
