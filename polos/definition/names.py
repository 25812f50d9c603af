"""What an id, a key and the other short texts of a call may hold."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, TypeGuard

from polos.errors import ExecutionNotFound
from polos.model.settings import LONGEST_SECONDS

MAX_ID = 200
MAX_TEXT = 255
MAX_TAGS = 32
# What AMQP has a byte for; other brokers have fewer.
MAX_PRIORITY = 255
_ID = re.compile(r"[A-Za-z0-9_.-]+")
_HALF_A_PAIR = re.compile("[\ud800-\udfff]")


def check_workflow_id(value: Any) -> str:
    """The id of a workflow, unchanged.

    Raises:
        ValueError: it is empty, too long, or holds something else than letters, digits and ``_-.``.
    """
    if not (isinstance(value, str) and _ID.fullmatch(value)):
        raise ValueError(
            f"{value!r} can't be a workflow's id; use letters, digits, '_', '-' and '.', "
            'as in @workflow(id="order_processor")'
        )
    if len(value) > MAX_ID:
        raise ValueError(
            f"the workflow id {value[:20]!r}… has {len(value)} characters; the most are {MAX_ID}"
        )
    return str(value)


def check_key(value: str) -> str:
    """The key of a step, unchanged.

    Raises:
        ValueError: it is not a text of 1 to 255 characters without NUL.
    """
    checked = check_text("a step's key", value, empty=False)
    if checked is None:
        raise ValueError("a step's key is None; pass a text that no other step of it has")
    return checked


def check_text(name: str, value: str | None, *, empty: bool = True) -> str | None:
    """A short text that is kept in a column of its own, unchanged.

    Args:
        name: what the caller calls it, for the error.
        value: the text; None is let through.
        empty: whether the empty text will do.

    Raises:
        ValueError: it is no text, too long, or holds what a database refuses.
    """
    if value is None:
        return None
    if not isinstance(value, str):
        raise ValueError(f"{name} is of type {type(value).__name__}; pass a str")
    if not value and not empty:
        raise ValueError(f"{name} is empty; pass a text, or leave it out")
    if len(value) > MAX_TEXT:
        raise ValueError(f"{name} has {len(value)} characters; the most are {MAX_TEXT}")
    if "\0" in value:
        raise ValueError(f"{name} {value!r} holds a NUL character; leave it out")
    if _HALF_A_PAIR.search(value):
        raise ValueError(f"{name} {value!r} holds half of a surrogate pair; it is no Unicode text")
    return value


def check_execution_id(value: Any) -> str:
    """The id of an execution that somebody asks for, unchanged.

    Raises:
        ExecutionNotFound: no execution can have it; a database may refuse to look for it.
    """
    try:
        checked = check_text("an execution's id", value, empty=False)
    except ValueError:
        checked = None
    if checked is None:
        raise ExecutionNotFound(value)
    return checked


def check_tags(tags: Sequence[str]) -> tuple[str, ...]:
    """The labels of an execution, each once, in their order.

    Raises:
        ValueError: one of them is no text of 1 to 255 characters, or they are too many.
    """
    if isinstance(tags, str) or not isinstance(tags, Sequence):
        raise ValueError(f"tags is {tags!r}; pass a list of texts")
    if len(tags) > MAX_TAGS:
        raise ValueError(f"tags holds {len(tags)} texts; the most are {MAX_TAGS}")
    checked = [check_text("a tag", tag, empty=False) for tag in tags]
    if None in checked:
        raise ValueError("a tag is None; pass a text, or leave it out")
    return tuple(dict.fromkeys(tag for tag in checked if tag is not None))


def check_seconds(name: str, value: float | None) -> float | None:
    """A length of time in seconds, unchanged; None means no limit.

    Raises:
        ValueError: it is not a positive number, or over a hundred years.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} is {value!r}; pass a number of seconds, or None for no limit")
    if not math.isfinite(value) or value <= 0:
        raise ValueError(f"{name} is {value}; it must be positive, or None for no limit")
    if value > LONGEST_SECONDS:
        raise ValueError(f"{name} is over a hundred years; pass less, or None for no limit")
    return value


def is_priority(value: Any) -> TypeGuard[int]:
    """Whether a broker and a column take it as a priority."""
    return type(value) is int and 0 <= value <= MAX_PRIORITY


def check_priority(name: str, value: Any) -> int | None:
    """The priority of messages, unchanged.

    Raises:
        ValueError: it is none that every broker takes.
    """
    if value is None or is_priority(value):
        return value
    raise ValueError(f"{name} is {value!r}; pass a whole number from 0 to {MAX_PRIORITY}")


def check_wait(timeout: Any) -> None:
    """Raise ValueError unless a caller can wait that long: seconds from 0 on, or None for ever."""
    if timeout is not None and not (isinstance(timeout, int | float) and timeout >= 0):
        raise ValueError(
            f"timeout is {timeout!r}; pass seconds from 0 on, or None to wait for ever"
        )
