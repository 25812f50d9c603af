"""What all tests share: real servers, programs, and the order in which the tests run."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from celery.result import allow_join_result
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from polos.definition.default_client import process_slot
from tests.support import processes
from tests.support.mariadb import MariaServer
from tests.support.pgbouncer import PgBouncer
from tests.support.processes import Program
from tests.support.rabbit import RabbitServer
from tests.support.servers import PostgresServer, RedisServer

# Tests in these folders drive real workers, and are marked so without saying it.
_ACCEPTANCE = ("tests/acceptance/", "tests/browser/", "tests/chaos/", "tests/pytest_celery/")
# The tests of a file share what they start.
_BY_FILE = (*_ACCEPTANCE, "tests/client/", "tests/flower/", "tests/server/")
_programs = pytest.StashKey[list[Program]]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Acceptance tests come last, and the longest of them first: none goes on alone at the end."""
    for item in items:
        if item.nodeid.startswith(_ACCEPTANCE):
            item.add_marker(pytest.mark.acceptance)
    items.sort(key=lambda item: (item.nodeid.startswith(_ACCEPTANCE), _is_short(item)))


def _is_short(item: pytest.Item) -> bool:
    return not item.nodeid.startswith("tests/chaos/")


def pytest_configure() -> None:
    """Have Ctrl-C end what tests start, also where a shell has background jobs ignore it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def default_client_is_left_as_it_was() -> Iterator[None]:
    """No test starts workflows with the client of an earlier one."""
    before = process_slot._client
    yield
    process_slot.set(before)


@pytest.fixture(autouse=True)
def results_may_be_awaited() -> Iterator[None]:
    """Celery forbids ``result.get()`` in a process in which a worker has once run in a thread."""
    with allow_join_result():
        yield


class ByFile(LoadScopeScheduling):
    """Some tests file by file, a file's in one process and in their order.

    Not ``--dist loadgroup``: from pytest 9.2 on, xdist 3.8 no longer sees the groups.
    """

    def _split_scope(self, nodeid: str) -> str:
        return nodeid.partition("::")[0] if nodeid.startswith(_BY_FILE) else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile:
    """With ``-n`` the others are spread over the processes first."""
    config.option.loadscopereorder = False  # else the largest group goes first
    return ByFile(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Show the end of its programs' output with a failed test."""
    report = yield
    if report.failed:
        for program in item.stash.get(_programs, []):
            report.sections.append((f"{program.name} ({program.log})", program.tail()))
    return report


@pytest.fixture(scope="session")
def _redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="session")
def _postgres() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def _rabbit() -> Iterator[RabbitServer]:
    with RabbitServer() as server:
        yield server


@pytest.fixture(scope="session")
def _mariadb() -> Iterator[MariaServer]:
    with MariaServer() as server:
        yield server


@pytest.fixture(scope="session")
def _pgbouncer(_postgres: PostgresServer) -> Iterator[PgBouncer]:
    with PgBouncer(_postgres) as server:
        yield server


@pytest.fixture
def redis_server(_redis: RedisServer) -> RedisServer:
    """A running, empty Redis; a test may stop it, kill it and start it."""
    _redis.start().flush()
    return _redis


@pytest.fixture
def postgres_server(_postgres: PostgresServer) -> PostgresServer:
    """A running PostgreSQL; a test may stop it, kill it and start it."""
    return _postgres.start()


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """An empty database of its own on PostgreSQL."""
    with postgres_server.fresh_database() as url:
        yield url


@pytest.fixture
def mariadb_server(_mariadb: MariaServer) -> MariaServer:
    """A running MariaDB; a test may stop it, kill it and start it."""
    return _mariadb.start()


@pytest.fixture
def mariadb_url(mariadb_server: MariaServer) -> Iterator[str]:
    """An empty database of its own on MariaDB."""
    with mariadb_server.fresh_database() as url:
        yield url


@pytest.fixture
def pgbouncer(postgres_server: PostgresServer, _pgbouncer: PgBouncer) -> PgBouncer:
    """A running PgBouncer in front of PostgreSQL; a test may stop it and start it."""
    return _pgbouncer.start()


@pytest.fixture
def pgbouncer_url(pgbouncer: PgBouncer) -> Iterator[str]:
    """An empty database of its own on PostgreSQL, through PgBouncer."""
    with pgbouncer.fresh_database() as url:
        yield url


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """An empty database of its own in a file."""
    return f"sqlite:///{tmp_path / 'polos.db'}"


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def database_url(request: pytest.FixtureRequest) -> str:
    """An empty database of its own, once on each kind of database."""
    fixtures = {"sqlite": "sqlite_url", "postgresql": "postgres_url", "mariadb": "mariadb_url"}
    return request.getfixturevalue(fixtures[request.param])


@pytest.fixture
def until() -> Callable[..., Any]:
    """Wait for a condition: ``until(predicate, deadline=30, every=0.05, message="")``."""
    return processes.until


@pytest.fixture
def program(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """Start programs that end with the test: ``program(sys.executable, "-c", …, name="worker")``.

    Takes what ``Program`` takes; the log is a file in ``tmp_path``, whose end is shown when the
    test fails. Two programs of one name get a log each.
    """
    started = request.node.stash.setdefault(_programs, [])
    with ExitStack() as stack:

        def start(*args: str | Path, **options: Any) -> Program:
            name = options.pop("name", Path(args[0]).name)
            log = options.pop("log", tmp_path / f"{name}-{len(started)}.log")
            made = Program(args, name=name, log=log, **options)
            started.append(made)
            return stack.enter_context(made)

        yield start
