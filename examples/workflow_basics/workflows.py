"""Seven small workflows, each showing one thing that workflows do."""

from __future__ import annotations

import asyncio
import time

from pydantic import BaseModel

from polos import WorkflowContext, workflow

# -- one step ------------------------------------------------------------------------------


class SimplePayload(BaseModel):
    name: str = "World"


class SimpleResult(BaseModel):
    message: str


@workflow
async def simple_workflow(ctx: WorkflowContext, payload: SimplePayload) -> SimpleResult:
    """A greeting, made in one step. The workflow's id is the function's name."""
    message = await ctx.step.run("greet", lambda: f"Hello, {payload.name}!")
    return SimpleResult(message=message)


# -- steps in a row, and an id that stays the same -----------------------------------------


class OrderPayload(BaseModel):
    order_id: str
    customer_email: str
    items: list[str]
    total_amount: float


class OrderResult(BaseModel):
    order_id: str
    status: str
    confirmation_number: str


def validate_order(order: OrderPayload) -> None:
    if not order.items:
        raise ValueError(f"order {order.order_id} has no items")
    if order.total_amount <= 0:
        raise ValueError(f"order {order.order_id} costs {order.total_amount}")


async def reserve_inventory(items: list[str]) -> dict[str, str]:
    """A call to a warehouse, as far as this example goes."""
    await asyncio.sleep(0.1)
    return {item: f"shelf {number}" for number, item in enumerate(items, start=1)}


@workflow(id="order_processor")
async def process_order(ctx: WorkflowContext, payload: OrderPayload) -> OrderResult:
    """Checks an order, reserves its items and confirms it. Steps may be plain or async."""
    await ctx.step.run("validate", validate_order, payload, max_retries=0)
    await ctx.step.run("reserve", reserve_inventory, payload.items)
    confirmation = await ctx.step.uuid("confirmation")
    return OrderResult(
        order_id=payload.order_id, status="completed", confirmation_number=confirmation
    )


# -- retries -------------------------------------------------------------------------------


class RetryPayload(BaseModel):
    outage_seconds: float = 1.0


class RetryResult(BaseModel):
    quote: float
    seconds_until_it_answered: float


class CardDeclined(Exception):
    """No retry will help."""


def fetch_quote(first_asked: float, outage_seconds: float) -> float:
    """A service that is down for a while after it was first asked."""
    if time.time() - first_asked < outage_seconds:
        raise ConnectionError("the quote service is down")
    return 42.5


def charge_card(amount: float) -> str:
    raise CardDeclined(f"the bank refused {amount:.2f} EUR")


@workflow(id="retries")
async def retry_workflow(ctx: WorkflowContext, payload: RetryPayload) -> RetryResult:
    """Calls a service that fails at first: after 0.2, 0.4, 0.8 … seconds it is tried again."""
    first_asked = await ctx.step.run("first_asked", time.time)
    quote = await ctx.step.run(
        "fetch_quote",
        fetch_quote,
        first_asked,
        payload.outage_seconds,
        max_retries=6,
        base_delay=0.2,
        max_delay=2.0,
    )
    answered = await ctx.step.run("answered", time.time)
    return RetryResult(quote=quote, seconds_until_it_answered=round(answered - first_asked, 1))


@workflow(id="failing_step")
async def failing_workflow(ctx: WorkflowContext, payload: dict) -> str:
    """Ends with a StepExecutionError: the step fails three times, and that was its last chance."""
    return await ctx.step.run(
        "charge_card", charge_card, payload["amount"], max_retries=2, base_delay=0.1
    )


# -- time ----------------------------------------------------------------------------------


class TimedPayload(BaseModel):
    seconds: float = 2.0


class TimedResult(BaseModel):
    waited_seconds: float


@workflow(id="timed_workflow")
async def timed_workflow(ctx: WorkflowContext, payload: TimedPayload) -> TimedResult:
    """Waits durably: no worker is held meanwhile, be it for two seconds or for thirty days."""
    before = await ctx.step.now("before")
    await ctx.step.wait_for("cooldown", seconds=payload.seconds)
    after = await ctx.step.now("after")
    return TimedResult(waited_seconds=(after - before) / 1000)


# -- values that are the same on every replay ----------------------------------------------


class DrawnValues(BaseModel):
    ticket: str
    lucky: float
    drawn_at: int


class DrawResult(BaseModel):
    values: DrawnValues
    same_after_replay: bool


@workflow(id="deterministic_values")
async def draw_workflow(ctx: WorkflowContext) -> DrawResult:
    """Draws values, waits, and looks at them again.

    The wait ends the first run of this function. The second run starts at the top, and every
    ``ctx.step`` call then gives what it gave before.
    """
    values = DrawnValues(
        ticket=await ctx.step.uuid("ticket"),
        lucky=await ctx.step.random("lucky"),
        drawn_at=await ctx.step.now("drawn_at"),
    )
    noted = await ctx.step.run("note", lambda: values)
    await ctx.step.wait_for("pause", seconds=1)
    return DrawResult(values=values, same_after_replay=noted == values)


# -- children ------------------------------------------------------------------------------


class ItemData(BaseModel):
    sku: str
    quantity: int


class ValidateEnrichPayload(BaseModel):
    data: dict
    validation_type: str = "basic"


class ValidateEnrichResult(BaseModel):
    valid: bool
    enriched_data: dict
    errors: list[str] = []


class ParentPayload(BaseModel):
    items: list[ItemData]


class ParentResult(BaseModel):
    total_items: int
    valid_items: int
    results: list[ValidateEnrichResult]


def find_faults(data: dict, validation_type: str) -> list[str]:
    faults = []
    if data["quantity"] < 1:
        faults.append(f"{data['sku']}: the quantity is {data['quantity']}")
    if validation_type == "strict" and not data["sku"].isupper():
        faults.append(f"{data['sku']}: not in capitals")
    return faults


@workflow(id="validate_and_enrich")
async def validate_and_enrich(
    ctx: WorkflowContext, payload: ValidateEnrichPayload
) -> ValidateEnrichResult:
    """A workflow like any other; others start it as their child."""
    faults = await ctx.step.run("validate", find_faults, payload.data, payload.validation_type)
    if faults:
        return ValidateEnrichResult(valid=False, enriched_data=payload.data, errors=faults)
    enriched = await ctx.step.run("enrich", lambda: {**payload.data, "warehouse": "north"})
    return ValidateEnrichResult(valid=True, enriched_data=enriched)


@workflow(id="parent_workflow")
async def parent_workflow(ctx: WorkflowContext, payload: ParentPayload) -> ParentResult:
    """Starts a child for each item, one after another. A key for each: the number is in it."""
    results = []
    for number, item in enumerate(payload.items):
        child_result = await ctx.step.invoke_and_wait(
            f"item_{number}",
            validate_and_enrich,
            ValidateEnrichPayload(data=item.model_dump(), validation_type="strict"),
        )
        # It is a ValidateEnrichResult already; unpacking one works as well.
        results.append(ValidateEnrichResult(**child_result))
    return ParentResult(
        total_items=len(results),
        valid_items=sum(result.valid for result in results),
        results=results,
    )


# -- many at once --------------------------------------------------------------------------


class RegionPayload(BaseModel):
    region: str
    sales: list[float]


class RegionResult(BaseModel):
    region: str
    total: float


class ReportPayload(BaseModel):
    sales: dict[str, list[float]]


class ReportResult(BaseModel):
    best_region: str
    total_in_dollars: float
    seconds: float


@workflow(id="region_totals")
async def region_workflow(ctx: WorkflowContext, payload: RegionPayload) -> RegionResult:
    """Waits for a second, so that one can see that several of it wait at the same time."""
    await ctx.step.wait_for("end_of_business", seconds=1)
    total = await ctx.step.run("add_up", sum, payload.sales)
    return RegionResult(region=payload.region, total=total)


async def exchange_rate(currency: str) -> float:
    await asyncio.sleep(0.1)
    return {"USD": 1.1}[currency]


@workflow(id="orchestrator")
async def orchestrator_workflow(ctx: WorkflowContext, payload: ReportPayload) -> ReportResult:
    """Starts a child for each region and a step beside them, all at once."""
    began = await ctx.step.now("began")
    rate, regions = await asyncio.gather(
        ctx.step.run("exchange_rate", exchange_rate, "USD"),
        asyncio.gather(
            *(
                ctx.step.invoke_and_wait(
                    f"region_{region}", region_workflow, RegionPayload(region=region, sales=sales)
                )
                for region, sales in payload.sales.items()
            )
        ),
    )
    ended = await ctx.step.now("ended")
    return ReportResult(
        best_region=max(regions, key=lambda found: found.total).region,
        total_in_dollars=round(sum(found.total for found in regions) * rate, 2),
        seconds=(ended - began) / 1000,
    )


ALL = (
    simple_workflow,
    process_order,
    retry_workflow,
    failing_workflow,
    timed_workflow,
    draw_workflow,
    validate_and_enrich,
    parent_workflow,
    region_workflow,
    orchestrator_workflow,
)
