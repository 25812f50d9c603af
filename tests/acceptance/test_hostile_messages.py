"""Thousands of messages of ill will, while honest executions run beside them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from polos import ExecutionHandle, PolosClient
from tests.acceptance import flows, hostile_flows
from tests.acceptance.hostile_messages import Rain, huge
from tests.acceptance.ledger import Ledger
from tests.acceptance.stacks import FLOWS, Stack, Workers, wait_for_status
from tests.acceptance.tables import Tables
from tests.support.processes import Program, until

pytestmark = pytest.mark.timeout(400)

TASKS = {"polos.hostile-double": {"number": 4}, "polos.hostile-triple": {"number": 5}}
# The embedded broker is a folder; thousands of files in it at once take their time.
MESSAGES = {("servers", "prefork"): 10_000, ("servers", "threads"): 1_000}
FEWER = 300
SHOWER = 200
MOST_GROWTH = 150_000_000
TRACEBACK = re.compile(r"Traceback \(most recent call last\):\n(?:[ \t].*\n|\n)*.*\n")


class Honest:
    """Executions in every state, whose ids the messages bear, and others that come and go."""

    def __init__(self, client: PolosClient, ledger: Ledger, tables: Tables) -> None:
        self._client = client
        self._ledger = ledger
        self._tables = tables
        self.parked = flows.sleeper.start(client)
        self.ended = flows.quick.start(client)
        assert self.ended.result_sync(60) == "done"
        wait_for_status(self.parked, "waiting")
        self.running = hostile_flows.lasting.start(client)
        ledger.wait_for(self.running.id, "begun")
        self.resting = flows.rest.start(client, {"seconds": 15})
        wait_for_status(self.resting, "waiting")
        self._before = {h.id: tables.row(h.id) for h in (self.parked, self.ended)}
        self.others: list[tuple[ExecutionHandle[Any], Any]] = []

    @property
    def targets(self) -> dict[str, str]:
        """The id of each execution to aim at, and the name of its task."""
        aimed = (self.parked, self.ended, self.running, self.resting)
        return {handle.id: f"polos.{handle.workflow_id}" for handle in aimed}

    def start_others(self, number: int) -> None:
        """Start some more."""
        doubled = hostile_flows.double.start(self._client, {"number": number})
        self.others.append((doubled, number * 2))
        if number % 5 == 0:
            journey = flows.plain_def.start(self._client, {"number": number})
            self.others.append((journey, number + 1))

    def check(self) -> None:
        """They all end as they should, and as if nothing had been."""
        for handle, result in self.others:
            assert handle.result_sync(60) == result
            assert self._tables.row(handle.id)["recoveries"] == 0
        for id_, before in self._before.items():
            assert self._tables.row(id_) | {"now": 0} == before | {"now": 0}
        row = self._tables.row(self.running.id)
        assert (row["status"], row["claims"], row["recoveries"]) == ("running", 1, 0)
        self._ledger.open_gate(self.running.id)
        assert self.running.result_sync(60) == "lasted"
        assert self.resting.result_sync(60) == "rested"
        assert self._ledger.runs(self.running.id) == {"begun": 1}
        assert self._ledger.runs(self.resting.id) == {"say": 1}

    def ids(self) -> set[str]:
        """All of them."""
        return {*self.targets, *(handle.id for handle, _ in self.others)}


@pytest.fixture(scope="module", params=["prefork", "threads"])
def pool(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def tables(client: PolosClient) -> Iterator[Tables]:
    made = Tables(client)
    yield made
    made.close()


def test_a_rain_of_hostile_messages(
    worker: Workers,
    stack: Stack,
    client: PolosClient,
    ledger: Ledger,
    tables: Tables,
    pool: str,
    record_property: Any,
) -> None:
    names = f"{FLOWS},tests.acceptance.hostile_flows"
    tables.execute("DELETE FROM polos_executions")
    # A line for each message would take most of the time.
    target = worker(pool, slots=3, name=pool, flows=names, args=("-l", "WARNING"), ready=False)
    honest = Honest(client, ledger, tables)
    rain = Rain(seed=20, tasks=TASKS, targets=honest.targets)
    crew = _processes(target)
    before = psutil.Process(target.pid).memory_info().rss
    count = MESSAGES.get((stack.name, pool), FEWER)
    _pour(client, stack, target, honest, rain, count)
    honest.check()
    _wait_until_all_is_read(stack, honest)
    rows = tables.column("SELECT id FROM polos_executions")
    assert set(rows) == honest.ids() | rain.started
    open_ = "SELECT id FROM polos_executions WHERE status NOT IN ('completed') AND id <> :parked"
    until(lambda: not tables.column(open_, parked=honest.parked.id), 60)
    assert _processes(target) == crew
    assert sum(rain.kinds.values()) == count
    assert psutil.Process(target.pid).memory_info().rss - before < MOST_GROWTH
    log = target.text()
    record_property("grown", psutil.Process(target.pid).memory_info().rss - before)
    assert [found for found in TRACEBACK.findall(log) if "/polos/" in found] == []
    assert "raised unexpected" not in log
    assert "Exception raised outside body" not in log
    _each_is_named(log, rain)
    if stack.redis is not None:
        _celery_knows(stack, client, honest, rain)


def _pour(
    client: PolosClient, stack: Stack, target: Program, honest: Honest, rain: Rain, count: int
) -> None:
    big = huge("polos.hostile-double", sorted(honest.targets)[:3])
    with client.bound.app.connection_for_write() as connection:
        producer = connection.Producer()
        for number, message in enumerate([*rain.draw(count), *big]):
            message.publish(producer, "polos")
            if number % SHOWER == 0:
                honest.start_others(number // SHOWER)
                until(
                    lambda: stack.queued_messages() < 2 * SHOWER or not target.running,
                    120,
                    message="the worker reads the messages",
                )
                assert target.running, target.tail()


def _wait_until_all_is_read(stack: Stack, honest: Honest) -> None:
    """No message lies in the queue, and none is being worked on."""
    until(lambda: stack.queued_messages() == 0, 120, message="an empty queue")
    if stack.redis is not None:
        redis = stack.redis
        until(lambda: redis.command("HLEN unacked") == ":0", 60, message="nothing unacked")
    else:
        honest.start_others(1)
        assert honest.others[-1][0].result_sync(60) == 2


def _processes(worker: Program) -> set[int]:
    return {worker.pid, *(child.pid for child in worker.children())}


def _each_is_named(log: str, rain: Rain) -> None:
    """There is a line for each message that was refused, which says what is wrong with it."""
    reasons = dict(re.findall(r"a message for polos\.\S+?\[(.{36})\] is refused: (.+)", log))
    assert rain.refused - set(reasons) == set()
    if sum(rain.kinds.values()) >= 1000:
        assert any("its chain is of type" in reason for reason in reasons.values())
        assert "its id has 10000 characters" in log
        assert "holds a NUL character" in log


def _celery_knows(stack: Stack, client: PolosClient, honest: Honest, rain: Rain) -> None:
    """Only the starts with a payload that doesn't fit have failed."""
    app = client.bound.app
    app.conf.result_backend = stack.broker
    for id_ in sorted(rain.unfit):
        result = app.AsyncResult(id_)
        until(lambda it=result: it.state == "FAILURE", 30, message=id_)
        assert re.search(r"payload|NUL|characters", str(result.result)), result.result
    for id_ in sorted(honest.ids() | rain.started):
        wanted = "RETRY" if id_ == honest.parked.id else "SUCCESS"
        until(lambda id_=id_, it=wanted: app.AsyncResult(id_).state in ("SUCCESS", it), 30)
