"""What is kept of a step's arguments, for people."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator
from itertools import chain, repeat
from typing import Any

from polos.codec import MASK, input_of
from polos.model.records import StepRequest

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def given_to(request: StepRequest, redact: Collection[str]) -> bytes | None:
    """The arguments of a step as JSON; None where there are none.

    Args:
        request: the step.
        redact: names of fields that are masked; so is what is given by position to a parameter of
            such a name, because no name is kept of it by which it could be masked later.
    """
    args = _masked(request.func, request.args, redact) if redact else request.args
    return input_of(args, request.kwargs)


def _masked(
    func: Callable[..., Any], args: tuple[Any, ...], redact: Collection[str]
) -> tuple[Any, ...]:
    hidden = {name.casefold() for name in redact}
    return tuple(
        MASK if name.casefold() in hidden else arg
        for arg, name in zip(args, _names(func), strict=False)
    )


def _names(func: Callable[..., Any]) -> Iterator[str]:
    """What positional arguments are called, without end."""
    try:
        parameters = inspect.signature(func).parameters.values()
    except Exception:  # what is written in C has none, and classes may make their own
        return repeat("")
    names = [it.name for it in parameters if it.kind in _POSITIONAL]
    rest = [it.name for it in parameters if it.kind is inspect.Parameter.VAR_POSITIONAL]
    return chain(names, repeat(rest[0] if rest else ""))
