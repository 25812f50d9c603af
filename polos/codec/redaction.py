"""Masks what ``polos_redact`` names, in values and in texts that show values to people.

A value is masked exactly: whatever a field of that name holds, at any depth. In a text (an error, a
``repr``) only what follows such a name can be found; a secret that stands there without its name
can't be.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from functools import lru_cache
from typing import Any

from polos.codec.display import plain

MASK = "***"
# What stands for a value ends here, unless it is quoted or in brackets.
_ENDS = re.compile(r"[\s,;&)}\]]|$")
_CLOSING = {"(": ")", "[": "]", "{": "}"}
# What stands before a quoted text in Python: b'…'.
_PREFIX = re.compile(r"[BFRUbfru]{1,2}(?=['\"])")
# A card's number, and the like.
_DIGITS = re.compile(r"\d+(?:[ -]\d+)+")


def redacted(value: Any, names: Collection[str]) -> Any:
    """A value for people to see: plain data, with a mask for every field of these names.

    Args:
        value: any value that can be kept; models and dataclasses are looked into.
        names: of fields, in any case; with none of them the value is given back as it is.

    Example:
        >>> redacted({"card": {"Number": "4111"}, "items": [1]}, ["number"])
        {'card': {'Number': '***'}, 'items': [1]}
    """
    return _masked(plain(value), _folded(names)) if names else value


def masked_field(value: Any, names: Collection[str]) -> str:
    """Where in plain data a mask stands in place of a value, as somebody sends it back.

    Args:
        value: plain data.
        names: of fields, in any case.

    Returns:
        the field, such as ``card.number``; empty where there is none.

    Example:
        >>> masked_field({"card": {"Number": "***"}}, ["number"])
        'card.Number'
    """
    return next(_masks(value, _folded(names), ""), "") if names else ""


def redacted_text(text: str, names: Collection[str]) -> str:
    """A text with a mask for what follows these names: ``name=…``, ``'name': …``.

    Also where Pydantic tells of a field of that name which value it got.

    Args:
        text: for instance an error's, or the ``repr`` of arguments; it may be cut off.
        names: of fields, in any case.

    Example:
        >>> redacted_text("Card(number='4111', owner='Ann')", ["number"])
        "Card(number='***', owner='Ann')"
    """
    return "".join(_pieces(text, _names(frozenset(names)))) if names else text


def _folded(names: Collection[str]) -> frozenset[str]:
    return frozenset(name.casefold() for name in names)


def _masked(data: Any, names: frozenset[str]) -> Any:
    if isinstance(data, dict):
        return {
            key: MASK if key.casefold() in names else _masked(item, names)
            for key, item in data.items()
        }
    return [_masked(item, names) for item in data] if isinstance(data, list) else data


def _masks(data: Any, names: frozenset[str], path: str) -> Iterator[str]:
    if isinstance(data, dict):
        for key, item in data.items():
            place = f"{path}.{key}" if path else str(key)
            if item == MASK and key.casefold() in names:
                yield place
            yield from _masks(item, names, place)
    elif isinstance(data, list):
        for item in data:
            yield from _masks(item, names, path)


@lru_cache(maxsize=64)
def _names(names: frozenset[str]) -> re.Pattern[str]:
    """What stands before a value that is to be masked."""
    any_of = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
    quote = r"(\\?['\"])"
    named = rf"(?<!\w)(?:{quote}(?:{any_of})\1|(?:{any_of}))\s*[:=](?!=)\s*"
    # What is wrong may take some lines.
    told = rf"^(?:\S*\.)?(?:{any_of})(?:\.\S*)?\n(?:.*\n){{0,9}}?.*\binput_value="
    return re.compile(f"{named}|{told}", re.IGNORECASE | re.MULTILINE)


def _pieces(text: str, names: re.Pattern[str]) -> Iterator[str]:
    at = 0
    while (found := names.search(text, at)) is not None:
        yield text[at : found.end()]
        at = found.end()
        end = _end_of_value(text, at)
        quote = text[at] if at < end and text[at] in "'\"" else ""
        yield f"{quote}{MASK}{quote}"
        at = end
    yield text[at:]


def _end_of_value(text: str, at: int) -> int:
    """Where the value that begins here ends; the end of the text where it was cut off."""
    first = text[at : at + 1]
    if first in _CLOSING:
        return _end_of_brackets(text, at)
    if first and first in "'\"":
        return _end_of_quoted(text, at)
    if (prefix := _PREFIX.match(text, at)) is not None:
        return _end_of_quoted(text, prefix.end())
    if first == "<":
        # What objects say of themselves: <Secret 'x'>.
        return text.find(">", at) + 1 or len(text)
    if first == "\\":
        # A text within a text.
        end = text.find(text[at : at + 2], at + 2)
        return len(text) if end < 0 else end + 2
    # Behind a class's name: Card(…).
    end = _end_of_bare(text, at)
    opened = text.find("(", at, end)
    return end if opened < 0 else _end_of_brackets(text, opened)


def _end_of_bare(text: str, at: int) -> int:
    found = _DIGITS.match(text, at)
    found = _ENDS.search(text, at if found is None else found.end())
    return len(text) if found is None else found.start()


def _end_of_quoted(text: str, at: int) -> int:
    quote, at = text[at], at + 1
    while at < len(text) and text[at] != quote:
        at += 2 if text[at] == "\\" else 1
    return min(at + 1, len(text))


def _end_of_brackets(text: str, at: int) -> int:
    open_ones: list[str] = []
    while at < len(text):
        character = text[at]
        if character in "'\"":
            at = _end_of_quoted(text, at)
            continue
        at += 1
        if character in _CLOSING:
            open_ones.append(_CLOSING[character])
        elif open_ones and character == open_ones[-1]:
            open_ones.pop()
            if not open_ones:
                break
    return at
