"""``dev``: a server and a worker in one terminal, for whoever is writing workflows."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import click

from polos.cli.exits import Code, Stopped
from polos.cli.serving import record
from polos.cli.serving.address import check_free
from polos.cli.serving.plan import OWN_APP, Plan, Wish, check_store, plan_of
from polos.model.settings import Settings


@click.command()
@click.argument("modules", nargs=-1)
@click.option("--host", default="127.0.0.1", show_default=True, help="Where the server listens.")
@click.option("--port", type=click.IntRange(1, 65_535), default=8080, show_default=True)
@click.option("-c", "--concurrency", type=click.IntRange(1), default=2, show_default=True)
@click.option(
    "-P",
    "--pool",
    type=click.Choice(["prefork", "threads", "solo"]),
    default="prefork",
    show_default=True,
)
@click.option(
    "-w",
    "--watch",
    "folders",
    type=click.Path(exists=True, path_type=Path),
    multiple=True,
    help="What to watch beside the current folder.",
)
@click.pass_context
def dev(
    context: click.Context,
    modules: tuple[str, ...],
    host: str,
    port: int,
    concurrency: int,
    pool: str,
    folders: tuple[Path, ...],
) -> None:
    """Run a server, and a worker that starts again when code changes. Ctrl-C ends both.

    MODULES, or files that end in .py, define the workflows; POLOS_WORKFLOWS where left out. With
    -A they are those of the app's own workers. What runs when code changes may go on for a moment,
    then the next worker goes on with it; no finished step runs again.
    """
    if find_spec("watchfiles") is None:
        raise Stopped('polos dev needs watchfiles: pip install "polos[server]"', Code.USAGE)
    # Only here: it may be missing.
    from polos.cli.dev.session import run

    plan = plan_of(context, Wish(host=host, port=port))
    workflows = _workflows(plan, modules)
    with record.starting(plan.home):
        record.refuse_second(plan.home)
        check_free(plan.address)
        check_store(context)
    watched = [Path.cwd(), *_folders_of(modules), *folders]
    worker = ("--concurrency", str(concurrency), "--pool", pool)
    context.exit(run(plan, workflows, worker, watched))


def _workflows(plan: Plan, modules: Sequence[str]) -> str:
    """What POLOS_WORKFLOWS is to say."""
    if plan.app != OWN_APP:
        if modules:
            raise Stopped(
                "with -A the workflows are those that the app's own workers import; "
                "leave the modules out",
                Code.USAGE,
            )
        return ""
    names = ",".join(modules) or Settings.load().workflows
    if not names:
        raise Stopped(
            "name the modules or files that define workflows: polos dev workflows.py", Code.USAGE
        )
    return names


def _folders_of(modules: Sequence[str]) -> list[Path]:
    """The folders of files that are somewhere else."""
    files = [Path(name).resolve() for name in modules if name.endswith(".py")]
    return [file.parent for file in files if not file.is_relative_to(Path.cwd())]
