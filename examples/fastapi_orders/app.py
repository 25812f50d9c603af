"""Takes orders, and tells how they get on as server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI, HTTPException
from fastapi.responses import HTMLResponse, StreamingResponse
from workflows import Order, fulfil_order

from polos import ExecutionNotFound, PolosClient

SECONDS = 0.3

app = FastAPI()
polos = PolosClient()


@app.post("/orders", status_code=202)
async def place(order: Order) -> dict[str, str]:
    """Start the workflow: once this has answered, the order will be fulfilled."""
    handle = await fulfil_order.invoke(polos, order)
    return {"id": handle.id, "progress": f"/orders/{handle.id}/progress"}


@app.get("/orders/{execution_id}")
async def order(execution_id: str) -> dict[str, Any]:
    """How an order stands, with all its steps."""
    try:
        return await polos.get_execution(execution_id)
    except ExecutionNotFound:
        raise HTTPException(404, "there is no such order") from None


@app.get("/orders/{execution_id}/progress")
async def progress(execution_id: str) -> StreamingResponse:
    """Each step when its status changes, then the end."""
    await order(execution_id)  # a 404 can't be told once the stream has begun
    return StreamingResponse(
        events(execution_id),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-cache"},
    )


async def events(execution_id: str) -> AsyncIterator[str]:
    """The events of one listener; he may go at any time, the workflow doesn't mind."""
    told: dict[str, str] = {}
    while True:
        execution = await polos.get_execution(execution_id)
        for step in execution["steps"]:
            if told.get(step["key"]) != step["status"]:
                told[step["key"]] = step["status"]
                yield event("step", {name: step[name] for name in ("key", "status", "error")})
        if execution["finished_at"] is not None:
            yield event("end", {name: execution[name] for name in ("status", "result", "error")})
            return
        await asyncio.sleep(SECONDS)


def event(kind: str, data: dict[str, Any]) -> str:
    """One event, as browsers read them."""
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n"


PAGE = """<!doctype html>
<title>Orders</title>
<button onclick="order()">Order a keyboard</button>
<pre id="log"></pre>
<script>
  async function order() {
    const body = JSON.stringify({item: "keyboard", quantity: 1});
    const headers = {"Content-Type": "application/json"};
    const placed = await (await fetch("/orders", {method: "POST", headers, body})).json();
    const events = new EventSource(placed.progress);
    const show = (it) => document.getElementById("log").append(it.data + "\\n");
    events.addEventListener("step", show);
    events.addEventListener("end", (it) => { show(it); events.close(); });
  }
</script>
"""


@app.get("/", response_class=HTMLResponse)
def page() -> str:
    """A page to try it on."""
    return PAGE
