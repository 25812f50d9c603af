"""The beginnings of stored bytes: a page never reads a large value whole."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, ColumnElement, func

from polos.model.steps import MOST_BYTES, Cut
from polos.store.columns import AnyBytes

# Of an error, with its traceback.
_MOST_OF_FAILURE = 10_000


def beginnings(*columns: Column[Any]) -> list[ColumnElement[Any]]:
    """For each column its first bytes, under its name, and how many there are."""
    found: list[ColumnElement[Any]] = []
    for column in columns:
        most = _MOST_OF_FAILURE if column.name == "failure" else MOST_BYTES
        first = func.substr(column, 1, most, type_=AnyBytes())
        found += [first.label(column.name), func.length(column).label(f"{column.name}_size")]
    return found


def cut_of(row: Any, name: str) -> Cut | None:
    """What ``beginnings`` read of a column; None where nothing is stored."""
    data = getattr(row, name)
    # Of text, which SQLite may hold, the length is in characters.
    return None if data is None else Cut(data, max(len(data), getattr(row, f"{name}_size")))
