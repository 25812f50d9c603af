"""Workflows in canvases, by Celery's own trace of their messages on a broker in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from celery import Celery, chain, current_task

from polos import workflow
from polos.binding.kept_options import options_of
from polos.definition.registry import registry
from polos.model.records import Hint
from tests.support.canvas import Canvas


class Crash(BaseException):
    """The process is gone."""


@pytest.fixture
def canvas(sqlite_url: str) -> Iterator[Canvas]:
    registry.set_default_client(None)
    with registry.scoped(empty=True):
        made = Canvas(sqlite_url)
        yield made
        made.polos.close()
        made.app.close()
    registry.set_default_client(None)


def test_a_chain_goes_on_when_a_crash_came_between_the_row_and_its_hint(
    canvas: Canvas, monkeypatch: pytest.MonkeyPatch
) -> None:
    dispatcher = canvas.polos.bound.dispatcher
    id_ = str(uuid4())
    middle = canvas.flow.s().set(task_id=id_, priority=7)
    chain(canvas.prepare.s(21), middle, canvas.finish.s()).apply_async()
    first = canvas.take()

    def crash(hints: Sequence[Hint]) -> int:
        raise Crash

    with monkeypatch.context() as dying, pytest.raises(Crash):
        dying.setattr(dispatcher, "dispatch", crash)
        canvas.deliver(first)
    assert canvas.polos.get(id_).status == "queued"
    assert canvas.take() is None
    # The broker gives the message of the dead process to another one.
    sent: list[Hint] = []
    send = dispatcher.dispatch
    monkeypatch.setattr(dispatcher, "dispatch", lambda hints: (sent.extend(hints), send(hints))[1])
    canvas.deliver(first)
    [hint] = sent
    assert (hint.execution_id, hint.priority) == (id_, 7)
    assert [link["task"] for link in options_of(hint.celery_options)["chain"]] == ["canvas.finish"]
    assert canvas.deliver_all() == ["polos.canvas-flow", "canvas.finish"]
    assert canvas.ended == [42]


def test_a_defect_of_ours_does_not_end_the_chain(
    canvas: Canvas, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bound = canvas.polos.bound
    id_ = str(uuid4())
    last = chain(canvas.flow.s({"number": 21}).set(task_id=id_), canvas.finish.s()).apply_async()

    def broken(*_: Any) -> Any:
        raise RuntimeError("a defect")

    with monkeypatch.context() as now:
        now.setattr(bound.runner, "run", broken)
        assert canvas.deliver_all() == ["polos.canvas-flow"]
    assert (last.state, last.parent.state) == ("PENDING", "PENDING")
    assert "a defect" in caplog.text
    bound.dispatcher.dispatch([Hint.of(bound.client.get(id_))])
    assert canvas.deliver_all() == ["polos.canvas-flow", "canvas.finish"]
    assert (last.get(), last.parent.get()) == (42, 42)


def test_a_payload_that_does_not_fit_fails_a_plain_message(canvas: Canvas) -> None:
    sender = Celery("plain", broker="memory://", set_as_current=False)
    sender.conf.task_default_queue = canvas.app.conf.task_default_queue
    sent = sender.send_task("polos.canvas-flow", args=[1, 2])
    canvas.deliver_all()
    result = canvas.app.AsyncResult(sent.id)
    assert result.state == "FAILURE"
    assert "one payload" in str(result.result)


def test_a_payload_that_is_not_in_a_tuple_is_refused_in_words(canvas: Canvas) -> None:
    for args in ({"number": 1}, "number"):
        with pytest.raises(TypeError, match=r"pass a tuple of it, apply_async\(\(payload,\)\)"):
            canvas.flow.apply_async(args)


@pytest.mark.parametrize("by", ["apply_async", "a plain message"])
def test_headers_go_with_each_message(canvas: Canvas, by: str) -> None:
    seen: list[Any] = []
    with registry.scoped():

        @workflow(id="canvas-waits")
        async def waits(ctx: Any, payload: dict) -> None:
            seen.append(current_task.request.get("tenant"))
            await ctx.step.wait_for("nap", seconds=3600)

        id_, options = str(uuid4()), {"headers": {"tenant": "acme", "id": "another"}}
        if by == "apply_async":
            waits.apply_async(({},), task_id=id_, **options)
        else:
            options["headers"].pop("id")
            plain = Celery("plain", broker="memory://", set_as_current=False)
            plain.send_task(
                "polos.canvas-waits",
                args=[{}],
                task_id=id_,
                queue=canvas.app.conf.task_default_queue,
                **options,
            )
        assert canvas.deliver_all() == ["polos.canvas-waits"]
        assert canvas.polos.get(id_).status == "waiting"
        canvas.polos.bound.dispatcher.dispatch([Hint.of(canvas.polos.get(id_))])
        again = canvas.take()
    assert seen == ["acme"]
    assert (again.headers["id"], again.headers["tenant"]) == (id_, "acme")


def test_a_plain_message_without_headers_keeps_none(canvas: Canvas) -> None:
    plain = Celery("plain", broker="memory://", set_as_current=False)
    queue = canvas.app.conf.task_default_queue
    sent = plain.send_task("polos.canvas-flow", args=[{"number": 1}], queue=queue)
    canvas.deliver_all()
    assert "headers" not in options_of(canvas.polos.get(sent.id).celery_options)


@pytest.mark.parametrize(
    "options",
    [
        {"task_id": "x" * 256},
        {"task_id": "a\0b"},
        {"task_id": 5},
        {"queue": "x" * 256},
        {"queue": "a\0b"},
        {"priority": "high"},
        {"priority": 256},
        {"countdown": float("nan")},
        {"countdown": float("inf")},
        {"countdown": 1e300},
        {"expires": float("nan")},
        {"expires": 1e300},
    ],
    ids=str,
)
def test_options_that_no_database_keeps(canvas: Canvas, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        canvas.flow.apply_async(({"number": 1},), **options)
    assert canvas.take() is None


def test_a_time_that_is_over_is_none(canvas: Canvas) -> None:
    sent = canvas.flow.apply_async(({"number": 1},), countdown=-5)
    canvas.deliver_all()
    assert sent.state == "SUCCESS"


@pytest.mark.parametrize("when", ["countdown", "eta"])
def test_what_is_due_later_is_a_wait_and_no_message(canvas: Canvas, when: str) -> None:
    hour = datetime.now(UTC) + timedelta(hours=1)
    given = {"countdown": 3600} if when == "countdown" else {"eta": hour}
    sent = canvas.flow.apply_async(({"number": 1},), **given)
    assert canvas.take() is None
    found = canvas.polos.get(sent.id)
    assert found.status == "waiting"
    assert abs((found.wake_at or 0) / 1_000_000 - hour.timestamp()) < 60
