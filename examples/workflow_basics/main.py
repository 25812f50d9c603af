"""Runs each of the example's workflows once and prints what came of it.

``python main.py`` needs ``python worker.py`` in another terminal. With ``POLOS_API_URL`` in
``.env`` it speaks to the server of ``polos server start``; without, to the database and the broker
directly. ``python main.py --embedded`` brings a worker of its own and needs nothing else.
"""

import argparse
import asyncio
import os
import sys

import workflows as wf
from dotenv import load_dotenv

from polos import Polos, PolosClient, PolosError, StepExecutionError, WorkflowTimeoutError

# Each of these takes a few seconds where a worker runs.
SECONDS = 60


async def show_all(client: PolosClient) -> None:
    await show_simple(client)
    await show_order(client)
    await show_retries(client)
    await show_failure(client)
    await show_timed(client)
    await show_draw(client)
    await show_parent(client)
    await show_orchestrator(client)


async def show_simple(client: PolosClient) -> None:
    title("simple_workflow", "one step, with a model in and a model out")
    result = await wf.simple_workflow.run(client, wf.SimplePayload(name="Ada"), timeout=SECONDS)
    line("message", result.message)


async def show_order(client: PolosClient) -> None:
    title("order_processor", "steps in a row, and a UUID that a replay gives again")
    order = wf.OrderPayload(
        order_id="A-1001",
        customer_email="ada@example.com",
        items=["keyboard", "mouse"],
        total_amount=89.9,
    )
    result = await wf.process_order.run(client, order, timeout=SECONDS)
    line("status", result.status)
    line("confirmation", result.confirmation_number)


async def show_retries(client: PolosClient) -> None:
    title("retries", "a service that is down for a second")
    result = await wf.retry_workflow.run(
        client, wf.RetryPayload(outage_seconds=1.0), timeout=SECONDS
    )
    line("quote", f"{result.quote}, after {result.seconds_until_it_answered} s of trying")


async def show_failure(client: PolosClient) -> None:
    title("failing_step", "a step that fails for good")
    try:
        await wf.failing_workflow.run(client, {"amount": 12.5}, timeout=SECONDS)
    except StepExecutionError as error:
        line("StepExecutionError", error)
        line("step_key, attempts", f"{error.step_key}, {error.attempts}")
    else:
        raise AssertionError("the card was charged")


async def show_timed(client: PolosClient) -> None:
    title("timed_workflow", "a durable wait of two seconds, which holds no worker")
    handle = await wf.timed_workflow.invoke(client, wf.TimedPayload(seconds=2))
    await asyncio.sleep(1)
    line("after a second", handle.status())
    result = await handle.result(SECONDS)
    line("waited", f"{result.waited_seconds:.2f} s")


async def show_draw(client: PolosClient) -> None:
    title("deterministic_values", "uuid, random and now, before a wait and after it")
    result = await wf.draw_workflow.run(client, timeout=SECONDS)
    line("ticket", result.values.ticket)
    line("lucky, drawn_at", f"{result.values.lucky:.4f}, {result.values.drawn_at}")
    line("same after the wait", result.same_after_replay)


async def show_parent(client: PolosClient) -> None:
    title("parent_workflow", "a child for each item, one after another")
    items = [
        wf.ItemData(sku="KEY-1", quantity=2),
        wf.ItemData(sku="MOUSE-7", quantity=0),
        wf.ItemData(sku="CABLE-3", quantity=5),
    ]
    result = await wf.parent_workflow.run(client, wf.ParentPayload(items=items), timeout=SECONDS)
    line("valid", f"{result.valid_items} of {result.total_items}")
    for found in result.results:
        line("item", ", ".join(found.errors) or found.enriched_data)


async def show_orchestrator(client: PolosClient) -> None:
    title("orchestrator", "three children of a second each and a step, all at once")
    sales = {"north": [120.0, 80.5], "south": [310.0], "west": [45.5, 60.0, 12.0]}
    result = await wf.orchestrator_workflow.run(
        client, wf.ReportPayload(sales=sales), timeout=SECONDS
    )
    line("best region", result.best_region)
    line("total", f"{result.total_in_dollars:.2f} USD")
    line("took", f"{result.seconds:.1f} s")


def title(workflow_id: str, about: str) -> None:
    print(f"\n{workflow_id}: {about}")


def line(name: str, value: object) -> None:
    print(f"  {name:<20} {value}", flush=True)


async def show(embedded: bool) -> None:
    if embedded:
        async with Polos() as polos:
            await show_all(polos)
    else:
        await show_all(
            PolosClient(
                project_id=os.getenv("POLOS_PROJECT_ID"), api_url=os.getenv("POLOS_API_URL")
            )
        )


def run() -> int:
    load_dotenv()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--embedded", action="store_true", help="bring a worker of its own")
    try:
        asyncio.run(show(parser.parse_args().embedded))
    except WorkflowTimeoutError as error:
        print(f"\n{error}\nDoes a worker run? Start one: python worker.py", file=sys.stderr)
        return 1
    except PolosError as error:
        print(f"\n{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(run())
