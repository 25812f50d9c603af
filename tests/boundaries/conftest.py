"""Databases for the campaigns, the process that they are forked from, and the sum at the end."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from multiprocessing.context import ForkServerContext
from typing import Protocol

import pytest

from tests.boundaries.campaign import Order, Report, hold
from tests.support.mariadb import MariaServer
from tests.support.servers import PostgresServer

# Of each subject on each database; BOUNDARIES=all tries every one.
_SLICE = 6
_LONGEST = 3000.0
_PROPERTY = "boundaries"


class Campaigner(Protocol):
    """Holds a campaign, with a defect where one is given."""

    def __call__(
        self, name: str, plant: Callable[[], None] | None = None, at: str = ""
    ) -> Report: ...


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how many boundaries were tried."""
    total = 0
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            for name, value in getattr(report, "user_properties", []):
                if name == _PROPERTY:
                    subject, kind, there, tried = value
                    total += tried
                    terminalreporter.write_line(
                        f"{tried:5} crashes at {there:4} boundaries  {subject} on {kind}"
                    )
    if total:
        terminalreporter.write_line(f"{total:5} crashes at boundaries in all")


@pytest.fixture(scope="session")
def forks() -> ForkServerContext:
    """Forks from a process without threads that has everything imported."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.boundaries.campaign"])
    return context


@pytest.fixture(scope="session")
def _sqlite_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('boundaries') / 'polos.db'}"


@pytest.fixture(scope="session")
def _postgres_url(_postgres: PostgresServer) -> Iterator[str]:
    with _postgres.start().fresh_database("boundaries") as url:
        yield url


@pytest.fixture(scope="session")
def _mariadb_url(_mariadb: MariaServer) -> Iterator[str]:
    with _mariadb.start().fresh_database("boundaries") as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def campaign(
    request: pytest.FixtureRequest,
    forks: ForkServerContext,
    record_property: Callable[[str, object], None],
) -> Campaigner:
    """Hold a campaign: ``campaign("b_plain_steps")`` gives its report."""

    kind: str = request.param
    fixtures = {
        "sqlite": "_sqlite_url",
        "postgresql": "_postgres_url",
        "mariadb": "_mariadb_url",
    }
    url = request.getfixturevalue(fixtures[kind])

    def held(name: str, plant: Callable[[], None] | None = None, at: str = "") -> Report:
        some = _SLICE // 2 if kind == "mariadb" else _SLICE
        most = None if os.environ.get("BOUNDARIES") == "all" else some
        order = Order(url, name, most, int(os.environ.get("BOUNDARIES_SEED", "1")), plant, at)
        receiving, sending = forks.Pipe(duplex=False)
        process = forks.Process(target=hold, args=(order, sending))
        process.start()
        sending.close()
        assert receiving.poll(_LONGEST), "the campaign doesn't end"
        report: Report = receiving.recv()
        process.join()
        if plant is None:
            record_property(_PROPERTY, (name, kind, report.boundaries, report.tried))
        return report

    return held
