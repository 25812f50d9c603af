"""A Flower with the API for the tests of a file, over SQLite and over PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from polos import Polos
from tests.server import flows
from tests.server.api import Api
from tests.support.api_server import ApiServer
from tests.support.servers import PostgresServer


@pytest.fixture(scope="module")
def sqlite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file for a database."""
    return tmp_path_factory.mktemp("api") / "polos.db"


@pytest.fixture(scope="module")
def postgres_api_url(_postgres: PostgresServer) -> Iterator[str]:
    """An empty database of its own on PostgreSQL, for the tests of a file."""
    with _postgres.start().fresh_database() as url:
        yield url


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def api(request: pytest.FixtureRequest, sqlite_file: Path) -> Iterator[Api]:
    """The API, and a worker that runs what it starts."""
    if request.param == "sqlite":
        url = f"sqlite:///{sqlite_file}"
    else:
        url = request.getfixturevalue("postgres_api_url")
    yield from serve(url)


@pytest.fixture(scope="module")
def lite(sqlite_file: Path) -> Iterator[Api]:
    """The same over SQLite only, for what no database has to do with."""
    yield from serve(f"sqlite:///{sqlite_file}")


def serve(url: str) -> Iterator[Api]:
    """Flower, and a worker."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POLOS_AUTO_MIGRATE", "1")
        polos = Polos(database_url=url, workflows=flows.ALL)
        with polos, ApiServer(polos.bound.app) as server, server.client() as http:
            yield Api(server, polos, http)
