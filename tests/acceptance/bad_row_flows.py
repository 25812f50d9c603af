"""Workflows whose rows are made unreadable while they wait, or after they have ended."""

from __future__ import annotations

from pydantic import BaseModel

from polos import WorkflowContext, workflow
from tests.acceptance.ledger import effect, gated


class Amount(BaseModel):
    euros: int


@workflow(id="bad-row-paid")
async def paid(ctx: WorkflowContext, payload: Amount) -> str:
    me = ctx.execution_id
    euros = await ctx.step.run("paid", effect, me, "pay", payload.euros)
    await ctx.step.wait_for("pause", days=30)
    return f"paid {euros} EUR"


@workflow(id="bad-row-quick")
async def quick(ctx: WorkflowContext) -> str:
    return "done"


@workflow(id="bad-row-failing")
async def failing(ctx: WorkflowContext) -> str:
    raise LookupError("nothing there")


@workflow(id="bad-row-parent")
async def parent(ctx: WorkflowContext) -> str:
    return await ctx.step.invoke_and_wait("kid", child)


@workflow(id="bad-row-child")
async def child(ctx: WorkflowContext) -> str:
    effect(ctx.parent_execution_id or "", "child", text=ctx.execution_id)
    await ctx.step.run("slow", gated, ctx.execution_id, "slow")
    return "child is done"
