"""Stored bytes as plain data for people, also where only their beginning is there."""

from __future__ import annotations

import json
from typing import Any

from polos.codec.display import plain
from polos.codec.scalars import TAG
from polos.codec.values import decode
from polos.errors import CodecError

ELLIPSIS = "…"
_CLOSING = {"{": "}", "[": "]"}


def previewed(data: bytes) -> Any:
    """What bytes say that ``encode`` gave, as far as they go.

    Args:
        data: all of them, or the first; what is cut off is left out, and a text that is cut ends
            in ``…``.

    Raises:
        CodecError: not even their beginning can be read.

    Example:
        >>> previewed(b'{"name": "Ann", "lines": [1, 2')
        {'name': 'Ann', 'lines': [1]}
    """
    try:
        return plain(decode(data, lenient=True))
    except CodecError as error:
        found = _beginning(data, error)
    try:
        return plain(decode(found.encode("utf-8", "surrogatepass"), lenient=True))
    except CodecError:
        # A part whose tag says more than is left of it.
        return _bare(json.loads(found))


def _beginning(data: bytes, error: CodecError) -> str:
    """JSON that can be parsed; raises the error where there is none."""
    text = _text(data)
    try:
        json.loads(text)
        return text
    except RecursionError:
        raise error from None
    except ValueError:
        found = closed(text)
    try:
        json.loads(found)
    except (RecursionError, ValueError):
        raise error from None
    return found


def _text(data: bytes) -> str:
    # The last character may be cut in the middle.
    for missing in range(min(4, len(data))):
        try:
            return data[: len(data) - missing].decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            continue
    return data.decode("utf-8", "replace")


def closed(text: str) -> str:
    """The beginning of JSON, ended where its last whole part ends; a cut text is kept.

    Example:
        >>> closed('{"a": [1, "two th')
        '{"a": [1, "two th…"]}'
    """
    scan = _Scan()
    for place, character in enumerate(text):
        scan.see(place, character)
    if scan.in_text and not scan.is_key:
        kept = text[: scan.escape_at] if scan.escape_at is not None else text
        return kept + ELLIPSIS + '"' + _closers(scan.open)
    end, still_open = scan.safe
    return text[:end] + _closers(still_open)


def _closers(still_open: str) -> str:
    return "".join(_CLOSING[it] for it in reversed(still_open))


class _Scan:
    """How far JSON has been read.

    Attributes:
        open: the brackets that are open.
        safe: where it could end, and which brackets are open there.
        escape_at: where an escape in a text begins that has not ended.
    """

    def __init__(self) -> None:
        self.open = ""
        self.safe = (0, "")
        self.in_text = False
        self.is_key = False
        self.escape_at: int | None = None

    def see(self, place: int, character: str) -> None:
        """Go on by one character."""
        if self.in_text:
            self._see_in_text(place, character)
        elif character == '"':
            self.in_text = True
        elif character in _CLOSING:
            self.open += character
            self.is_key = character == "{"
            self.safe = (place + 1, self.open)
        elif character in "}]":
            self.open = self.open[:-1]
            self.is_key = False
            self.safe = (place + 1, self.open)
        elif character == ",":
            self.safe = (place, self.open)
            self.is_key = self.open.endswith("{")
        elif character == ":":
            self.is_key = False

    def _see_in_text(self, place: int, character: str) -> None:
        if self.escape_at is not None:
            length = 6 if place - self.escape_at > 1 or character == "u" else 2
            if place - self.escape_at + 1 >= length:
                self.escape_at = None
        elif character == "\\":
            self.escape_at = place
        elif character == '"':
            self.in_text = False
            if not self.is_key:
                self.safe = (place + 1, self.open)


def _bare(data: Any) -> Any:
    """Tagged JSON without its tags."""
    if isinstance(data, list):
        return [_bare(item) for item in data]
    if not isinstance(data, dict):
        return data
    if TAG in data and "v" in data:
        return _bare(data["v"])
    return {key: _bare(item) for key, item in data.items() if key not in {TAG, "t"}}
