"""Branches: gather, TaskGroup and as_completed over steps, waits and children."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import pytest
from pydantic import BaseModel

from polos.definition.context import WorkflowContext
from polos.definition.workflow import workflow
from polos.model.outcome import Completed, Parked
from polos.model.states import Status
from tests.engine.conftest import Engine, is_parked


class Doubled(BaseModel):
    value: int


@workflow(id="double_after_wait")
async def double_after_wait(ctx: WorkflowContext, payload: dict[str, Any]) -> Doubled:
    await ctx.step.wait_for("pause", seconds=payload.get("seconds", 0.6))
    return Doubled(value=payload["n"] * 2)


@workflow(id="parallel_fails")
async def fails(ctx: WorkflowContext) -> None:
    raise ValueError("no good")


def test_gather_of_five_kinds(engine: Engine) -> None:
    @workflow(id="five")
    async def five(ctx: WorkflowContext) -> list[Any]:
        async def slow(n: int) -> int:
            await asyncio.sleep(0.01)
            return n

        child, *rest = await asyncio.gather(
            ctx.step.invoke_and_wait("child", double_after_wait, {"n": 21}),
            ctx.step.run("async", slow, 1),
            ctx.step.run("sync", lambda: 2),
            ctx.step.wait_for("short", seconds=0.05),
            ctx.step.wait_for("long", seconds=0.8),
        )
        return [child.value, *rest]

    engine.add(double_after_wait)
    assert engine.run(five) == [42, 1, 2, None, None]


def test_task_group_and_as_completed(engine: Engine) -> None:
    @workflow(id="group")
    async def group(ctx: WorkflowContext) -> list[str]:
        order: list[str] = []

        async def branch(key: str, seconds: float) -> str:
            await ctx.step.wait_for(key, seconds=seconds)
            order.append(await ctx.step.run(f"after_{key}", lambda: key))
            return key

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(branch("late", 0.8))
            tasks.create_task(branch("early", 0.6))
        for done in asyncio.as_completed([branch("b2", 0.75), branch("b1", 0.55)]):
            order.append(await done)
        return order

    assert engine.run(group) == ["early", "late", "b1", "b1", "b2", "b2"]


@pytest.mark.parametrize("way", ["as_completed", "wait", "gather_cancel"])
def test_first_one_wins_is_the_same_on_replay(engine: Engine, way: str) -> None:
    """Both have ended when the replay begins; it must still see the first pass's winner."""

    @workflow(id="race")
    async def race(ctx: WorkflowContext) -> list[str]:
        async def slow() -> str:
            await ctx.step.wait_for("slow_wait", seconds=0.29)
            return await ctx.step.run("slow", lambda: "slow")

        async def fast() -> str:
            return await ctx.step.run("fast", asyncio.sleep, 0.05, "fast")

        tasks = [asyncio.ensure_future(slow()), asyncio.ensure_future(fast())]
        if way == "as_completed":
            winner = await next(iter(asyncio.as_completed(tasks)))
        else:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            winner = "+".join(sorted(task.result() for task in done))
        await ctx.step.run(f"won_{winner}", lambda: winner)
        await ctx.step.wait_for("rest", seconds=0.7)
        if way == "gather_cancel":
            for task in tasks:
                task.cancel()
            return [winner]
        return [winner, *sorted(await asyncio.gather(*tasks))]

    id_ = engine.start(race)
    first = engine.result(id_)
    keys = set(engine.checkpoints(id_))
    engine.forget(id_)
    assert engine.result(id_) == first
    assert first[0] == "fast"
    assert set(engine.checkpoints(id_)) == keys


def test_order_of_completions_is_kept(engine: Engine) -> None:
    @workflow(id="order")
    async def order(ctx: WorkflowContext) -> list[int]:
        seen: list[int] = []

        async def branch(n: int) -> None:
            for turn in range(3):
                await ctx.step.run(f"{n}.{turn}", asyncio.sleep, (n * 7 + turn * 3) % 5 / 100, n)
                seen.append(n)

        await asyncio.gather(*(branch(n) for n in range(4)))
        return seen

    id_ = engine.start(order)
    first = engine.result(id_)
    for _ in range(3):
        engine.forget(id_)
        assert engine.result(id_) == first


def test_a_step_after_a_foreign_sleep_gets_done_beside_a_long_wait(engine: Engine) -> None:
    @workflow(id="foreign")
    async def foreign(ctx: WorkflowContext) -> None:
        async def other() -> None:
            await asyncio.sleep(0.3)
            await ctx.step.run("done", lambda: True)

        await asyncio.gather(ctx.step.wait_for("month", days=30), other())

    id_ = engine.start(foreign)
    hop = engine.deliver(id_)
    assert is_parked(hop)
    assert set(engine.checkpoints(id_)) == {"done"}
    assert engine.get(id_).status is Status.WAITING


def test_a_lock_held_over_a_wait_parks_after_the_grace(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    @workflow(id="locked")
    async def locked(ctx: WorkflowContext) -> list[str]:
        lock, seen = asyncio.Lock(), []

        async def branch(name: str) -> None:
            async with lock:
                await ctx.step.wait_for(name, seconds=2)
                seen.append(name)

        await asyncio.gather(branch("one"), branch("two"))
        return seen

    id_ = engine.start(locked)
    began = time.monotonic()
    with caplog.at_level(logging.WARNING):
        hop = engine.deliver(id_)
    assert is_parked(hop)
    assert time.monotonic() - began >= 0.9
    assert "test_parallel.py" in caplog.text
    assert "in branch" in caplog.text
    assert engine.result(id_) == ["one", "two"]


def test_without_anything_durable_it_never_parks(engine: Engine) -> None:
    @workflow(id="only_foreign")
    async def only_foreign(ctx: WorkflowContext) -> str:
        await asyncio.sleep(1.5)
        return "slept"

    hop = engine.deliver(engine.start(only_foreign))
    assert isinstance(hop.outcome, Completed)


def test_short_waits_are_slept_in_place(engine: Engine) -> None:
    @workflow(id="short")
    async def short(ctx: WorkflowContext) -> str:
        await ctx.step.wait_for("a", seconds=0.1)
        await ctx.step.wait_for("b", seconds=0.1)
        return "done"

    began = time.monotonic()
    hop = engine.deliver(engine.start(short))
    assert isinstance(hop.outcome, Completed)
    assert time.monotonic() - began >= 0.2


def test_a_failed_branch_leaves_the_others_alone(engine: Engine) -> None:
    @workflow(id="partial")
    async def partial(ctx: WorkflowContext) -> list[str]:
        found = await asyncio.gather(
            ctx.step.invoke_and_wait("bad", fails),
            ctx.step.invoke_and_wait("good", double_after_wait, {"n": 1, "seconds": 0.55}),
            return_exceptions=True,
        )
        return [type(one).__name__ + ":" + str(getattr(one, "value", one)) for one in found]

    engine.add(fails, double_after_wait)
    bad, good = engine.run(partial)
    assert bad == "StepExecutionError:step 'bad' failed: ValueError: no good"
    assert good == "Doubled:2"


def test_nothing_lives_on_after_an_attempt(engine: Engine) -> None:
    ticks: list[float] = []

    @workflow(id="background")
    async def background(ctx: WorkflowContext) -> None:
        async def tick() -> None:
            while True:
                ticks.append(time.monotonic())
                await asyncio.sleep(0.01)

        async def work() -> None:
            while len(ticks) < 4:
                await asyncio.sleep(0.01)

        beat = asyncio.create_task(tick())
        await ctx.step.run("work", work)
        await ctx.step.wait_for("pause", seconds=3)
        beat.cancel()

    @workflow(id="quiet")
    async def quiet(ctx: WorkflowContext) -> None:
        await ctx.step.run("nap", asyncio.sleep, 0.2)

    hop = engine.deliver(engine.start(background))
    assert isinstance(hop.outcome, Parked)
    count = len(ticks)
    assert count > 3
    engine.run(quiet)
    assert len(ticks) == count
