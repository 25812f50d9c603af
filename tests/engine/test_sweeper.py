"""The sweep's re-dispatch on a real store. The workers are reports, and hints go into a list."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import replace
from types import SimpleNamespace

import pytest

from polos.engine import sweeper
from polos.engine.owner import process, this_process
from polos.engine.sweeper import Sweeper
from polos.errors import StoreUnavailable
from polos.model.listing import ExecutionQuery
from polos.model.records import Failure, Hint
from polos.model.settings import Settings
from polos.model.states import Status
from polos.model.workers import Owner, WorkerReport
from polos.store.sql_store import SqlStore
from tests.store.scenes import edit, new, put
from tests.support.bulk import queue_many


class Hints:
    """Stands in for the broker, which may be away."""

    def __init__(self) -> None:
        self.sent: list[Hint] = []
        self.away = False

    def dispatch(self, hints: Sequence[Hint]) -> int:
        self.sent += hints
        return len(hints)

    def is_away(self) -> bool:
        return self.away

    def take(self) -> list[Hint]:
        taken, self.sent = self.sent, []
        return taken


class Site:
    """A store, the worker that sweeps, and others that report."""

    def __init__(self, url: str) -> None:
        self.settings = Settings.load(database_url=url, auto_migrate=True)
        self.store = SqlStore.open(self.settings)
        self.hints = Hints()
        self.own = self.report("sweeper@a", idle=0)
        self.sweeper = Sweeper(lambda: self.store, self.hints, self.settings, lambda: self.own)

    def report(self, name: str, idle: int, queue: str = "polos") -> WorkerReport:
        owner = str(this_process(name))
        return WorkerReport(name, owner, 50, idle, (queue,), ("flow",))

    def tick(self) -> list[Hint]:
        self.sweeper.tick()
        return self.hints.take()

    def claim(self, hints: Sequence[Hint]) -> None:
        for hint in hints:
            assert self.store.claim(hint.execution_id, "flow", this_process(), 60)


@pytest.fixture
def site(sqlite_url: str) -> Iterator[Site]:
    made = Site(sqlite_url)
    yield made
    made.store.close()


def test_claimed_hints_are_followed_by_twice_as_many(site: Site) -> None:
    queue_many(site.store, "flow", b"{}", 500)
    assert site.tick() == []
    site.own = site.report("sweeper@a", idle=1)
    counts = []
    for _ in range(5):
        hints = site.tick()
        counts.append(len(hints))
        site.claim(hints)
    assert counts == [4, 8, 16, 32, 64]


def test_unclaimed_hints_are_followed_by_no_others(site: Site) -> None:
    queue_many(site.store, "flow", b"{}", 500)
    site.own = site.report("sweeper@a", idle=2)
    first = site.tick()
    assert len(first) == 8
    assert site.tick() == []
    site.claim(first[:3])
    # Three more than before may be under way, and five are.
    assert len(site.tick()) == 6


def test_one_sweep_sends_no_more_than_a_thousand_again(site: Site) -> None:
    queue_many(site.store, "flow", b"{}", 3000)
    site.own = site.report("sweeper@a", idle=200)
    for number in range(3):
        site.store.report(site.report(f"other@{number}", idle=200, queue=f"queue{number}"))
    assert len(site.tick()) == 1000


def test_a_broker_that_is_away_is_asked_by_one_hint(site: Site) -> None:
    queue_many(site.store, "flow", b"{}", 500)
    site.own = site.report("sweeper@a", idle=20)
    site.hints.away = True
    assert len(site.tick()) == 1
    site.hints.away = False
    assert len(site.tick()) == 4 * 20 - 1


def dead_process() -> Owner:
    """A process that was killed just now."""
    victim = subprocess.Popen(["sleep", "60"])
    owner = process(victim.pid)
    victim.kill()
    victim.wait()
    return owner


def test_what_is_known_of_a_dead_process_is_written_before_its_work_is_queued(site: Site) -> None:
    """Such as that it was killed for a time limit."""
    [hint] = queue_many(site.store, "flow", b"{}", 1)
    id_ = hint.execution_id
    limit = Failure("it ran too long", "TimeLimitExceeded")
    site.sweeper = Sweeper(
        lambda: site.store,
        site.hints,
        site.settings,
        lambda: site.own,
        before_reclaim=lambda: site.hints.dispatch(site.store.give_up(id_, limit)),
    )
    site.tick()
    assert site.store.claim(id_, "flow", dead_process(), 60)
    site.tick()
    found = site.store.get(id_)
    assert found is not None
    assert found.failure == limit


def test_work_that_another_worker_took_back_first_can_be_given_up(site: Site) -> None:
    [hint] = queue_many(site.store, "flow", b"{}", 1)
    id_ = hint.execution_id
    assert site.store.claim(id_, "flow", dead_process(), 60)
    site.tick()
    [told] = site.store.give_up(id_, Failure("it ran too long", "TimeLimitExceeded"))
    assert (told.execution_id, told.reason) == (id_, "ended")
    found = site.store.get(id_)
    assert found is not None
    assert found.status is Status.FAILED


def test_an_expired_lease_is_judged_after_one_lease_of_unbroken_contact_only(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its holder may have been cut off from the database as this worker was."""
    clock = [1000.0]
    monkeypatch.setattr(sweeper, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    lease = site.settings.lease_seconds
    [hint] = queue_many(site.store, "flow", b"{}", 1)
    # Of another host nobody can know whether it lives.
    assert site.store.claim(
        hint.execution_id, "flow", replace(this_process(), boot_id="elsewhere"), 60
    )
    edit(site.store.database, hint.execution_id, lease_expires_at=1)

    def status_after(seconds: float) -> Status:
        clock[0] += seconds
        site.tick()
        found = site.store.get(hint.execution_id)
        assert found is not None
        return found.status

    assert status_after(0) is Status.RUNNING
    assert status_after(lease - 1) is Status.RUNNING
    site.sweeper.lose_contact(StoreUnavailable("here", "it is away"))
    assert status_after(100 * lease) is Status.RUNNING
    assert status_after(lease - 1) is Status.RUNNING
    assert status_after(1) is Status.QUEUED


def test_what_it_did_is_counted(site: Site) -> None:
    hints = queue_many(site.store, "flow", b"{}", 12)
    for hint in hints[:2]:
        assert site.store.claim(hint.execution_id, "flow", dead_process(), 60)
    site.own = site.report("sweeper@a", idle=2)
    site.tick()
    counts = site.sweeper.counts
    assert (counts.sweeps, counts.leases_lost, counts.sent_again) == (1, 2, 8)
    assert counts.seconds > 0
    site.tick()
    after = site.sweeper.counts
    assert (after.sweeps, after.leases_lost, after.sent_again) == (2, 2, 8)
    assert after.seconds > counts.seconds


def test_it_ends_those_whose_time_is_over(site: Site) -> None:
    site.store.start(new("late"))
    site.store.start(new("in time", run_timeout_seconds=60))
    edit(site.store.database, "late", deadline_at=1)
    site.tick()
    found = [site.store.get(name) for name in ("late", "in time")]
    assert [it and it.status for it in found] == [Status.FAILED, Status.QUEUED]


def ended_long_ago(site: Site, count: int) -> None:
    for number in range(count):
        put(site.store.database, Status.COMPLETED, f"e{number}", finished_at=1)


def left(site: Site) -> int:
    return len(site.store.list_executions(ExecutionQuery(limit=1000)).items)


def test_it_keeps_all_where_no_retention_is_set(site: Site) -> None:
    ended_long_ago(site, 3)
    site.tick()
    assert left(site) == 3


def test_it_deletes_what_ended_before_the_retention(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeper, "_BATCH", 2)
    site.sweeper._settings = replace(site.settings, retention_days=1)
    ended_long_ago(site, 5)
    site.store.start(new("open"))
    counts = []
    for _ in range(4):
        site.tick()
        counts.append(left(site))
    assert counts == [4, 2, 1, 1]
    # Nothing was left to delete: it looks again only after a while.
    ended_long_ago(site, 1)
    site.tick()
    assert left(site) == 2
