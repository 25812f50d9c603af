"""Celery's ways to call a task, on workflows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from celery import Celery, chain, chord, group

from polos import StepExecutionError
from tests.acceptance.conftest import opened
from tests.acceptance.market import Order, order, refused
from tests.acceptance.markets import Market, open_market
from tests.acceptance.stacks import Stack, Workers
from tests.support.processes import until

RECEIPT = {"name": "Ada", "number": 7}


@pytest.fixture(scope="module")
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """Only the one with a result backend."""
    with opened(request, "servers") as made:
        yield made


@pytest.fixture(scope="module")
def market(stack: Stack, workers: Workers) -> Iterator[Market]:
    """The project, with a worker."""
    with open_market(stack, workers) as made:
        made.worker(slots=3)
        yield made


@pytest.fixture(scope="module")
def stranger(market: Market) -> Celery:
    """A program without Polos."""
    made = Celery(
        "stranger", set_as_current=False, broker=market.stack.broker, backend=market.backend
    )
    made.conf.task_default_queue = "market"
    return made


def test_delay_takes_a_model_a_dict_or_fields(market: Market) -> None:
    results = [
        order.delay(Order(name="Ada")),
        order.delay({"name": "Ada"}),
        order.delay(name="Ada"),
    ]
    assert [result.get(timeout=60) for result in results] == [RECEIPT] * 3
    again = order.AsyncResult(results[0].id)
    assert (again.state, again.result) == ("SUCCESS", RECEIPT)
    assert market.polos.get(results[0].id).status == "completed"
    assert again.name == "polos.market-order"


def test_options_of_apply_async(market: Market) -> None:
    me, id_ = str(uuid4()), str(uuid4())
    began = time.monotonic()
    result = order.apply_async(
        (Order(name="Ada", seconds=0.1),),
        countdown=3,
        priority=3,
        task_id=id_,
        link=[market.task("finish", me), order.si({"name": "linked"}).set(task_id=me)],
    )
    assert result.id == id_
    stored = market.polos.get(id_)
    assert (stored.status, stored.priority) == ("waiting", 3)
    assert result.get(timeout=60) == RECEIPT
    assert market.ledger.at(id_, "reserve") - began > 2.9
    market.ledger.wait_for(me, "finished", "end")
    assert market.app.AsyncResult(me).get(timeout=60) == {"name": "linked", "number": 7}
    assert {child.id for child in market.app.AsyncResult(id_).children[0].children} >= {me}


def test_an_eta_of_this_machines_clock(market: Market) -> None:
    eta = datetime.now(UTC) + timedelta(seconds=1.5)
    began = time.monotonic()
    result = order.apply_async(({"name": "Ada"},), eta=eta)
    assert result.get(timeout=60) == RECEIPT
    assert market.ledger.at(result.id, "reserve") - began > 1


def test_a_result_that_is_ignored_is_not_stored(market: Market) -> None:
    me, id_ = str(uuid4()), str(uuid4())
    failing = refused.signature(({"seconds": 0.6},), link_error=[market.task("complain", me)])
    ignored = [
        order.apply_async(({"name": "Ada"},), ignore_result=True, link=market.task("finish", me)),
        failing.apply_async(ignore_result=True, task_id=id_),
    ]
    market.ledger.wait_for(me, "finished", "end")
    market.ledger.wait_for(me, "complained", "end")
    assert [result.state for result in ignored] == ["PENDING", "PENDING"]
    assert market.status(id_) == "failed"


def test_extended_results_have_the_payload(market: Market) -> None:
    result = order.delay({"name": "Ada"})
    result.get(timeout=60)
    assert (result.name, result.queue) == ("polos.market-order", "market")
    [payload] = result.args
    assert payload["name"] == "Ada"


def test_errbacks_of_both_kinds(market: Market) -> None:
    me = str(uuid4())
    both = [market.task("complain", me), market.task("complain_by_id", me)]
    result = refused.apply_async(({"seconds": 0.6},), link_error=both)
    with pytest.raises(StepExecutionError, match="the bank is closed"):
        result.get(timeout=60)
    market.ledger.wait_for(me, "complained", "end")
    [told] = market.ledger.wait_for(me, "complained by id", "end")
    assert told.text.endswith(result.id)


def test_groups_and_immutable_signatures(market: Market) -> None:
    me = str(uuid4())
    many = group(order.si(Order(name=str(n), seconds=0.6)) for n in range(3))
    result = chain(market.task("prepare", "ignored"), many, market.task("gather", me)).apply_async()
    assert [found["name"] for found in result.get(timeout=60)] == ["0", "1", "2"]


def test_a_chain_within_a_chord(market: Market) -> None:
    me = str(uuid4())
    header = [chain(market.task("prepare", str(n)), order.s()) for n in range(3)]
    result = chord(header)(market.task("gather", me))
    assert [found["name"] for found in result.get(timeout=60)] == ["0", "1", "2"]
    assert market.ledger.runs(me) == {"gathered": 1}


def test_a_workflow_as_the_body_of_a_chord(market: Market) -> None:
    body = order.si({"name": "Ada"})
    assert (
        chord([market.task("prepare", "a"), market.task("prepare", "b")])(body).get(60) == RECEIPT
    )


def test_a_stranger_sends_it_with_countdown(market: Market, stranger: Celery) -> None:
    began = time.monotonic()
    sent = stranger.send_task("polos.market-order", ({"name": "Ada"},), countdown=4, priority=2)
    # No worker holds the message until then.
    until(lambda: market.status(sent.id) == "waiting", 30)
    assert time.monotonic() - began < 4
    assert market.polos.get(sent.id).priority == 2
    assert sent.get(timeout=60) == RECEIPT
    assert market.ledger.at(sent.id, "reserve") - began > 3.9


def test_a_strangers_canvas(market: Market, stranger: Celery) -> None:
    me = str(uuid4())

    def signature(name: str) -> Any:
        return stranger.signature("polos.market-order", ({"name": name},))

    header = [signature(str(n)) for n in range(3)]
    body = stranger.signature("market.gather", (me,))
    result = chord(header, app=stranger)(body)
    assert [found["name"] for found in result.get(timeout=60)] == ["0", "1", "2"]
    through = chain(signature("Ada"), stranger.signature("market.finish", (me,)), app=stranger)()
    assert through.get(timeout=60) == RECEIPT


def test_beat_starts_workflows(market: Market) -> None:
    schedule = str(market.stack.folder / "beat-schedule")
    with market.program("beat", "-s", schedule):
        ticks = market.ledger.wait_for("beat", "tick", "end", times=3)
    ids = [tick.text for tick in ticks]
    assert len(set(ids)) == len(ids)
    assert market.status(ids[0]) in {"running", "completed"}
