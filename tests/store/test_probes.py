"""What a database says of itself."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import text

from polos.cli.doctor import of_database
from polos.cli.doctor.finding import Level
from polos.errors import StoreDenied, StoreUnavailable
from polos.model.facts import PoolerFacts
from polos.store import probes
from polos.store.database import Database
from polos.store.schema import metadata
from polos.store.sql_store import SqlStore
from tests.store.scenes import new
from tests.support.mariadb import MariaServer
from tests.support.servers import HOST, PostgresServer, free_port

MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
tmpfs /tmp tmpfs rw 0 0
host:/x /srv/with\\040blank nfs4 rw 0 0
host:/y /srv/with\\040blank/local ext4 rw 0 0
"""


def test_the_server_is_known_and_read_committed(database: Database) -> None:
    facts = probes.server(database)
    assert facts.dialect in of_database.LEAST
    assert facts.version >= of_database.LEAST[facts.dialect]
    assert facts.text
    assert not facts.read_only
    assert facts.isolation == ("serializable" if facts.dialect == "sqlite" else "read committed")


def test_the_clock_is_that_of_this_host(database: Database) -> None:
    probes.reach(database)
    facts = probes.clock(database)
    assert abs(facts.ahead) <= facts.uncertainty + 1
    assert 0 <= facts.uncertainty < 5


def test_keys_are_compared_byte_for_byte(database: Database) -> None:
    assert probes.collations(database) == ()
    facts = probes.pooler(database)
    assert facts is None or facts.between == facts.by_transaction


def test_a_pooler_that_serves_by_transaction_is_found(
    postgres_url: str, pgbouncer_url: str
) -> None:
    for url, pooled in ((postgres_url, False), (pgbouncer_url, True)):
        database = Database(url)
        assert probes.pooler(database) == PoolerFacts(between=pooled, by_transaction=pooled)
        database.close()


def test_a_user_without_rights_on_postgresql(postgres_database: Database) -> None:
    reader = f"reader_{uuid4().hex[:8]}"
    for statement in (
        f"CREATE ROLE {reader} LOGIN PASSWORD 'secret'",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {reader}",
    ):
        postgres_database.run(text(statement))
    _may_only_read(postgres_database, reader)
    postgres_database.run(text(f"DROP OWNED BY {reader}"))
    postgres_database.run(text(f"DROP ROLE {reader}"))


def test_a_user_without_rights_on_mariadb(
    mariadb_database: Database, mariadb_server: MariaServer
) -> None:
    reader = f"reader_{uuid4().hex[:8]}"
    name = mariadb_database.engine.url.database
    mariadb_server.execute(
        f"CREATE USER {reader}@'127.0.0.1' IDENTIFIED BY 'secret'",
        f"GRANT SELECT ON {name}.* TO {reader}@'127.0.0.1'",
    )
    _may_only_read(mariadb_database, reader)
    mariadb_server.execute(f"DROP USER {reader}@'127.0.0.1'")


def _may_only_read(database: Database, reader: str) -> None:
    SqlStore(database).start(new("there"))
    assert probes.refusals(database) == ()
    url = database.engine.url.set(username=reader, password="secret")
    weak = Database(url.render_as_string(hide_password=False))
    store = SqlStore(weak)
    assert store.get("there")
    with pytest.raises(StoreDenied, match=r"denied .*polos_executions.*Grant SELECT, INS") as told:
        store.start(new("other"))
    assert "secret" not in str(told.value)
    found = probes.refusals(weak)
    finding = of_database.of_rights(found)
    assert finding
    assert finding.level is Level.ERROR
    assert "denied" in finding.text
    with pytest.raises(StoreDenied, match="may make tables"):
        weak.transaction(metadata.drop_all)
    weak.close()
    assert [SqlStore(database).get(id_) is not None for id_ in ("there", "other")] == [True, False]


def test_connections_are_counted(database: Database) -> None:
    facts = probes.connections(database)
    if database.dialect == "sqlite":
        assert facts is None
        return
    assert facts is not None
    with database.engine.connect() as one, database.engine.connect() as two:
        one.execute(text("SELECT 1"))
        two.execute(text("SELECT 1"))
        more = probes.connections(database)
    assert more is not None
    assert 2 <= more.used <= more.limit == facts.limit


def test_what_postgres_is_set_to_is_seen(postgres_server: PostgresServer) -> None:
    with postgres_server.fresh_database() as url:
        database = Database(url)
        name = database.engine.url.database
        for setting in (
            "default_transaction_isolation = 'repeatable read'",
            "synchronous_commit = off",
            "default_transaction_read_only = on",
        ):
            with postgres_server.connect() as connection:
                connection.execute(f'ALTER DATABASE "{name}" SET {setting}')
        facts = probes.server(database)
        database.close()
    assert facts.isolation == "repeatable read"
    assert facts.careless == {"synchronous_commit": "off"}
    assert facts.read_only
    assert [it.level for it in of_database.of_server(facts)].count(Level.ERROR) == 2


def test_the_file_of_sqlite(sqlite_database: Database) -> None:
    facts = probes.file(sqlite_database)
    assert facts is not None
    assert Path(facts.path) == Path(str(sqlite_database.engine.url.database)).resolve()
    assert (facts.journal, facts.synchronous) == ("wal", 1)  # as the test's database is opened
    assert probes.file_system_of(Path(facts.path)) == facts.file_system


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/me/polos.db", "ext4"),
        ("/tmp/polos.db", "tmpfs"),
        ("/tmpfile", "ext4"),
        ("/srv/with blank/polos.db", "nfs4"),
        ("/srv/with blank/local/polos.db", "ext4"),
    ],
)
def test_the_file_system_is_that_of_the_nearest_mount(path: str, kind: str, tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS)
    assert probes.file_system_of(Path(path), mounts) == kind
    assert probes.file_system_of(Path(path), tmp_path / "nothing") == ""


def test_a_server_that_is_away_is_out_of_reach() -> None:
    database = Database(f"postgresql://postgres@{HOST}:{free_port()}/nothing")
    with pytest.raises(StoreUnavailable):
        probes.reach(database)
