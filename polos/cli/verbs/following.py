"""``logs``: what has happened in an execution."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import click

from polos.cli import completions
from polos.cli.choice import wants_json
from polos.cli.exits import Code
from polos.cli.options import json_option
from polos.cli.output import console_of, print_json
from polos.cli.screens.progress import Event, events_of, line
from polos.cli.target import Target, target_of
from polos.definition.masking import masked
from polos.model.states import Status

_EVERY = 0.5


@click.command()
@click.argument("execution_id", metavar="ID", shell_complete=completions.execution_ids)
@click.option("-f", "--follow", is_flag=True, help="Go on until it has ended.")
@json_option
@click.pass_context
def logs(context: click.Context, execution_id: str, follow: bool) -> None:
    """What has happened in an execution, one line for each event.

    A step is told when it has ended, failed attempts when they have failed. With --json each line
    is a JSON document. With -f the exit code is 1 where the execution failed or was cancelled.
    """
    machine, console = wants_json(context), console_of(context)
    last = ""
    try:
        for event in _events(target_of(context), execution_id, follow):
            last = event.event
            if machine:
                print_json(event.to_dict(execution_id), lines=True)
            else:
                console.print(line(event), soft_wrap=True)
    except KeyboardInterrupt:
        context.exit(int(Code.INTERRUPTED))
    # What is followed ends with its end.
    if follow and last != Status.COMPLETED:
        context.exit(int(Code.FAILED))


def _events(target: Target, execution_id: str, follow: bool) -> Iterator[Event]:
    """The events that are there; with ``follow`` also those that come, until the end."""
    seen: set[tuple[str, ...]] = set()
    while True:
        found = masked(
            asyncio.run(target.client.get_execution(execution_id)), target.settings.redact
        )
        for event in events_of(found):
            if event.identity not in seen:
                seen.add(event.identity)
                yield event
        if not follow or Status(found["status"]).ended:
            return
        time.sleep(_EVERY)
