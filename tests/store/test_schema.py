"""The migrations against the tables, and what is said of a database that does not fit."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Dialect, inspect, text

from polos.errors import SchemaError
from polos.model.settings import Settings
from polos.store import migrate
from polos.store.database import Database
from polos.store.migrate import VERSION_TABLE, ensure_schema, found_schema, remove, upgrade
from polos.store.schema import SCHEMA, metadata
from polos.store.sql_store import SqlStore
from tests.store.scenes import claim, new, step
from tests.support.mariadb import MariaServer
from tests.support.servers import PostgresServer

TABLES = sorted([*metadata.tables, VERSION_TABLE])
UPGRADE = """
import pathlib, sys, time
from polos.store.database import Database
from polos.store.migrate import upgrade
print("ready", flush=True)
while not pathlib.Path(sys.argv[2]).exists():
    time.sleep(0.001)
print("at", upgrade(Database(sys.argv[1])))
"""


@contextmanager
def opened(url: str) -> Iterator[Database]:
    database = Database(url)
    yield database
    database.close()


@pytest.fixture
def fresh(database_url: str) -> Iterator[Database]:
    """A database without any table."""
    with opened(database_url) as database:
        yield database


def tables(database: Database) -> list[str]:
    return database.transaction(lambda it: sorted(inspect(it).get_table_names()))


def index_of(index: Any) -> tuple[Any, ...]:
    options = {name: str(value) for name, value in index.get("dialect_options", {}).items()}
    return index["name"], bool(index["unique"]), index["column_names"], sorted(options.items())


def described(database: Database) -> dict[str, Any]:
    """What the database says of constraints and indexes, which the comparison leaves out."""

    def work(connection: Connection) -> dict[str, Any]:
        inspector = inspect(connection)
        return {
            name: {
                "checks": sorted(
                    (check["name"], check["sqltext"])
                    for check in inspector.get_check_constraints(name)
                ),
                "indexes": sorted(map(index_of, inspector.get_indexes(name))),
                "primary key": inspector.get_pk_constraint(name)["constrained_columns"],
                "foreign keys": [
                    (key["constrained_columns"], key["referred_table"], key["options"])
                    for key in inspector.get_foreign_keys(name)
                ],
            }
            for name in metadata.tables
        }

    return database.transaction(work)


def test_migrating_makes_the_tables_that_the_code_knows(fresh: Database) -> None:
    upgrade(fresh)

    def differences(connection: Connection) -> list[Any]:
        options = {
            "version_table": VERSION_TABLE,
            "compare_type": True,
            "compare_server_default": default_differs,
            "include_object": lambda it, *_: is_for(it, connection.dialect),
        }
        return compare_metadata(MigrationContext.configure(connection, opts=options), metadata)

    assert fresh.transaction(differences) == []
    assert tables(fresh) == TABLES


def is_for(item: Any, dialect: Dialect) -> bool:
    """Whether a database of this kind has it; Alembic doesn't ask."""
    only = getattr(item, "_ddl_if", None)
    return only is None or only.callable_(dialect=dialect)


def default_differs(
    context: MigrationContext, _column: Any, _other: Any, found: str | None, *rest: Any
) -> bool | None:
    """None leaves it to Alembic, which doesn't know what MariaDB calls false and true."""
    words = {"false": "0", "true": "1"}
    wanted = rest[-1]
    if context.dialect.name == "mariadb" and wanted in words:
        return found != words[wanted]
    return None


@contextmanager
def made_by_metadata(
    dialect: str, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Database]:
    if dialect == "sqlite":
        with opened(f"sqlite:///{tmp_path / 'metadata.db'}") as database:
            yield database
        return
    fixture = {"postgresql": "postgres_server", "mariadb": "mariadb_server"}[dialect]
    server: PostgresServer | MariaServer = request.getfixturevalue(fixture)
    with server.fresh_database() as url, opened(url) as database:
        yield database


def test_constraints_and_indexes_are_the_same_too(
    fresh: Database, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    upgrade(fresh)
    with made_by_metadata(fresh.dialect, tmp_path, request) as other:
        metadata.create_all(other.engine)
        expected = described(other)
    assert described(fresh) == expected
    names = {name for table in expected.values() for name, _ in table["checks"]}
    assert len(names) == 7
    assert all(name.startswith("polos_ck_") for name in names)


def test_four_processes_migrate_at_once(
    fresh: Database, program: Callable[..., Any], tmp_path: Path
) -> None:
    url = fresh.engine.url.render_as_string(hide_password=False)
    gate = tmp_path / "gate"
    running = [program(sys.executable, "-c", UPGRADE, url, gate) for _ in range(4)]
    for each in running:
        each.wait_for("ready")
    gate.touch()
    for each in running:
        assert each.wait() == 0, each.text()
        assert f"at {SCHEMA}" in each.text()
    assert tables(fresh) == TABLES
    assert found_schema(fresh) == SCHEMA


def test_migrating_again_changes_nothing(fresh: Database) -> None:
    assert upgrade(fresh) == SCHEMA
    store = SqlStore(fresh)
    store.start(new("one"))
    assert upgrade(fresh) == SCHEMA
    assert store.get("one") is not None


def insert_as_0001(database: Database, execution_id: str) -> None:
    columns = "id, project_id, workflow_id, status, payload, claims, created_at"
    values = f"'{execution_id}', 'default', 'flow', 'queued', 'payload', 1, 1"
    database.run(text(f"INSERT INTO polos_executions ({columns}) VALUES ({values})"))


def test_each_migration_keeps_what_is_there(
    fresh: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = migrate.command.upgrade
    monkeypatch.setattr(migrate.command, "upgrade", lambda config, _: whole(config, "0001"))
    upgrade(fresh)
    assert found_schema(fresh) == "0001"
    insert_as_0001(fresh, "old")
    monkeypatch.undo()
    upgrade(fresh)
    assert found_schema(fresh) == SCHEMA
    store = SqlStore(fresh)
    claimed = claim(store, "old")
    assert claimed.execution.claims == 2
    store.checkpoint("old", claimed.token, [step("first")])
    # A worker of the older code names none of the newer columns.
    insert_as_0001(fresh, "newer")
    assert claim(store, "newer").execution.claims == 2


def test_a_migration_that_fails_leaves_nothing_behind(
    fresh: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object) -> None:
        raise RuntimeError("out of disk")

    def upgrade_and_fail(config: Any, target: str) -> None:
        whole(config, target)
        fail()

    whole = migrate.command.upgrade
    monkeypatch.setattr(migrate.command, "upgrade", upgrade_and_fail)
    with pytest.raises(RuntimeError, match="out of disk"):
        upgrade(fresh)
    monkeypatch.undo()
    if fresh.dialect != "mariadb":
        assert tables(fresh) == []
        assert found_schema(fresh) is None
    upgrade(fresh)
    assert tables(fresh) == TABLES


def test_a_missing_schema_is_an_error_that_says_what_to_do(fresh: Database) -> None:
    with pytest.raises(SchemaError, match="no schema of Polos.*polos migrate") as caught:
        ensure_schema(fresh, migrate=False)
    assert (caught.value.found, caught.value.needed) == (None, SCHEMA)
    assert tables(fresh) == []


def set_version(database: Database, version: str) -> None:
    database.run(text(f"UPDATE {VERSION_TABLE} SET version_num = '{version}'"))


def test_an_older_schema_is_an_error_that_says_what_to_do(
    fresh: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    upgrade(fresh)
    monkeypatch.setattr(migrate, "SCHEMA", "9999")
    with pytest.raises(SchemaError, match=f"has schema {SCHEMA}.*needs 9999.*polos migrate"):
        ensure_schema(fresh, migrate=False)


def test_a_newer_schema_is_accepted_and_left_alone(fresh: Database) -> None:
    upgrade(fresh)
    set_version(fresh, "9999")
    ensure_schema(fresh, migrate=False)
    ensure_schema(fresh, migrate=True)
    upgrade(fresh)
    assert found_schema(fresh) == "9999"
    assert SqlStore(fresh).start(new("one"))[1]


def test_migrating_goes_as_far_as_is_said_and_never_back(fresh: Database) -> None:
    upgrade(fresh, "0002")
    assert found_schema(fresh) == "0002"
    upgrade(fresh)
    upgrade(fresh, "0002")
    assert found_schema(fresh) == SCHEMA


def test_removing_drops_what_is_polos_s_and_nothing_else(fresh: Database) -> None:
    fresh.transaction(lambda it: it.execute(text("CREATE TABLE orders (id INTEGER)")))
    upgrade(fresh)
    remove(fresh)
    assert tables(fresh) == ["orders"]
    remove(fresh)
    upgrade(fresh)
    assert found_schema(fresh) == SCHEMA


def test_other_tables_in_the_database_do_not_matter(fresh: Database) -> None:
    fresh.run(text("CREATE TABLE alembic_version (version_num VARCHAR(32))"))
    fresh.run(text("INSERT INTO alembic_version VALUES ('theirs')"))
    upgrade(fresh)
    assert fresh.run(text("SELECT version_num FROM alembic_version"))[0][0] == "theirs"
    assert found_schema(fresh) == SCHEMA


def test_opening_migrates_the_embedded_database_and_no_server(database_url: str) -> None:
    settings = Settings(database_url=database_url)
    if database_url.startswith("sqlite"):
        store = SqlStore.open(settings)
    else:
        with pytest.raises(SchemaError):
            SqlStore.open(settings)
        store = SqlStore.open(Settings(database_url=database_url, auto_migrate=True))
        SqlStore.open(settings).close()
    assert store.start(new("one"))[1]
    store.close()


def test_opening_passes_the_settings_on(sqlite_url: str) -> None:
    store = SqlStore.open(
        Settings(database_url=sqlite_url, project_id="mine", sqlite_synchronous="NORMAL")
    )
    assert store.project_id == "mine"
    assert store.database.run(text("PRAGMA synchronous"))[0][0] == 1
    store.close()
