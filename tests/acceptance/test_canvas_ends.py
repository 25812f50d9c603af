"""How workflows in chains and chords end other than well: cancelled, revoked, expired, refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from celery import chain, chord
from celery.exceptions import ChordError, TaskRevokedError

from polos import InvalidPayload, WorkflowFailedError
from polos.model.records import Failure
from tests.acceptance.conftest import opened
from tests.acceptance.shop import Order, long, order
from tests.acceptance.shops import Shop, open_shop
from tests.acceptance.stacks import Stack, Workers
from tests.support.processes import until

pytestmark = pytest.mark.timeout(180)

HOUR = 3600.0


@pytest.fixture(scope="module")
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """Only the one with a result backend."""
    with opened(request, "servers") as made:
        yield made


@pytest.fixture(scope="module")
def shop(stack: Stack, workers: Workers) -> Iterator[Shop]:
    """The project, with two workers."""
    with open_shop(stack, workers) as made:
        pair = [made.worker(name, slots=3, ready=False) for name in ("one", "two")]
        for each in pair:
            each.wait_for(" ready.", 60)
        yield made


class Case:
    """A chain of a workflow, with an errback, and what comes after it."""

    def __init__(self, shop: Shop, first: Any, **options: Any) -> None:
        self.shop = shop
        self.id, self.me = str(uuid4()), str(uuid4())
        complaint = shop.task("complain", self.me)
        first = first.set(task_id=self.id, link_error=[complaint], **options)
        self.result = chain(first, shop.task("finish", self.me)).apply_async()

    def fails_as_revoked(self, text: str) -> None:
        """The chain has failed: both results say so, the errback was told, and nothing went on."""
        with pytest.raises(TaskRevokedError, match=text):
            self.result.get(timeout=60)
        assert (self.result.parent.state, self.result.state) == ("REVOKED", "REVOKED")
        [told, *_] = self.shop.ledger.wait_for(self.me, "complained", "end")
        assert told.text.startswith(f"TaskRevokedError: execution {self.id} {text}")
        assert "finished" not in self.shop.ledger.runs(self.me)
        assert self.shop.status(self.id) == "cancelled"


def parked(seconds: float = HOUR) -> Any:
    """An order that waits."""
    return order.s(Order(name="Ada", seconds=seconds))


def test_a_chain_fails_when_its_workflow_is_cancelled_while_parked(shop: Shop) -> None:
    case = Case(shop, parked())
    shop.wait_for(case.id, "waiting")
    assert shop.polos.cancel(case.id)
    case.fails_as_revoked("was cancelled")
    assert shop.ledger.runs(case.id) == {"reserve": 1, "clean up": 1}


def test_a_chord_fails_when_one_of_it_is_cancelled_while_parked(shop: Shop) -> None:
    me, id_ = str(uuid4()), str(uuid4())
    header = [order.s(Order(name="quick")), parked().set(task_id=id_)]
    body = shop.task("gather", me).on_error(shop.task("complain", me))
    result = chord(header)(body)
    shop.wait_for(id_, "waiting")
    shop.polos.cancel(id_)
    # Celery raises what it sees first, the error of the one or of the chord.
    with pytest.raises((ChordError, TaskRevokedError), match="was cancelled"):
        result.get(timeout=60)
    until(lambda: result.state == "FAILURE", 30)
    shop.ledger.wait_for(me, "complained", "end")
    assert "gathered" not in shop.ledger.runs(me)


def test_a_chain_fails_when_its_workflow_is_ended_from_outside(shop: Shop) -> None:
    """As for too many deaths, or a limit."""
    case = Case(shop, long.s({}))
    shop.ledger.wait_for(case.id, "long")
    shop.polos.bound.store.give_up(case.id, Failure("it took too long", "TooLong"))
    with pytest.raises(WorkflowFailedError, match="TooLong: it took too long"):
        case.result.get(timeout=60)
    assert (case.result.parent.state, case.result.state) == ("FAILURE", "FAILURE")
    shop.ledger.wait_for(case.me, "complained", "end")
    assert "finished" not in shop.ledger.runs(case.me)


def test_expires_passes_while_it_is_parked_without_effect(shop: Shop) -> None:
    case = Case(shop, parked(1.5), expires=1)
    assert case.result.get(timeout=60) == {"name": "Ada", "number": 7}
    assert shop.ledger.runs(case.me) == {"finished": 1}


@pytest.mark.parametrize("by", ["a program with Polos", "a stranger"])
def test_one_that_expires_before_it_begins_never_does(shop: Shop, by: str) -> None:
    signature = parked()
    if by == "a stranger":
        signature = _stranger(shop).signature("polos.shop-order", ({"name": "Ada"},), queue="shop")
    case = Case(shop, signature, countdown=HOUR, expires=1)
    case.fails_as_revoked("expired before it began")
    assert shop.ledger.runs(case.id) == {}


def test_a_revoked_one_that_is_parked_cleans_up(shop: Shop) -> None:
    case = Case(shop, parked())
    shop.wait_for(case.id, "waiting")
    shop.app.control.revoke(case.id)
    case.fails_as_revoked("was cancelled")
    assert shop.ledger.runs(case.id) == {"reserve": 1, "clean up": 1}


@pytest.mark.parametrize("terminate", [False, True])
def test_a_revoked_one_that_nobody_has_begun_never_does(shop: Shop, terminate: bool) -> None:
    case = Case(shop, parked(), countdown=HOUR)
    until(lambda: shop.status(case.id) == "waiting", 30)
    shop.app.control.revoke(case.id, terminate=terminate)
    case.fails_as_revoked("was cancelled")
    assert shop.ledger.runs(case.id) == {}


def test_a_revoked_one_that_runs_cleans_up(shop: Shop) -> None:
    case = Case(shop, long.s({}))
    shop.ledger.wait_for(case.id, "long")
    shop.app.control.revoke(case.id)
    case.fails_as_revoked("was cancelled")
    assert shop.ledger.entries(case.id, "long", "cancelled")
    assert shop.ledger.runs(case.id) == {"long": 1, "clean up": 1}


def test_a_terminated_one_ends_where_it_is(shop: Shop) -> None:
    case = Case(shop, long.s({}))
    [begun] = shop.ledger.wait_for(case.id, "long")
    shop.app.control.revoke(case.id, terminate=True, signal="SIGKILL")
    case.fails_as_revoked("was cancelled")
    until(lambda: not _runs(begun.pid), 30, message="its process is killed")
    assert shop.ledger.runs(case.id) == {"long": 1}


def _runs(pid: int) -> bool:
    import psutil

    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_a_result_revokes_without_a_worker_that_hears_of_it(shop: Shop) -> None:
    result = order.apply_async((Order(name="Ada"),), queue="shop-of-nobody")
    result.revoke()
    assert shop.status(result.id) == "cancelled"
    assert shop.app.AsyncResult(str(uuid4())).state == "PENDING"


def test_a_revoked_stamp_reaches_the_next_message(shop: Shop) -> None:
    signature = parked(2)
    signature.stamp(basket="b1")
    case = Case(shop, signature)
    shop.wait_for(case.id, "waiting")
    shop.app.control.revoke_by_stamped_headers({"basket": ["b1"]})
    case.fails_as_revoked("was cancelled")
    assert "ship" not in shop.ledger.runs(case.id)


def test_other_tasks_are_revoked_as_ever(shop: Shop) -> None:
    me = str(uuid4())
    result = shop.task("finish", None, me).apply_async(countdown=2)
    shop.app.control.revoke(result.id)
    with pytest.raises(TaskRevokedError, match="revoked"):
        result.get(timeout=30)
    assert shop.ledger.runs(me) == {}


def test_an_id_that_is_revoked_before_its_turn_in_a_chain(shop: Shop) -> None:
    first, second, me = (str(uuid4()) for _ in range(3))
    result = chain(
        shop.task("prepare", "Ada").set(countdown=2, task_id=first),
        order.s().set(task_id=second),
        shop.task("finish", me),
    ).apply_async()
    shop.app.control.revoke(second)
    with pytest.raises(TaskRevokedError):
        result.get(timeout=60)
    until(lambda: shop.status(second) == "cancelled", 30)
    assert shop.ledger.runs(second) == {}


@pytest.mark.parametrize("found", ["no dict", {"nope": 1}, None], ids=repr)
def test_what_comes_before_gives_no_payload(shop: Shop, found: Any) -> None:
    me, mine, id_ = (str(uuid4()) for _ in range(3))
    complaint = shop.task("complain", me)
    result = chain(
        shop.task("finish", found, mine),
        order.s().set(task_id=id_, link_error=[complaint]),
        shop.task("finish", me),
    ).apply_async()
    with pytest.raises(InvalidPayload):
        result.get(timeout=60)
    assert result.parent.state == "FAILURE"
    assert result.parent.parent.state == "SUCCESS"
    shop.ledger.wait_for(me, "complained", "end")
    assert shop.status(id_) == ""


def test_a_payload_that_does_not_fit_is_refused_at_the_call(shop: Shop) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: order.delay({"nope": 1}),
        lambda: order.apply_async(({"nope": 1},)),
        lambda: order.delay("a text"),
        lambda: order.delay(),
    ]
    for call in calls:
        with pytest.raises((InvalidPayload, TypeError)):
            call()


def _stranger(shop: Shop) -> Any:
    from celery import Celery

    return Celery("stranger", set_as_current=False, broker=shop.stack.broker, backend=shop.backend)
