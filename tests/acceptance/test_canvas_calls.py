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
from tests.acceptance.shop import Order, order, refused
from tests.acceptance.shops import Shop, open_shop
from tests.acceptance.stacks import Stack, Workers
from tests.support.processes import until

pytestmark = pytest.mark.timeout(180)

RECEIPT = {"name": "Ada", "number": 7}


@pytest.fixture(scope="module")
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """Only the one with a result backend."""
    with opened(request, "servers") as made:
        yield made


@pytest.fixture(scope="module")
def shop(stack: Stack, workers: Workers) -> Iterator[Shop]:
    """The project, with a worker."""
    with open_shop(stack, workers) as made:
        made.worker(slots=3)
        yield made


@pytest.fixture(scope="module")
def stranger(shop: Shop) -> Celery:
    """A program without Polos."""
    made = Celery("stranger", set_as_current=False, broker=shop.stack.broker, backend=shop.backend)
    made.conf.task_default_queue = "shop"
    return made


def test_delay_takes_a_model_a_dict_or_fields(shop: Shop) -> None:
    results = [
        order.delay(Order(name="Ada")),
        order.delay({"name": "Ada"}),
        order.delay(name="Ada"),
    ]
    assert [result.get(timeout=60) for result in results] == [RECEIPT] * 3
    again = order.AsyncResult(results[0].id)
    assert (again.state, again.result) == ("SUCCESS", RECEIPT)
    assert shop.polos.get(results[0].id).status == "completed"
    assert again.name == "polos.shop-order"


def test_options_of_apply_async(shop: Shop) -> None:
    me, id_ = str(uuid4()), str(uuid4())
    began = time.monotonic()
    result = order.apply_async(
        (Order(name="Ada", seconds=0.1),),
        countdown=1.5,
        priority=3,
        task_id=id_,
        link=[shop.task("finish", me), order.si({"name": "linked"}).set(task_id=me)],
    )
    assert result.id == id_
    stored = shop.polos.get(id_)
    assert (stored.status, stored.priority) == ("waiting", 3)
    assert result.get(timeout=60) == RECEIPT
    assert shop.ledger.at(id_, "reserve") - began > 1.5
    shop.ledger.wait_for(me, "finished", "end")
    assert shop.app.AsyncResult(me).get(timeout=60) == {"name": "linked", "number": 7}
    assert {child.id for child in shop.app.AsyncResult(id_).children[0].children} >= {me}


def test_an_eta_of_this_machines_clock(shop: Shop) -> None:
    eta = datetime.now(UTC) + timedelta(seconds=1.5)
    began = time.monotonic()
    result = order.apply_async(({"name": "Ada"},), eta=eta)
    assert result.get(timeout=60) == RECEIPT
    assert shop.ledger.at(result.id, "reserve") - began > 1


def test_a_result_that_is_ignored_is_not_stored(shop: Shop) -> None:
    me, id_ = str(uuid4()), str(uuid4())
    failing = refused.signature(({"seconds": 0.6},), link_error=[shop.task("complain", me)])
    ignored = [
        order.apply_async(({"name": "Ada"},), ignore_result=True, link=shop.task("finish", me)),
        failing.apply_async(ignore_result=True, task_id=id_),
    ]
    shop.ledger.wait_for(me, "finished", "end")
    shop.ledger.wait_for(me, "complained", "end")
    assert [result.state for result in ignored] == ["PENDING", "PENDING"]
    assert shop.status(id_) == "failed"


def test_extended_results_have_the_payload(shop: Shop) -> None:
    result = order.delay({"name": "Ada"})
    result.get(timeout=60)
    assert (result.name, result.queue) == ("polos.shop-order", "shop")
    [payload] = result.args
    assert payload["name"] == "Ada"


def test_errbacks_of_both_kinds(shop: Shop) -> None:
    me = str(uuid4())
    both = [shop.task("complain", me), shop.task("complain_by_id", me)]
    result = refused.apply_async(({"seconds": 0.6},), link_error=both)
    with pytest.raises(StepExecutionError, match="the bank is closed"):
        result.get(timeout=60)
    shop.ledger.wait_for(me, "complained", "end")
    [told] = shop.ledger.wait_for(me, "complained by id", "end")
    assert told.text.endswith(result.id)


def test_groups_and_immutable_signatures(shop: Shop) -> None:
    me = str(uuid4())
    many = group(order.si(Order(name=str(n), seconds=0.6)) for n in range(3))
    result = chain(shop.task("prepare", "ignored"), many, shop.task("gather", me)).apply_async()
    assert [found["name"] for found in result.get(timeout=60)] == ["0", "1", "2"]


def test_a_chain_within_a_chord(shop: Shop) -> None:
    me = str(uuid4())
    header = [chain(shop.task("prepare", str(n)), order.s()) for n in range(3)]
    result = chord(header)(shop.task("gather", me))
    assert [found["name"] for found in result.get(timeout=60)] == ["0", "1", "2"]
    assert shop.ledger.runs(me) == {"gathered": 1}


def test_a_workflow_as_the_body_of_a_chord(shop: Shop) -> None:
    body = order.si({"name": "Ada"})
    assert chord([shop.task("prepare", "a"), shop.task("prepare", "b")])(body).get(60) == RECEIPT


def test_a_stranger_sends_it_with_countdown(shop: Shop, stranger: Celery) -> None:
    began = time.monotonic()
    sent = stranger.send_task("polos.shop-order", ({"name": "Ada"},), countdown=2, priority=2)
    # No worker holds the message until then.
    until(lambda: shop.status(sent.id) == "waiting", 30)
    assert time.monotonic() - began < 2
    assert shop.polos.get(sent.id).priority == 2
    assert sent.get(timeout=60) == RECEIPT
    assert shop.ledger.at(sent.id, "reserve") - began > 1.9


def test_a_strangers_canvas(shop: Shop, stranger: Celery) -> None:
    me = str(uuid4())

    def signature(name: str) -> Any:
        return stranger.signature("polos.shop-order", ({"name": name},))

    header = [signature(str(n)) for n in range(3)]
    body = stranger.signature("shop.gather", (me,))
    result = chord(header, app=stranger)(body)
    assert [found["name"] for found in result.get(timeout=60)] == ["0", "1", "2"]
    through = chain(signature("Ada"), stranger.signature("shop.finish", (me,)), app=stranger)()
    assert through.get(timeout=60) == RECEIPT


def test_beat_starts_workflows(shop: Shop) -> None:
    schedule = str(shop.stack.folder / "beat-schedule")
    with shop.program("beat", "-s", schedule):
        ticks = shop.ledger.wait_for("beat", "tick", "end", times=3)
    ids = [tick.text for tick in ticks]
    assert len(set(ids)) == len(ids)
    assert shop.status(ids[0]) in {"running", "completed"}
