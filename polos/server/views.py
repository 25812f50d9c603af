"""What the API's answers show of executions, as plain data."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from polos import codec
from polos.client.wire import to_json
from polos.definition.progress import details
from polos.errors import CodecError
from polos.model.records import Execution, Progress

_ONLY_WITH_PROGRESS = frozenset({"steps", "children", "tags", "worker", "executing"})


def brief(execution: Execution, *, encoded: bool = False) -> dict[str, Any]:
    """An execution without what it costs a query to know.

    Args:
        execution: the execution.
        encoded: whether to give it as it is stored, too.
    """
    shown = _shown(execution, Progress())
    plain = {name: value for name, value in shown.items() if name not in _ONLY_WITH_PROGRESS}
    return plain | ({"encoded": to_json(execution)} if encoded else {})


def full(execution: Execution, progress: Progress, *, encoded: bool = False) -> dict[str, Any]:
    """An execution with its steps, its children and its tags."""
    more = {"encoded": to_json(execution), "encoded_progress": to_json(progress)} if encoded else {}
    return _shown(execution, progress) | more


def plain_value(data: bytes | None) -> Any:
    """A stored value for people; a text that says so where it can't be read."""
    try:
        return None if data is None else codec.plain(codec.decode(data, lenient=True))
    except CodecError as error:
        return f"(can't be read: {error})"


def _shown(execution: Execution, progress: Progress) -> dict[str, Any]:
    # What can't be read must not hide the rest.
    shown = details(replace(execution, result=None), progress)
    values = {name: plain_value(getattr(execution, name)) for name in ("payload", "result")}
    return shown | values
