"""A workflow that is started in other programs' transactions."""

from __future__ import annotations

from polos import WorkflowContext, workflow
from tests.acceptance.ledger import effect


@workflow(id="accept-order")
async def order(ctx: WorkflowContext, payload: dict) -> int:
    return await ctx.step.run("ship", effect, ctx.execution_id, "ship", payload["number"])
