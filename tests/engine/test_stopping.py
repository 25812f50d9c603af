"""A process that was told to end: steps in flight end, nothing else begins, others go on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from polos.definition.context import SyncWorkflowContext, WorkflowContext
from polos.definition.workflow import workflow
from polos.model.states import Status
from tests.engine.conftest import Engine, is_parked


def test_twenty_deploys_are_no_poison(engine: Engine) -> None:
    calls: list[int] = []

    def work(number: int) -> int:
        calls.append(number)
        engine.told_to_stop = True
        return number

    @workflow(id="month_long")
    async def month_long(ctx: WorkflowContext) -> int:
        return sum([await ctx.step.run(f"day_{n}", work, n) for n in range(20)])

    id_ = engine.start(month_long)
    for deploy in range(1, 20):
        engine.told_to_stop = False
        hop = engine.deliver(id_)
        assert hop.outcome is None
        assert calls == list(range(deploy))
        found = engine.get(id_)
        assert (found.status, found.recoveries) == (Status.QUEUED, 0)
        [(_, hint)] = engine.hints.sent
        assert (hint.execution_id, hint.countdown) == (id_, 0)
        engine.hints.sent.clear()
    engine.told_to_stop = False
    assert engine.result(id_) == 190
    assert calls == list(range(20))


def test_nothing_is_claimed_any_more(engine: Engine) -> None:
    @workflow(id="unclaimed")
    async def unclaimed(ctx: WorkflowContext) -> None:
        return None

    id_ = engine.start(unclaimed)
    engine.told_to_stop = True
    assert engine.deliver(id_).refused
    assert (engine.get(id_).status, engine.get(id_).claims) == (Status.QUEUED, 0)


def test_branches_in_flight_end_and_those_behind_them_do_not_begin(engine: Engine) -> None:
    calls: list[str] = []

    async def native(name: str) -> None:
        calls.append(name)
        engine.told_to_stop = len(calls) == 2
        await asyncio.sleep(0.05)
        calls.append(f"{name} ended")

    @workflow(id="branches")
    async def branches(ctx: WorkflowContext) -> None:
        async def branch(name: str) -> None:
            await ctx.step.run(name, native, name)
            await ctx.step.run(f"{name}2", calls.append, f"{name}2")

        await asyncio.gather(branch("a"), branch("b"))

    id_ = engine.start(branches)
    engine.deliver(id_)
    assert calls == ["a", "b", "a ended", "b ended"]
    assert set(engine.checkpoints(id_)) == {"a", "b"}
    engine.told_to_stop = False
    engine.finish(id_)
    assert sorted(calls[4:]) == ["a2", "b2"]


def test_plain_functions_that_wait_for_the_thread_do_not_begin(engine: Engine) -> None:
    calls: list[int] = []

    def plain(number: int) -> int:
        calls.append(number)
        engine.told_to_stop = True
        return number

    @workflow(id="plain")
    async def many(ctx: WorkflowContext) -> list[int]:
        return await asyncio.gather(*(ctx.step.run(f"s{n}", plain, n) for n in range(5)))

    id_ = engine.start(many)
    engine.deliver(id_)
    assert len(calls) == 1
    engine.told_to_stop = False
    for _ in range(4):
        engine.deliver(id_)
        engine.told_to_stop = False
    assert engine.result(id_) == list(range(5))
    assert sorted(calls) == list(range(5))


def test_one_that_would_park_parks(engine: Engine) -> None:
    @workflow(id="parks")
    async def parks(ctx: WorkflowContext) -> str:
        await ctx.step.run("stop", setattr, engine, "told_to_stop", True)
        await ctx.step.wait_for("pause", seconds=0.6)
        return "over"

    id_ = engine.start(parks)
    first = engine.deliver(id_)
    assert first.outcome is None, "the wait is not begun either"
    engine.told_to_stop = False
    parked = engine.deliver(id_)
    assert is_parked(parked)
    assert engine.result(id_) == "over"


def test_clean_up_after_a_cancellation_goes_on_elsewhere(engine: Engine) -> None:
    calls: list[str] = []

    def step(name: str) -> None:
        calls.append(name)
        engine.told_to_stop = True

    @workflow(id="cleaning")
    async def cleaning(ctx: WorkflowContext) -> None:
        try:
            await ctx.step.wait_for("long", hours=1)
        finally:
            await ctx.step.run("undo_1", step, "undo_1")
            await ctx.step.run("undo_2", step, "undo_2")

    id_ = engine.start(cleaning)
    assert is_parked(engine.deliver(id_))
    engine.store.cancel(id_)
    engine.deliver(id_)
    assert calls == ["undo_1"]
    engine.told_to_stop = False
    engine.finish(id_)
    assert calls == ["undo_1", "undo_2"]
    assert engine.get(id_).status is Status.CANCELLED


def test_a_plain_def_workflow_stops_between_its_steps(engine: Engine) -> None:
    calls: list[Any] = []

    def step(name: str) -> str:
        calls.append(name)
        engine.told_to_stop = True
        return name

    @workflow(id="plain_def")
    def plain_def(ctx: SyncWorkflowContext) -> list[str]:
        return [ctx.step.run(name, step, name) for name in ("one", "two")]

    id_ = engine.start(plain_def)
    engine.deliver(id_)
    assert calls == ["one"]
    engine.told_to_stop = False
    assert engine.result(id_) == ["one", "two"]
    assert calls == ["one", "two"]


def test_what_cleans_up_at_the_end_of_an_attempt_still_runs(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[str] = []

    @workflow(id="spare")
    async def spare(ctx: WorkflowContext) -> str:
        async def branch() -> None:
            try:
                await ctx.step.wait_for("long", hours=1)
            finally:
                await ctx.step.run("undo", calls.append, "undo")

        beside = asyncio.create_task(branch())
        await ctx.step.run("work", setattr, engine, "told_to_stop", True)
        assert not beside.done()
        return "done"

    id_ = engine.start(spare)
    engine.deliver(id_)
    assert engine.get(id_).status is Status.COMPLETED
    assert calls == ["undo"]
    assert "did not end" not in caplog.text
