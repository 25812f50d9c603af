# type: ignore
"""Mistakes that type checkers find: one on each line marked ``# wrong``, and none elsewhere.

The first line keeps the project's own run of the checkers silent about this file; the test that
runs them on it takes that line out.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from polos.definition.context import SyncWorkflowContext, WorkflowContext
from polos.definition.workflow import workflow
from polos.model.ports import WorkflowClient


class Order(BaseModel):
    id: str


class Parcel(BaseModel):
    weight: float


class Receipt(BaseModel):
    number: int


async def fetch(url: str) -> bytes:
    return url.encode()


def debit(connection: Any, account: str) -> int:
    return len(account)


@workflow
async def order_workflow(ctx: WorkflowContext, payload: Order) -> Receipt:
    return Receipt(number=len(payload.id))


@workflow
async def bare(ctx: WorkflowContext) -> int:
    return 1


@workflow  # wrong
async def number_as_payload(ctx: WorkflowContext, payload: int) -> int:
    return payload


@workflow  # wrong
async def three_parameters(ctx: WorkflowContext, payload: Order, more: int) -> int:
    return more


@workflow  # wrong
def plain_with_async_context(ctx: WorkflowContext) -> int:
    return 1


@workflow(ident="x")  # wrong
async def unknown_option(ctx: WorkflowContext) -> int:
    return 1


@workflow(retries="2")  # wrong
async def retries_as_text(ctx: WorkflowContext) -> int:
    return 1


async def calls(client: WorkflowClient) -> None:
    await order_workflow.run(client, Parcel(weight=1))  # wrong
    await order_workflow.run(Parcel(weight=1))  # wrong
    order_workflow.start(5)  # wrong
    await bare.run(client, Order(id="a"))  # wrong
    await order_workflow.run(client, Order(id="a"), timeout="5")  # wrong
    text: str = await order_workflow.run(client, Order(id="a"))  # wrong
    number: int = order_workflow.run_sync(client, Order(id="a"))  # wrong
    handle = await order_workflow.invoke(client, Order(id="a"))
    amount: int = await handle.result()  # wrong
    handle.id = "other"  # wrong
    del text, number, amount


async def steps(ctx: WorkflowContext) -> None:
    text: str = await ctx.step.run("fetch", fetch, "u")  # wrong
    await ctx.step.run("called", fetch("u"))  # wrong
    await ctx.step.run("retries", fetch, "u", max_retries="2")  # wrong
    await ctx.step.run("retry_on", fetch, "u", retry_on=OSError("x"))  # wrong
    paid: str = await ctx.step.transaction("debit", debit, "a")  # wrong
    await ctx.step.transaction("timeout", debit, "a", max_retries="2")  # wrong
    await ctx.step.wait_for("pause", months=1)  # wrong
    await ctx.step.wait_until("opening", 5)  # wrong
    await ctx.step.task("task", order_workflow, timeout="60")  # wrong
    await ctx.step.invoke_and_wait("child", order_workflow, Parcel(weight=1))  # wrong
    await ctx.step.invoke_and_wait("undecorated", fetch, {"id": "a"})  # wrong
    count: int = await ctx.step.invoke_and_wait("result", order_workflow, Order(id="a"))  # wrong
    ctx.execution_id = "other"  # wrong
    del text, count, paid


def sync_steps(ctx: SyncWorkflowContext) -> None:
    text: str = ctx.step.run("fetch", fetch, "u")  # wrong
    ctx.step.invoke_and_wait("child", order_workflow, Parcel(weight=1))  # wrong
    options: dict[str, Any] = ctx.step.invoke_and_wait("by id", "some_id")
    del text, options
