"""The workflows of the introduction, as its readers write them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from polos import WorkflowContext, workflow


class SimplePayload(BaseModel):
    name: str = "World"


class SimpleResult(BaseModel):
    message: str


@workflow
async def simple_workflow(ctx: WorkflowContext, payload: SimplePayload) -> SimpleResult:
    greeting = await ctx.step.run("generate_greeting", lambda: f"Hello, {payload.name}!")
    return SimpleResult(message=greeting)


class OrderPayload(BaseModel):
    order_id: str
    customer_email: str
    items: list[str]
    total_amount: float


class OrderResult(BaseModel):
    order_id: str
    status: str
    confirmation_number: str


def validate_order(order: OrderPayload) -> bool:
    assert isinstance(order, OrderPayload)
    return bool(order.items)


async def reserve_inventory(items: list[str]) -> dict[str, int]:
    return {item: 1 for item in items}


@workflow(id="order_processor")
async def process_order(ctx: WorkflowContext, payload: OrderPayload) -> OrderResult:
    await ctx.step.run("validate", validate_order, payload)
    await ctx.step.run("reserve", reserve_inventory, payload.items)
    confirmation = await ctx.step.uuid("confirmation")
    return OrderResult(
        order_id=payload.order_id, status="completed", confirmation_number=confirmation
    )


class ItemData(BaseModel):
    name: str
    quantity: int


class ValidateEnrichPayload(BaseModel):
    data: dict[str, Any]
    validation_type: str


class ValidateEnrichResult(BaseModel):
    valid: bool
    data: dict[str, Any]


@workflow(id="validate_and_enrich")
async def validate_and_enrich(
    ctx: WorkflowContext, payload: ValidateEnrichPayload
) -> ValidateEnrichResult:
    valid = await ctx.step.run("validate", lambda: payload.data["quantity"] > 0)
    checked = {**payload.data, "by": payload.validation_type}
    return ValidateEnrichResult(valid=valid, data=checked)


class ParentPayload(BaseModel):
    items: list[ItemData]


class ParentResult(BaseModel):
    total_items: int
    valid_items: int
    results: list[ValidateEnrichResult]


@workflow(id="parent_workflow")
async def parent_workflow(ctx: WorkflowContext, payload: ParentPayload) -> ParentResult:
    results = []
    for i, item in enumerate(payload.items):
        child_result = await ctx.step.invoke_and_wait(
            f"validate_item_{i}",
            validate_and_enrich,
            ValidateEnrichPayload(data=item.model_dump(), validation_type="basic"),
        )
        assert child_result.valid is (item.quantity > 0)
        results.append(ValidateEnrichResult(**child_result))
    return ParentResult(
        total_items=len(payload.items),
        valid_items=sum(1 for r in results if r.valid),
        results=results,
    )


@workflow(id="operations")
async def operations(ctx: WorkflowContext) -> dict:
    """Every other operation, and what the context knows."""
    result = await ctx.step.run(
        "unreliable_step", pow, 2, 5, max_retries=5, base_delay=2.0, max_delay=30.0
    )
    await ctx.step.wait_for("cooldown", seconds=1)
    return {
        "result": result,
        "random": await ctx.step.random("random_value"),
        "uuid": await ctx.step.uuid("unique_id"),
        "now": await ctx.step.now("current_time"),
        "context": [ctx.workflow_id, ctx.execution_id, ctx.session_id, ctx.user_id],
    }


@workflow(id="hopeless")
async def hopeless(ctx: WorkflowContext) -> None:
    """All retries fail; with the defaults."""

    def my_function() -> None:
        print("my_function is called", flush=True)
        raise ConnectionError("nobody answers")

    await ctx.step.run("my_step", my_function)
