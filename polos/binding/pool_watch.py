"""A prefork pool that finds a dead process, and the work that died with it, within half a second.

Celery is not always told of a death, looks for it every five seconds, and counts work as lost ten
seconds after that. Until then the slot waits, and with one slot the next message too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_LOOK_EVERY = 0.25
# What the process had sent before its end is read at its end: there is little to wait for.
_LOST_AFTER = 0.2


def watch(pool: Any, hub: Any, process_gone: Callable[[], None]) -> None:
    """Look often whether processes of a pool are gone.

    Args:
        pool: Celery's; one that is not prefork has nothing to look after.
        hub: the worker's event loop.
        process_gone: called on that loop when one is gone; it must not block.
    """
    processes = getattr(pool, "_pool", None)
    look = getattr(processes, "maintain_pool", None)
    if look is None:
        return
    # The pool sets up its own handler while the loop begins; this one goes around it.
    hub.call_soon(lambda: _tell(processes, process_gone))
    hub.call_repeatedly(_LOOK_EVERY, look)


def expect_loss_soon(result: Any) -> None:
    """Count this work as lost soon after the death of its process."""
    if hasattr(result, "_lost_worker_timeout"):
        result._lost_worker_timeout = _LOST_AFTER


def _tell(processes: Any, process_gone: Callable[[], None]) -> None:
    original = getattr(processes, "on_process_down", None)
    if original is None:
        return

    def on_process_down(process: Any) -> None:
        original(process)
        process_gone()

    processes.on_process_down = on_process_down
