"""Workflows that take too long, fail at first, or are looked at by people."""

from __future__ import annotations

import asyncio

from polos import SyncWorkflowContext, WorkflowContext, workflow
from tests.acceptance.ledger import async_gated, effect, gated


def failing_before(execution: str, step: str, retry: int, enough: int) -> str:
    """Fails until the whole execution was tried again that often."""
    effect(execution, step)
    if retry < enough:
        raise ConnectionError("the bank is closed")
    return "paid"


@workflow(id="control-async")
async def async_step(ctx: WorkflowContext) -> None:
    try:
        await ctx.step.run("long", async_gated, ctx.execution_id, "long")
    finally:
        await ctx.step.run("clean up", effect, ctx.execution_id, "clean up")


@workflow(id="control-plain", timeout_seconds=4)
def plain_step(ctx: SyncWorkflowContext) -> None:
    ctx.step.run("blocks", gated, ctx.execution_id, "blocks")
    ctx.step.run("after", effect, ctx.execution_id, "after")


@workflow(id="control-waits")
async def waits(ctx: WorkflowContext) -> None:
    try:
        await asyncio.gather(
            ctx.step.wait_for("long", hours=1), ctx.step.invoke_and_wait("child", async_step)
        )
    finally:
        await ctx.step.run("clean up", effect, ctx.execution_id, "clean up")


@workflow(id="control-retries", retries=2)
async def retries(ctx: WorkflowContext) -> str:
    me = ctx.execution_id
    await ctx.step.run("before", effect, me, "before")
    return await ctx.step.run("pay", failing_before, me, "pay", ctx.retry_count, 2, max_retries=0)


@workflow(id="control-fails")
async def fails(ctx: WorkflowContext) -> str:
    me = ctx.execution_id
    await ctx.step.run("before", effect, me, "before")
    return await ctx.step.run("pay", failing_before, me, "pay", ctx.retry_count, 1, max_retries=0)
