"""Stored values as texts that people read; nothing in them moves, hides or runs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from polos import codec
from polos.errors import CodecError
from polos.model.inert import inert, one_line
from polos.model.steps import Cut
from polos.server.served import Served

_GLANCE = 80


@dataclass(frozen=True, slots=True)
class Value:
    """A value on a page.

    Attributes:
        text: JSON with indentation, or a text of several lines as it is.
        glance: its beginning on one line.
        size: of what is stored, in bytes.
        is_whole: whether all of it is in ``text``.
    """

    text: str
    glance: str
    size: int
    is_whole: bool


def value_of(served: Served, cut: Cut | None) -> Value | None:
    """A value, or its beginning; None where nothing is stored."""
    if cut is None:
        return None
    text = text_of(served, cut.data)
    glance = glance_of(text)
    if not cut.is_whole and not glance.endswith("…"):
        glance += " …"
    return Value(text, glance, cut.size, cut.is_whole)


def text_of(served: Served, data: bytes) -> str:
    """Stored bytes as a text, masked and harmless."""
    try:
        return inert(_written(served.shown(codec.previewed(data))))
    except (CodecError, RecursionError) as error:
        # What can't be read can't be masked either.
        return f"(can't be read: {inert(str(error))})"


def _written(value: Any) -> str:
    if isinstance(value, str) and "\n" in value:
        return value
    return json.dumps(value, indent=2, ensure_ascii=False)


def glance_of(text: str) -> str:
    """The beginning of a text on one line."""
    line = one_line(text[: 4 * _GLANCE])
    return line if len(line) <= _GLANCE else f"{line[: _GLANCE - 1]}…"


def size_text(size: int) -> str:
    """A number of bytes in few characters: ``34 B``, ``1.2 KB``, ``3.4 MB``."""
    if size < 1000:
        return f"{size} B"
    if size < 999_950:
        return f"{size / 1000:.1f} KB"
    return f"{size / 1_000_000:.1f} MB"


@dataclass(frozen=True, slots=True)
class Error:
    """An error on a page.

    Attributes:
        kind: the exception's name without its module.
        line: the first line of its text, in short.
        text: its text.
        traceback: empty where none is kept.
    """

    kind: str
    line: str
    text: str
    traceback: str = ""
    step_key: str = ""


def error_of(served: Served, cut: Cut | None) -> Error | None:
    """A stored failure; of one that was cut as much as is there."""
    if cut is None:
        return None
    try:
        found = codec.previewed(cut.data)
    except CodecError:
        found = None
    if not isinstance(found, dict):
        return Error("", "It failed, and the reason can't be read.", "")
    return made_error(
        served,
        str(found.get("error_type") or ""),
        str(found.get("reason") or ""),
        str(found.get("traceback") or ""),
        step_key=str(found.get("step_key") or ""),
    )


def failure_text_of(served: Served, data: bytes) -> str:
    """A stored failure as a text: the exception, what it says and where it was raised."""
    error = error_of(served, Cut(data, len(data)))
    if error is None or not error.text:
        return text_of(served, data)
    said = f"{error.kind}: {error.text}" if error.kind else error.text
    return f"{said}\n\n{error.traceback}" if error.traceback else said


def made_error(
    served: Served, error_type: str, reason: str, traceback: str = "", step_key: str = ""
) -> Error:
    """An error of its parts."""
    text = inert(served.shown_text(reason))
    return Error(
        kind=one_line(error_type.rpartition(".")[2]),
        line=glance_of(text),
        text=text,
        traceback=inert(served.shown_text(traceback)),
        step_key=step_key,
    )
