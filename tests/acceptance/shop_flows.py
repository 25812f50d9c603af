"""A workflow whose step is one of the shop's tasks."""

from __future__ import annotations

from typing import Any

from polos import Polos, StepExecutionError, SyncWorkflowContext, WorkflowContext, workflow
from tests.acceptance import shop
from tests.acceptance.ledger import effect

polos = Polos(shop.app)


@workflow(id="shop-order")
async def order(ctx: WorkflowContext, payload: dict) -> Any:
    """What its step came to, told before and after a wait."""
    me, told = ctx.execution_id, None
    signature = shop.signature_of(payload["what"], me)
    limits = {name: payload.get(name) for name in ("timeout", "resend_after")}
    try:
        told = await ctx.step.task("task", signature, **limits)
    except StepExecutionError as error:
        told = ["failed", error.error_type, error.reason, error.attempts]
    await ctx.step.run("told", effect, me, "told", None, repr(told))
    if payload.get("pause"):
        await ctx.step.wait_for("pause", seconds=payload["pause"])
    return told


@workflow(id="shop-sync-order")
def sync_order(ctx: SyncWorkflowContext, payload: dict) -> Any:
    me = ctx.execution_id
    first = ctx.step.task("task", shop.signature_of(payload["what"], me))
    return [first, ctx.step.run("after", effect, me, "after", "done")]
