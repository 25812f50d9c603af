"""How many slots of a worker have nothing to do."""

from __future__ import annotations

from collections import deque
from typing import Any

from celery.worker import state

# Between two tasks a slot is idle for a moment: only one that is idle for a while lacks work.
SAMPLE_EVERY = 0.1
_SAMPLES = 3


class IdleSlots:
    """Looks at a worker now and then, and tells how many slots were idle throughout.

    Args:
        worker: the Celery worker (``WorkController``).
    """

    def __init__(self, worker: Any) -> None:
        self._worker = worker
        self._samples: deque[int] = deque(maxlen=_SAMPLES)

    @property
    def slots(self) -> int:
        """How many tasks the worker runs at once."""
        return int(self._worker.concurrency or 1)

    @property
    def lately(self) -> int:
        """The slots that were idle in the last three samples; none are before those."""
        return min(self._samples) if len(self._samples) == _SAMPLES else 0

    def sample(self) -> None:
        """Look now."""
        taken = len(state.reserved_requests) + self._held_back()
        self._samples.append(max(0, self.slots - taken))

    def _held_back(self) -> int:
        """Messages that the worker has, and that a rate limit keeps from the slots."""
        buckets = getattr(self._worker.consumer, "task_buckets", {})
        return sum(len(bucket.contents) for bucket in list(buckets.values()) if bucket)
