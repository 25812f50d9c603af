"""``migrate`` and ``prune``."""

from __future__ import annotations

from dataclasses import replace

import click

from polos.cli.choice import wants_json
from polos.cli.options import json_option
from polos.cli.output import print_json, say
from polos.cli.target import settings_of
from polos.store.database import Database
from polos.store.migrate import found_schema, upgrade


@click.command()
@click.option("--database-url", default=None, help="Another database than the configured one.")
@json_option
@click.pass_context
def migrate(context: click.Context, database_url: str | None) -> None:
    """Bring the database's schema up to date.

    Safe to run while workers run, and from several places at once.
    """
    settings = settings_of(context)
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
