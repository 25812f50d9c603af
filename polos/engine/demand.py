"""How many hints are sent again: so many that no free slot starves, and few in vain.

In the store an execution whose hint was lost looks like one whose hint lies in a long queue. What
tells them apart is what becomes of hints: where slots are idle and each hint is claimed at once,
more are wanted; where they lie unclaimed though slots are idle, it is not hints that are missing
(the broker delivers slowly, a rate limit holds them, a worker is cut off from its broker).

So a window limits the hints that are under way, as TCP's does for packets: each claimed hint opens
it by one, hints that stay unclaimed beside idle slots halve it, and so does work that comes without
them. However long the queue, hints grow no faster than claims do.
"""

from __future__ import annotations

from collections.abc import Container, Iterable

# An idle slot gets this many hints at first: it must not wait for the next look after each.
_AT_FIRST = 4
_MOST = 1000
# A hint that lies unclaimed beside idle slots for this many seconds is in vain, or lost again.
_PATIENCE = 2.0


class Demand:
    """The hints for those workers that reach the same executions.

    It has no clock: ``now`` is in seconds, by any clock that only goes forward.
    """

    def __init__(self) -> None:
        self._window = 0
        self._under_way: dict[str, float] = {}
        self._in_vain = False
        self._idle_since: float | None = None

    @property
    def under_way(self) -> Iterable[str]:
        """The ids whose hints were not seen to be claimed."""
        return self._under_way.keys()

    def wanted(self, idle: int, unclaimed: Container[str], now: float) -> int:
        """How many hints to send now.

        Args:
            idle: slots that have had nothing to do for a while.
            unclaimed: has those ids under way that still nobody claimed.
            now: the time of this look.
        """
        self._see_claims(unclaimed)
        if not idle:
            self._idle_since = None
            if not self._under_way:
                # Work comes by itself: an idle moment later on must not cause a burst.
                self._window //= 2
            return 0
        self._idle_since = now if self._idle_since is None else self._idle_since
        self._see_failures(now, self._idle_since)
        if not self._in_vain:
            self._window = max(self._window, _AT_FIRST * idle)
        self._window = min(max(self._window, 1), _MOST)
        return max(0, self._window - len(self._under_way))

    def sent(self, ids: Iterable[str], now: float) -> None:
        """Hints of these executions were sent."""
        self._under_way |= dict.fromkeys(ids, now)

    def _see_claims(self, unclaimed: Container[str]) -> None:
        claimed = [id_ for id_ in self._under_way if id_ not in unclaimed]
        for id_ in claimed:
            del self._under_way[id_]
        self._window += len(claimed)
        self._in_vain = self._in_vain and not claimed

    def _see_failures(self, now: float, idle_since: float) -> None:
        early = now - _PATIENCE
        late = [id_ for id_, at in self._under_way.items() if max(at, idle_since) <= early]
        for id_ in late:
            del self._under_way[id_]
        if late:
            self._in_vain = True
            self._window //= 2
