"""``server start``, ``server stop`` and ``server status``."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from typing import Any

import click

from polos.cli.choice import wants_json
from polos.cli.exits import Code
from polos.cli.lazy import Lazy, LazyGroup
from polos.cli.options import json_option
from polos.cli.output import print_json, say
from polos.cli.serving import background, probe, record
from polos.cli.serving.address import check_free
from polos.cli.serving.plan import Plan, Wish, check_store, plan_of
from polos.cli.serving.record import Record
from polos.engine.owner import this_process
from polos.model.settings import find_home, has_home
from polos.model.words import at, moment

_HERE = "polos.cli.verbs.server"
_NONE = "no server runs from here; 'polos server start' starts one"


@click.group(
    cls=LazyGroup,
    lazy={
        "start": Lazy(f"{_HERE}:start", "Start the server; returns when it answers."),
        "stop": Lazy(f"{_HERE}:stop", "End it."),
        "status": Lazy(f"{_HERE}:status", "Whether it runs, where, and how it is."),
    },
)
def server() -> None:
    """Flower with the Workflows tab, and the HTTP API: start, stop, status."""


def _users(_context: click.Context, _parameter: click.Parameter, given: Any) -> tuple[str, ...]:
    for user in given:
        name, _, password = user.partition(":")
        if not name or not password or "," in user:
            # Without what was given: it holds a password.
            raise click.BadParameter("it is written user:password, without a comma")
    return tuple(given)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--port", type=click.IntRange(1, 65_535), default=8080, show_default=True)
@click.option("-f", "--foreground", is_flag=True, help="Stay, and log to the terminal.")
@click.option(
    "--basic-auth",
    "users",
    metavar="USER:PASSWORD",
    multiple=True,
    callback=_users,
    help="Who may come in; again for another one. Or FLOWER_BASIC_AUTH in the environment.",
)
@click.option("--url-prefix", "prefix", default="", help="In front of all paths, behind a proxy.")
@click.option("--read-only", is_flag=True, help="Show everything, change nothing.")
@click.argument("more", nargs=-1, metavar="[-- FLOWER'S OPTIONS]")
@json_option
@click.pass_context
def start(context: click.Context, /, foreground: bool, **wished: Any) -> None:
    """Start the server: Flower with the Workflows tab, and the HTTP API.

    It works on the broker and the database of the environment or of -A, or on the embedded ones in
    the nearest .polos/, which also keeps server.json and server.log. Returns when the server
    answers. Without authentication it listens at addresses that only this machine reaches.
    """
    plan = plan_of(context, Wish(**wished))
    with record.starting(plan.home):
        record.refuse_second(plan.home)
        check_free(plan.address)
        check_store(context)
        made = Record("", plan.address.url, datetime.now(UTC).isoformat(), plan.app)
        if foreground:
            _become(plan, made)
        started = background.start(plan, made)
    if wants_json(context):
        print_json(_data(started))
    say(context, f"the server runs at {started.url} (pid {started.pid})")
    say(context, f"its log is {started.log}")
    say(context, record.HOW_TO_STOP)


def _become(plan: Plan, made: Record) -> None:
    """Let the server take this process: signals reach it, and its end is seen."""
    record.write(plan.home, made.of(str(this_process()), None))
    sys.stdout.flush()
    sys.stderr.flush()
    command = plan.command()
    os.execve(command[0], command, plan.environment)


@click.command()
@json_option
@click.pass_context
def stop(context: click.Context) -> None:
    """End the server that runs from the nearest .polos/."""
    found = _running()
    if found is not None:
        by_itself = background.stop(find_home(), found)
        how = "has ended" if by_itself else "did not end by itself, and was killed"
        say(context, f"the server at {found.url} (pid {found.pid}) {how}")
    else:
        say(context, _NONE)
    if wants_json(context):
        print_json({"stopped": found is not None} | _data(found))


@click.command()
@json_option
@click.pass_context
def status(context: click.Context) -> None:
    """Whether the server of the nearest .polos/ runs, where, and whether it can work.

    The exit code is 0 where it runs and is ready, else 1.
    """
    found = _running()
    health = probe.health(found.url) if found else probe.Answer()
    ready = probe.readiness(found.url) if found and health.well else health
    trouble = health.why or ready.why if found else ""
    data = {"running": found is not None} | _data(found)
    data |= {"healthy": health.well, "ready": ready.well, "trouble": trouble or None}
    if wants_json(context):
        print_json(data)
    for line in _told(found, trouble):
        say(context, line)
    if not ready.well:
        context.exit(int(Code.FAILED))


def _told(found: Record | None, trouble: str) -> list[str]:
    if found is None:
        return [_NONE]
    lines = [f"the server runs at {found.url} (pid {found.pid}), since {_since(found)}"]
    lines += [f"its log is {found.log}" if found.log else "it runs in the foreground"]
    return [*lines, f"it is not ready: {trouble}" if trouble else "it is ready"]


def _since(found: Record) -> str:
    return at(moment(found.started_at))


def _running() -> Record | None:
    # To ask is no reason to make the folder.
    return record.running(find_home()) if has_home() else None


def _data(found: Record | None) -> dict[str, Any]:
    if found is None:
        return dict.fromkeys(("url", "pid", "started_at", "app", "log"))
    return {
        "url": found.url,
        "pid": found.pid,
        "started_at": found.started_at,
        "app": found.app,
        "log": found.log,
    }
