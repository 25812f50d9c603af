"""What is measured."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

from polos import WorkflowContext, workflow


@workflow(id="bench_steps")
async def steps(ctx: WorkflowContext, payload: dict[str, Any]) -> int:
    for number in range(payload["steps"]):
        await ctx.step.run(f"step_{number}", int)
    return payload["steps"]


@workflow(id="bench_wait")
async def wait(ctx: WorkflowContext, payload: dict[str, Any]) -> float:
    """How late the wait ended, in seconds by the database's clock, to the millisecond."""
    due = await ctx.step.now("before") + round(payload["seconds"] * 1000)
    await ctx.step.wait_until("wait", datetime.fromtimestamp(due / 1000, UTC))
    return (await ctx.step.now("after") - due) / 1000


@workflow(id="bench_noop")
async def noop(ctx: WorkflowContext) -> None:
    """What each workflow costs."""


@workflow(id="bench_parent")
async def parent(ctx: WorkflowContext) -> None:
    await ctx.step.invoke_and_wait("child", noop)


@workflow(id="bench_fan_out")
async def fan_out(ctx: WorkflowContext, payload: dict[str, Any]) -> int:
    numbers = range(payload["children"])
    await asyncio.gather(*(ctx.step.invoke_and_wait(f"child_{n}", noop) for n in numbers))
    return payload["children"]


@workflow(id="bench_gather")
async def gather(ctx: WorkflowContext, payload: dict[str, Any]) -> int:
    numbers = range(payload["steps"])
    await asyncio.gather(*(ctx.step.run(f"step_{n}", int) for n in numbers))
    return payload["steps"]
