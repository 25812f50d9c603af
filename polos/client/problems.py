"""Errors as the members of a problem answer (RFC 9457), and back; client and server use this.

An error of Polos goes as the name of its class and what it was made of, and is made anew of that:
the caller of a server meets what the caller of the store would have met.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from polos import errors
from polos.errors import (
    AccessDenied,
    PolosError,
    RequestRefused,
    ServerError,
    ServerUnavailable,
)

_AWAY = frozenset({429, 502, 503, 504})
_FORBIDDEN = frozenset({401, 403})
_MOST_CHARACTERS = 500


def problem_members(error: PolosError) -> dict[str, Any]:
    """What a problem answer says of an error, beside its ``title``, ``status`` and ``detail``.

    Returns:
        ``code``, the name of its class, and ``arguments``, what it was made of by name.
    """
    kind: Any = _public_class(type(error))
    names = _arguments(kind)
    if names is None:
        arguments: dict[str, Any] = {"args": [_plain(it) for it in error.args]}
    else:
        arguments = {name: _plain(getattr(error, name)) for name in names}
    return {"code": kind.__name__, "arguments": arguments}


def error_of(problem: Mapping[str, Any], status: int, url: str) -> PolosError:
    """The error that an answer tells of.

    Args:
        problem: the answer; of something else than Polos maybe no problem at all.
        status: its HTTP status.
        url: of the server, for errors that are not of Polos.
    """
    return _known(problem) or _by_status(status, problem, url)


def _known(problem: Mapping[str, Any]) -> PolosError | None:
    kind: Any = _classes().get(str(problem.get("code")))
    arguments = problem.get("arguments")
    if kind is None or not isinstance(arguments, Mapping):
        return None
    try:
        is_text = _arguments(kind) is None
        made: PolosError = kind(*arguments["args"]) if is_text else kind(**arguments)
    except (AttributeError, LookupError, TypeError, ValueError):
        return None  # of another version of Polos
    return made


def _by_status(status: int, problem: Mapping[str, Any], url: str) -> PolosError:
    text = _text(problem)
    if status in _FORBIDDEN:
        return AccessDenied(url, status, text)
    if status in _AWAY:
        return ServerUnavailable(url, f"it answered {status}: {text}", uncertain=status != 429)
    # Else it is not a Polos server that says so.
    if 400 <= status < 500 and "code" in problem:
        return RequestRefused(url, status, text)
    return ServerError(url, status, text)


def _text(problem: Mapping[str, Any]) -> str:
    text = str(problem.get("detail") or problem.get("title") or "it gave no reason")
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}…"


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return [_plain(it) for it in value] if isinstance(value, list | tuple) else str(value)


def _public_class(kind: type[PolosError]) -> type[PolosError]:
    """The nearest class that a client knows as well."""
    return next(it for it in kind.__mro__ if _classes().get(it.__name__) is it)


@cache
def _classes() -> dict[str, type[PolosError]]:
    return {"PolosError": PolosError} | {kind.__name__: kind for kind in _below(PolosError)}


def _below(kind: type[PolosError]) -> Iterator[type[PolosError]]:
    for found in kind.__subclasses__():
        if getattr(errors, found.__name__, None) is found:
            yield found
        yield from _below(found)


@cache
def _arguments(kind: Any) -> tuple[str, ...] | None:
    """The names of what an error is made of; None where its only argument is a text."""
    if not inspect.isfunction(kind.__init__):
        return None
    return tuple(inspect.signature(kind.__init__).parameters)[1:]
