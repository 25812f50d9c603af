"""Loaded by a worker that is measured: its CPU time, the driver's part of it, and a profile.

The tasks lie in every Celery app of the process; each writes to a file that the scene reads.
"""

from __future__ import annotations

import cProfile
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
from celery import shared_task

_PATCHED = {
    psycopg.Cursor: ("execute", "executemany", "fetchone", "fetchall", "fetchmany", "close"),
    psycopg.Connection: ("commit", "rollback", "cursor"),
}


class Driver:
    """CPU seconds within psycopg on the main thread, where a solo worker executes."""

    seconds = 0.0
    _inside = False

    @classmethod
    def counted(cls, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if cls._inside or threading.current_thread() is not threading.main_thread():
                return function(*args, **kwargs)
            cls._inside = True
            began = time.thread_time()
            try:
                return function(*args, **kwargs)
            finally:
                cls.seconds += time.thread_time() - began
                cls._inside = False

        return call


_plain = {(kind, name): getattr(kind, name) for kind, names in _PATCHED.items() for name in names}
_profile = cProfile.Profile(time.thread_time)


@shared_task(name="bench.cpu", ignore_result=True)
def cpu(file: str, count_driver: bool = False) -> None:
    """CPU seconds of this process, of its main thread, and of the driver where it is counted.

    Counting costs time itself: from here on it is on, or off.
    """
    for (kind, name), function in _plain.items():
        setattr(kind, name, Driver.counted(function) if count_driver else function)
    found = {
        "process": time.process_time(),
        "thread": time.thread_time(),
        "driver": Driver.seconds,
    }
    draft = Path(f"{file}.draft")
    draft.write_text(json.dumps(found))
    draft.rename(file)


@shared_task(name="bench.profile", ignore_result=True)
def profile(file: str = "") -> None:
    """Begin a profile of the main thread, or end it and write it."""
    if not file:
        _profile.enable()
        return
    _profile.disable()
    draft = Path(f"{file}.draft")
    _profile.dump_stats(draft)
    draft.rename(file)
