"""A project as a whole, for people and as plain data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from polos.cli.doctor.of_workers import living
from polos.cli.screens.colours import STATUS_STYLES
from polos.model.facts import Overview
from polos.model.inert import one_line
from polos.model.records import as_datetime
from polos.model.words import ago, lasting, moment


def data_of(seen: Overview, project: str) -> dict[str, Any]:
    """The overview as JSON has it."""
    served = {workflow for worker in living(seen.workers) for workflow in worker.workflows}
    return {
        "project_id": project,
        "now": as_datetime(seen.now).isoformat(),
        "workers": [
            {
                "name": worker.report.name,
                "alive": worker.is_alive,
                "silent_seconds": round(worker.silent, 3),
                "slots": worker.report.slots,
                "idle": worker.report.idle,
                "queues": list(worker.report.queues),
                "workflows": list(worker.report.workflows),
            }
            for worker in seen.workers
        ],
        "counts": dict(seen.counts),
        "due": [
            {
                "workflow_id": work.workflow_id,
                "queue": work.queue,
                "number": work.number,
                "oldest_created_at": as_datetime(work.oldest).isoformat(),
                "has_worker": work.workflow_id in served,
            }
            for work in seen.due
        ],
        "without_worker": sorted(seen.workflows - served),
    }


def drawn(data: dict[str, Any]) -> RenderableType:
    """What ``data_of`` gave, drawn."""
    return Group(*_parts(data))


def _parts(data: dict[str, Any]) -> Iterator[RenderableType]:
    project = one_line(data["project_id"])
    yield Text(f"project {project}", style="bold")
    yield Text("")
    yield _counts(data["counts"])
    yield Text("")
    if data["workers"]:
        yield _workers(data["workers"])
    else:
        yield Text("no workers", style="yellow")
    if data["due"]:
        yield Text("")
        yield _due(data)
    if data["without_worker"]:
        yield Text("")
        names = ", ".join(map(one_line, data["without_worker"]))
        yield Text("workflows without a worker", style="yellow")
        yield Padding(Text(names), (0, 0, 0, 2))


def _counts(counts: dict[str, int]) -> Text:
    line = Text()
    for status, number in counts.items():
        line.append("" if not line else "   ")
        line.append(status, style=STATUS_STYLES[status] if number else "dim")
        line.append(f" {number:,}", style="" if number else "dim")
    return line


def _table(*columns: tuple[str, bool]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for name, is_number in columns:
        table.add_column(
            name,
            justify="right" if is_number else "left",
            no_wrap=is_number,
            overflow="fold",
        )
    return table


def _workers(workers: list[dict[str, Any]]) -> Table:
    table = _table(
        ("worker", False),
        ("slots", True),
        ("idle", True),
        ("workflows", True),
        ("queues", False),
        ("last seen", False),
    )
    for worker in workers:
        table.add_row(
            Text(one_line(worker["name"])),
            str(worker["slots"]),
            str(worker["idle"]),
            str(len(worker["workflows"])),
            Text(one_line(", ".join(worker["queues"]))),
            Text(
                f"{lasting(worker['silent_seconds'])} ago",
                style="" if worker["alive"] else "red",
            ),
        )
    return table


def _due(data: dict[str, Any]) -> Table:
    table = _table(
        ("due and unclaimed", False), ("number", True), ("queue", False), ("oldest", False)
    )
    now = moment(data["now"])
    assert now is not None
    for work in data["due"]:
        name = Text(one_line(work["workflow_id"]))
        if not work["has_worker"]:
            name.append(" (no worker has it)", style="red")
        table.add_row(
            name,
            f"{work['number']:,}",
            Text(one_line(work["queue"] or "")),
            Text(f"created {ago(moment(work['oldest_created_at']), now)}"),
        )
    return table
