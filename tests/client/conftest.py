"""A database, a broker and a Polos server for the tests of a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from polos import PolosClient
from tests.support.polos_server import PolosServer
from tests.support.servers import RedisServer

WAYS = ["direct", "http"]


@pytest.fixture(scope="module")
def file_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An empty database in a file."""
    return f"sqlite:///{tmp_path_factory.mktemp('client') / 'polos.db'}"


@pytest.fixture(scope="module")
def polos_server(file_url: str, _redis: RedisServer) -> Iterator[PolosServer]:
    """A server over that database."""
    with PolosServer(file_url, _redis.start().url) as server:
        yield server


@pytest.fixture(params=WAYS)
def client_of(request: pytest.FixtureRequest) -> Iterator[Callable[[PolosClient], PolosClient]]:
    """Gives a client as it is, or the one that reaches the same by way of a server."""
    made: list[PolosClient] = []

    def choose(direct: PolosClient) -> PolosClient:
        if request.param == "direct":
            return direct
        server: PolosServer = request.getfixturevalue("polos_server")
        made.append(PolosClient(api_url=server.start().url))
        return made[-1]

    yield choose
    for client in made:
        client.close()
