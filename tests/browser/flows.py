"""The workflows that are started, watched and steered in the browser."""

from __future__ import annotations

import asyncio
import os
import time
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field

from polos import WorkflowContext, workflow

FOLDER = "BROWSER_FOLDER"


def opened(gate: str) -> str:
    """Wait until the test has opened a gate, a file."""
    path = Path(os.environ[FOLDER], gate)
    while not path.exists():
        time.sleep(0.05)
    return gate


def paid(order: str) -> str:
    """Fails until the test has paid."""
    if not Path(os.environ[FOLDER], f"{order}-paid").exists():
        raise ValueError("the card was declined")
    return "paid"


def charged(order: str) -> str:
    """Fails the first time."""
    path = Path(os.environ[FOLDER], f"{order}-asked")
    time.sleep(0.4)
    if not path.exists():
        path.touch()
        raise TimeoutError("the bank did not answer")
    return "charged"


class Size(StrEnum):
    SMALL = "small"
    LARGE = "large"


class Address(BaseModel):
    """Where it goes."""

    street: str = Field(min_length=3)
    zip: str | None = Field(default=None, pattern=r"^\d{5}$")


class Item(BaseModel):
    sku: str
    count: int = Field(default=1, ge=1, le=99)


class Card(BaseModel):
    kind: Literal["card"] = "card"
    card_number: str


class Invoice(BaseModel):
    kind: Literal["invoice"] = "invoice"
    days: int = 30


class Order(BaseModel):
    """An order of the shop."""

    order_id: str = Field(description="As the customer sees it.")
    amount: float = Field(default=9.5, gt=0)
    price: Decimal | None = None
    express: bool = False
    size: Size = Size.SMALL
    due: date | None = None
    ordered_at: datetime | None = None
    labels: list[str] = []
    items: list[Item] = Field(default=[], max_length=3)
    address: Address
    payment: Card | Invoice = Field(default_factory=Invoice, discriminator="kind")
    notes: dict[str, int] = {}
    anything: Any = None


class Greeting(BaseModel):
    name: str = "World"


@workflow(id="greeter")
async def greeter(ctx: WorkflowContext, payload: Greeting) -> str:
    """Says hello."""
    return await ctx.step.run("greet", str.format, "Hello, {}!", payload.name)


@workflow(id="order_processor")
async def order_processor(ctx: WorkflowContext, payload: Order) -> dict[str, Any]:
    """Sells something."""
    number = await ctx.step.uuid("number")
    label = await ctx.step.run("label", str.upper, payload.order_id)
    return {"number": number, "label": label, "order": payload.model_dump(mode="json")}


@workflow(id="stages")
async def stages(ctx: WorkflowContext, payload: dict) -> list[str]:
    """Goes on as its gates are opened."""
    return [await ctx.step.run(f"through-{gate}", opened, gate) for gate in payload["gates"]]


@workflow(id="toiler")
async def toiler(ctx: WorkflowContext) -> None:
    """Takes many small steps, for minutes."""
    for number in range(2000):
        await ctx.step.run(f"part-{number}", asyncio.sleep, 0.1)


@workflow(id="snoozer")
async def snoozer(ctx: WorkflowContext) -> None:
    """Waits for longer than any test."""
    await ctx.step.wait_for("month", days=30)


@workflow(id="family")
async def family(ctx: WorkflowContext) -> None:
    """Waits for three children."""
    await asyncio.gather(*(ctx.step.invoke_and_wait(f"kid-{n}", snoozer) for n in range(3)))


@workflow(id="payer")
async def payer(ctx: WorkflowContext, payload: dict) -> str:
    """Fails at its second step until it is paid."""
    await ctx.step.run("before", str.upper, payload["order"])
    return await ctx.step.run("pay", paid, payload["order"], max_retries=1, base_delay=0.1)


@workflow(id="echo")
async def echo(ctx: WorkflowContext, payload: dict) -> Any:
    """Gives back what it gets, also as a step."""
    return await ctx.step.run("back", dict, payload)


@workflow(id="packing")
async def packing(ctx: WorkflowContext, payload: dict) -> int:
    """Packs what was ordered."""
    for number in range(payload["parcels"]):
        await ctx.step.run(f"parcel-{number + 1}", asyncio.sleep, 0.3)
    return int(payload["parcels"])


@workflow(id="checkout")
async def checkout(ctx: WorkflowContext, payload: dict) -> dict[str, Any]:
    """Sells, packs and sends."""
    await ctx.step.run("reserve", asyncio.sleep, 0.3)
    state = await ctx.step.run("charge", charged, payload["order"], base_delay=0.6)
    parcels, _ = await asyncio.gather(
        ctx.step.invoke_and_wait("pack", packing, {"parcels": 3}),
        ctx.step.wait_for("cooling_off", seconds=2),
    )
    await ctx.step.run("send", asyncio.sleep, 0.2)
    return {"state": state, "parcels": parcels}
