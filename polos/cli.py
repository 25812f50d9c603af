"""The ``polos`` command."""

from __future__ import annotations

import click

from polos.errors import PolosError
from polos.model.settings import Settings
from polos.store.database import Database
from polos.store.migrate import found_schema, upgrade


@click.group()
@click.version_option(package_name="polos")
def main() -> None:
    """Durable workflows on Celery."""


@main.command()
@click.option("--database-url", default=None, help="POLOS_DATABASE_URL where left out.")
def migrate(database_url: str | None) -> None:
    """Bring the database's schema up to date."""
    settings = Settings.load(database_url=database_url)
    try:
        database = Database(settings.database_url, connections=1)
        before = found_schema(database) or "none"
        after = upgrade(database)
    except PolosError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{database.url}: schema {before} -> {after}")


if __name__ == "__main__":
    main()
