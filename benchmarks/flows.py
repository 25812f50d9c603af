"""What is measured."""

from __future__ import annotations

from typing import Any

from polos import WorkflowContext, workflow


@workflow(id="bench_steps")
async def steps(ctx: WorkflowContext, payload: dict[str, Any]) -> int:
    for number in range(payload["steps"]):
        await ctx.step.run(f"step_{number}", int)
    return payload["steps"]


@workflow(id="bench_wait")
async def wait(ctx: WorkflowContext, payload: dict[str, Any]) -> float:
    """How late the wait ended, in seconds by the database's clock."""
    before = await ctx.step.now("before")
    await ctx.step.wait_for("wait", seconds=payload["seconds"])
    after = await ctx.step.now("after")
    return (after - before) / 1000 - payload["seconds"]
