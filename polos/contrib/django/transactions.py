"""The transactions in which the functions of transaction steps use Django's ORM."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections, transaction

from polos.contrib.django.databases import chosen_alias


@contextmanager
def in_atomic() -> Iterator[Any]:
    """One transaction of the database in which Polos keeps its executions.

    Gives Django's connection to it, which is that of the ORM in this thread.
    """
    alias = chosen_alias()
    connection = connections[alias]
    # One that was lost since the last time is made anew.
    connection.close_if_unusable_or_obsolete()
    block: Any = transaction.atomic(using=alias)
    with block:
        yield connection
