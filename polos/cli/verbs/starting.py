"""``start`` and ``result``."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from polos.cli import completions
from polos.cli.choice import wants_json
from polos.cli.exits import Code, Stopped, complain, wrong_calls
from polos.cli.options import json_option, length, payload_option
from polos.cli.output import print_json, say
from polos.cli.target import Target, target_of
from polos.definition.handle import error_of, snapshot
from polos.errors import ExecutionCancelledError
from polos.model.records import Execution
from polos.model.states import Status

_timeout = click.option(
    "--timeout", type=length, metavar="TIME", help="How long to wait: 90s, 15m; without end."
)


@click.command()
@click.argument("workflow_id", metavar="WORKFLOW", shell_complete=completions.workflow_ids)
@payload_option("What the workflow gets, a JSON object.")
@click.option("--wait", is_flag=True, help="Wait for the end and print the result.")
@_timeout
@click.option("--queue", metavar="NAME", help="The Celery queue.")
@click.option("--id", "execution_id", metavar="ID", help="An id of your own.")
@click.option("--idempotency-key", metavar="KEY", help="A second start with it gives the first.")
@click.option("--session", "session_id", metavar="ID", help="A label, ctx.session_id.")
@click.option("--user", "user_id", metavar="ID", help="A label, ctx.user_id.")
@click.option("-t", "--tag", "tags", metavar="TAG", multiple=True, help="A label to list it by.")
@json_option
@click.pass_context
def start(
    context: click.Context,
    /,
    workflow_id: str,
    given: dict[str, Any] | None,
    wait: bool,
    timeout: float | None,
    **labels: Any,
) -> None:
    """Start a workflow; prints the id of its execution.

    The payload is checked here where the workflow's code is here, else by the worker.
    """
    target = target_of(context, code=True)
    with wrong_calls():
        handle = asyncio.run(target.client.invoke(workflow_id, given, **labels))
    if target.bound.dispatcher.is_away():
        click.echo("polos: the broker is out of reach; it is delivered when it is back", err=True)
    if wait:
        _print_end(context, _ended(target, handle.id, timeout))
    elif wants_json(context):
        print_json(handle.to_dict())
    else:
        say(context, handle.id)


@click.command()
@click.argument("execution_id", metavar="ID", shell_complete=completions.execution_ids)
@_timeout
@json_option
@click.pass_context
def result(context: click.Context, execution_id: str, timeout: float | None) -> None:
    """Wait for an execution and print its result, as JSON.

    The exit code is 1 where it failed or was cancelled, and 4 where it has not ended in time.
    """
    _print_end(context, _ended(target_of(context), execution_id, timeout))


def _ended(target: Target, execution_id: str, timeout: float | None) -> Execution:
    target.client.get(execution_id)
    return target.client.wait(execution_id, timeout)


def _print_end(context: click.Context, execution: Execution) -> None:
    data = snapshot(execution)
    if wants_json(context):
        print_json(data)
    elif execution.status is Status.COMPLETED:
        print_json(data["result"])
    if execution.status is Status.COMPLETED:
        return
    complain(Stopped(_why(execution)), machine=False)
    context.exit(int(Code.FAILED))


def _why(execution: Execution) -> str:
    if execution.status is Status.CANCELLED or execution.failure is None:
        return str(ExecutionCancelledError(execution.id))
    return str(error_of(execution.failure, execution.id))
