"""The workflows that the workers run."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import time
from typing import Any

from pydantic import BaseModel

from polos import SyncWorkflowContext, WorkflowContext, workflow
from tests.acceptance import site  # noqa: F401
from tests.acceptance.ledger import async_effect, async_gated, effect, gated, write

FALSY: tuple[Any, ...] = (0, False, "", [], {}, None)


class Trip(BaseModel):
    seconds: float = 3.0


class Told(BaseModel):
    numbers: list[int]
    child: str
    branches: list[int]


class Rest(BaseModel):
    seconds: float


@workflow(id="accept-rest")
async def rest(ctx: WorkflowContext, payload: Rest) -> str:
    await ctx.step.wait_for("rest", seconds=payload.seconds)
    return await ctx.step.run("say", effect, ctx.execution_id, "say", "rested")


@workflow(id="accept-journey")
async def journey(ctx: WorkflowContext, payload: Trip) -> Told:
    """Each kind of step, a wait, a child that waits, and branches of which one waits."""
    me = ctx.execution_id
    plain = await ctx.step.run("plain", effect, me, "plain", 2)
    native = await ctx.step.run("native", async_effect, me, "native", 3)
    await ctx.step.run("before", effect, me, "before")
    await ctx.step.wait_for("cooldown", seconds=payload.seconds)
    await ctx.step.run("after", effect, me, "after")
    child = await ctx.step.invoke_and_wait("child", rest, Rest(seconds=1))

    async def branch(number: int) -> int:
        key = f"branch{number}"
        value = await ctx.step.run(key, async_effect if number % 2 else effect, me, key, number**2)
        if number == 3:
            await ctx.step.wait_for("branch pause", seconds=1)
            await ctx.step.run("branch end", effect, me, "branch end")
        return value

    branches = await asyncio.gather(*(branch(number) for number in range(5)))
    return Told(numbers=[plain, native], child=child, branches=branches)


@workflow(id="accept-quick")
async def quick(ctx: WorkflowContext) -> str:
    return await ctx.step.run("only", effect, ctx.execution_id, "only", "done")


@workflow(id="accept-plain-def")
def plain_def(ctx: SyncWorkflowContext, payload: dict) -> int:
    """A workflow that is no coroutine."""
    one = ctx.step.run("one", effect, ctx.execution_id, "one", payload["number"])
    ctx.step.wait_for("pause", seconds=1)
    return one + ctx.step.run("two", async_effect, ctx.execution_id, "two", 1)


@workflow(id="accept-sleeper")
async def sleeper(ctx: WorkflowContext) -> None:
    """Waits for longer than any test."""
    await ctx.step.run("before", effect, ctx.execution_id, "before")
    try:
        await ctx.step.wait_for("month", days=30)
    finally:
        await ctx.step.run("clean up", effect, ctx.execution_id, "clean up")


@workflow(id="accept-interrupted")
async def interrupted(ctx: WorkflowContext) -> list[int]:
    """Its third step lasts until the test says so, or kills its worker."""
    me = ctx.execution_id
    values = [await ctx.step.run(f"step{n}", effect, me, f"step{n}", n) for n in range(2)]
    values.append(await ctx.step.run("slow", gated, me, "slow", 2))
    values.append(await ctx.step.run("last", async_effect, me, "last", 3))
    return values


@workflow(id="accept-derived")
async def derived(ctx: WorkflowContext) -> dict:
    """What is drawn, falsy values, and an effect that depends on them."""
    me = ctx.execution_id
    drawn = {
        "uuid": await ctx.step.uuid("ticket"),
        "now": await ctx.step.now("clock"),
        "random": await ctx.step.random("dice"),
        "falsy": [
            await ctx.step.run(f"falsy{n}", effect, me, f"falsy{n}", value)
            for n, value in enumerate(FALSY)
        ],
    }
    # Nothing is committed between the last of these and the effect that uses them.
    drawn["late uuid"] = await ctx.step.uuid("late ticket")
    drawn["late random"] = await ctx.step.random("late dice")
    await ctx.step.run("slow", gated, me, "slow", None, repr(drawn))
    await ctx.step.run("seen", effect, me, "seen", None, repr(drawn))
    return drawn


@workflow(id="accept-parent")
async def parent(ctx: WorkflowContext) -> None:
    """Waits for a child that waits for a child."""
    await ctx.step.invoke_and_wait("middle", middle)


@workflow(id="accept-middle")
async def middle(ctx: WorkflowContext) -> None:
    await ctx.step.run("begun", effect, ctx.root_execution_id, "middle", None, ctx.execution_id)
    await ctx.step.invoke_and_wait("leaf", leaf)


@workflow(id="accept-leaf", queue="accept-leaves")
async def leaf(ctx: WorkflowContext) -> None:
    await ctx.step.run("begun", effect, ctx.root_execution_id, "leaf", None, ctx.execution_id)
    await ctx.step.wait_for("month", days=30)


@workflow(id="accept-long-step")
async def long_step(ctx: WorkflowContext) -> None:
    await ctx.step.run("long", async_gated, ctx.execution_id, "long")
    write(ctx.execution_id, "body", "went on")


@workflow(id="accept-plain-then-wait")
async def plain_then_wait(ctx: WorkflowContext) -> None:
    await ctx.step.run("slow", gated, ctx.execution_id, "slow")
    await ctx.step.wait_for("month", days=30)


@workflow(id="accept-relay")
async def relay(ctx: WorkflowContext, payload: dict) -> str:
    """For chains: parks where it is told to, and then gives something to the next one."""
    me = ctx.execution_id
    if payload.get("gate"):
        await ctx.step.run("slow", gated, me, "slow")
    if payload.get("seconds"):
        await ctx.step.wait_for("cooldown", seconds=payload["seconds"])
    return await ctx.step.run("say", effect, me, "say", f"from {payload['name']}")


@workflow(id="accept-unkeepable")
async def unkeepable(ctx: WorkflowContext) -> Any:
    return {"handle": [1, object()]}


@workflow(id="accept-echo")
async def echo(ctx: WorkflowContext, payload: dict) -> Any:
    return payload


@workflow(id="accept-flaky")
async def flaky(ctx: WorkflowContext) -> str:
    """Fails once, and waits; for what workers say of it."""
    me = ctx.execution_id

    def fail_once() -> str:
        write(me, "unsure", "begin")
        if ctx.retry_count == 0 and not fail_once.__dict__.setdefault("failed", []):
            fail_once.__dict__["failed"].append(True)
            raise ConnectionError("the service is down")
        return "up"

    answer = await ctx.step.run("unsure", fail_once, base_delay=0.1)
    await ctx.step.wait_for("cooldown", seconds=2)
    return answer


@workflow(id="accept-broken")
async def broken(ctx: WorkflowContext) -> None:
    def pay() -> None:
        raise ConnectionError("the bank is closed")

    await ctx.step.run("pay", pay, max_retries=0)


@workflow(id="accept-limited", celery={"time_limit": 2})
async def limited(ctx: WorkflowContext) -> None:
    """Its step takes longer than the hard time limit of its task."""
    await ctx.step.run("endless", gated, ctx.execution_id, "endless", None)


def _compute(execution: str) -> str:
    """Holds its thread, and gives no greenlet a turn, for longer than two short leases."""
    write(execution, "compute", "begin")
    end = time.monotonic() + 7
    while time.monotonic() < end:
        sum(range(1000))
    write(execution, "compute", "end")
    return "computed"


@workflow(id="accept-computing")
async def computing(ctx: WorkflowContext) -> str:
    return await ctx.step.run("compute", _compute, ctx.execution_id)


def _hold(execution: str) -> str:
    """One call of C that lets no other thread of its process run, for longer than three leases."""
    write(execution, "hold", "begin")
    ctypes.PyDLL(None).sleep(7)
    write(execution, "hold", "end")
    return "held"


@workflow(id="accept-holding")
async def holding(ctx: WorkflowContext) -> str:
    return await ctx.step.run("hold", _hold, ctx.execution_id)


@workflow(id="accept-steps")
async def steps(ctx: WorkflowContext, payload: dict) -> int:
    """Plain steps of a given length, one after another."""
    for number in range(payload["steps"]):
        key = f"step{number}"
        await ctx.step.run(key, timed, ctx.execution_id, key, payload["seconds"])
    return payload["steps"]


@workflow(id="accept-poison")
async def poison(ctx: WorkflowContext) -> None:
    await ctx.step.run("harmless", effect, ctx.execution_id, "harmless")
    await ctx.step.run("fatal", fatal, ctx.execution_id)


def timed(execution: str, step: str, seconds: float) -> None:
    write(execution, step, "begin")
    time.sleep(seconds)
    write(execution, step, "end")


def fatal(execution: str) -> None:
    write(execution, "fatal", "begin")
    os.kill(os.getpid(), signal.SIGKILL)
