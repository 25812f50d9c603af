"""``show``: one execution."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from polos import codec
from polos.cli import completions, output
from polos.cli.doctor.asking import routes_of
from polos.cli.options import json_option
from polos.cli.screens import execution as screen
from polos.cli.screens.glyphs import glyphs_of
from polos.cli.target import Target, target_of
from polos.client.unserved import unserved
from polos.definition.masking import masked
from polos.errors import CodecError, ExecutionNotFound
from polos.model.records import Execution, Micros, as_datetime
from polos.worker.client import PolosClient

_DEPTH = 8
_MOST_CHILDREN = 200


@click.command()
@click.argument("execution_id", metavar="ID", shell_complete=completions.execution_ids)
@click.option("--no-children", is_flag=True, help="Don't look into children.")
@json_option
@click.pass_context
def show(context: click.Context, execution_id: str, no_children: bool) -> None:
    """One execution: its steps, times, attempts, errors and children.

    The bars are to scale: the line above them says what their whole width is. A solid one is work,
    a thin one a wait that holds no worker, a dotted one the time before a worker took it. A step
    has its line when it has ended; what has run for some seconds is said above them.
    """
    target = target_of(context)
    found = asyncio.run(_read(target.client, execution_id, not no_children))
    row, now = target.client.get(execution_id), target.store.now()
    found["payload"] = _payload(row.payload)
    found["traceback"] = _traceback(target, row)
    found["unclaimed"] = _unclaimed(target, row, now)
    found = masked(found, target.settings.redact)
    output.show(
        context,
        found,
        lambda console: screen.drawn(found, as_datetime(now), console.width, glyphs_of(console)),
    )


def _traceback(target: Target, row: Execution) -> str | None:
    """Where it failed: in the function of the step that led to it, or in its own."""
    if row.failure is None:
        return None
    step = target.store.recorded(row.id, row.failure.cause) if row.failure.cause else None
    failures = (step and step.failure, row.failure)
    return next((it.traceback for it in failures if it and it.traceback), None)


def _unclaimed(target: Target, row: Execution, now: Micros) -> str | None:
    # Without an app nobody knows how it routes.
    routes = routes_of(target.app, [row.workflow_id]) if target.chosen else {}
    return unserved(target.store, row, now, routes.get(row.workflow_id, "")) or None


def _payload(data: bytes) -> Any:
    try:
        return codec.plain(codec.decode(data, lenient=True))
    except CodecError as error:
        return f"(it can't be read: {error})"


async def _read(client: PolosClient, execution_id: str, children: bool) -> dict[str, Any]:
    """The execution, with the data of children in the steps that started them."""
    found = await client.get_execution(execution_id)
    level = [found]
    left = _MOST_CHILDREN if children else 0
    for _ in range(_DEPTH):
        below = []
        for step in (step for execution in level for step in execution["steps"]):
            id_ = step.get("child_execution_id")
            if id_ and left > 0:
                left -= 1
                step["child"] = await _child(client, id_)
                below += [step["child"]] if step["child"] else []
        level = below
    return found


async def _child(client: PolosClient, execution_id: str) -> dict[str, Any] | None:
    try:
        return await client.get_execution(execution_id)
    except ExecutionNotFound:
        return None  # pruned
