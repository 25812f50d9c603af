"""One database for all programs of a session: each of them has a project of its own in it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from polos.model.settings import Settings
from polos.store.sql_store import SqlStore
from tests.programs.fate import CALM, Fate
from tests.programs.world import World
from tests.support.servers import PostgresServer

Worlds = Callable[..., World]


@contextmanager
def _worlds(url: str) -> Iterator[Worlds]:
    settings = Settings.load(
        database_url=url,
        auto_migrate=True,
        wait_threshold_seconds=0.005,
        foreign_grace=0.05,
        unwind_seconds=2.0,
        lease_seconds=600.0,
        max_recoveries=1000,
        sqlite_synchronous="NORMAL",
    )
    store = SqlStore.open(settings)

    def world(fate: Fate = CALM) -> World:
        return World(settings, store, fate)

    yield world
    store.close()


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Lost workers are all that the loggers tell of."""
    loud = [logging.getLogger(name) for name in ("polos", "asyncio")]
    for logger in loud:
        logger.setLevel(logging.CRITICAL)
    yield
    for logger in loud:
        logger.setLevel(logging.NOTSET)


@pytest.fixture(scope="session")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worlds]:
    """Makes worlds on SQLite."""
    folder: Path = tmp_path_factory.mktemp("programs")
    with _worlds(f"sqlite:///{folder / 'polos.db'}") as made:
        yield made


@pytest.fixture(scope="session")
def postgres_worlds(_postgres: PostgresServer) -> Iterator[Worlds]:
    """Makes worlds on PostgreSQL."""
    with _postgres.start().fresh_database() as url, _worlds(url) as made:
        yield made
