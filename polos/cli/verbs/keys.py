"""``keys create``, ``keys list`` and ``keys revoke``."""

from __future__ import annotations

from typing import Any

import click

from polos.cli import completions
from polos.cli.choice import wants_json
from polos.cli.exits import Code, Stopped
from polos.cli.lazy import Lazy, LazyGroup
from polos.cli.options import json_option
from polos.cli.output import print_json, say, show
from polos.cli.screens import keys as screen
from polos.cli.target import target_of
from polos.definition.names import check_text
from polos.model.records import as_datetime
from polos.store import api_keys

_HERE = "polos.cli.verbs.keys"
_ONCE = (
    "polos: this is the only time that the key is shown; give it to programs as POLOS_API_KEY. "
    "'polos keys revoke {id}' takes it back"
)


@click.group(
    cls=LazyGroup,
    lazy={
        "create": Lazy(f"{_HERE}:create", "Make a key; prints it, once."),
        "list": Lazy(f"{_HERE}:list_", "All keys, with their last use."),
        "revoke": Lazy(f"{_HERE}:revoke", "Take a key back."),
    },
)
def keys() -> None:
    """Keys of the HTTP API: create, list, revoke."""


def _text(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    try:
        return check_text(f"the {parameter.human_readable_name.lower()}", value, empty=False)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command()
@click.argument("name", metavar="NAME", callback=_text)
@click.option(
    "--project",
    metavar="ID",
    callback=_text,
    help="Whose executions it opens; the configured project where left out.",
)
@json_option
@click.pass_context
def create(context: click.Context, name: str, project: str | None) -> None:
    """Make a key of the HTTP API and print it; NAME says what it is for.

    It opens one project. Only a digest is kept of it, so that it can't be shown again.
    """
    target = target_of(context)
    made, key = api_keys.create(target.store.database, project or target.settings.project_id, name)
    if wants_json(context):
        print_json(made.to_dict() | {"key": key})
    say(context, key)
    click.echo(_ONCE.format(id=made.id), err=True)


@click.command(name="list")
@click.option("--project", metavar="ID", callback=_text, help="Those of this project only.")
@json_option
@click.pass_context
def list_(context: click.Context, project: str | None) -> None:
    """All keys of the database, also those that were revoked, with their last use."""
    store = target_of(context).store
    items: list[dict[str, Any]] = [
        key.to_dict() for key in api_keys.listed(store.database, project)
    ]
    now = as_datetime(store.now())
    show(context, {"items": items}, lambda _: screen.list_of(items, now))


@click.command()
@click.argument("key_id", metavar="ID", shell_complete=completions.key_ids)
@json_option
@click.pass_context
def revoke(context: click.Context, key_id: str) -> None:
    """Take a key back, by its id. Servers refuse it within seconds, and for ever."""
    database = target_of(context).store.database
    # Not every database can be asked for anything that a command line holds.
    revoked = api_keys.revoke(database, key_id) if key_id.isascii() else None
    if revoked is None:
        # It may be the key itself, which must not be repeated.
        raise Stopped("there is no key of that id; 'polos keys list' shows the ids", Code.NOT_FOUND)
    if wants_json(context):
        print_json(revoked.to_dict())
    say(context, f"{revoked.id}  is revoked")
