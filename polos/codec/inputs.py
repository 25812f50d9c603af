"""What a step was given, for people: JSON of bounded size; no code of the values is called."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from pydantic import BaseModel

# Characters of all texts, each value counting some more; and of one text.
_BUDGET = 4000
_OF_A_VALUE = 8
_LONGEST = 500
_DEEPEST = 8
_CUT = "…"
_BY_TEXT = (date, time, timedelta, Decimal, UUID)


def input_of(args: Sequence[Any], kwargs: Mapping[str, Any]) -> bytes | None:
    """Positional and named arguments as JSON; None where there are none.

    What is long, deep or of a class that says nothing of its parts is cut: this is to be read, and
    is never read back. The JSON is always whole, and no value makes this fail: what can't be looked
    into is named by its class.

    Args:
        args: what a function was given by position.
        kwargs: what it was given by name.
    """
    if not args and not kwargs:
        return None
    given: dict[str, Any] = {}
    preview = _Preview()
    if args:
        given["args"] = preview.of(args)
    if kwargs:
        given["kwargs"] = preview.of(kwargs)
    return json.dumps(given, ensure_ascii=False, separators=(",", ":")).encode(
        "utf-8", "backslashreplace"
    )


class _Preview:
    def __init__(self) -> None:
        self._left = _BUDGET

    def of(self, value: Any, depth: int = 0) -> Any:
        self._left -= _OF_A_VALUE
        if self._left <= 0 or depth > _DEEPEST:
            return _CUT
        kind = type(value)
        if value is None or kind is bool:
            return value
        if kind is str:
            return self._text(value)
        if kind is int:
            return value if -(2**53) < value < 2**53 else self._text(_digits(value))
        if kind is float:
            return value if math.isfinite(value) else repr(value)
        try:
            return self._other(value, kind, depth)
        except Exception:  # code of its class is called after all, or another thread changes it
            return _class_of(value)

    def _other(self, value: Any, kind: type, depth: int) -> Any:
        # Not isinstance, which asks a stand-in for something else to be that something.
        if issubclass(kind, Enum):
            return self.of(value.value, depth + 1)
        if issubclass(kind, dict):
            return self._named(dict.items(value), depth)
        if issubclass(kind, list | tuple | set | frozenset):
            return self._items(value, depth)
        if issubclass(kind, BaseModel):
            return self._named(_kept(value), depth)
        if dataclasses.is_dataclass(kind):
            return self._named(_fields(value), depth)
        if issubclass(kind, bytes | bytearray | memoryview):
            return f"<{len(value)} bytes>"
        if issubclass(kind, _BY_TEXT):
            return self._text(str(value))
        return _class_of(value)

    def _items(self, values: Iterable[Any], depth: int) -> list[Any]:
        found = []
        for value in values:
            found.append(self.of(value, depth + 1))
            if self._left <= 0:
                break
        return found

    def _named(self, pairs: Iterable[tuple[Any, Any]], depth: int) -> dict[str, Any]:
        found = {}
        for name, value in pairs:
            key = self._text(name) if type(name) is str else f"<{type(name).__qualname__}>"
            found[key] = self.of(value, depth + 1)
            if self._left <= 0:
                break
        return found

    def _text(self, text: str) -> str:
        most = max(0, min(_LONGEST, self._left))
        self._left -= min(len(text), most)
        return text if len(text) <= most else text[:most] + _CUT


def _digits(value: int) -> str:
    """Of those with more bits Python may refuse to write the digits."""
    return str(value) if value.bit_length() < 1024 else f"<int of {value.bit_length()} bits>"


def _class_of(value: Any) -> str:
    kind = type(value)
    return f"<{kind.__module__}.{kind.__qualname__}>"


def _kept(model: BaseModel) -> Iterable[tuple[str, Any]]:
    """What a model keeps, not what its properties would give."""
    # One that was made without being validated, as from a database, may not have all of it.
    extra = getattr(model, "__pydantic_extra__", None)
    return {**model.__dict__, **(extra or {})}.items()


def _fields(value: Any) -> Iterable[tuple[str, Any]]:
    names = [field.name for field in dataclasses.fields(value)]
    return [(name, getattr(value, name)) for name in names if hasattr(value, name)]
