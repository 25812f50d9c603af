"""Ends that Celery is told of: each stays unannounced until what follows it is on its way."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
import redis
from celery import chain, chord, group

from polos import workflow
from polos.client.direct import DirectClient
from polos.definition.registry import registry
from polos.errors import StoreUnavailable
from tests.support.canvas import Canvas
from tests.support.servers import RedisServer

# Celery's own.
pytestmark = pytest.mark.filterwarnings("ignore:Call to deprecated setex")


class Crash(BaseException):
    """The process is gone."""


@pytest.fixture
def canvas(sqlite_url: str, redis_server: RedisServer) -> Iterator[Canvas]:
    registry.set_default_client(None)
    with registry.scoped(empty=True):
        made = Canvas(sqlite_url, redis_server.url)
        yield made
        gc.collect()  # results that are forgotten after their backend is gone complain
        made.polos.close()
        made.app.close()
    registry.set_default_client(None)


class Knot:
    """A chord of workflows.

    Attributes:
        ids: of its parts, in the order in which their messages are.
    """

    def __init__(self, canvas: Canvas, *header: Any, body: Any = None) -> None:
        self.canvas = canvas
        self.ids = [part.options["task_id"] for part in header]
        self.body = str(uuid4())
        body = body or canvas.finish.s()
        self.result = chord(header, app=canvas.app)(body.set(task_id=self.body))

    @classmethod
    def of_two(cls, canvas: Canvas) -> Knot:
        """The usual one."""
        parts = [canvas.flow.s({"number": n}).set(task_id=str(uuid4())) for n in (1, 2)]
        return cls(canvas, *parts)

    def claim(self, value: str = "whoever died") -> str:
        """Leave what a worker leaves that is killed when it has brought the last part; its key."""
        key = self.canvas.app.backend.get_key_for_group(self.group, ".c")
        self.canvas.app.backend.client.set(key, value, ex=600)
        return key

    @property
    def group(self) -> str:
        return self.result.parent.id


def deliver_claimed(knot: Knot) -> str:
    """Bring both parts, the last one beside the claim of a dead worker; the claim's key."""
    canvas = knot.canvas
    canvas.deliver(canvas.take())
    key = knot.claim()
    canvas.deliver(canvas.take())
    return key


def test_a_chord_goes_on_when_the_claim_of_a_killed_worker_is_over(canvas: Canvas) -> None:
    knot = Knot.of_two(canvas)
    first, last = knot.ids
    key = deliver_claimed(knot)
    assert canvas.take() is None
    assert (canvas.unannounced(first), canvas.unannounced(last)) == (False, True)
    # The sweep's next hint comes too early, too.
    canvas.hint(last)
    assert canvas.deliver_all() == ["polos.canvas-flow"]
    assert canvas.unannounced(last)
    canvas.app.backend.client.delete(key)
    canvas.hint(last)
    assert canvas.deliver_all() == ["polos.canvas-flow", "canvas.finish"]
    assert canvas.ended == [[2, 4]]
    assert not canvas.unannounced(last)
    assert knot.result.get(timeout=60) == [2, 4]


def test_a_claim_that_runs_out_while_a_part_is_brought(
    canvas: Canvas, monkeypatch: pytest.MonkeyPatch
) -> None:
    knot = Knot.of_two(canvas)
    backend = canvas.app.backend
    bring = backend.on_chord_part_return
    canvas.deliver(canvas.take())
    key = knot.claim()

    def then_gone(*args: Any, **options: Any) -> None:
        bring(*args, **options)
        backend.client.delete(key)

    with monkeypatch.context() as now:
        now.setattr(backend, "on_chord_part_return", then_gone)
        canvas.deliver(canvas.take())
    assert canvas.unannounced(knot.ids[1])
    canvas.hint(knot.ids[1])
    assert canvas.deliver_all() == ["polos.canvas-flow", "canvas.finish"]
    assert not canvas.unannounced(knot.ids[1])


def test_a_backend_that_is_lost_when_a_part_was_brought(
    canvas: Canvas, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answer, that this one has the claim, never comes."""
    knot = Knot.of_two(canvas)
    backend = canvas.app.backend
    script = backend._chord_part_return_script
    canvas.deliver(canvas.take())

    def cut(**given: Any) -> None:
        script(**given)
        raise redis.ConnectionError("cut")

    with monkeypatch.context() as now, pytest.warns(RuntimeWarning, match="cut"):
        now.setattr(backend, "_chord_part_return_script", cut)
        canvas.deliver(canvas.take())
    for _ in range(2):
        assert canvas.unannounced(knot.ids[1])
        canvas.hint(knot.ids[1])
        canvas.deliver_all()
    backend.client.delete(backend.get_key_for_group(knot.group, ".c"))
    canvas.hint(knot.ids[1])
    canvas.deliver_all()
    assert canvas.ended == [[2, 4]]


def test_a_chord_that_has_gone_on_is_no_more_waited_for(canvas: Canvas) -> None:
    knot = Knot.of_two(canvas)
    canvas.deliver_all()
    assert canvas.ended == [[2, 4]]
    assert [canvas.unannounced(id_) for id_ in knot.ids] == [False, False]


@pytest.fixture
def broken(canvas: Canvas) -> Any:
    """A workflow that fails."""

    @workflow(id="canvas-broken")
    async def fail(ctx: Any, payload: dict) -> None:
        raise ValueError("broken")

    return fail


def test_a_chord_fails_when_the_claim_of_a_killed_worker_is_over(
    canvas: Canvas, broken: Any
) -> None:
    parts = [canvas.flow.s({"number": 1}), broken.s({})]
    knot = Knot(canvas, *[part.set(task_id=str(uuid4())) for part in parts])
    key = deliver_claimed(knot)
    assert canvas.unannounced(knot.ids[1])
    assert knot.result.state == "PENDING"
    canvas.app.backend.client.delete(key)
    canvas.hint(knot.ids[1])
    canvas.deliver_all()
    assert knot.result.state == "FAILURE"
    # Celery leaves its claim behind, which is no reason to tell this end again.
    assert not canvas.unannounced(knot.ids[1])
    assert canvas.ended == []


def test_a_chord_fails_with_a_chain_in_it_whose_failure_was_told_by_half(
    canvas: Canvas, broken: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, last, other = (str(uuid4()) for _ in range(3))
    links = chain(broken.s({}).set(task_id=first), canvas.finish.s().set(task_id=last))
    whole = chord([links, canvas.flow.s({"number": 1}).set(task_id=other)], app=canvas.app)
    result = whole(canvas.finish.s())
    backend = canvas.app.backend

    def crash(*_: Any, **__: Any) -> None:
        raise Crash

    with monkeypatch.context() as now, pytest.raises(Crash):
        now.setattr(backend, "on_chord_part_return", crash)
        canvas.deliver(canvas.take())
    assert canvas.app.AsyncResult(last).state == "FAILURE"
    canvas.deliver_all()
    assert result.state == "PENDING"
    canvas.hint(first)
    canvas.deliver_all()
    assert result.state == "FAILURE"
    assert not canvas.unannounced(first)


def test_a_cancelled_part_beside_the_claim_of_a_killed_worker(canvas: Canvas) -> None:
    knot = Knot.of_two(canvas)
    canvas.deliver(canvas.take())
    canvas.lose_messages()
    assert canvas.polos.cancel(knot.ids[1])
    key = knot.claim()
    canvas.hint(knot.ids[1])
    canvas.deliver_all()
    assert canvas.unannounced(knot.ids[1])
    canvas.app.backend.client.delete(key)
    canvas.hint(knot.ids[1])
    canvas.deliver_all()
    assert knot.result.state == "FAILURE"
    assert not canvas.unannounced(knot.ids[1])


class Outage:
    """A store that takes no new executions for so many tries.

    Attributes:
        left: how many.
        meanwhile: what happens at each.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left = 0
        self.meanwhile: Callable[[], None] = lambda: None
        start = DirectClient.start

        def starting(client: DirectClient, *args: Any, **options: Any) -> Any:
            if self.left:
                self.left -= 1
                self.meanwhile()
                raise StoreUnavailable("sqlite://", "it is away")
            return start(client, *args, **options)

        monkeypatch.setattr(DirectClient, "start", starting)


@pytest.fixture
def outage(monkeypatch: pytest.MonkeyPatch) -> Outage:
    return Outage(monkeypatch)


def of_a_chain(canvas: Canvas, next_: Any) -> None:
    chain(canvas.flow.s({"number": 1}), next_).apply_async()


def of_a_chord(canvas: Canvas, next_: Any) -> None:
    chord([canvas.flow.s({"number": 1})], app=canvas.app)(next_)


def of_a_group(canvas: Canvas, next_: Any) -> None:
    group(canvas.flow.s({"number": 1}), next_, app=canvas.app).apply_async()


def of_a_chain_in_a_chord(canvas: Canvas, next_: Any) -> None:
    links = chain(canvas.flow.s({"number": 1}), next_)
    chord([links, links.clone()], app=canvas.app)(canvas.finish.s())


def as_callback(canvas: Canvas, next_: Any) -> None:
    canvas.flow.apply_async(({"number": 1},), link=next_)


def as_callbacks(canvas: Canvas, next_: Any) -> None:
    canvas.flow.apply_async(({"number": 1},), link=[next_, canvas.finish.s()])


def as_chord_of_a_chain(canvas: Canvas, next_: Any) -> None:
    chain(canvas.flow.s({"number": 1}), chord([next_], canvas.finish.s())).apply_async()


@pytest.mark.parametrize(
    "make", [of_a_chain, of_a_chord, as_callback, as_callbacks, as_chord_of_a_chain]
)
def test_what_follows_an_end_is_stored_though_the_store_was_away(
    make: Callable[[Canvas, Any], None], canvas: Canvas, outage: Outage
) -> None:
    follows = str(uuid4())
    make(canvas, canvas.flow.si({"number": 2}).set(task_id=follows))
    first = canvas.take()
    outage.left = 2
    canvas.deliver(first)
    canvas.lose_messages()
    assert not canvas.unannounced(first.headers["id"])
    assert canvas.polos.get(follows).status == "queued"
    assert outage.left == 0
    canvas.hint(follows)
    canvas.deliver_all()
    assert canvas.polos.get(follows).status == "completed"


def test_an_errback_is_stored_though_the_store_was_away(
    canvas: Canvas, broken: Any, outage: Outage
) -> None:
    follows = str(uuid4())
    errback = canvas.flow.si({"number": 2}).set(task_id=follows)
    broken.apply_async(({},), link_error=errback)
    first = canvas.take()
    outage.left = 2
    canvas.deliver(first)
    canvas.lose_messages()
    assert canvas.polos.get(follows).status == "queued"
    assert not canvas.unannounced(first.headers["id"])


def test_a_worker_that_ends_waits_for_a_store_that_comes_back_in_time(
    canvas: Canvas, outage: Outage
) -> None:
    follows = str(uuid4())
    of_a_chord(canvas, canvas.flow.si({"number": 2}).set(task_id=follows))
    outage.left, outage.meanwhile = 2, canvas.polos.bound.stopping.raise_
    canvas.deliver(canvas.take())
    assert canvas.polos.get(follows).status == "queued"


def test_a_worker_that_ends_without_a_store_leaves_the_end_unannounced(
    canvas: Canvas, outage: Outage
) -> None:
    follows = str(uuid4())
    of_a_chain(canvas, canvas.flow.si({"number": 2}).set(task_id=follows))
    first = canvas.take()
    canvas.app.conf.worker_soft_shutdown_timeout = 0.001
    outage.left, outage.meanwhile = 10, canvas.polos.bound.stopping.raise_
    canvas.deliver(first)
    # A plain message is better than none; should it be lost, the link comes with the end.
    assert canvas.lose_messages() == 1
    assert canvas.unannounced(first.headers["id"])
    outage.left = 0
    canvas.polos.bound.stopping.lower()
    canvas.hint(first.headers["id"])
    canvas.deliver_all()
    assert canvas.polos.get(follows).status == "completed"
    assert not canvas.unannounced(first.headers["id"])


def test_after_a_task_of_celerys_own_a_plain_message_is_sent(
    canvas: Canvas, outage: Outage
) -> None:
    follows = str(uuid4())
    link = canvas.flow.s().set(task_id=follows)
    chain(canvas.prepare.s(21), link, app=canvas.app).apply_async()
    outage.left = 1
    canvas.deliver(canvas.take())
    message = canvas.take()
    assert (message.headers["id"], outage.left) == (follows, 0)
    canvas.deliver(message)
    assert canvas.polos.get(follows).status == "completed"


@pytest.mark.parametrize(
    "make", [of_a_chain, of_a_group, of_a_chord, of_a_chain_in_a_chord, as_chord_of_a_chain]
)
def test_a_program_is_told_that_its_canvas_could_not_be_stored(
    make: Callable[[Canvas, Any], None], canvas: Canvas, outage: Outage
) -> None:
    outage.left = 1
    with pytest.raises(StoreUnavailable):
        make(canvas, canvas.flow.si({"number": 2}))
    assert canvas.take() is None


def test_a_task_of_celerys_own_starts_a_canvas_by_plain_messages(
    canvas: Canvas, outage: Outage
) -> None:
    @canvas.app.task(name="canvas.start", shared=False)
    def start() -> None:
        chain(canvas.flow.s({"number": 1}), canvas.finish.s()).apply_async()

    start.delay()
    outage.left = 1
    assert canvas.deliver_all() == ["canvas.start", "polos.canvas-flow", "canvas.finish"]
    assert outage.left == 0


def test_a_workflow_that_starts_a_canvas_without_a_store_can_do_so_again(
    canvas: Canvas, outage: Outage
) -> None:
    tries: list[int] = []

    @workflow(id="canvas-starter")
    async def start(ctx: Any, payload: dict) -> None:
        async def send() -> None:
            tries.append(outage.left)
            chain(canvas.flow.s({"number": 1}), canvas.finish.s()).apply_async()

        await ctx.step.run("send", send, max_retries=1, base_delay=0.01)

    start.delay({})
    outage.left = 1
    canvas.deliver(canvas.take())
    assert tries == [1, 0]
    assert canvas.take().headers["polos_hint"]
