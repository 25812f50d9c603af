"""Where a Celery app keeps what is bound to it."""

from __future__ import annotations

import weakref
from typing import Any

from celery import Celery

# Not ``app.polos``: a project may keep what ``Polos(app)`` gave there.
_NAME = "_polos_bound"
_apps: weakref.WeakSet[Celery] = weakref.WeakSet()


def bound_of(app: Celery) -> Any:
    """What is bound to an app; None where nothing is."""
    return app.__dict__.get(_NAME)


def keep_bound(app: Celery, bound: Any) -> None:
    """Have an app keep what is bound to it; None takes it away."""
    app.__dict__[_NAME] = bound
    if bound is None:
        _apps.discard(app)
    else:
        _apps.add(app)


def bound_apps() -> list[Celery]:
    """The apps of this process that something is bound to."""
    return list(_apps)
