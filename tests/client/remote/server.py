"""A server that answers as a test wants it, on a thread of its own."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.servers import HOST


@dataclass
class Asked:
    """A request that came."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class Told:
    """An answer."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


class Cut(Exception):
    """The connection is to be closed instead of an answer."""


Answering = Callable[[Asked], Told]


class Handler(BaseHTTPRequestHandler):
    outer: FakeServer
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        self.outer._opened(self.request)
        super().setup()

    def finish(self) -> None:
        super().finish()
        self.outer._closed(self.request)

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, *_: Any) -> None:
        pass

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        data = self.rfile.read(length)
        if len(data) < length:
            self.close_connection = True
            return
        asked = Asked(
            self.command,
            self.path,
            {name.lower(): value for name, value in self.headers.items()},
            json.loads(data) if data else None,
        )
        self.outer.asked.append(asked)
        try:
            told = self.outer.answering(asked)
        except Cut:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self._tell(told)

    def _tell(self, told: Told) -> None:
        is_text = isinstance(told.body, str)
        data = (told.body if is_text else json.dumps(told.body)).encode()
        kind = "text/html" if is_text else "application/json"
        try:
            self.send_response(told.status)
            for name, value in {"Content-Type": kind, **told.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
        except OSError:
            self.close_connection = True


class Serving(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True


class FakeServer:
    """Notes what is asked, and answers as a function says."""

    def __init__(self, answering: Answering, tls: ssl.SSLContext | None) -> None:
        self.answering = answering
        self.asked: list[Asked] = []
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._http = Serving((HOST, 0), type("Own", (Handler,), {"outer": self}))
        self.url = f"http{'s' if tls else ''}://{HOST}:{self._http.server_port}"
        if tls is not None:
            self._http.socket = tls.wrap_socket(
                self._http.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)

    def _opened(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.add(connection)

    def _closed(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.discard(connection)

    @property
    def held(self) -> int:
        """How many connections are open at the other end as well."""
        with self._lock:
            return sum(not _is_left(connection) for connection in self._open)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)


def _is_left(connection: socket.socket) -> bool:
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except (OSError, ValueError):
        return True


@contextmanager
def served(answering: Answering, tls: ssl.SSLContext | None = None) -> Iterator[FakeServer]:
    """A server while the block runs."""
    server = FakeServer(answering, tls)
    server.start()
    try:
        yield server
    finally:
        server.close()
