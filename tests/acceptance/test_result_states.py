"""What a result backend is told over the life of an execution: no state runs backwards."""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any
from uuid import uuid4

import pytest
import redis
from celery import chain
from celery.result import AsyncResult
from celery.states import READY_STATES

from polos.model.records import ExecutionId, Hint
from tests.acceptance.conftest import opened
from tests.acceptance.market import Order, long, order, refused, switch
from tests.acceptance.markets import Market, open_market
from tests.acceptance.stacks import Stack, Workers
from tests.support.processes import until

States = Callable[[str], list[str]]


@pytest.fixture(scope="module")
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """Only the one with servers."""
    with opened(request, "servers") as made:
        yield made


@pytest.fixture(scope="module", params=["redis", "database"])
def backend(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def market(stack: Stack, workers: Workers, backend: str) -> Iterator[Market]:
    """The project with this backend, and two workers."""
    workers.close()
    url = "" if backend == "redis" else f"db+sqlite:///{stack.folder / 'results.db'}"
    with open_market(stack, workers, url) as made:
        if backend == "database":
            _log_writes(made)
        pair = [made.worker(name, slots=2, ready=False) for name in ("one", "two")]
        for each in pair:
            each.wait_for(" ready.", 60)
        yield made


@pytest.fixture
def states(market: Market, backend: str) -> Iterator[States]:
    """All states that were stored of an id, in their order."""
    if backend == "database":
        yield lambda id_: _logged(market, id_)
        return
    seen: list[dict[str, Any]] = []
    with redis.Redis.from_url(market.backend) as client, client.pubsub() as heard:
        heard.psubscribe("celery-task-meta-*")
        until(lambda: heard.get_message(timeout=1))
        stop = threading.Event()
        listener = threading.Thread(target=_listen, args=(market, heard, seen, stop))
        listener.start()
        yield lambda id_: [meta["status"] for meta in seen if meta["task_id"] == id_]
        stop.set()
        listener.join()


def _listen(market: Market, heard: Any, seen: list[dict[str, Any]], stop: threading.Event) -> None:
    while not stop.is_set():
        message = heard.get_message(timeout=0.1)
        if message is not None:
            seen.append(market.app.backend.decode_result(message["data"]))


def _log_writes(market: Market) -> None:
    market.app.backend.ResultSession().close()  # makes the tables
    with closing(sqlite3.connect(market.stack.folder / "results.db")) as database:
        database.execute("CREATE TABLE seen (task_id TEXT, status TEXT)")
        for event in ("INSERT", "UPDATE"):
            database.execute(
                f"CREATE TRIGGER seen_{event} AFTER {event} ON celery_taskmeta BEGIN "
                "INSERT INTO seen VALUES (new.task_id, new.status); END"
            )
        database.commit()


def _logged(market: Market, id_: str) -> list[str]:
    with closing(sqlite3.connect(market.stack.folder / "results.db")) as database:
        rows = database.execute("SELECT status FROM seen WHERE task_id = ? ORDER BY rowid", [id_])
        # The database backend inserts a row before it knows what to write.
        return [status for (status,) in rows if status != "PENDING"]


def _check(states: States, id_: str, end: str) -> None:
    """RETRY any number of times, then the one end."""
    # What is published is heard a little later.
    until(lambda: states(id_)[-1:] == [end], 30, message=lambda: str(states(id_)))
    found = states(id_)
    retries = [state for state in found if state == "RETRY"]
    assert found == retries + [end] * (len(found) - len(retries))


def _twice(market: Market, id_: str, workflow_id: str) -> None:
    """Send the messages of an execution again."""
    kept = market.polos.get(id_).celery_options
    market.polos.bound.dispatcher.dispatch(
        [Hint(ExecutionId(id_), workflow_id, celery_options=kept)] * 3
    )


def _ended(market: Market, id_: str) -> AsyncResult:
    result = market.app.AsyncResult(id_)
    until(lambda: result.state in READY_STATES, 60, message=lambda: result.state)
    return result


def test_of_one_that_waits_twice(market: Market, states: States) -> None:
    # Long enough for the doubled messages to come while it waits, and not when it is about to end.
    result = order.delay(Order(name="Ada", seconds=3))
    until(lambda: states(result.id), 30)
    _twice(market, result.id, "market-order")
    assert _ended(market, result.id).state == "SUCCESS"
    _twice(market, result.id, "market-order")
    _check(states, result.id, "SUCCESS")
    assert states(result.id).count("RETRY") == 2


def test_of_one_that_was_revoked_while_it_waited(market: Market, states: States) -> None:
    result = order.delay(Order(name="Ada", seconds=3600))
    until(lambda: states(result.id) == ["RETRY"], 30)
    market.app.control.revoke(result.id)
    assert _ended(market, result.id).state == "REVOKED"
    _twice(market, result.id, "market-order")
    _check(states, result.id, "REVOKED")


def test_of_one_that_ends_well_although_it_was_revoked(market: Market, states: States) -> None:
    """Cancelling is a request; Celery's own command would store REVOKED at once."""
    id_ = str(uuid4())
    order.apply_async((Order(name="Ada", gate=True, seconds=0.1),), task_id=id_)
    market.ledger.wait_for(id_, "reserve")
    market.app.control.revoke(id_)
    until(lambda: market.polos.get(id_).cancel_requested, 30)
    assert states(id_) == []
    market.ledger.open_gate(id_)
    end = _ended(market, id_).state
    _check(states, id_, end)


def test_of_one_that_was_terminated(market: Market, states: States) -> None:
    result = long.delay({})
    market.ledger.wait_for(result.id, "long")
    market.app.control.revoke(result.id, terminate=True)
    assert _ended(market, result.id).state == "REVOKED"
    _check(states, result.id, "REVOKED")


def test_of_one_whose_chain_can_not_be_sent(market: Market, states: States) -> None:
    """Left alone, Celery stores a failure of what has succeeded, and the chain ends there."""
    me, id_ = str(uuid4()), str(uuid4())
    switch(id_, "no-broker").touch()
    first = order.s(Order(name="Ada", seconds=0.6)).set(task_id=id_)
    result = chain(first, market.task("finish", me)).apply_async()
    assert result.get(timeout=60) == {"name": "Ada", "number": 7}
    assert not switch(id_, "no-broker").exists()
    _check(states, id_, "SUCCESS")
    assert market.ledger.runs(me) == {"finished": 1}


def test_of_one_whose_worker_stands_still_after_a_park(market: Market, states: States) -> None:
    """It was about to store RETRY; another worker has stored the failure meanwhile."""
    id_ = str(uuid4())
    switch(id_, "parked").touch()
    refused.apply_async(({"seconds": 0.7},), task_id=id_)
    [stopped] = market.ledger.wait_for(id_, "parked", "struck")
    assert _ended(market, id_).state == "FAILURE"
    _check(states, id_, "FAILURE")
    os.kill(stopped.pid, signal.SIGCONT)
    retried = f"[{id_}] retry: waiting for 'first'"
    until(lambda: any(retried in each.text() for each in market.stack.workers), 30)
    _check(states, id_, "FAILURE")
    assert market.app.AsyncResult(id_).state == "FAILURE"
