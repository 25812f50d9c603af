"""Workflows, for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from polos.model.inert import one_line
from polos.model.words import counted, lasting


def list_of(items: Sequence[dict[str, Any]]) -> RenderableType:
    """Workflows, one a line."""
    if not items:
        return Text("no workflows")
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    table.add_column("workflow", overflow="fold")
    table.add_column("workers", justify="right", no_wrap=True)
    table.add_column("description", overflow="fold")
    for item in items:
        number = item["worker_count"]
        table.add_row(
            Text(one_line(item["id"])),
            Text(str(number), style="" if number else "yellow"),
            Text(one_line(item["description"] or "")),
        )
    return table


def description(data: dict[str, Any]) -> RenderableType:
    """One workflow."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _facts(data):
        table.add_row(name, Text(one_line(value)))
    head = Text(one_line(data["id"]), style="bold")
    if data["description"]:
        head.append(f"  {one_line(data['description'])}", style="not bold")
    return Group(head, Text(""), table)


def _facts(data: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if data.get("place"):
        yield "defined in", data["place"]
    elif not data["defined_here"]:
        yield "defined in", "not here; only workers have its code"
    for part in ("payload", "result"):
        if part in data:
            yield from _fields(part, data[part])
    yield "queue", data["queue"]
    if data.get("retries"):
        yield "retries", str(data["retries"])
    if data.get("timeout_seconds"):
        yield "timeout", lasting(data["timeout_seconds"])
    if data.get("version"):
        yield "version", data["version"]
    for name, value in (data.get("celery") or {}).items():
        yield f"celery {name}", value
    yield "workers", ", ".join(data["workers"]) or counted(0, "worker")


def _fields(part: str, schema: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield part, str(schema.get("title", ""))
    required = set(schema.get("required", ()))
    for name, field in schema.get("properties", {}).items():
        kind = _kind(field)
        default = "" if name in required else f" = {field.get('default')!r}"
        yield "", f"  {name}: {kind}{default}"


def _kind(field: dict[str, Any]) -> str:
    if "anyOf" in field:
        return " | ".join(map(_kind, field["anyOf"]))
    if "$ref" in field:
        return str(field["$ref"]).rpartition("/")[2]
    kind = str(field.get("type", "any"))
    items = field.get("items")
    return f"{kind} of {_kind(items)}" if isinstance(items, dict) else kind
