"""Chains and chords with workflows in them, whose workers are killed at each hop."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from uuid import uuid4

import pytest
from celery import chain, chord

from tests.acceptance.conftest import opened
from tests.acceptance.market import Order, order, switch
from tests.acceptance.markets import Market, open_market
from tests.acceptance.stacks import Stack, Workers
from tests.support.processes import Program

ONCE = {"reserve": 1, "pay": 1, "ship": 1}
KILLS = 4
SLOTS = 2


@pytest.fixture(scope="module")
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """Only the one with a result backend."""
    with opened(request, "servers") as made:
        yield made


@pytest.fixture
def market(stack: Stack, worker: Workers) -> Iterator[Market]:
    """The project, whose workers end with the test."""
    with open_market(stack, worker) as made:
        yield made


def _replaced(market: Market, victim: Program, name: str) -> Program:
    """A worker in the place of one that was killed, or is killed now."""
    if victim.running:
        victim.kill(signal.SIGKILL, group=True)
    victim.wait(60)
    return market.worker(name)


def _dies(market: Market, victim: Program, execution: str, point: str) -> Program:
    market.ledger.wait_for(execution, point, "struck")
    return _replaced(market, victim, f"after-{point}")


def test_a_chain_survives_a_kill_at_each_hop(market: Market) -> None:
    me, id_ = str(uuid4()), str(uuid4())
    for point in ("before-claim", "after-end"):
        switch(id_, point).touch()
    result = chain(
        market.task("prepare", "Ada", 3, True),
        order.s().set(task_id=id_),
        market.task("finish", me),
    ).apply_async()
    running = _dies(market, market.worker(), id_, "before-claim")
    market.ledger.wait_for(id_, "reserve")
    running = _replaced(market, running, "in-step")
    market.ledger.wait_for(id_, "reserve", times=2)
    market.ledger.open_gate(id_)
    market.wait_for(id_, "waiting")
    running = _replaced(market, running, "parked")
    _dies(market, running, id_, "after-end")
    assert market.status(id_) == "completed"
    assert result.get(timeout=90) == {"name": "Ada", "number": 7}
    assert result.parent.id == id_
    assert result.parent.state == "SUCCESS"
    assert market.ledger.runs(id_) == ONCE | {"reserve": 2}
    assert market.ledger.runs(me) == {"finished": 1}


def test_a_chord_of_ten_survives_a_kill_at_each_hop(market: Market) -> None:
    me, ids = str(uuid4()), [str(uuid4()) for _ in range(10)]
    switch(ids[1], "before-claim").touch()
    switch(ids[3], "after-end").touch()
    gated, parked, seconds = 5, 8, 3
    header = [
        order.s(Order(name=str(n), seconds=seconds, gate=n in (gated, parked))).set(task_id=id_)
        for n, id_ in enumerate(ids)
    ]
    result = chord(header)(market.task("gather", me))
    running = _dies(market, market.worker(), ids[1], "before-claim")
    market.ledger.wait_for(ids[gated], "reserve")
    running = _replaced(market, running, "in-step")
    market.ledger.wait_for(ids[gated], "reserve", times=2)
    # Else it may have parked, and have ended as well, while a worker was started.
    market.ledger.open_gate(ids[parked])
    market.wait_for(ids[parked], "waiting")
    running = _replaced(market, running, "parked")
    market.ledger.open_gate(ids[gated])
    _dies(market, running, ids[3], "after-end")
    assert result.get(timeout=90) == [{"name": str(n), "number": 7} for n in range(10)]
    runs = [market.ledger.runs(id_) for id_ in ids]
    assert all(found.keys() == ONCE.keys() for found in runs)
    # What a killed worker was in the middle of may run again, in each of its slots.
    assert sum(sum(found.values()) - len(found) for found in runs) <= KILLS * SLOTS
    assert all(market.polos.get(id_).status == "completed" for id_ in ids)
    assert market.ledger.runs(me) == {"gathered": 1}


def test_a_chord_goes_on_though_whoever_had_claimed_to_send_its_body_was_killed(
    market: Market,
) -> None:
    me, first, last = (str(uuid4()) for _ in range(3))
    switch(last, "before-body").touch()
    header = [
        order.s(Order(name="first")).set(task_id=first),
        order.s(Order(name="last", gate=True)).set(task_id=last),
    ]
    result = chord(header)(market.task("gather", me))
    running = market.worker()
    market.wait_for(first, "completed")
    market.ledger.open_gate(last)
    _dies(market, running, last, "before-body")
    # It takes as long as the claim lasts, about 20 s.
    assert [found["name"] for found in result.get(timeout=90)] == ["first", "last"]
    assert market.ledger.runs(me) == {"gathered": 1}
