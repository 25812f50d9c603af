"""The same five jobs as workflows, on the same tasks."""

import asyncio

from celery import group
from pydantic import BaseModel
from shop import ask_bank, charge, price, remind, report, reserve, ship, total

from polos import StepExecutionError, WorkflowContext, workflow


class Order(BaseModel):
    number: int


class Cart(BaseModel):
    items: list[str]


class Reminder(BaseModel):
    number: int
    seconds: float


@workflow
async def order(ctx: WorkflowContext, payload: Order) -> str:
    reserved = await ctx.step.task("reserve", reserve.s(payload.number))
    paid = await ctx.step.task("charge", charge.s(reserved))
    return await ctx.step.task("ship", ship.s(paid))


@workflow
async def prices(ctx: WorkflowContext, cart: Cart) -> list[int]:
    return await ctx.step.task("prices", group(price.s(item) for item in cart.items))


@workflow
async def invoice(ctx: WorkflowContext, cart: Cart) -> int:
    asked = [ctx.step.task(f"price {item}", price.s(item)) for item in cart.items]
    try:
        prices = await asyncio.gather(*asked)
    except StepExecutionError as error:
        await ctx.step.task("report", report.s(error.step_key, error.reason))
        raise
    return await ctx.step.task("total", total.s(prices))


@workflow
async def rate(ctx: WorkflowContext) -> float:
    return await ctx.step.run("rate", ask_bank, max_retries=5, retry_on=(ConnectionError,))


@workflow
async def reminder(ctx: WorkflowContext, payload: Reminder) -> str:
    await ctx.step.wait_for("time_to_pay", seconds=payload.seconds)
    return await ctx.step.task("remind", remind.s(payload.number))
