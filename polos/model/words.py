"""Times, lengths of time and values in few characters, for people."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from polos.model.inert import one_line

_PARTS = (("d", 86_400), ("h", 3600), ("min", 60))


def lasting(seconds: float) -> str:
    """A length of time: ``0 ms``, ``12 ms``, ``4.2 s``, ``3 min 20 s``, ``2 d 4 h``."""
    if seconds < 0:
        return f"-{lasting(-seconds)}"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for index, (unit, size) in enumerate(_PARTS):
        if whole >= size:
            below, part = _PARTS[index + 1] if index + 1 < len(_PARTS) else ("s", 1)
            rest = whole % size // part
            return f"{whole // size} {unit} {rest} {below}" if rest else f"{whole // size} {unit}"
    return f"{whole} s"


def ago(then: datetime | None, now: datetime) -> str:
    """How long ago, with one unit: ``4 s ago``, ``3 min ago``, ``2 d ago``."""
    if then is None:
        return ""
    seconds = max(0.0, (now - then).total_seconds())
    for unit, size in _PARTS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return f"{int(seconds)} s ago"


def moment(value: str | datetime | None) -> datetime | None:
    """An aware datetime, of one or of ISO 8601 text."""
    if value is None or isinstance(value, datetime):
        return value
    found = datetime.fromisoformat(value)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def at(then: datetime | None) -> str:
    """A moment to the second, in UTC: ``2030-01-31 08:00:00 UTC``."""
    return "" if then is None else f"{then.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def short(value: Any, most: int = 200) -> str:
    """A value as JSON on one line, inert, cut to so many characters."""
    text = one_line(json.dumps(value, ensure_ascii=False, default=str))
    return text if len(text) <= most else f"{text[: most - 3]}..."


def counted(number: int, word: str) -> str:
    """A number with its word: ``1 attempt``, ``3 attempts``."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"
