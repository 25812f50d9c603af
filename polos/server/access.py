"""Who asks, what of it they may see, and whether they may change anything."""

from __future__ import annotations

from dataclasses import dataclass

from tornado.web import RequestHandler

from polos.server.served import Served


class Refused(Exception):
    """A request that is not answered.

    Attributes:
        status: the HTTP status, 401 or 403.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks.

    Attributes:
        name: for the log: a key's name, Flower's user, or the address.
        project_id: the only project that they see; None for all.
        may_change: whether they may start, cancel, retry, fork and prune.
        sees_masked: whether they may have values in the codec's encoding, which is not masked:
            programs that own them. What people read is masked for everybody (``Served.shown``).
    """

    name: str
    project_id: str | None = None
    may_change: bool = True
    sees_masked: bool = False


async def caller_of(handler: RequestHandler, served: Served) -> Caller:
    """Who sends a request; raises Refused."""
    return Caller(handler.request.remote_ip or "", sees_masked=True)


def check_change(handler: RequestHandler, caller: Caller) -> None:
    """Raise Refused unless this caller may change things, and it can't be another site's doing."""
