"""How workflows in chains and chords end other than well: cancelled, revoked, expired, refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import psutil
import pytest
from celery import chain, chord
from celery.exceptions import ChordError, TaskRevokedError

from polos import InvalidPayload, WorkflowFailedError
from polos.model.records import Failure
from tests.acceptance.conftest import opened
from tests.acceptance.market import Order, long, order
from tests.acceptance.markets import Market, open_market
from tests.acceptance.stacks import Stack, Workers
from tests.support.processes import until

HOUR = 3600.0


@pytest.fixture(scope="module")
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """Only the one with a result backend."""
    with opened(request, "servers") as made:
        yield made


@pytest.fixture(scope="module")
def market(stack: Stack, workers: Workers) -> Iterator[Market]:
    """The project, with two workers."""
    with open_market(stack, workers) as made:
        pair = [made.worker(name, slots=3, ready=False) for name in ("one", "two")]
        for each in pair:
            each.wait_for(" ready.", 60)
        yield made


class Case:
    """A chain of a workflow, with an errback, and what comes after it."""

    def __init__(self, market: Market, first: Any, **options: Any) -> None:
        self.market = market
        self.id, self.me = str(uuid4()), str(uuid4())
        complaint = market.task("complain", self.me)
        first = first.set(task_id=self.id, link_error=[complaint], **options)
        self.result = chain(first, market.task("finish", self.me)).apply_async()

    def fails_as_revoked(self, text: str) -> None:
        """The chain has failed: both results say so, the errback was told, and nothing went on."""
        with pytest.raises(TaskRevokedError, match=text):
            self.result.get(timeout=60)
        assert (self.result.parent.state, self.result.state) == ("REVOKED", "REVOKED")
        [told, *_] = self.market.ledger.wait_for(self.me, "complained", "end")
        assert told.text.startswith(f"TaskRevokedError: execution {self.id} {text}")
        assert "finished" not in self.market.ledger.runs(self.me)
        assert self.market.status(self.id) == "cancelled"


def parked(seconds: float = HOUR) -> Any:
    """An order that waits."""
    return order.s(Order(name="Ada", seconds=seconds))


def test_a_chain_fails_when_its_workflow_is_cancelled_while_parked(market: Market) -> None:
    case = Case(market, parked())
    market.wait_for(case.id, "waiting")
    assert market.polos.cancel(case.id)
    case.fails_as_revoked("was cancelled")
    assert market.ledger.runs(case.id) == {"reserve": 1, "clean up": 1}


def test_a_chord_fails_when_one_of_it_is_cancelled_while_parked(market: Market) -> None:
    me, id_ = str(uuid4()), str(uuid4())
    header = [order.s(Order(name="quick")), parked().set(task_id=id_)]
    body = market.task("gather", me).on_error(market.task("complain", me))
    result = chord(header)(body)
    market.wait_for(id_, "waiting")
    market.polos.cancel(id_)
    # Celery raises what it sees first, the error of the one or of the chord.
    with pytest.raises((ChordError, TaskRevokedError), match="was cancelled"):
        result.get(timeout=60)
    until(lambda: result.state == "FAILURE", 30)
    market.ledger.wait_for(me, "complained", "end")
    assert "gathered" not in market.ledger.runs(me)


def test_a_chain_fails_when_its_workflow_is_ended_from_outside(market: Market) -> None:
    """As for too many deaths, or a limit."""
    case = Case(market, long.s({}))
    market.ledger.wait_for(case.id, "long")
    market.polos.bound.store.give_up(case.id, Failure("it took too long", "TooLong"))
    with pytest.raises(WorkflowFailedError, match="TooLong: it took too long"):
        case.result.get(timeout=60)
    assert (case.result.parent.state, case.result.state) == ("FAILURE", "FAILURE")
    market.ledger.wait_for(case.me, "complained", "end")
    assert "finished" not in market.ledger.runs(case.me)


def test_expires_passes_while_it_is_parked_without_effect(market: Market) -> None:
    case = Case(market, parked(2.5), expires=4)
    assert case.result.get(timeout=60) == {"name": "Ada", "number": 7}
    assert market.ledger.runs(case.me) == {"finished": 1}


@pytest.mark.parametrize("by", ["a program with Polos", "a stranger"])
def test_one_that_expires_before_it_begins_never_does(market: Market, by: str) -> None:
    signature = parked()
    if by == "a stranger":
        signature = market.stranger().signature(
            "polos.market-order", ({"name": "Ada"},), queue="market"
        )
    case = Case(market, signature, countdown=HOUR, expires=1)
    case.fails_as_revoked("expired before it began")
    assert market.ledger.runs(case.id) == {}


def test_a_revoked_one_that_is_parked_cleans_up(market: Market) -> None:
    case = Case(market, parked())
    market.wait_for(case.id, "waiting")
    market.app.control.revoke(case.id)
    case.fails_as_revoked("was cancelled")
    assert market.ledger.runs(case.id) == {"reserve": 1, "clean up": 1}


@pytest.mark.parametrize("terminate", [False, True])
def test_a_revoked_one_that_nobody_has_begun_never_does(market: Market, terminate: bool) -> None:
    case = Case(market, parked(), countdown=HOUR)
    until(lambda: market.status(case.id) == "waiting", 30)
    market.app.control.revoke(case.id, terminate=terminate)
    case.fails_as_revoked("was cancelled")
    assert market.ledger.runs(case.id) == {}


def test_a_revoked_one_that_runs_cleans_up(market: Market) -> None:
    case = Case(market, long.s({}))
    market.ledger.wait_for(case.id, "long")
    market.app.control.revoke(case.id)
    case.fails_as_revoked("was cancelled")
    assert market.ledger.entries(case.id, "long", "cancelled")
    assert market.ledger.runs(case.id) == {"long": 1, "clean up": 1}


def test_a_terminated_one_ends_where_it_is(market: Market) -> None:
    case = Case(market, long.s({}))
    [begun] = market.ledger.wait_for(case.id, "long")
    market.app.control.revoke(case.id, terminate=True, signal="SIGKILL")
    case.fails_as_revoked("was cancelled")
    until(lambda: not _runs(begun.pid), 30, message="its process is killed")
    assert market.ledger.runs(case.id) == {"long": 1}


def _runs(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_a_result_revokes_without_a_worker_that_hears_of_it(market: Market) -> None:
    result = order.apply_async((Order(name="Ada"),), queue="market-of-nobody")
    result.revoke()
    assert market.status(result.id) == "cancelled"
    assert market.app.AsyncResult(str(uuid4())).state == "PENDING"


def test_a_revoked_stamp_reaches_the_next_message(market: Market) -> None:
    signature = parked(4)
    signature.stamp(basket="b1")
    case = Case(market, signature)
    market.wait_for(case.id, "waiting")
    market.app.control.revoke_by_stamped_headers({"basket": ["b1"]})
    case.fails_as_revoked("was cancelled")
    assert "ship" not in market.ledger.runs(case.id)


def test_other_tasks_are_revoked_as_ever(market: Market) -> None:
    me = str(uuid4())
    result = market.task("finish", None, me).apply_async(countdown=2)
    market.app.control.revoke(result.id)
    with pytest.raises(TaskRevokedError, match="revoked"):
        result.get(timeout=30)
    assert market.ledger.runs(me) == {}


def test_an_id_that_is_revoked_before_its_turn_in_a_chain(market: Market) -> None:
    first, second, me = (str(uuid4()) for _ in range(3))
    result = chain(
        market.task("prepare", "Ada").set(countdown=2, task_id=first),
        order.s().set(task_id=second),
        market.task("finish", me),
    ).apply_async()
    market.app.control.revoke(second)
    with pytest.raises(TaskRevokedError):
        result.get(timeout=60)
    until(lambda: market.status(second) == "cancelled", 30)
    assert market.ledger.runs(second) == {}


@pytest.mark.parametrize("found", ["no dict", {"nope": 1}, None], ids=repr)
def test_what_comes_before_gives_no_payload(market: Market, found: Any) -> None:
    me, mine, id_ = (str(uuid4()) for _ in range(3))
    complaint = market.task("complain", me)
    result = chain(
        market.task("finish", found, mine),
        order.s().set(task_id=id_, link_error=[complaint]),
        market.task("finish", me),
    ).apply_async()
    with pytest.raises(InvalidPayload):
        result.get(timeout=60)
    assert result.parent.state == "FAILURE"
    # Celery stores it after it has sent what follows.
    until(lambda: result.parent.parent.state == "SUCCESS", 30)
    market.ledger.wait_for(me, "complained", "end")
    assert market.status(id_) == ""


def test_a_payload_that_does_not_fit_is_refused_at_the_call(market: Market) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: order.delay({"nope": 1}),
        lambda: order.apply_async(({"nope": 1},)),
        lambda: order.delay("a text"),
        lambda: order.delay(),
    ]
    for call in calls:
        with pytest.raises((InvalidPayload, TypeError)):
            call()
