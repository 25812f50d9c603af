"""Flower on a database of its own, and the executions that it shows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flower import executions
from tests.flower.pages import Site, opened


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Flower on SQLite; a module's tests share it."""
    folder: Path = tmp_path_factory.mktemp("flower")
    with opened(f"sqlite:///{folder / 'polos.db'}", sqlite_synchronous="NORMAL") as made:
        yield made


@pytest.fixture(scope="module")
def full(site: Site) -> Site:
    """The same with an execution of every kind."""
    for make in executions.EVERY:
        make(site.store)
    return site
