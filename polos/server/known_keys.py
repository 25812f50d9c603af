"""What keys open, remembered for a moment, so that not each request asks the database."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from polos.model.keys import ApiKey, digest_of

# A key that was revoked opens nothing after this many seconds.
_REMEMBERED = 5.0
_MOST = 1_000


class KnownKeys:
    """The keys that were used within the last seconds, by their digests.

    Only those that open something: what nobody knows must not push them out.

    Args:
        ask: looks a key up in the database.
        clock: seconds, which only go forward.
    """

    def __init__(
        self,
        ask: Callable[[str], Awaitable[ApiKey | None]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._found: OrderedDict[str, tuple[float, ApiKey]] = OrderedDict()

    async def opened_by(self, key: str) -> ApiKey | None:
        """What a key opens; None where it is unknown or was revoked.

        Raises:
            StoreUnavailable: the database can't be reached.
        """
        digest = digest_of(key)
        until, known = self._found.get(digest, (0.0, None))
        # The time is taken before the database is asked: what it says may be so old.
        now = self._clock()
        if known is not None and now < until:
            return known
        found = await self._ask(key)
        self._found.pop(digest, None)
        if found is not None:
            self._found[digest] = (now + _REMEMBERED, found)
            if len(self._found) > _MOST:
                self._found.popitem(last=False)
        return found
