"""``migrate`` and ``prune``."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace

import click

from polos.cli.choice import wants_json
from polos.cli.exits import Code, Stopped
from polos.cli.options import json_option, length
from polos.cli.output import print_json, say
from polos.cli.target import target_of
from polos.model.words import counted, lasting
from polos.store.database import Database
from polos.store.migrate import found_schema, upgrade

_DAY = 86_400.0


@click.command()
@click.option("--database-url", default=None, help="Another database than the configured one.")
@json_option
@click.pass_context
def migrate(context: click.Context, database_url: str | None) -> None:
    """Bring the database's schema up to date.

    Safe to run while workers run, and from several places at once. On PostgreSQL the indexes of
    tables in use are built without a lock; that waits for transactions that are open meanwhile.
    """
    target = target_of(context)
    settings = target.settings
    if database_url:
        settings = replace(settings, database_url=database_url)
    database = Database(settings.database_url, connections=1)
    try:
        before = found_schema(database)
        after = upgrade(database)
    finally:
        database.close()
    if wants_json(context):
        print_json({"database": database.url, "before": before, "after": after})
    say(context, f"{database.url}: schema {before or 'none'} -> {after}")
    if database.embedded and not target.chosen:
        click.echo(
            "polos: that is the embedded database, as no other is configured here; for that of a "
            "Celery app: polos -A proj migrate",
            err=True,
        )


@click.command()
@click.option(
    "--older-than",
    type=length,
    metavar="TIME",
    required=True,
    help="What ended longer ago than this: 30d, 12h.",
)
@click.option("-y", "--yes", is_flag=True, help="Don't ask.")
@json_option
@click.pass_context
def prune(context: click.Context, older_than: float, yes: bool) -> None:
    """Delete executions that ended long ago, with their steps.

    In small batches, so that nothing else has to wait. What an execution that is still open needs
    is kept.
    """
    target = target_of(context)
    project = target.settings.project_id
    if not yes:
        if wants_json(context) or not sys.stdin.isatty():
            raise Stopped("nobody can be asked here; pass --yes to delete", Code.USAGE)
        click.confirm(
            f"Delete what ended more than {lasting(older_than)} ago in the project {project!r}?",
            abort=True,
        )
    number = asyncio.run(target.client.prune(older_than / _DAY))
    if wants_json(context):
        print_json({"pruned": number})
    say(context, f"{counted(number, 'execution')} deleted")
