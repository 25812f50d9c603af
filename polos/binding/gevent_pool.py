"""Under gevent attempts run on the native threads of gevent's own pool.

Greenlets share one thread and so one running event loop, which asyncio does not allow.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


def is_patched() -> bool:
    """Whether gevent has replaced the standard library's threads in this process."""
    monkey: Any = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))


def in_native_thread(work: Callable[[], T], slots: int) -> T:
    """Run ``work`` where an event loop may run: on a native thread under gevent, else here.

    Args:
        work: what to run.
        slots: how many greenlets may ask for it at once.
    """
    if not is_patched():
        return work()
    from gevent import get_hub

    pool = get_hub().threadpool
    pool.maxsize = max(pool.maxsize, slots)
    result: T = pool.apply(work)
    return result
