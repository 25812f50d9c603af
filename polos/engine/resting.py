"""What is done in a thread when users' code has run in it: frameworks keep things per thread."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger("polos.execution")

_tidies: list[Callable[[], None]] = []


def when_thread_rests(tidy: Callable[[], None]) -> None:
    """Call ``tidy`` in each thread in which a part of an attempt ran, when that part is over.

    Args:
        tidy: quick, and harmless where there is nothing to tidy; the same one is kept once.
    """
    if tidy not in _tidies:
        _tidies.append(tidy)


def is_wanted() -> bool:
    """Whether there is anything to call."""
    return bool(_tidies)


def rest() -> None:
    """Tidy this thread; what fails is logged."""
    for tidy in _tidies:
        try:
            tidy()
        except Exception:
            log.exception("%r failed after a step", tidy)


def resting(work: Callable[P, T]) -> Callable[P, T]:
    """The same function, but its thread is tidied when it has returned."""

    def worked(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return work(*args, **kwargs)
        finally:
            rest()

    return worked
