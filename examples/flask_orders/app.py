"""Takes orders, and tells how they get on as server-sent events."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

from celery_app import polos
from flask import Flask, Response, abort, request
from pydantic import ValidationError
from workflows import Order, fulfil_order

from polos import ExecutionNotFound

SECONDS = 0.3

app = Flask(__name__)


@app.post("/orders")
def place() -> tuple[dict[str, Any], int]:
    """Start the workflow: once this has answered, the order will be fulfilled."""
    try:
        wanted = Order.model_validate(request.get_json())
    except ValidationError as error:
        return {"errors": error.errors(include_url=False, include_context=False)}, 422
    handle = fulfil_order.start(polos, wanted)
    return {"id": handle.id, "progress": f"/orders/{handle.id}/progress"}, 202


@app.get("/orders/<execution_id>")
def order(execution_id: str) -> dict[str, Any]:
    """How an order stands, with all its steps."""
    try:
        return asyncio.run(polos.get_execution(execution_id))
    except ExecutionNotFound:
        abort(404, "there is no such order")


@app.get("/orders/<execution_id>/progress")
def progress(execution_id: str) -> Response:
    """Each step when its status changes, then the end."""
    order(execution_id)  # a 404 can't be told once the stream has begun
    return Response(
        events(execution_id),
        mimetype="text/event-stream",
        headers={"Cache-Control": "no-cache"},
    )


def events(execution_id: str) -> Iterator[str]:
    """The events of one listener; he may go at any time, the workflow doesn't mind."""
    told: dict[str, str] = {}
    while True:
        execution = order(execution_id)
        for step in execution["steps"]:
            if told.get(step["key"]) != step["status"]:
                told[step["key"]] = step["status"]
                yield event("step", {name: step[name] for name in ("key", "status", "error")})
        if execution["finished_at"] is not None:
            yield event("end", {name: execution[name] for name in ("status", "result", "error")})
            return
        time.sleep(SECONDS)


def event(kind: str, data: dict[str, Any]) -> str:
    """One event, as browsers read them."""
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n"
