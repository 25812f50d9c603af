"""How the ends of tasks reach the store: Celery's own trace of them, on a broker in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from celery import Celery, Task
from celery.app.trace import build_tracer
from celery.exceptions import Reject
from kombu.exceptions import OperationalError

from polos.binding import completions, step_tasks
from polos.binding.bound import Bound
from polos.codec import decode
from polos.definition.context import WorkflowContext
from polos.definition.registry import Registry, registry
from polos.definition.workflow import workflow
from polos.engine.owner import this_process
from polos.errors import StoreUnavailable
from polos.model.ports import StartRequest
from polos.model.records import Execution
from polos.model.settings import Settings
from polos.model.states import Status
from tests.store.scenes import everything


@workflow(id="ends_order")
async def order(ctx: WorkflowContext) -> Any:
    app: Any = CURRENT[0]
    return await ctx.step.task("charge", app.tasks["ends.charge"].s(42))


CURRENT: list[Celery] = []


class Site:
    """A Celery app with Polos bound to it, whose messages the test delivers."""

    def __init__(self, url: str, project: str, **conf: Any) -> None:
        self.app = Celery("site", broker="memory://", set_as_current=False)
        self.queue = f"tasks-{uuid4()}"
        self.app.conf.update(task_default_queue=self.queue, **conf)
        settings = Settings.load(database_url=url, auto_migrate=True, project_id=project)
        known = Registry()
        known.add(order)
        self.bound = Bound(self.app, settings, known)
        self.ran: list[int] = []
        self.result: Callable[[], Any] = lambda: {"paid": True}

        @self.app.task(name="ends.charge", shared=False)
        def charge(amount: int) -> Any:
            self.ran.append(amount)
            return self.result()

    def start(self) -> str:
        CURRENT[:] = [self.app]
        return self.bound.client.start(StartRequest("ends_order", b"null", dispatch=False)).id

    def run(self, id_: str) -> Execution:
        CURRENT[:] = [self.app]
        self.bound.runner.run(id_, "ends_order", this_process("w1"))
        return self.bound.client.get(id_)

    def deliver(self, queue: str, most: int = 100) -> int:
        """Run the tasks of messages, as a worker's pool does; how many, but for hints."""
        number = 0
        with self.app.connection_for_read() as connection:
            channel = connection.default_channel
            bound = self.app.amqp.queues[queue](channel)
            bound.declare()
            while number < most and (message := bound.get()) is not None:
                number += self._trace(message)
                message.ack()
        return number

    def _trace(self, message: Any) -> bool:
        headers = message.headers
        if headers["task"] == "polos.ends_order":
            return False
        args, kwargs, embedded = message.payload
        task = self.app.tasks[headers["task"]]
        request = {**headers, **embedded, "delivery_info": message.delivery_info}
        trace = build_tracer(headers["task"], task, app=self.app)
        trace(headers["id"], args, kwargs, request)
        return True


@pytest.fixture
def project() -> str:
    """Names the queue of ends too, which all tests' brokers in memory share."""
    return str(uuid4())


@pytest.fixture
def site(sqlite_url: str, project: str) -> Iterator[Site]:
    made = Site(sqlite_url, project)
    yield made
    made.bound.close()


@pytest.fixture
def other(tmp_path: Any, project: str) -> Iterator[Site]:
    """One of another database, which the same tasks' messages come to."""
    made = Site(f"sqlite:///{tmp_path / 'other.db'}", project)
    yield made
    made.bound.close()


@pytest.fixture(autouse=True)
def _own_workflows() -> Iterator[None]:
    with registry.scoped():
        yield


def away(*_: Any) -> Any:
    raise StoreUnavailable("sqlite://", "the disk is gone")


def test_an_end_is_recorded_before_its_message_is_acknowledged(site: Site) -> None:
    id_ = site.start()
    assert site.run(id_).status is Status.WAITING
    # That was the task's; its message alone was sent.
    assert site.deliver(site.queue) == 1
    assert site.ran == [42]
    assert site.bound.client.get(id_).status is Status.QUEUED
    assert site.deliver(site.bound.step_ends.steps_queue) == 0
    ended = site.run(id_)
    assert ended.result is not None
    assert decode(ended.result) == {"paid": True}


def refuse() -> None:
    """What a task does that fails."""
    raise ValueError("no money")


def test_an_error_is_recorded_before_its_message_is_acknowledged(site: Site) -> None:
    site.result = refuse
    id_ = site.start()
    site.run(id_)
    site.deliver(site.queue)
    assert site.deliver(site.bound.step_ends.steps_queue) == 0
    failure = site.run(id_).failure
    assert failure is not None
    assert (failure.error_type, failure.reason) == ("ValueError", "no money")
    assert (failure.step_key, failure.attempts) == ("charge", 1)


@pytest.mark.parametrize("fails", [False, True])
def test_while_the_database_is_away_a_message_tells_of_it(
    site: Site, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    site.result = refuse if fails else site.result
    id_ = site.start()
    site.run(id_)
    with monkeypatch.context() as patch:
        patch.setattr(completions, "_PATIENCE", 0.0)
        patch.setattr(site.bound.store, "complete_task", away)
        site.deliver(site.queue)
    assert site.bound.client.get(id_).status is Status.WAITING
    assert site.deliver(site.bound.step_ends.steps_queue) == 1
    ended = site.run(id_)
    found = decode(ended.result) if ended.result else ended.failure
    assert found == {"paid": True} or found.reason == "no money"
    assert (ended.failure is not None) is fails


def fails_at_first(times: int, error: Exception, whole: Callable[..., Any]) -> Callable[..., Any]:
    """A function that raises so many times, and then is the whole one."""
    left = [error] * times

    def call(*args: Any, **given: Any) -> Any:
        if left:
            raise left.pop()
        return whole(*args, **given)

    return call


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize(("database", "broker"), [(3, 99), (99, 3)], ids=["database", "broker"])
def test_while_both_are_away_it_waits_for_the_first_that_is_back(
    site: Site, monkeypatch: pytest.MonkeyPatch, fails: bool, database: int, broker: int
) -> None:
    site.result = refuse if fails else site.result
    id_ = site.start()
    site.run(id_)
    with monkeypatch.context() as patch:
        _both_away(patch, site, database, broker)
        site.deliver(site.queue)
    assert site.ran == [42]
    assert site.deliver(site.bound.step_ends.steps_queue) == (broker < database)
    ended = site.run(id_)
    found = decode(ended.result) if ended.result else ended.failure
    assert found == {"paid": True} or found.reason == "no money"
    assert (ended.failure is not None) is fails


def test_a_worker_that_ends_before_makes_no_failure_of_what_has_returned(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    id_ = site.start()
    site.run(id_)
    with monkeypatch.context() as patch:
        # The database is back for what Celery would tell then.
        _both_away(patch, site, 1, 99)
        site.bound.stopping.raise_()
        with pytest.raises(Reject, match="connection refused"):
            site.deliver(site.queue)
    assert site.bound.client.get(id_).status is Status.WAITING


def _both_away(patch: pytest.MonkeyPatch, site: Site, database: int, broker: int) -> None:
    store: Any = site.bound.store
    gone = StoreUnavailable("sqlite://", "the disk is gone")
    refused = OperationalError("connection refused")
    patch.setattr(completions, "_PATIENCE", 0.0)
    patch.setattr(step_tasks, "_PAUSE", 0.0)
    patch.setattr(store, "complete_task", fails_at_first(database, gone, store.complete_task))
    patch.setattr(Task, "apply_async", fails_at_first(broker, refused, Task.apply_async))


def test_a_worker_of_another_database_hands_it_on(site: Site, other: Site) -> None:
    id_ = site.start()
    site.run(id_)
    other.app.conf.task_default_queue = other.queue = site.queue
    before = everything(other.bound.store.database)
    assert other.deliver(site.queue) == 1
    assert other.ran == [42]
    assert everything(other.bound.store.database) == before
    ends = site.bound.step_ends.steps_queue
    # The message of it may come to the wrong one a few times, and goes on.
    for _ in range(3):
        assert other.deliver(ends, most=1) == 1
    assert site.deliver(ends) == 1
    assert site.run(id_).status is Status.COMPLETED


@pytest.mark.parametrize("propagates", [False, True])
@pytest.mark.parametrize("fails", [False, True])
def test_an_eager_task_runs_in_place(
    sqlite_url: str, project: str, fails: bool, propagates: bool
) -> None:
    site = Site(sqlite_url, project, task_always_eager=True, task_eager_propagates=propagates)
    site.result = refuse if fails else site.result
    ended = site.run(site.start())
    assert site.ran == [42]
    assert ended.status is (Status.FAILED if fails else Status.COMPLETED)
    if ended.failure is not None:
        assert (ended.failure.error_type, ended.failure.reason) == ("ValueError", "no money")
    site.bound.close()
