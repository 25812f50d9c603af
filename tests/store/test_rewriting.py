"""UPDATE … RETURNING and its like on MariaDB, and as MySQL has to be asked for them."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import (
    Delete,
    Dialect,
    Insert,
    Select,
    Update,
    bindparam,
    create_engine,
    delete,
    func,
    insert,
    literal,
    select,
    update,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.sql import visitors

import polos.store
from polos.store import checkpoints as checkpoint_statements
from polos.store.clock import now_micros
from polos.store.columns import MYSQL
from polos.store.database import Database
from polos.store.migrate import upgrade
from polos.store.prebuilt import Prebuilt
from polos.store.rewriting import is_rewritten, rewritten
from polos.store.schema import checkpoints, executions, waits
from polos.store.sql_store import SqlStore
from polos.store.upserts import insert_missing
from tests.store.scenes import new, row, running, step
from tests.store.test_executions import claim as claim_one
from tests.store.threads import Background, held
from tests.support.mariadb import MariaServer
from tests.support.statements import statements

this = executions.c.id == bindparam("the_id")
count_up = update(executions).values(wakeups=executions.c.wakeups + bindparam("more"))


def as_mysql(dialect: Dialect) -> None:
    """What MariaDB can and MySQL can't."""
    dialect.insert_returning = dialect.delete_returning = False


@pytest.fixture(scope="module")
def _mysql_like(_mariadb: MariaServer) -> Iterator[Database]:
    with _mariadb.start().fresh_database(dialect="mysql") as url:
        database = Database(url)
        upgrade(database)
        as_mysql(database.engine.dialect)
        yield database
        database.close()


@pytest.fixture(params=["mariadb", "mysql"])
def maria(request: pytest.FixtureRequest) -> Database:
    """MariaDB as it is, and asked for no more than MySQL can."""
    if request.param == "mariadb":
        return request.getfixturevalue("mariadb_database")
    found: Database = request.getfixturevalue("_mysql_like")
    found.run(delete(executions))
    return found


@pytest.fixture
def three(maria: Database) -> SqlStore:
    store = SqlStore(maria)
    for name in ("one", "two", "three"):
        store.start(new(name))
    return store


# -- what is given --------------------------------------------------------------------------


@pytest.mark.parametrize("prebuilt", [False, True], ids=["built", "prebuilt"])
def test_an_update_gives_the_rows_as_they_are_after_it(three: SqlStore, prebuilt: bool) -> None:
    statement = count_up.where(this).returning(executions, now_micros().label("now"))
    whole: Any = Prebuilt(statement) if prebuilt else statement
    [found] = three.database.run(whole, {"the_id": "two", "more": 3})
    assert (found.id, found.wakeups, found.payload, found.known_to_celery) == (
        "two",
        3,
        b"payload",
        False,
    )
    assert type(found.known_to_celery) is bool
    assert found.now >= found.created_at
    assert row(three.database, "one")["wakeups"] == 0


@pytest.mark.parametrize("prebuilt", [False, True], ids=["built", "prebuilt"])
def test_an_update_of_no_row_gives_none_and_of_many_all(three: SqlStore, prebuilt: bool) -> None:
    several = count_up.where(executions.c.id != bindparam("not_this")).returning(
        executions.c.id, executions.c.wakeups
    )
    whole: Any = Prebuilt(several) if prebuilt else several
    found = three.database.run(whole, {"not_this": "one", "more": 2})
    assert sorted(map(tuple, found)) == [("three", 2), ("two", 2)]
    none: Any = count_up.where(this, executions.c.wakeups > 9).returning(executions.c.wakeups)
    whole = Prebuilt(none) if prebuilt else none
    assert list(three.database.run(whole, {"the_id": "one", "more": 1})) == []


def test_what_is_not_matched_after_the_update_is_given_all_the_same(three: SqlStore) -> None:
    statement = (
        update(executions)
        .where(executions.c.wakeups == 0)
        .values(wakeups=1)
        .returning(executions.c.id)
    )
    assert len(three.database.run(statement)) == 3
    assert len(three.database.run(statement)) == 0


def test_an_update_that_gives_only_its_key_is_one_statement(three: SqlStore) -> None:
    prebuilt = Prebuilt(count_up.where(this).returning(executions.c.id))
    with statements(three.database) as sent:
        [found] = three.database.run(prebuilt, {"the_id": "two", "more": 1})
        nothing = three.database.run(prebuilt, {"the_id": "four", "more": 1})
    assert (found.id, list(nothing), len(sent)) == ("two", [], 2)


def test_a_row_that_stays_as_it_was_counts_as_updated(three: SqlStore) -> None:
    same = Prebuilt(update(executions).where(this).values(wakeups=0).returning(executions.c.id))
    assert len(three.database.run(same, {"the_id": "two"})) == 1


@pytest.mark.parametrize("prebuilt", [False, True], ids=["built", "prebuilt"])
def test_a_delete_gives_the_rows_as_they_were(three: SqlStore, prebuilt: bool) -> None:
    statement = (
        delete(executions)
        .where(executions.c.id != bindparam("not_this"))
        .returning(
            executions.c.id,
            executions.c.payload,
            executions.c.created_at,
            executions.c.known_to_celery,
            executions.c.queue,
        )
    )
    whole: Any = Prebuilt(statement) if prebuilt else statement
    found = three.database.run(whole, {"not_this": "one"})
    assert sorted((it.id, it.payload, it.queue) for it in found) == [
        ("three", b"payload", None),
        ("two", b"payload", None),
    ]
    assert {type(it.created_at) for it in found} == {int}
    assert list(three.database.run(whole, {"not_this": "one"})) == []
    assert three.get("one") is not None
    assert three.get("two") is None


@pytest.mark.parametrize("prebuilt", [False, True], ids=["built", "prebuilt"])
def test_an_insert_gives_the_row(maria: Database, prebuilt: bool) -> None:
    values = {"id": "one", "project_id": "p", "workflow_id": "w", "status": "queued"}
    values |= {"payload": b"x"}
    statement = (
        insert(executions)
        .values(created_at=now_micros())
        .returning(executions.c.id, executions.c.created_at, executions.c.claims)
    )
    whole: Any = Prebuilt(statement, columns=list(values)) if prebuilt else statement
    [found] = maria.run(whole, values)
    assert (found.id, found.claims) == ("one", 0)
    assert found.created_at == row(maria, "one")["created_at"]


def test_a_key_of_two_columns(three: SqlStore) -> None:
    claimed = claim_one(three, "one")
    three.checkpoint("one", claimed.token, [step("a"), step("b"), step("c")])
    statement = (
        update(checkpoints)
        .where(checkpoints.c.step_key != "b")
        .values(attempts=9)
        .returning(checkpoints.c.step_key, checkpoints.c.attempts)
    )
    for whole in (statement, Prebuilt(statement)):
        found = three.database.run(whole)
        assert sorted(map(tuple, found)) == [("a", 9), ("c", 9)]


def test_in_a_transaction_it_is_part_of_that(three: SqlStore) -> None:
    def work(connection: Any) -> None:
        rows = connection.execute(
            count_up.where(this).returning(executions.c.wakeups), {"the_id": "one", "more": 5}
        )
        assert rows.scalar_one() == 5
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        three.database.transaction(work)
    assert row(three.database, "one")["wakeups"] == 0


# -- what is locked, and read in its own table -------------------------------------------------


def oldest(most: int) -> Any:
    chosen = (
        select(executions.c.id)
        .order_by(executions.c.created_at)
        .limit(most)
        .with_for_update(skip_locked=True)
    )
    return select(chosen.cte("chosen").c.id)


def test_a_statement_that_reads_the_table_that_it_changes(three: SqlStore) -> None:
    some = executions.c.id.in_(oldest(2))
    three.database.run(update(executions).where(some).values(wakeups=7))
    assert [row(three.database, it)["wakeups"] for it in ("one", "two", "three")] == [7, 7, 0]
    assert len(three.database.run(delete(executions).where(some))) == 0
    assert [three.get(it) is None for it in ("one", "two", "three")] == [True, True, False]


def test_rows_that_others_have_locked_are_passed_over(three: SqlStore) -> None:
    def lock(connection: Any) -> None:
        connection.execute(
            select(executions.c.id).where(executions.c.id == "one").with_for_update()
        )
        connection.execute(select(literal("held").label("marked")))

    statement = count_up.where(executions.c.id.in_(oldest(2))).returning(executions.c.id)
    hold = lambda: three.database.transaction(lock)  # noqa: E731
    with held(three.database, hold, before="AS marked") as other:
        found = three.database.run(statement, {"more": 1})
        assert not other.done, "it waited for the row"
    assert {it.id for it in found} == {"two", "three"}


def test_the_condition_is_looked_at_again_after_a_wait_for_the_row(three: SqlStore) -> None:
    def first(connection: Any) -> None:
        connection.execute(update(executions).where(executions.c.id == "one").values(wakeups=1))

    statement = count_up.where(this, executions.c.wakeups == 0).returning(executions.c.wakeups)
    with held(three.database, lambda: three.database.transaction(first)) as other:
        second = Prebuilt(statement)
        waiting = Background(
            three.database, lambda: three.database.run(second, {"the_id": "one", "more": 1})
        )
        assert waiting.is_blocked()
        other.let_go()
        assert list(waiting.result()) == []
    assert row(three.database, "one")["wakeups"] == 1


# -- the statements that there are, for MySQL -------------------------------------------------

MYSQL_8 = create_engine("mysql+pymysql://h/d").dialect


def _modules() -> list[Any]:
    found = pkgutil.iter_modules(polos.store.__path__)
    names = [it.name for it in found if it.name not in {"migrations"}]
    return [importlib.import_module(f"polos.store.{name}") for name in names]


def _statements(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, Prebuilt):
        yield value.statement, value._columns
    elif isinstance(value, Insert | Update | Delete | Select):
        yield value, None
    elif isinstance(value, dict):
        for it in value.values():
            yield from _statements(it)


ALL = [
    pytest.param(statement, columns, id=f"{module.__name__.rpartition('.')[2]}.{name}")
    for module in _modules()
    for name, value in vars(module).items()
    for statement, columns in _statements(value)
] + [
    pytest.param(checkpoint_statements._counted_insert(2).statement, None, id="checkpoint"),
    *(
        pytest.param(insert_missing("mysql", table), None, id=f"missing {table.name}")
        for table in (executions, checkpoints, waits)
    ),
]
# What is asked of PostgreSQL only.
_OTHERS = {"listening._notify"}


def _parts(statement: Any) -> list[Any]:
    if not is_rewritten(statement, MYSQL_8):
        return [statement]
    found = rewritten(statement, lambda keys: keys[0] == bindparam("key"))
    return [it for it in (*found.finds, found.write, found.read) if it is not None]


@pytest.mark.parametrize(("statement", "columns"), ALL)
def test_mysql_can_be_asked_it(
    statement: Any, columns: Any, request: pytest.FixtureRequest
) -> None:
    """It was not tried on MySQL here; what its manual rules out is not in it."""
    if any(name in request.node.name for name in _OTHERS):
        pytest.skip("only for PostgreSQL")
    for part in _parts(statement):
        keys = None
        if isinstance(part, Insert):
            keys = columns or [column.name for column in part.table.primary_key]
        text = str(part.compile(dialect=mysql.dialect(), column_keys=keys))
        assert "RETURNING" not in text
        assert "ON CONFLICT" not in text
        if isinstance(part, Update | Delete):
            # Not what it changes, and no data that another part of it changes.
            assert "SELECT" not in text


@pytest.mark.parametrize(("statement", "columns"), ALL)
def test_no_assignment_reads_what_another_one_writes(statement: Any, columns: Any) -> None:
    """MySQL and MariaDB assign from left to right; all others read the row as it was."""
    if not isinstance(statement, Update):
        return
    assigned = {getattr(column, "name", column) for column in statement._values or {}}
    for column, value in (statement._values or {}).items():
        own = getattr(column, "name", column)
        read = {
            it.name
            for it in visitors.iterate(value)
            if it.__visit_name__ == "column" and getattr(it, "table", None) is executions
        }
        assert not read & (assigned - {own}), f"{own} reads {read & assigned}"


def test_bytes_in_a_query_are_said_to_be_bytes() -> None:
    """PyMySQL says so in each value; mysqlclient doesn't, and they would be taken for text."""
    insertion = checkpoint_statements._counted_insert(1).statement
    text = str(insertion.compile(dialect=mysql.dialect()))
    for name in ("value", "failure", "history"):
        assert f"CAST(%s AS BINARY) AS {name}" in text


def test_there_are_statements_to_look_at() -> None:
    assert len(ALL) > 60
    assert sum(isinstance(it.values[0], Update) for it in ALL) > 20


def test_what_needs_several_is_known(mariadb_database: Database) -> None:
    dialect = mariadb_database.engine.dialect
    mariadb_database.run(select(literal(1)))
    assert dialect.name in MYSQL
    key = count_up.where(this).returning(executions.c.id)
    assert is_rewritten(key, dialect)
    assert Prebuilt(key).is_one(dialect)
    more = count_up.where(this).returning(executions.c.id, executions.c.wakeups)
    assert not Prebuilt(more).is_one(dialect)
    assert not is_rewritten(count_up.where(this), dialect)
    assert not is_rewritten(delete(waits).returning(waits.c.kind), dialect)
    assert is_rewritten(delete(waits).returning(waits.c.kind), MYSQL_8)
    for other in ("sqlite://", "postgresql+psycopg://h/d"):
        assert not is_rewritten(key, create_engine(other).dialect)


def test_a_contract_kept_as_on_mysql(_mysql_like: Database) -> None:
    """A life of an execution, with no more than MySQL can."""
    store = SqlStore(_mysql_like)
    _mysql_like.run(delete(executions))
    claimed = running(store)
    assert store.start(new("keyed", idempotency_key="k"))[1]
    again, fresh = store.start(new("other", idempotency_key="k"))
    assert (again.id, fresh) == ("keyed", False)
    store.checkpoint("one", claimed.token, [step("a")])
    adopted = store.checkpoint("one", claimed.token, [step("a", b"else"), step("b")])
    assert adopted.keys() == {"a"}
    assert [it.step_key for it in store.load("one")[0]] == ["a", "b"]
    assert store.cancel("keyed")[0]
    assert store.database.run(select(func.count()).select_from(executions))[0][0] == 2
