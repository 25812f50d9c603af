"""The servers and programs that other tests stand on."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import psycopg
import pytest
from sqlalchemy import create_engine, text

from tests.support.mariadb import MariaServer
from tests.support.pgbouncer import PgBouncer
from tests.support.processes import ROOT, Program
from tests.support.servers import PostgresServer, RedisServer, Server, free_port


def query(url: str, statement: str) -> list[tuple[object, ...]]:
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            result = connection.execute(text(statement))
            return [tuple(row) for row in result] if result.returns_rows else []
    finally:
        engine.dispose()


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_redis_starts_again_at_its_address_and_empty(redis_server: RedisServer) -> None:
    port, first = redis_server.port, redis_server.pid
    assert redis_server.command("SET key value") == "+OK"
    redis_server.restart()
    assert (redis_server.port, redis_server.running) == (port, True)
    assert redis_server.pid != first
    assert redis_server.command("GET key") == "$-1"


def test_redis_killed_is_gone_until_it_is_started(redis_server: RedisServer) -> None:
    redis_server.kill()
    assert not redis_server.running
    assert not redis_server.answers()
    assert redis_server.start().answers()


def test_a_frozen_redis_holds_connections_and_goes_on(redis_server: RedisServer) -> None:
    redis_server.freeze()
    with pytest.raises(TimeoutError):
        redis_server.command("PING", timeout=0.5)
    redis_server.thaw()
    assert redis_server.answers()


def test_every_redis_has_its_own_folder_and_leaves_nothing() -> None:
    with RedisServer() as one, RedisServer() as other:
        assert one.port != other.port
        assert one.folder != other.folder
    assert not one.folder.exists()
    assert gone(one.pid)


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_postgres_stopped_keeps_its_data(postgres_server: PostgresServer, mode: str) -> None:
    with postgres_server.fresh_database() as url:
        query(url, "CREATE TABLE kept AS SELECT 1 AS n")
        postgres_server.stop(mode)
        assert not postgres_server.running
        assert not postgres_server.answers()
        postgres_server.start()
        assert query(url, "SELECT n FROM kept") == [(1,)]


def test_postgres_killed_recovers_what_was_committed(postgres_server: PostgresServer) -> None:
    with postgres_server.fresh_database() as url:
        query(url, "CREATE TABLE kept AS SELECT 1 AS n")
        postgres_server.kill()
        postgres_server.start()
        assert query(url, "SELECT n FROM kept") == [(1,)]


def test_a_frozen_postgres_goes_on(postgres_server: PostgresServer) -> None:
    with postgres_server.connect() as connection:
        postgres_server.freeze()
        try:
            with pytest.raises(psycopg.OperationalError):
                postgres_server.connect(timeout=2)
        finally:
            postgres_server.thaw()
        assert connection.execute("SELECT 1").fetchall() == [(1,)]


def test_postgres_commits_are_durable_unless_asked_otherwise() -> None:
    with PostgresServer(fsync=False, settings={"max_connections": "7"}) as server:
        with server.connect() as connection:
            shown = [connection.execute(f"SHOW {name}").fetchall()[0][0] for name in _SHOWN]
        assert shown == ["off", "on", "7"]
    assert not server.folder.exists()


@pytest.mark.parametrize("how", ["restart", "kill"])
def test_mariadb_keeps_what_was_committed(mariadb_server: MariaServer, how: str) -> None:
    with mariadb_server.fresh_database() as url:
        query(url, "CREATE TABLE kept AS SELECT 1 AS n")
        getattr(mariadb_server, how)()
        mariadb_server.start()
        assert query(url, "SELECT n FROM kept") == [(1,)]


def test_every_mariadb_has_its_own_folder_and_leaves_nothing(mariadb_server: MariaServer) -> None:
    with MariaServer() as other:
        assert other.port != mariadb_server.port
        assert other.execute("SELECT 1") == [(1,)]
    assert not other.folder.exists()
    assert gone(other.pid)


def test_a_mariadb_that_starts_leaves_the_temporary_tables_of_another(
    mariadb_server: MariaServer,
) -> None:
    [(folder,)] = mariadb_server.execute("SELECT @@tmpdir")
    table = Path(folder) / f"#sql-temptable-{mariadb_server.pid:x}-125-74.MAI"
    table.touch()
    shutil.chown(table, (mariadb_server.folder / "data").owner())
    try:
        with MariaServer():
            assert table.exists()
    finally:
        table.unlink(missing_ok=True)


def test_pgbouncer_hands_out_connections_by_the_transaction(pgbouncer: PgBouncer) -> None:
    with pgbouncer.fresh_database() as url:
        name = url.rpartition("/")[2]
        with pgbouncer.connect(name) as one, pgbouncer.connect(name) as other:
            pids = [it.execute("SELECT pg_backend_pid()").fetchall() for it in (one, other)]
    assert pids[0] == pids[1]


@pytest.mark.parametrize(
    ("make", "package"),
    [(MariaServer, "mariadb-server"), (lambda: PgBouncer(None), "pgbouncer")],
)
def test_a_server_that_is_not_installed_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, make: Callable[[], Server], package: str
) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(AssertionError, match=f"apt-get install {package}"):
        make()


_SHOWN = ["fsync", "synchronous_commit", "max_connections"]


def test_a_database_is_dropped_with_its_connections(postgres_server: PostgresServer) -> None:
    with postgres_server.fresh_database() as url:
        left_open = create_engine(url).connect()
    name = url.rpartition("/")[2]
    left = "SELECT count(*) FROM pg_database WHERE datname = %s"
    with postgres_server.connect() as connection:
        assert connection.execute(left, [name]).fetchall() == [(0,)]
    left_open.invalidate()
    left_open.close()


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_has_an_empty_database(database_url: str, turn: int) -> None:
    query(database_url, f"CREATE TABLE mine AS SELECT {turn} AS n")
    assert query(database_url, "SELECT n FROM mine") == [(turn,)]


PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("child", child.pid, flush=True)
time.sleep(600)
"""


def test_a_program_ends_with_its_children(program, until) -> None:
    parent = program(sys.executable, "-c", PARENT, name="parent")
    parent.wait_for("child")
    [child] = parent.children()
    parent.kill(signal.SIGKILL)
    assert parent.wait() == -signal.SIGKILL
    assert child.is_running()
    parent.close()
    until(lambda: gone(child.pid))


def test_waiting_for_a_program_that_ended_shows_its_words(program) -> None:
    broken = program(sys.executable, "-c", "print('no such luck')")
    with pytest.raises(AssertionError, match="no such luck"):
        broken.wait_for("ready")


def test_a_program_has_the_project_but_not_this_environment(program, monkeypatch) -> None:
    monkeypatch.setenv("POLOS_PROJECT_ID", "elsewhere")
    source = (
        "import os, tests.support; print(sorted(k for k in os.environ if k.startswith('POLOS_')))"
    )
    said = program(sys.executable, "-c", source, env={"POLOS_HOME": "x"})
    assert said.wait() == 0
    assert said.text().strip() == "['POLOS_HOME']"


def test_a_port_is_given_to_one_test_process_only(program) -> None:
    port = free_port()
    with pytest.raises(AssertionError, match="no free port"):
        free_port([port])
    source = f"from tests.support.servers import free_port; print(free_port([{port}]))"
    other = program(sys.executable, "-c", source)
    assert other.wait() == 1
    assert "no free port" in other.text()


def test_until_says_what_it_waited_for(until) -> None:
    assert until(lambda: "value") == "value"
    before = time.monotonic()
    with pytest.raises(AssertionError, match="the lease is free"):
        until(lambda: False, deadline=0.1, message="the lease is free")
    assert time.monotonic() - before < 5


ABANDONED = """
import os, signal
from tests.support.servers import PostgresServer, RedisServer
redis, postgres = RedisServer().start(), PostgresServer(fsync=False).start()
print(redis.pid, postgres.pid, redis.folder, postgres.folder, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_nothing_outlives_a_test_process_that_was_killed(until) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", ABANDONED],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert ran.returncode == -signal.SIGKILL
    redis, postgres, *folders = ran.stdout.split()
    until(lambda: gone(int(redis)) and gone(int(postgres)))
    until(lambda: not any(Path(folder).exists() for folder in folders))


def test_a_closed_program_can_be_started_again(tmp_path: Path) -> None:
    again = Program([sys.executable, "-c", "print('here')"], log=tmp_path / "log")
    for _ in range(2):
        with again:
            again.wait()
    assert again.text() == "here\nhere\n"
