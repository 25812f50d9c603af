"""How often a parent of many children looks at which of them have ended.

Each look costs a replay, or at least a load, of all that is recorded. Were it made at each child's
end, n children would cost n * n; so the time between two looks is in proportion to what they cost,
and they stay a small share of the work.
"""

from __future__ import annotations

import time

# A parent that waits for no more children than this hears of each end at once.
_FEW = 10
# The pause after a look, as a multiple of what the look cost.
_PAUSE = 4
# A thread that waits for its turn or for the database does not use its CPU, but no more than this
# multiple of what it does use is taken for that: steps wait for longer, and make no look dearer.
_MOST_WAITING = 10


class Pace:
    """The pace of one attempt.

    Args:
        began: when the attempt was claimed, by ``time.monotonic()``.
        longest: the most seconds between two looks.
    """

    def __init__(self, began: float, longest: float) -> None:
        self._began = began
        self._longest = longest
        self._spent = time.thread_time()
        self._looked = time.monotonic()

    def seconds(self, children: int) -> float:
        """The time between two looks while so many children are out; 0 for a few."""
        if children <= _FEW:
            return 0.0
        passed, spent = time.monotonic() - self._began, time.thread_time() - self._spent
        return min(min(passed, _MOST_WAITING * spent) * _PAUSE, self._longest)

    def looked(self) -> None:
        """What has ended was taken in just now."""
        self._looked = time.monotonic()

    def is_early(self, pace: float) -> bool:
        """Whether less than ``pace`` seconds have passed since the last look."""
        return time.monotonic() - self._looked < pace
