"""``polos cancel``: what is said of those that no worker could clean up, and how they end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from polos.cli.commands import main
from polos.model.settings import Settings
from polos.model.states import Status
from polos.model.workers import WorkerReport
from polos.store.sql_store import SqlStore
from tests.store.scenes import new, parked, running


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SqlStore]:
    monkeypatch.setenv("POLOS_HOME", str(tmp_path))
    monkeypatch.delenv("POLOS_DATABASE_URL", raising=False)
    monkeypatch.delenv("POLOS_PROJECT_ID", raising=False)
    made = SqlStore.open(Settings())
    yield made
    made.close()


def cancel(*args: str) -> str:
    done = CliRunner().invoke(main, ["cancel", *args])
    assert done.exit_code == 0, done.output
    return done.stdout.rstrip()


def test_one_that_no_worker_has_can_be_ended_at_once(store: SqlStore) -> None:
    claimed = running(store, "orphan")
    store.commit(claimed.execution, claimed.token, parked())
    store.report(WorkerReport("one", "owner", 1, 1, (), ("other",)))
    assert cancel("orphan") == (
        "orphan  is told to end; no living worker has the workflow 'flow': start one that imports "
        "it, or end it with --now"
    )
    assert cancel("--now", "orphan") == "orphan  is cancelled"
    found = store.get("orphan")
    assert found
    assert found.status is Status.CANCELLED
    assert cancel("--now", "orphan") == cancel("orphan") == "orphan  had ended already"


def test_one_that_runs_is_told_and_with_now_its_worker_loses_it(store: SqlStore) -> None:
    claimed = running(store, "one")
    assert cancel("one") == "one  is told to end"
    assert cancel("--now", "one") == "one  is cancelled"
    assert not any(it.held for it in store.renew([("one", claimed.token)], 15))


def test_one_that_never_began_is_cancelled(store: SqlStore) -> None:
    store.start(new("one"))
    assert cancel("one") == "one  is cancelled"
