"""The bench refuses databases that may forget."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import machine
from polos.model.settings import Settings
from polos.store.sql_store import SqlStore
from tests.support.servers import PostgresServer


def test_a_durable_server_passes() -> None:
    with PostgresServer() as durable, durable.connect() as connection:
        settings = machine.assert_durable_postgres(connection)
        assert settings["fsync"] == settings["synchronous_commit"] == "on"


def test_a_server_without_fsync_is_refused() -> None:
    with (
        PostgresServer(fsync=False) as server,
        server.connect() as connection,
        pytest.raises(machine.NotDurable, match="fsync = off"),
    ):
        machine.assert_durable_postgres(connection)


def test_a_database_with_weaker_commits_is_refused() -> None:
    with PostgresServer() as server, server.connect() as connection:
        connection.execute("CREATE DATABASE weak")
        connection.execute("ALTER DATABASE weak SET synchronous_commit = off")
        with pytest.raises(machine.NotDurable, match="synchronous_commit=off"):
            machine.assert_durable_postgres(connection)


@pytest.mark.parametrize("given", ["FULL", "EXTRA"])
def test_sqlite_that_syncs_passes(tmp_path: Path, given: str) -> None:
    store = _store(tmp_path, given)
    assert machine.assert_durable_sqlite(store) == given
    store.close()


def test_sqlite_that_does_not_is_refused(tmp_path: Path) -> None:
    store = _store(tmp_path, "NORMAL")
    with pytest.raises(machine.NotDurable):
        machine.assert_durable_sqlite(store)
    store.close()


def test_the_caption_names_the_machine() -> None:
    description = machine.describe() | {"PostgreSQL": "18.4"}
    assert f"{description['cores']} cores of {description['CPU']}" in machine.caption(description)
    assert "PostgreSQL 18.4" in machine.caption(description)


def _store(folder: Path, synchronous: str) -> SqlStore:
    url = f"sqlite:///{folder}/polos.db"
    return SqlStore.open(
        Settings.load(database_url=url, auto_migrate=True, sqlite_synchronous=synchronous)
    )
