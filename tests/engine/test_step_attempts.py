"""The attempts of a step: which are kept, and that a retry of the whole begins them anew."""

from __future__ import annotations

import logging
import time

import pytest

from polos.codec import decode_history
from polos.definition.context import WorkflowContext
from polos.definition.workflow import workflow
from polos.engine import ending
from polos.model.records import micros
from polos.model.retry import RetryPolicy
from polos.model.states import Status
from tests.engine.conftest import Effects, Engine


@pytest.mark.parametrize("delay", [0.01, 0.6], ids=["in place", "parked"])
@pytest.mark.parametrize("kind", ["run", "transaction"])
def test_the_step_that_failed_has_all_its_attempts_again(
    engine: Engine, done: Effects, monkeypatch: pytest.MonkeyPatch, kind: str, delay: float
) -> None:
    monkeypatch.setattr(ending, "PAUSES", RetryPolicy(base_delay=0.1, max_delay=0.1))

    @workflow(id="anew", retries=1)
    async def anew(ctx: WorkflowContext) -> str:
        call = getattr(ctx.step, kind)
        policy = {"max_retries": 2, "base_delay": delay, "max_delay": delay}
        work = (lambda: done.do("s", 5)) if kind == "run" else (lambda _: done.do("s", 5))
        return await call("s", work, **policy)

    assert engine.run(anew) == "s 6"


@pytest.mark.parametrize("delay", [0.01, 0.6], ids=["in place", "parked"])
def test_the_attempts_that_failed_are_kept(engine: Engine, done: Effects, delay: float) -> None:
    @workflow(id="attempts")
    async def attempts(ctx: WorkflowContext) -> None:
        await ctx.step.run("works", done.do, "works", 2, base_delay=delay, max_delay=delay)
        await ctx.step.run(
            "fails", done.do, "fails", 9, max_retries=1, base_delay=delay, max_delay=delay
        )

    before = engine.store.now()
    id_ = engine.start(attempts)
    assert engine.finish(id_).status is Status.FAILED
    works, fails = (engine.checkpoints(id_)[key] for key in ("works", "fails"))
    tried = decode_history(works.history)
    assert [(it.error_type, it.reason) for it in tried] == [
        ("ConnectionError", "works is away")
    ] * 2
    assert before <= tried[0].at < tried[1].at <= engine.store.now()
    for failed in tried:
        assert failed.again_at == failed.at + micros(delay)
    assert (works.attempts, fails.attempts) == (3, 2)
    assert len(decode_history(fails.history)) == 1
    assert fails.failure is not None


def test_of_many_attempts_the_last_twenty_are_kept(engine: Engine, done: Effects) -> None:
    @workflow(id="stubborn")
    async def stubborn(ctx: WorkflowContext) -> None:
        await ctx.step.run("x", done.do, "x", 25, max_retries=30, base_delay=0)

    id_ = engine.start(stubborn)
    started = time.monotonic()
    engine.result(id_)
    assert len(decode_history(engine.checkpoints(id_)["x"].history)) == 20
    assert time.monotonic() - started < 60


def test_the_log_says_what_failed_and_where(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    def look() -> str:
        return {}["cents"]

    @workflow(id="looks")
    async def looks(ctx: WorkflowContext) -> None:
        await ctx.step.run("look", look, base_delay=0.01)

    id_ = engine.start(looks)
    assert engine.finish(id_).status is Status.FAILED
    *steps, whole = (it for it in caplog.records if it.levelno >= logging.WARNING)
    assert [it.levelname for it in steps] == ["WARNING"] * 3
    for step in steps:
        assert "step=look attempt=" in step.getMessage()
        assert "failed: KeyError: 'cents' after" in step.getMessage()
    # The first one and the last one say where.
    assert ["in look" in it.getMessage() for it in steps] == [True, False, True]
    assert whole.levelname == "ERROR"
    assert whole.getMessage().startswith(f"execution={id_} workflow=looks attempt=1 failed: KeyE")
    assert "Traceback" not in whole.getMessage()


def test_the_log_says_where_the_workflows_own_code_failed(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    @workflow(id="trips")
    async def trips(ctx: WorkflowContext) -> None:
        await ctx.step.run("once", int)
        raise KeyError("cents")

    @workflow(id="repeats")
    async def repeats(ctx: WorkflowContext) -> None:
        await ctx.step.run("once", int)
        await ctx.step.run("once", int)

    for broken in (trips, repeats):
        assert engine.finish(engine.start(broken)).status is Status.FAILED
    own, polos = (it.getMessage() for it in caplog.records if it.levelname == "ERROR")
    assert own.endswith("KeyError: 'cents'")
    assert "in trips" in own
    assert "polos/engine" not in own
    # That says what to do, and needs no more lines.
    assert "step key 'once' is used twice" in polos
    assert "Traceback" not in polos


def test_the_log_says_of_a_value_that_cannot_be_kept(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    @workflow(id="odd-value")
    async def odd_value(ctx: WorkflowContext) -> None:
        await ctx.step.run("odd", object)

    assert engine.finish(engine.start(odd_value)).status is Status.FAILED
    [step, _whole] = (it.getMessage() for it in caplog.records if it.levelno >= logging.WARNING)
    assert "step=odd attempt=1 failed: polos.errors.UnsupportedType: a value of type" in step
