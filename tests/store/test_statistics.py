"""A day of each workflow, against the same worked out one by one."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
from sqlalchemy import text

from polos.model.finding import Count
from polos.model.records import SECOND
from polos.model.states import Status
from polos.model.statistics import Due, FlowDay, Lasted
from polos.model.workers import WorkerReport
from polos.store import statistics
from polos.store.sql_store import SqlStore
from tests.store.reading import analyze, most_rows_read
from tests.store.scenes import OWNER, edit, new, put
from tests.support.bulk import finish_many, queue_many

HOUR = 3600 * SECOND


def ended(store: SqlStore, id_: str, ago: float, took: float, failed: bool = False) -> None:
    """One of ``flow`` that was created so many hours ago and took so many seconds."""
    put(store.database, Status.FAILED if failed else Status.COMPLETED, id_)
    created = store.now() - int(ago * HOUR)
    times = {"created_at": created, "started_at": created}
    edit(store.database, id_, **times, finished_at=created + int(took * SECOND))


def flow_of(store: SqlStore, **given: Any) -> FlowDay:
    found = {flow.workflow_id: flow for flow in store.day().flows}
    return found["flow"]


def test_the_figures_are_of_the_last_day_only(store: SqlStore) -> None:
    took = [0.5, 1, 2, 3, 4, 5, 6, 7, 8, 100]
    for number, seconds in enumerate(took):
        ended(store, f"e{number}", ago=2.5, took=seconds)
    ended(store, "bad", ago=5.5, took=3000, failed=True)
    ended(store, "long ago", ago=30, took=1)
    ended(store, "only ended", ago=25, took=1.5 * 3600)
    store.start(new("theirs", project_id="theirs"))
    flow = flow_of(store)
    assert (flow.started, flow.ended, flow.failed) == (11, 12, 1)
    by_hour = Counter({24 - math.ceil(2.5): 10, 24 - math.ceil(5.5): 1})
    assert flow.by_hour == tuple(by_hour[hour] for hour in range(24))
    # It ended 50 minutes later.
    assert [hour for hour, number in enumerate(flow.failed_by_hour) if number] == [19]
    assert flow.lasted == Lasted(p50=5, p95=5400)
    assert flow.due is None


@pytest.mark.parametrize("number", [1, 2, 19, 20, 21, 100])
def test_percentiles_are_those_of_the_nearest_rank(store: SqlStore, number: int) -> None:
    for place in range(number):
        ended(store, f"e{place}", ago=3, took=(place * 37 % number) + 1)
    lasted = flow_of(store).lasted
    assert lasted == Lasted(math.ceil(number * 0.5), math.ceil(number * 0.95))


def test_what_is_due_and_who_could_take_it(store: SqlStore) -> None:
    store.start(new("one"))
    store.start(new("two"))
    edit(store.database, "one", created_at=7)
    put(store.database, Status.WAITING, "due", wake_at=5, dispatch_at=5)
    put(store.database, Status.WAITING, "not due")
    later = store.now() + HOUR
    edit(store.database, "not due", wake_at=later, dispatch_at=store.now() + 30 * SECOND)
    for name, flows in (("w1", ("flow", "unused")), ("w2", ("flow",))):
        store.report(WorkerReport(name, str(OWNER), 1, 1, workflows=flows))
    flow = flow_of(store)
    assert flow.due == Due(Count(3), 5)
    assert flow.workers == ("w1", "w2")
    assert {it.workflow_id for it in store.day().flows} == {"flow", "unused"}


def test_a_project_without_anything_has_no_figures(store: SqlStore) -> None:
    assert store.day().flows == ()


def test_where_there_is_too_much_it_says_since_when(store: SqlStore) -> None:
    for number in range(10):
        ended(store, f"e{number}", ago=number + 0.5, took=1)
    seen = statistics.day(store.database, "default", most=4)
    assert sum(flow.started for flow in seen.flows) == 4
    for since in (seen.created_since, seen.ended_since):
        assert 3.4 * HOUR < seen.now - since < 3.6 * HOUR
    whole = store.day()
    assert whole.now - whole.created_since == 24 * HOUR


def test_it_reads_a_bounded_part(store: SqlStore) -> None:
    many, most = 6000, 100
    finish_many(store, many)
    queue_many(store, "flow-1", b"{}", 300)
    moment = store.now() - HOUR
    store.database.run(
        text(
            f"UPDATE polos_executions SET created_at = {moment}, finished_at = {moment} "
            "WHERE finished_at IS NOT NULL"
        )
    )
    analyze(store.database)
    read = most_rows_read(
        store.database, lambda: statistics.day(store.database, "default", most=most)
    )
    # Windows, and what a database keeps of them to group and rank: less than all of it once.
    assert read < many
