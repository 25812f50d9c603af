"""The proxy cuts a connection where it is told to."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from tests.chaos.proxy import Cut, Proxy, Where
from tests.support.servers import HOST


class Echo:
    """A server that keeps what it is sent, and sends it back."""

    def __init__(self) -> None:
        self.received = b""
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            while data := connection.recv(1000):
                self.received += data
                connection.sendall(data)


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[Proxy]:
    made = Proxy(echo.port)
    yield made
    made.close()


def ask(proxy: Proxy, message: bytes) -> bytes:
    """What comes back until the connection is cut, or as much as was sent."""
    answer = b""
    with socket.create_connection((HOST, proxy.port), timeout=10) as connection:
        connection.sendall(message)
        while len(answer) < len(message) and (data := connection.recv(1000)):
            answer += data
    return answer


def test_it_passes_on(proxy: Proxy, echo: Echo) -> None:
    assert ask(proxy, b"hello") == b"hello"
    assert ask(proxy, b" again") == b" again"
    assert echo.received == b"hello again"


def test_a_request_is_cut(proxy: Proxy, echo: Echo) -> None:
    cut = proxy.arm(Cut(Where.REQUEST, b"COMMIT", 3))
    assert ask(proxy, b"SELECT") == b"SELECT"
    assert not cut.done.is_set()
    assert b"COMMIT".startswith(ask(proxy, b"COMMIT"))
    assert cut.done.wait(10)
    assert ask(proxy, b"COMMIT") == b"COMMIT"
    assert echo.received in (b"SELECTCOMCOMMIT", b"SELECTCOMMIT")


def test_an_answer_is_cut(proxy: Proxy, echo: Echo) -> None:
    cut = proxy.arm(Cut(Where.ANSWER, b"COMMIT", 2))
    assert ask(proxy, b"COMMIT") == b"CO"
    assert cut.done.wait(10)
    assert echo.received == b"COMMIT"


def test_what_is_disarmed_does_not_cut(proxy: Proxy) -> None:
    proxy.disarm(proxy.arm(Cut(Where.REQUEST)))
    assert ask(proxy, b"hello") == b"hello"


def test_it_refuses_for_a_while(proxy: Proxy) -> None:
    with socket.create_connection((HOST, proxy.port), timeout=10) as before:
        before.sendall(b"hello")
        assert before.recv(10) == b"hello"
        proxy.refuse()
        assert before.recv(10) == b""
    with pytest.raises(ConnectionRefusedError):
        ask(proxy, b"hello")
    proxy.take()
    assert ask(proxy, b"hello") == b"hello"
