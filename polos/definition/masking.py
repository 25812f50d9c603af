"""An execution's plain data as people see it, with masks for what ``polos_redact`` names."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from polos import codec

# What programs gave, what the errors that they raised say, and where there are more of these.
_VALUES = frozenset({"payload", "result", "value", "input", "initial_state"})
_TEXTS = frozenset({"error", "traceback"})
_PARTS = frozenset({"steps", "history", "items", "child"})


def masked(data: Any, names: Collection[str]) -> Any:
    """Plain data of an execution, a step or a list of them, with its values masked.

    Args:
        data: as ``client.get_execution`` and ``to_dict`` give it; it stays as it is.
        names: of fields; a name of this data's own, such as ``status``, is not meant by them.
    """
    if not names:
        return data
    if isinstance(data, list):
        return [masked(item, names) for item in data]
    if isinstance(data, dict):
        return {key: _part(key, item, names) for key, item in data.items()}
    return data


def _part(key: str, item: Any, names: Collection[str]) -> Any:
    if key in _VALUES:
        return codec.redacted(item, names)
    if key in _TEXTS and isinstance(item, str):
        return codec.redacted_text(item, names)
    return masked(item, names) if key in _PARTS else item
