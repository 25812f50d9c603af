"""Celery's soft time limit, raised where it breaks nothing.

A pool process raises it from a signal handler. While it runs a workflow, the engine says where.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from billiard.exceptions import SoftTimeLimitExceeded
from billiard.pool import SIG_SOFT_TIMEOUT, soft_timeout_sighandler

from polos.engine.interrupting import forget, interrupt

# None where the system has no such signal.
_NUMBER: Any = SIG_SOFT_TIMEOUT


@contextmanager
def soft_limit_in_user_code() -> Iterator[None]:
    """Have the limit raised in the user's code only, as long as the block lasts."""
    if not _is_celerys():
        # No pool process, or another project has its own way.
        yield
        return
    signal.signal(_NUMBER, _raise)
    try:
        yield
    finally:
        signal.signal(_NUMBER, soft_timeout_sighandler)
        forget()


def _is_celerys() -> bool:
    if _NUMBER is None or threading.current_thread() is not threading.main_thread():
        return False
    return signal.getsignal(_NUMBER) is soft_timeout_sighandler


def _raise(_number: int, frame: FrameType | None) -> None:
    interrupt(SoftTimeLimitExceeded(), frame)
