"""The two groups of commands: ``polos``, and ``celery -A proj polos``.

Every start of ``celery`` imports this module: it must stay light. The commands themselves are
imported when they are run.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec

import click

from polos.cli.choice import Choice, choose
from polos.cli.lazy import Lazy, LazyGroup

_VERBS = "polos.cli.verbs"
# Those options of ``celery`` itself whose value is a word of its own.
_WITH_VALUE = frozenset(
    ("-A", "--app", "-b", "--broker", "--result-backend", "--loader", "--config", "--workdir")
)
COMMANDS = {
    "list": Lazy(f"{_VERBS}.listing:list_", "Executions, newest first."),
    "show": Lazy(f"{_VERBS}.show:show", "One execution: its steps, times, errors and children."),
    "start": Lazy(f"{_VERBS}.starting:start", "Start a workflow."),
    "invoke": Lazy(f"{_VERBS}.starting:start", "The same as start."),
    "result": Lazy(f"{_VERBS}.starting:result", "Wait for an execution and print its result."),
    "cancel": Lazy(f"{_VERBS}.changing:cancel", "Cancel executions and their children."),
    "retry": Lazy(f"{_VERBS}.changing:retry", "Go on with a failed execution where it failed."),
    "fork": Lazy(f"{_VERBS}.changing:fork", "Start a copy of an execution from one of its steps."),
    "logs": Lazy(f"{_VERBS}.following:logs", "What has happened in an execution; -f follows it."),
    "status": Lazy(f"{_VERBS}.overview:status", "Workers, queues, and what waits for them."),
    "workflow": Lazy(f"{_VERBS}.flows:workflow", "The workflows: list, describe."),
    "keys": Lazy(f"{_VERBS}.keys:keys", "Keys of the HTTP API: create, list, revoke."),
    "doctor": Lazy(f"{_VERBS}.diagnosis:doctor", "Look for what is wrong, and say what to change."),
    "migrate": Lazy(f"{_VERBS}.keeping:migrate", "Bring the database's schema up to date."),
    "prune": Lazy(f"{_VERBS}.keeping:prune", "Delete executions that ended long ago."),
    "server": Lazy(f"{_VERBS}.server:server", "Flower with the workflows: start, stop, status."),
    "dev": Lazy(f"{_VERBS}.dev:dev", "A server, and a worker that reloads, in one terminal."),
    "health": Lazy(f"{_VERBS}.health:health", "Whether a worker or a server is well."),
    "completion": Lazy(f"{_VERBS}.completing:completion", "What makes a shell complete commands."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS, name="polos")
@click.pass_context
def polos(context: click.Context) -> None:
    """Durable workflows: start them, look at them, steer them."""
    given = context.obj
    choose(
        context,
        Choice(app=getattr(given, "app", None), no_color=bool(getattr(given, "no_color", False))),
    )


@click.group(cls=LazyGroup, lazy=COMMANDS, name="polos")
@click.option(
    "-A",
    "--app",
    metavar="APP",
    help="The Celery app whose Polos is meant, as 'celery -A' takes it. Without it, POLOS_* in "
    "the environment say where broker and database are.",
)
@click.option("-C", "--no-color", is_flag=True, help="No colours.")
@click.version_option(package_name="polos")
@click.pass_context
def main(context: click.Context, app: str | None, no_color: bool) -> None:
    """Durable workflows on Celery: start them, look at them, steer them."""
    choose(context, Choice(app_name=app, no_color=no_color))


def _command_of(words: list[str]) -> str:
    """Which of Celery's commands these words run; empty where none."""
    rest = iter(words)
    for word in rest:
        if not word.startswith("-"):
            return word
        if word in _WITH_VALUE:
            next(rest, None)
    return ""


def _add_tab() -> None:
    """Give Flower its tab where it is being started; it looks for no other pages later."""
    if _command_of(sys.argv[1:]) == "flower" and find_spec("flower"):
        from polos.flower.install import install

        install()


_add_tab()
