"""Polos's schema, made and removed by Django's migrations."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from django.db.migrations import RunPython

from polos.contrib.django.databases import chosen_alias, database_url, given_settings
from polos.definition.registry import registry
from polos.store.database import Database
from polos.store.migrate import remove, upgrade

log = logging.getLogger("polos.django")


class SchemaOperation(RunPython):
    """One that says in a plan what it is."""

    def __init__(self, forwards: Any, backwards: Any, schema: str) -> None:
        super().__init__(forwards, backwards)
        self.schema = schema

    def describe(self) -> Any:
        """What the plan shows."""
        return f"Polos's schema {self.schema}"


def schema_operation(schema: str, *, first: bool = False) -> SchemaOperation:
    """A migration's operation that brings the tables to one of Polos's schemas.

    It works on the database of ``POLOS_DJANGO_DATABASE`` only. Undone, the first one drops the
    tables; the others leave them, as the release before works on a newer schema too.

    Args:
        schema: such as ``0005``.
        first: whether nothing of Polos is there before it.
    """

    def forwards(_apps: Any, editor: Any) -> None:
        _on_chosen(editor, lambda database: upgrade(database, schema))

    def backwards(_apps: Any, editor: Any) -> None:
        if first:
            _on_chosen(editor, remove)

    return SchemaOperation(forwards, backwards, schema)


def is_elsewhere() -> bool:
    """Whether an URL names Polos's database, so that none of ``DATABASES`` is it."""
    client: Any = registry.default_client()
    bound = getattr(client, "settings", None)
    return bool(given_settings().database_url or (bound and bound.database_url))


def _on_chosen(editor: Any, work: Callable[[Database], object]) -> None:
    alias = editor.connection.alias
    if alias != chosen_alias():
        return
    if is_elsewhere():
        log.warning(
            "polos_database_url names Polos's database, so its tables are not made in "
            "DATABASES[%r]: 'polos migrate' makes them there",
            alias,
        )
        return
    database = Database(database_url(alias), connections=1)
    try:
        work(database)
    finally:
        database.close()
