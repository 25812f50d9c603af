"""Runs each workflow of the introduction once, and checks what it gives."""

import asyncio
import time

from workflows import (
    ItemData,
    OrderPayload,
    ParentPayload,
    ParentResult,
    SimplePayload,
    SimpleResult,
    hopeless,
    operations,
    parent_workflow,
    process_order,
    simple_workflow,
)

from polos import PolosClient, StepExecutionError


async def main() -> None:
    client = PolosClient(project_id="introduction")

    result = await simple_workflow.run(client, SimplePayload(name="Alice"))
    assert result == SimpleResult(message="Hello, Alice!")
    print(result.message)
    assert (await simple_workflow.run(client, SimplePayload())).message == "Hello, World!"

    order = OrderPayload(
        order_id="A-1", customer_email="ada@example.org", items=["tea"], total_amount=3.5
    )
    done = await process_order.run(client, order)
    assert (done.order_id, done.status) == ("A-1", "completed")
    assert len(done.confirmation_number) == 36

    items = [ItemData(name=str(number), quantity=number) for number in range(3)]
    parent = await parent_workflow.run(client, ParentPayload(items=items))
    assert isinstance(parent, ParentResult)
    assert (parent.total_items, parent.valid_items) == (3, 2)
    assert [found.data["name"] for found in parent.results] == ["0", "1", "2"]

    handle = await operations.invoke(client, session_id="s", user_id="u")
    found = await handle.result(60)
    assert found["result"] == 32
    assert 0 <= found["random"] < 1
    assert abs(found["now"] - time.time() * 1000) < 60_000
    assert found["context"] == ["operations", handle.id, "s", "u"]

    began = time.monotonic()
    try:
        await hopeless.run(client)
    except StepExecutionError as error:
        # One call and two retries, after one second and after two.
        print(f"{error} | {error.step_key} {error.attempts} {error.reason}")
        assert 3 <= time.monotonic() - began < 20
    print("all shown")


asyncio.run(main())
