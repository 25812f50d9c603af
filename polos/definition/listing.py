"""What ``list_executions`` was given, checked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from polos.definition.names import check_text
from polos.model.listing import MOST_ON_A_PAGE, ExecutionQuery, Place
from polos.model.records import Micros, as_micros
from polos.model.states import Status

Statuses = Status | str | Sequence[Status | str] | None


def make_query(
    *,
    status: Statuses = None,
    created_after: datetime | None = None,
    created_before: datetime | None = None,
    limit: int = 50,
    cursor: str | None = None,
    **texts: str | None,
) -> ExecutionQuery:
    """The query of one call.

    Raises:
        ValueError: a text can't be one that an execution has, the status is none, the limit is
            not from 1 to 1000, or the cursor none that a page had.
        TypeError: a time is no datetime.
    """
    if type(limit) is not int or not 1 <= limit <= MOST_ON_A_PAGE:
        raise ValueError(f"limit is {limit!r}; pass a whole number from 1 to {MOST_ON_A_PAGE}")
    checked = {name: check_text(name, text) for name, text in texts.items()}
    return ExecutionQuery(
        statuses=_statuses(status),
        created_after=_moment("created_after", created_after),
        created_before=_moment("created_before", created_before),
        after=None if cursor is None else Place.of_cursor(cursor),
        limit=limit,
        **checked,
    )


def _statuses(given: Statuses) -> tuple[Status, ...]:
    if given is None:
        return ()
    try:
        return tuple(Status(it) for it in ([given] if isinstance(given, str) else given))
    except (TypeError, ValueError):
        known = ", ".join(Status)
        raise ValueError(f"status is {given!r}; pass one of {known}, or several of them") from None


def _moment(name: str, given: Any) -> Micros | None:
    if given is None:
        return None
    if not isinstance(given, datetime):
        raise TypeError(f"{name} is of type {type(given).__name__}; pass a datetime")
    return as_micros(given)
