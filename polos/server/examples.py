"""The examples of the API's document; a test holds them against the models."""

from __future__ import annotations

from typing import Any

from polos import __version__

_ID = "5b3c9a4e-6b0a-4a53-9d7c-0e3d0c1d2f11"
_AT = "2030-01-31T12:00:00+00:00"
_LATER = "2030-01-31T12:00:02.500000+00:00"

HEALTH = {"status": "ok", "version": __version__}
READY = {"status": "ok", "checks": {"store": "ok", "schema": "ok", "broker": "ok"}}
NOT_READY = {"status": "failed", "checks": {"store": "ok", "schema": "ok", "broker": "failed"}}

WORKFLOW = {
    "id": "order_processor",
    "description": "Charges and ships an order.",
    "payload_schema": {
        "title": "Order",
        "type": "object",
        "properties": {"id": {"title": "Id", "type": "string"}},
        "required": ["id"],
    },
    "defined_here": True,
    "has_worker": True,
}
WORKFLOWS = {"items": [WORKFLOW]}

START = {"payload": {"id": "a1"}, "tags": ["eu"], "idempotency_key": "order-a1"}
BATCH = {"items": [{"workflow_id": "order_processor", "payload": {"id": "a1"}}]}
WAIT = {"ids": [_ID], "timeout": 30}
FORK = {"from_step": "charge"}
PRUNE = {"older_than_days": 30}

RUNNING: dict[str, Any] = {
    "id": _ID,
    "workflow_id": "order_processor",
    "status": "running",
    "payload": {"id": "a1"},
    "result": None,
    "error": None,
    "error_type": None,
    "created_at": _AT,
    "started_at": _AT,
    "finished_at": None,
    "wake_at": None,
    "deadline_at": None,
    "cancel_requested_at": None,
    "parent_execution_id": None,
    "root_workflow_id": None,
    "root_execution_id": None,
    "session_id": None,
    "user_id": "ada",
    "step_key": None,
    "queue": None,
    "priority": None,
    "deployment_id": None,
    "attempts": 1,
    "retried": 0,
    "forked_from": None,
}
EXECUTION = RUNNING | {
    "status": "completed",
    "result": {"label": "A1"},
    "finished_at": _LATER,
}
EXECUTIONS = {"items": [EXECUTION]}
_STEP = {
    "key": "charge",
    "kind": "step",
    "status": "completed",
    "attempts": 1,
    "started_at": _AT,
    "finished_at": _LATER,
    "due_at": None,
    "error": None,
    "error_type": None,
    "input": {"args": ["a1"]},
    "value": {"charge_id": "ch_1"},
    "history": [],
    "child_execution_id": None,
}
DETAILS = EXECUTION | {
    "tags": ["eu"],
    "worker": None,
    "executing": [],
    "steps": [_STEP],
    "children": [],
}
_LISTED = (
    "id workflow_id status created_at started_at finished_at wake_at cancel_requested_at "
    "session_id user_id deployment_id queue parent_execution_id root_execution_id forked_from "
    "attempts retried"
)
PAGE = {
    "items": [{name: EXECUTION[name] for name in _LISTED.split()} | {"tags": ["eu"]}],
    "next_cursor": None,
}
CANCELLED = {"cancelled": True}
DELETED = {"deleted": 12}
_PROGRESS = (
    f'{{"id":"{_ID}","status":"completed","steps_done":3,"attempts":1,"retried":0,'
    '"cancel_requested":false,"waiting_for":0,"current":[]}'
)
EVENT = {"id": "completed-0-1-0-3-0-0-0-0", "event": "end", "data": _PROGRESS}
PROBLEM = {
    "type": "about:blank",
    "title": "Not Found",
    "status": 404,
    "detail": "no execution 'a1' in this project; check the id, the project_id and the database "
    "URL",
    "code": "ExecutionNotFound",
    "arguments": {"execution_id": "a1"},
}
