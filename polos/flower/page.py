"""What the pages of the tab have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from flower.views import BaseHandler
from tornado.web import HTTPError, authenticated

from polos.server.access import Caller, Refused, caller_of
from polos.server.served import Served, served_of

T = TypeVar("T")

# Flower's own pages have no script or style in them either, but for style attributes.
_POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "frame-ancestors 'self'; form-action 'self'; base-uri 'none'; object-src 'none'"
)


class PageHandler(BaseHandler):
    """A page of the tab."""

    is_page = True
    served: Served
    caller: Caller

    def set_default_headers(self) -> None:
        """Flower's own, and that nothing comes from elsewhere."""
        super().set_default_headers()
        # Flower lets any site read what it shows to everybody.
        self.clear_header("Access-Control-Allow-Origin")
        self.set_header("Content-Security-Policy", _POLICY)
        self.set_header("Referrer-Policy", "same-origin")
        self.set_header("Cache-Control", "no-store")

    @authenticated
    async def prepare(self) -> None:
        """Find out who asks; whom Flower doesn't know is sent to its login."""
        served = served_of(self.capp)
        if served is None:
            raise HTTPError(404)
        self.served = served
        try:
            self.caller = await caller_of(self, served)
        except Refused as error:
            raise HTTPError(error.status, str(error)) from error

    @property
    def project_id(self) -> str:
        """The project that is shown: the one that is asked for, else the app's own."""
        asked = self.get_query_argument("project", "") or self.served.settings.project_id
        return self.caller.project_id or asked

    async def ask(self, work: Callable[..., T], *args: Any) -> T:
        """Run what waits for the database in a thread."""
        return await self.served.ask(work, *args)
