"""A migration of a PostgreSQL whose tables are large and in use."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from polos.store import index_builds
from polos.store.database import Database
from polos.store.migrate import found_schema, upgrade
from polos.store.schema import SCHEMA, metadata
from polos.store.sql_store import SqlStore
from tests.store.scenes import new
from tests.store.test_schema import UPGRADE, described, insert_as_0001, opened
from tests.store.threads import Background, held
from tests.support.pgbouncer import PgBouncer
from tests.support.processes import until
from tests.support.statements import statements

BEFORE = "0004"
FIRST_INDEX = "CREATE INDEX"


@pytest.fixture
def old(postgres_url: str) -> Iterator[Database]:
    """A database with the schema of the release before, and rows in it."""
    with opened(postgres_url) as database:
        fill(database)
        yield database


def fill(database: Database) -> None:
    upgrade(database, BEFORE)
    for name in ("one", "two"):
        insert_as_0001(database, name)


@pytest.fixture
def expected(postgres_server: Any) -> dict[str, Any]:
    with postgres_server.fresh_database() as url, opened(url) as database:
        metadata.create_all(database.engine)
        return described(database)


def invalid(database: Database) -> list[str]:
    rows = database.run(
        text(
            "SELECT indexrelid::regclass::text AS name FROM pg_index "
            "WHERE NOT indisvalid OR NOT indisready ORDER BY 1"
        )
    )
    return [row.name for row in rows]


def assert_complete(database: Database, expected: dict[str, Any]) -> None:
    assert found_schema(database) == SCHEMA
    assert described(database) == expected
    assert invalid(database) == []
    assert SqlStore(database).get("one") is not None
    assert SqlStore(database).start(new("three"))[1]


def test_nobody_waits_for_the_indexes(old: Database, expected: dict[str, Any]) -> None:
    with held(old, lambda: upgrade(old), before=FIRST_INDEX) as migrating:
        # The older code works on, and finds a schema that it knows.
        with old.engine.connect() as other:
            other.execute(text("SET lock_timeout = '5s'"))
            other.execute(text("UPDATE polos_executions SET claims = 2 WHERE id = 'two'"))
            other.execute(text("RESET lock_timeout"))
        insert_as_0001(old, "meanwhile")
        assert found_schema(old) == BEFORE
        migrating.let_go()
        assert migrating.result() == SCHEMA
    assert_complete(old, expected)


def test_a_fresh_database_takes_one_transaction(postgres_url: str) -> None:
    with opened(postgres_url) as database, statements(database) as sent:
        upgrade(database)
        assert not [sql for sql, _ in sent if "CONCURRENTLY" in sql]
        del sent[:]
        upgrade(database)
        assert not [sql for sql, _ in sent if sql.startswith(("ALTER", "CREATE", "UPDATE"))]


@pytest.mark.parametrize("number", [1, 3, 8])
def test_one_that_was_broken_off_is_begun_again(
    old: Database, expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    whole, count = index_builds._build, 0

    def breaking(*args: Any) -> None:
        nonlocal count
        count += 1
        if count == number:
            raise RuntimeError("the machine stopped")
        whole(*args)

    with monkeypatch.context() as patch:
        patch.setattr(index_builds, "_build", breaking)
        with pytest.raises(RuntimeError, match="the machine stopped"):
            upgrade(old)
    assert found_schema(old) == BEFORE
    insert_as_0001(old, "meanwhile")
    upgrade(old)
    assert_complete(old, expected)


def test_what_a_crash_left_of_an_index_is_made_again(
    old: Database, expected: dict[str, Any]
) -> None:
    with pytest.raises(DBAPIError, match="could not create unique index"):
        old.run(
            text(
                "CREATE UNIQUE INDEX CONCURRENTLY polos_ix_created ON polos_executions (project_id)"
            )
        )
    assert invalid(old) == ["polos_ix_created"]
    upgrade(old)
    assert_complete(old, expected)


def test_four_processes_at_once(
    old: Database, expected: dict[str, Any], program: Callable[..., Any], tmp_path: Path
) -> None:
    """Whoever waits is not waited for by the builds."""
    url = old.engine.url.render_as_string(hide_password=False)
    gate = tmp_path / "gate"
    running = [program(sys.executable, "-c", UPGRADE, url, gate) for _ in range(4)]
    for each in running:
        each.wait_for("ready")
    gate.touch()
    for each in running:
        assert each.wait() == 0, each.text()
    assert_complete(old, expected)


def test_one_that_waits_for_another_does_so_without_a_snapshot(
    old: Database, expected: dict[str, Any]
) -> None:
    with held(old, lambda: upgrade(old), before=FIRST_INDEX) as first:
        second = Background(old, lambda: upgrade(old))
        locked = text(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
            "AND state LIKE 'idle in transaction%' AND backend_xmin IS NULL"
        )
        until(lambda: old.run(locked)[0][0] >= 2)
        first.let_go()
        assert (first.result(), second.result()) == (SCHEMA, SCHEMA)
    assert_complete(old, expected)


def test_a_default_of_repeatable_reads_does_not_block_it(
    postgres_url: str, expected: dict[str, Any]
) -> None:
    with opened(postgres_url) as database:
        name = database.engine.url.database
        database.run(
            text(f"ALTER DATABASE {name} SET default_transaction_isolation = 'repeatable read'")
        )
        database.close()
        fill(database)
        upgrade(database)
        assert_complete(database, expected)


def test_through_a_pooler(pgbouncer: PgBouncer, expected: dict[str, Any]) -> None:
    with pgbouncer.fresh_database() as url, opened(url) as database:
        fill(database)
        upgrade(database)
        assert_complete(database, expected)
