"""Executions as plain data, and what a console makes of something drawn."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.console import Console, RenderableType

START = datetime(2030, 1, 1, 12, tzinfo=UTC)
NASTY = "\x1b[31m[red]x\x07\u202e"


def at(seconds: float | None) -> str | None:
    return None if seconds is None else (START + timedelta(seconds=seconds)).isoformat()


def step(
    key: str, kind: str, status: str, began: float | None, ended: float | None, **more: Any
) -> dict[str, Any]:
    return {
        "key": key,
        "kind": kind,
        "status": status,
        "attempts": 1,
        "started_at": at(began),
        "finished_at": at(ended),
        "due_at": None,
        "error": None,
        "error_type": None,
        "value": None,
        "history": [],
        "child_execution_id": None,
        **more,
    }


def tried(seconds: float, text: str) -> dict[str, Any]:
    return {"at": at(seconds), "error_type": "builtins.TimeoutError", "error": text}


def made(
    workflow: str,
    status: str,
    created: float,
    began: float | None,
    ended: float | None,
    *steps: dict[str, Any],
    **more: Any,
) -> dict[str, Any]:
    return {
        "id": f"id-of-{workflow}",
        "workflow_id": workflow,
        "status": status,
        "created_at": at(created),
        "started_at": at(began),
        "finished_at": at(ended),
        "attempts": 1,
        "error": None,
        "error_type": None,
        "result": None,
        "steps": list(steps),
        **more,
    }


SHIPPING = made(
    "shipping",
    "waiting",
    6,
    6.5,
    None,
    step("pick", "step", "completed", 6.5, 7.5),
    step(
        "label",
        "step",
        "retrying",
        7.5,
        None,
        attempts=2,
        due_at=at(14),
        history=[tried(8, "printer away"), tried(9, "a long text " * 6)],
        error="a long text",
        error_type="builtins.TimeoutError",
    ),
)
ORDER = made(
    "order",
    "waiting",
    0,
    1,
    None,
    step("number", "uuid", "completed", None, 1),
    step("charge", "step", "completed", 1, 4, attempts=2, history=[tried(2, "busy")]),
    step("pause", "wait", "completed", 4, 6),
    step(
        "ship",
        "invoke_and_wait",
        "waiting",
        6,
        None,
        child_execution_id="id-of-shipping",
        child=SHIPPING,
    ),
    step("limit", "wait", "waiting", 6, None, due_at=at(7210)),
    attempts=3,
    user_id="ada",
    tags=["eu", "vip"],
    payload={"id": "a1"},
)


def text_of(drawn: RenderableType, width: int = 80, encoding: str = "utf-8") -> str:
    """What a console prints; each line within the width, none with anything but characters."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="backslashreplace")
    console = Console(file=stream, width=width, markup=False, highlight=False, emoji=False)
    console.print(drawn)
    stream.seek(0)
    lines = [line.rstrip() for line in stream.read().split("\n")]
    assert all(line.isprintable() for line in lines)
    return "\n".join(lines).rstrip()
