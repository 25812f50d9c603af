"""Stacks and workers for tests that drive real programs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from polos import PolosClient
from tests.acceptance.flowers import Flowers
from tests.acceptance.ledger import Ledger
from tests.acceptance.stacks import DatabaseServer, Stack, Workers, embedded_stack, server_stack
from tests.support.servers import RedisServer

STACKS = ("embedded", "servers")
# What is behind Redis.
_SERVERS = {"servers": "_postgres", "mariadb": "_mariadb", "pgbouncer": "_pgbouncer"}
_open_stacks: list[Stack] = []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Show the end of the workers' logs with a failed test."""
    report = yield
    if report.failed:
        for stack in _open_stacks:
            for worker in stack.workers[-3:]:
                report.sections.append((f"{worker.name} ({worker.log})", worker.tail()))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show how late waits ended."""
    for report in terminalreporter.stats.get("passed", []):
        for name, value in getattr(report, "user_properties", []):
            if name == "lateness":
                terminalreporter.write_line(f"{value * 1000:5.0f} ms late  {report.nodeid}")


@contextmanager
def opened(request: pytest.FixtureRequest, name: str) -> Iterator[Stack]:
    """A stack of one kind, with nothing in it."""
    folder = request.getfixturevalue("tmp_path_factory").mktemp(name)
    if name == "embedded":
        context = embedded_stack(folder)
    else:
        redis: RedisServer = request.getfixturevalue("_redis")
        databases: DatabaseServer = request.getfixturevalue(_SERVERS[name])
        context = server_stack(folder, redis, databases)
    with context as stack, watched(stack):
        yield stack


@contextmanager
def watched(stack: Stack) -> Iterator[None]:
    """Have the logs of a stack's workers shown with a test that fails meanwhile."""
    _open_stacks.append(stack)
    yield
    _open_stacks.remove(stack)


@pytest.fixture(scope="module", params=STACKS)
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """One of each kind; a module's tests share it."""
    with opened(request, request.param) as made:
        yield made


@pytest.fixture(scope="module")
def client(stack: Stack) -> Iterator[PolosClient]:
    """A client in the test's own process."""
    made = stack.client()
    yield made
    made.close()


@pytest.fixture(scope="module")
def ledger(stack: Stack) -> Ledger:
    """What steps did."""
    return stack.ledger


@pytest.fixture
def flowers(tmp_path: Path, redis_server: RedisServer) -> Iterator[Flowers]:
    """Start Flowers of a project with SQLite; they end with the test."""
    database = f"sqlite:///{tmp_path / 'polos.db'}"
    made = Flowers(tmp_path, {"PROJ_BROKER": redis_server.url, "PROJ_DATABASE": database})
    yield made
    made.close()


@pytest.fixture
def worker(stack: Stack) -> Iterator[Workers]:
    """Start workers that end with the test: ``worker(pool="prefork", slots=1)``."""
    workers = Workers(stack)
    yield workers
    workers.close()


@pytest.fixture(scope="module")
def workers(stack: Stack) -> Iterator[Workers]:
    """Start workers that end with the module."""
    made = Workers(stack)
    yield made
    made.close()
