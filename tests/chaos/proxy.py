"""A TCP proxy that cuts a connection where a test wants it: before, in or after a message."""

from __future__ import annotations

import random
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial

from tests.support.servers import HOST, free_port


class Where(StrEnum):
    """Where a connection is cut.

    Attributes:
        REQUEST: so many bytes of it reach the server; what is in it never happens.
        ANSWER: the server has done what it was asked to; so many bytes of its answer come back.
    """

    REQUEST = "request"
    ANSWER = "answer"


@dataclass
class Cut:
    """One connection to be cut: the first that sends something that contains ``pattern``.

    Attributes:
        after: how many bytes of the message still pass.
        done: set when it happened.
    """

    where: Where
    pattern: bytes = b""
    after: int = 0
    done: threading.Event = field(default_factory=threading.Event)


class Proxy:
    """Passes connections on to a server's port, which may be closed for a while.

    Args:
        target: the port of the server.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._armed: list[Cut] = []
        self._lock = threading.Lock()
        self._listener = socket.create_server((HOST, free_port()), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self._open: set[Connection] = set()
        self._begin()

    def arm(self, cut: Cut) -> Cut:
        """Cut the next connection that fits."""
        with self._lock:
            self._armed.append(cut)
        return cut

    def disarm(self, cut: Cut) -> None:
        """Cut nothing any more because of this."""
        with self._lock, suppress(ValueError):
            self._armed.remove(cut)

    def refuse(self) -> None:
        """Cut all connections, and take no new ones."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self._open):
            connection.close()

    def take(self) -> None:
        """Take connections again, at the same port."""
        self._listener = socket.create_server((HOST, self.port), backlog=128)
        self._begin()

    def taken(self, data: bytes) -> Cut | None:
        """The cut that this message is for, which is then no longer armed."""
        if not self._armed:
            return None
        with self._lock:
            for cut in self._armed:
                if cut.pattern in data:
                    self._armed.remove(cut)
                    return cut
        return None

    def forget(self, connection: Connection) -> None:
        """A connection has ended."""
        self._open.discard(connection)

    def close(self) -> None:
        """End it with all its connections."""
        self.refuse()

    def _begin(self) -> None:
        work = partial(self._accept, self._listener)
        threading.Thread(target=work, name="proxy", daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection((HOST, self._target), timeout=5)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            connection = Connection(self, client, server)
            self._open.add(connection)
            connection.start()


class Connection:
    """One client, one server, and a thread for each direction."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._cut: Cut | None = None

    def start(self) -> None:
        """Begin passing on."""
        for socket_ in (self._client, self._server):
            socket_.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for work in (self._requests, self._answers):
            threading.Thread(target=work, name="proxy", daemon=True).start()

    def close(self) -> None:
        """Cut it."""
        self._proxy.forget(self)
        for socket_ in (self._client, self._server):
            with suppress(OSError):
                socket_.shutdown(socket.SHUT_RDWR)
            socket_.close()

    def _requests(self) -> None:
        with suppress(OSError):
            while data := self._client.recv(65536):
                cut = self._proxy.taken(data)
                if cut is not None and cut.where is Where.REQUEST:
                    self._server.sendall(data[: cut.after])
                    cut.done.set()
                    break
                self._cut = cut or self._cut
                self._server.sendall(data)
        self.close()

    def _answers(self) -> None:
        with suppress(OSError):
            while data := self._server.recv(65536):
                if self._cut is not None:
                    self._client.sendall(data[: self._cut.after])
                    self._cut.done.set()
                    break
                self._client.sendall(data)
        self.close()


def drawn_cut(rng: random.Random, pattern: bytes = b"") -> Cut:
    """Some cut: before the message, in it, before the answer or in it."""
    where = rng.choice(list(Where))
    return Cut(where, pattern, rng.choice((0, 1, 5, rng.randrange(40))))
