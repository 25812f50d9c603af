"""``cancel``, ``retry`` and ``fork``."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from polos.cli import completions
from polos.cli.choice import wants_json
from polos.cli.exits import Code, Stopped, complain, wrong_calls
from polos.cli.options import json_option, payload_option
from polos.cli.output import print_json, say
from polos.cli.target import Target, target_of
from polos.client.unserved import unserved
from polos.errors import ExecutionNotFound
from polos.model.states import Status


@click.command()
@click.argument(
    "execution_ids",
    metavar="ID...",
    nargs=-1,
    required=True,
    shell_complete=completions.open_execution_ids,
)
@click.option("--now", "at_once", is_flag=True, help="End them without their code cleaning up.")
@json_option
@click.pass_context
def cancel(context: click.Context, execution_ids: tuple[str, ...], at_once: bool) -> None:
    """Cancel executions and their children.

    One that runs hears of it within seconds, and cleans up first; one that has ended stays as it
    is. The exit code is 3 where one of them is not there; the others are cancelled all the same.

    --now is for those whose workflow no worker has any more. Their children are told as ever.
    """
    target = target_of(context)
    items: list[dict[str, Any]] = []
    missing = False
    for id_ in execution_ids:
        try:
            cancelled, said = _cancelled(target, id_, at_once)
        except ExecutionNotFound as error:
            missing = True
            complain(Stopped(str(error)), machine=False)
            items.append({"id": id_, "cancelled": False, "error": str(error)})
            continue
        items.append({"id": id_, "cancelled": cancelled, "error": None})
        say(context, f"{id_}  {said}")
    if wants_json(context):
        print_json({"items": items})
    if missing:
        context.exit(int(Code.NOT_FOUND))


def _cancelled(target: Target, id_: str, at_once: bool) -> tuple[bool, str]:
    """Whether there was something to cancel, and what came of it."""
    if at_once and not target.client.get(id_).status.ended:
        target.bound.dispatcher.dispatch(target.store.revoke(id_))
        found = target.client.get(id_).status is Status.CANCELLED
    else:
        found = target.client.cancel(id_)
    if not found:
        return False, "had ended already"
    row = target.client.get(id_)
    if row.status.ended:
        return True, "is cancelled"
    why = unserved(target.store, row, target.store.now())
    return True, "is told to end" + (f"; {why}, or end it with --now" if why else "")


@click.command()
@click.argument("execution_id", metavar="ID", shell_complete=completions.failed_execution_ids)
@json_option
@click.pass_context
def retry(context: click.Context, execution_id: str) -> None:
    """Go on with a failed execution where it failed.

    What has succeeded is not done again; the step that failed gets all its attempts anew.
    """
    handle = asyncio.run(target_of(context).client.retry(execution_id))
    if wants_json(context):
        print_json(handle.to_dict())
    say(context, handle.id)


@click.command()
@click.argument("execution_id", metavar="ID", shell_complete=completions.execution_ids)
@click.option(
    "--from",
    "from_step",
    metavar="STEP",
    shell_complete=completions.step_keys,
    help="The first step that runs again; all of them where left out.",
)
@payload_option("Another payload than the first one's.")
@json_option
@click.pass_context
def fork(
    context: click.Context, execution_id: str, from_step: str | None, given: dict[str, Any] | None
) -> None:
    """Start a copy of an execution from one of its steps; prints the new id.

    What was recorded before that step is copied, and not done again.
    """
    client = target_of(context, code=given is not None).client
    with wrong_calls():
        handle = asyncio.run(client.fork(execution_id, from_step, given))
    if wants_json(context):
        print_json(handle.to_dict())
    say(context, handle.id)
