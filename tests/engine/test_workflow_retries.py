"""A failed execution is tried again as a whole: by itself, or because somebody asks."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from polos.definition.context import SyncWorkflowContext, WorkflowContext
from polos.definition.workflow import workflow
from polos.engine import ending
from polos.errors import StepExecutionError, WorkflowFailedError
from polos.model.outcome import Failed, TriedAgain
from polos.model.records import SECOND
from polos.model.retry import RetryPolicy
from polos.model.states import Status
from polos.store.forking import Fork
from tests.engine.conftest import Effects, Engine
from tests.store.scenes import edit


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses of a tenth of a second."""

    monkeypatch.setattr(ending, "PAUSES", RetryPolicy(base_delay=0.1, max_delay=0.1))


def test_it_is_tried_again_and_what_has_succeeded_is_not(engine: Engine, done: Effects) -> None:
    counts: list[int] = []

    @workflow(id="again", retries=2)
    async def again(ctx: WorkflowContext) -> list[str]:
        counts.append(ctx.retry_count)
        first = await ctx.step.run("first", done.do, "first")
        uuid = await ctx.step.uuid("uuid")
        await ctx.step.run("second", done.do, "second", 2, max_retries=0)
        return [first, uuid]

    id_ = engine.start(again)
    first = engine.deliver(id_).outcome
    assert isinstance(first, TriedAgain)
    assert first.reason.startswith("tried again (1 of 2) at ")
    assert first.reason.endswith(" UTC after ConnectionError")
    found = engine.get(id_)
    assert (found.status, found.retried, found.retries_used) == (Status.WAITING, 1, 1)
    result = engine.result(id_)
    assert result == ["first 1", engine.result(id_)[1]]
    assert done == {"first": 1, "second": 3}
    assert counts == [0, 1, 2]


def test_what_an_error_says_is_in_the_log_and_in_no_message(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    @workflow(id="declined", retries=1)
    async def declined(ctx: WorkflowContext) -> None:
        raise ValueError("declined card 4111-1111")

    with caplog.at_level(logging.INFO):
        outcome = engine.deliver(engine.start(declined)).outcome
    assert isinstance(outcome, TriedAgain)
    [(_, hint)] = engine.hints.sent
    # Celery is told the outcome's reason: it is in events and the result backend.
    assert "4111" not in hint.reason + outcome.reason
    assert "after ValueError: declined card 4111-1111" in caplog.text


def test_after_the_last_retry_it_has_failed(engine: Engine, done: Effects) -> None:
    @workflow(id="hopeless", retries=2)
    async def hopeless(ctx: WorkflowContext) -> None:
        done.do("body")
        raise ValueError("never")

    with pytest.raises(WorkflowFailedError, match="never"):
        engine.run(hopeless)
    assert done == {"body": 3}


def test_without_retries_it_fails_at_once(engine: Engine) -> None:
    @workflow(id="once")
    async def once(ctx: WorkflowContext) -> None:
        raise ValueError("no")

    assert isinstance(engine.deliver(engine.start(once)).outcome, Failed)


def test_a_plain_function_is_tried_again_as_well(engine: Engine, done: Effects) -> None:
    @workflow(id="plain", retries=1)
    def plain(ctx: SyncWorkflowContext) -> str:
        return ctx.step.run("only", done.do, "only", 1, max_retries=0)

    assert engine.run(plain) == "only 2"


def test_pauses_grow_as_those_of_steps_do(monkeypatch: pytest.MonkeyPatch, engine: Engine) -> None:
    monkeypatch.setattr(ending, "PAUSES", RetryPolicy())

    @workflow(id="grows", retries=9)
    async def grows(ctx: WorkflowContext) -> None:
        raise ValueError("no")

    id_ = engine.start(grows)
    for pause in (1, 2, 4, 8, 10, 10):
        before = engine.store.now()
        engine.deliver(id_)
        begun = (engine.get(id_).wake_at or 0) - pause * SECOND
        assert before <= begun <= engine.store.now() + engine.store.resolution
        _let_it_be_due(engine, id_)


def _let_it_be_due(engine: Engine, id_: str) -> None:
    edit(engine.store.database, id_, wake_at=1)


def test_a_cancelled_one_is_not_tried_again(engine: Engine) -> None:
    @workflow(id="cancelled", retries=5)
    async def cancelled(ctx: WorkflowContext) -> None:
        try:
            await ctx.step.wait_for("month", days=30)
        finally:
            raise ValueError("while it cleans up")

    id_ = engine.start(cancelled)
    engine.deliver(id_)
    engine.store.cancel(id_)
    assert engine.finish(id_).status is Status.CANCELLED
    assert engine.get(id_).retried == 0


def test_one_that_is_cancelled_in_the_pause_is_cancelled(engine: Engine, done: Effects) -> None:
    @workflow(id="pausing", retries=5)
    async def pausing(ctx: WorkflowContext) -> None:
        await ctx.step.run("fails", done.do, "fails", 99, max_retries=0)

    id_ = engine.start(pausing)
    engine.deliver(id_)
    assert engine.get(id_).status is Status.WAITING
    _, hints = engine.store.cancel(id_)
    engine.hints.dispatch(hints)
    assert engine.finish(id_).status is Status.CANCELLED
    assert done == {"fails": 1}


def test_a_retry_that_would_come_too_late_is_not_begun(
    monkeypatch: pytest.MonkeyPatch, engine: Engine
) -> None:
    """The reason is kept, where else only the limit would be named."""
    monkeypatch.setattr(ending, "PAUSES", RetryPolicy(base_delay=60, max_delay=60))

    @workflow(id="late", retries=5)
    async def late(ctx: WorkflowContext) -> None:
        raise ValueError("the reason")

    id_ = engine.start(late)
    edit(engine.store.database, id_, deadline_at=engine.store.now() + 30 * SECOND)
    with pytest.raises(WorkflowFailedError, match="the reason"):
        engine.result(id_)
    assert engine.get(id_).retried == 0


def test_a_failed_child_is_tried_again_with_its_parent(engine: Engine, done: Effects) -> None:
    @workflow(id="kid")
    async def kid(ctx: WorkflowContext) -> str:
        await ctx.step.run("before", done.do, "before")
        return await ctx.step.run("fails", done.do, "fails", 1, max_retries=0)

    @workflow(id="parent", retries=1)
    async def parent(ctx: WorkflowContext) -> str:
        return await ctx.step.invoke_and_wait("kid", kid)

    engine.add(kid)
    assert engine.run(parent) == "fails 2"
    assert done == {"before": 1, "fails": 2}


def test_a_cancelled_child_is_started_anew(engine: Engine) -> None:
    waiting = True

    @workflow(id="stopped")
    async def stopped(ctx: WorkflowContext) -> str:
        if waiting:
            await ctx.step.wait_for("month", days=30)
        return "finished"

    @workflow(id="its_parent", retries=1)
    async def its_parent(ctx: WorkflowContext) -> str:
        return await ctx.step.invoke_and_wait("kid", stopped)

    engine.add(stopped)
    id_ = engine.start(its_parent)
    engine.deliver(id_)
    first = engine.hints.sent[0][1].execution_id
    engine.deliver_next()
    engine.store.cancel(first)
    engine.finish(first)
    waiting = False
    assert engine.result(id_) == "finished"
    assert engine.get(first).status is Status.CANCELLED
    assert len(engine.store.progress(id_).children) == 2


def test_a_branch_goes_on_while_another_is_tried_again(engine: Engine, done: Effects) -> None:
    @workflow(id="slow_kid")
    async def slow_kid(ctx: WorkflowContext) -> str:
        await ctx.step.wait_for("while", seconds=0.6)
        return done.do("kid")

    @workflow(id="branches", retries=1)
    async def branches(ctx: WorkflowContext) -> list[str]:
        return list(
            await asyncio.gather(
                ctx.step.invoke_and_wait("kid", slow_kid),
                ctx.step.run("fails", done.do, "fails", 1, max_retries=0),
            )
        )

    engine.add(slow_kid)
    assert engine.run(branches) == ["kid 1", "fails 2"]
    assert done == {"kid": 1, "fails": 2}


# -- asked for ---------------------------------------------------------------------------


def test_a_retried_execution_goes_on_from_where_it_failed(engine: Engine, done: Effects) -> None:
    @workflow(id="retried")
    async def retried(ctx: WorkflowContext) -> list[Any]:
        first = await ctx.step.run("first", done.do, "first")
        try:
            await ctx.step.run("caught", done.do, "caught", 1, max_retries=0)
        except StepExecutionError:
            await ctx.step.run("instead", done.do, "instead")
        last = await ctx.step.run("last", done.do, "last", 3, max_retries=1, base_delay=0.01)
        return [first, last, ctx.retry_count]

    id_ = engine.start(retried)
    assert engine.finish(id_).status is Status.FAILED
    assert done == {"first": 1, "caught": 1, "instead": 1, "last": 2}
    engine.store.retry(id_)
    # It has all its attempts again.
    assert engine.result(id_) == ["first 1", "last 4", 1]
    assert done == {"first": 1, "caught": 1, "instead": 1, "last": 4}


def test_a_mistake_in_the_code_is_mended_and_it_goes_on(engine: Engine, done: Effects) -> None:
    mended = False

    @workflow(id="mistake", retries=1)
    async def mistake(ctx: WorkflowContext) -> str:
        await ctx.step.run("first", done.do, "first")
        if not mended:
            raise TypeError("a mistake")
        return await ctx.step.run("second", done.do, "second")

    id_ = engine.start(mistake)
    assert engine.finish(id_).status is Status.FAILED
    mended = True
    engine.store.retry(id_)
    assert engine.get(id_).retries_used == 0
    assert engine.result(id_) == "second 1"
    assert done == {"first": 1, "second": 1}


def test_an_error_that_its_code_made_of_a_steps_error(engine: Engine, done: Effects) -> None:
    @workflow(id="wraps")
    async def wraps(ctx: WorkflowContext) -> str:
        try:
            return await ctx.step.run("fails", done.do, "fails", 1, max_retries=0)
        except StepExecutionError as error:
            await ctx.step.run(f"undo {ctx.retry_count}", done.do, "undo")
            raise RuntimeError("wrapped") from error

    id_ = engine.start(wraps)
    assert engine.finish(id_).status is Status.FAILED
    engine.store.retry(id_)
    assert engine.result(id_) == "fails 2"


def test_a_fork_runs_what_comes_from_its_step_on(engine: Engine, done: Effects) -> None:
    @workflow(id="forked")
    async def forked(ctx: WorkflowContext, payload: dict) -> list[str]:
        steps = [await ctx.step.run(key, done.do, key) for key in ("a", "b", "c")]
        return [*steps, await ctx.step.uuid("id"), payload["name"]]

    id_ = engine.start(forked, {"name": "old"})
    first = engine.result(id_)
    fork = engine.store.fork(Fork(id_, "fork", "b", forked.encode_payload({"name": "new"})))
    second = engine.result(fork.id)
    assert second[:3] == ["a 1", "b 2", "c 2"]
    assert (second[3] != first[3], second[4]) == (True, "new")
    assert engine.result(id_) == first
    assert done == {"a": 1, "b": 2, "c": 2}


def test_a_fork_before_a_child_starts_one_of_its_own(engine: Engine, done: Effects) -> None:
    @workflow(id="forked_kid")
    async def forked_kid(ctx: WorkflowContext) -> str:
        return done.do("kid")

    @workflow(id="forked_parent")
    async def forked_parent(ctx: WorkflowContext) -> list[str]:
        first = await ctx.step.run("first", done.do, "first")
        kid = await ctx.step.invoke_and_wait("kid", forked_kid)
        return [first, kid, await ctx.step.run("last", done.do, "last")]

    engine.add(forked_kid)
    id_ = engine.start(forked_parent)
    assert engine.result(id_) == ["first 1", "kid 1", "last 1"]
    engine.store.fork(Fork(id_, "after", "last"))
    assert engine.result("after") == ["first 1", "kid 1", "last 2"]
    engine.store.fork(Fork(id_, "before", "kid"))
    assert engine.result("before") == ["first 1", "kid 2", "last 3"]
