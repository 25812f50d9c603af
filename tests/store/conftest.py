"""The databases on which the storage contract is tested, empty at the start of each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from polos.errors import StoreUnavailable
from polos.store.database import Database
from polos.store.migrate import upgrade
from polos.store.schema import metadata
from polos.store.sql_store import SqlStore
from tests.support.mariadb import MariaServer
from tests.support.pgbouncer import PgBouncer
from tests.support.servers import PostgresServer


@pytest.fixture(scope="session")
def _sqlite_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    yield from _opened(f"sqlite:///{tmp_path_factory.mktemp('store') / 'polos.db'}")


@pytest.fixture(scope="session")
def _postgres_database(_postgres: PostgresServer) -> Iterator[Database]:
    with _postgres.start().fresh_database("store") as url:
        yield from _opened(url)


@pytest.fixture(scope="session")
def _mariadb_database(_mariadb: MariaServer) -> Iterator[Database]:
    with _mariadb.start().fresh_database("store") as url:
        yield from _opened(url)


@pytest.fixture(scope="session")
def _pooled_database(_pgbouncer: PgBouncer) -> Iterator[Database]:
    with _pgbouncer.start().fresh_database("pooled") as url:
        yield from _opened(url)


_DATABASES = {
    "sqlite": "sqlite_database",
    "postgresql": "postgres_database",
    "mariadb": "mariadb_database",
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """On each kind of database; modules marked ``pooled`` also through PgBouncer."""
    if "database" in metafunc.fixturenames:
        pooled = metafunc.definition.get_closest_marker("pooled")
        kinds = [*_DATABASES, *(["pgbouncer"] if pooled else [])]
        metafunc.parametrize("database", kinds, indirect=True)


@pytest.fixture
def database(request: pytest.FixtureRequest) -> Database:
    """The same database for all tests of a run, once of each kind."""
    return request.getfixturevalue(_DATABASES.get(request.param, "pooled_database"))


@pytest.fixture
def sqlite_database(_sqlite_database: Database) -> Database:
    """The same for a test that is about SQLite only."""
    return _emptied(_sqlite_database)


@pytest.fixture
def postgres_database(postgres_server: PostgresServer, _postgres_database: Database) -> Database:
    """The same for a test that is about PostgreSQL only."""
    return _emptied(_postgres_database)


@pytest.fixture
def mariadb_database(mariadb_server: MariaServer, _mariadb_database: Database) -> Database:
    """The same for a test that is about MariaDB only."""
    return _emptied(_mariadb_database)


@pytest.fixture
def pooled_database(pgbouncer: PgBouncer, _pooled_database: Database) -> Database:
    """The same for a test that is about PgBouncer only."""
    return _emptied(_pooled_database)


@pytest.fixture
def store(database: Database) -> SqlStore:
    """The project ``default`` in it."""
    return SqlStore(database)


@pytest.fixture
def postgres_store(postgres_database: Database) -> SqlStore:
    """The same on PostgreSQL only."""
    return SqlStore(postgres_database)


@pytest.fixture(params=["postgresql", "mariadb"])
def rows_store(request: pytest.FixtureRequest) -> SqlStore:
    """The same on the databases that lock single rows."""
    return SqlStore(request.getfixturevalue(_DATABASES[request.param]))


def _opened(url: str) -> Iterator[Database]:
    database = Database(url, synchronous="NORMAL")
    upgrade(database)
    yield database
    database.close()


def _emptied(database: Database) -> Database:
    def work(connection) -> None:
        for table in reversed(metadata.sorted_tables):
            connection.execute(table.delete())

    try:
        database.transaction(work)
    except StoreUnavailable:
        # Another test has restarted the server under the pooled connections.
        database.close()
        database.transaction(work)
    return database
