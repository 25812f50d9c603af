"""What the pages of the tab have in common."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from flower.views import BaseHandler
from tornado.web import HTTPError, authenticated

from polos.errors import ConfigurationError, SchemaError, StoreDenied, StoreUnavailable
from polos.flower.kept import Kept
from polos.flower.offers import Offer, offers
from polos.model.states import Status
from polos.server.access import Caller, Refused, caller_of
from polos.server.served import Served, served_of

T = TypeVar("T")

_projects: Kept[tuple[str, ...]] = Kept(fresh=15, stale=300)

log = logging.getLogger("polos.flower")

# No page has script or style in it, of Flower's own templates either.
_POLICY = (
    "default-src 'self'; img-src 'self' data:; "
    "frame-ancestors 'self'; form-action 'self'; base-uri 'none'; object-src 'none'"
)
# What a database that is away may take to say so; then nobody waits any longer.
_PATIENCE = 20
_TROUBLE = (StoreUnavailable, StoreDenied, SchemaError, ConfigurationError)


class PageHandler(BaseHandler):
    """A page of the tab."""

    is_page = True
    served: Served
    caller: Caller

    def set_default_headers(self) -> None:
        """Flower's own, and that nothing comes from elsewhere."""
        super().set_default_headers()
        if served_of(self.capp) is None:
            return
        # Flower lets any site read what it shows to everybody.
        for name in ("Origin", "Headers", "Methods"):
            self.clear_header(f"Access-Control-Allow-{name}")
        self.set_header("Content-Security-Policy", _POLICY)
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Referrer-Policy", "same-origin")
        self.set_header("Cache-Control", "no-store")

    async def prepare(self) -> None:
        """Find out who asks; whom Flower doesn't know is sent to its login."""
        served = served_of(self.capp)
        if served is None:
            raise HTTPError(404)
        self.served = served
        admitted = self._admit()
        if admitted is not None:
            await admitted

    @authenticated
    async def _admit(self) -> None:
        try:
            self.caller = await caller_of(self, self.served)
        except Refused as error:
            raise HTTPError(error.status, str(error)) from error

    @property
    def project_id(self) -> str:
        """The project that is shown: the one that is asked for, else the app's own."""
        asked: str = self.get_query_argument("project", "") or self.served.settings.project_id
        return self.caller.project_id or asked

    @property
    def part(self) -> str:
        """The part of the page that is asked for; empty for the whole page."""
        found: str = self.get_query_argument("part", "")
        return found

    def href(self, page: str, *names: str, **query: Any) -> str:
        """The address of a page of the tab, in the project that is shown.

        Args:
            page: the name of its route, such as ``polos_workflows``.
            *names: what stands in its path.
            **query: its arguments; those that are None or empty are left out.
        """
        if self.project_id != self.served.settings.project_id:
            query.setdefault("project", self.project_id)
        given = {name: value for name, value in query.items() if value not in (None, "", ())}
        path: str = self.reverse_url(page, *names)
        return f"{path}?{urlencode(given, doseq=True)}" if given else path

    def execution_href(self, execution_id: str) -> str:
        """The address of an execution's page."""
        path, _, query = self.href("polos_workflows").partition("?")
        # All of it: a browser takes the "/.." of an id for its own.
        name = quote(execution_id, safe="")
        return f"{path}/execution/{name}{'?' if query else ''}{query}"

    def offered(self, status: Status, **given: Any) -> list[Offer]:
        """The buttons for an execution, as ``offers`` has it, for who looks."""
        return offers(status, may_change=self.caller.may_change, **given)

    def get_template_namespace(self) -> dict[str, Any]:
        """Tornado's own, and what makes addresses."""
        own = {"href": self.href, "execution_href": self.execution_href, "offered": self.offered}
        namespace: dict[str, Any] = super().get_template_namespace()
        return namespace | own

    async def projects(self) -> tuple[str, ...]:
        """Those that may be shown in place of this one."""
        if self.caller.project_id is not None:
            return (self.caller.project_id,)
        store = await self.ask(self.served.store, self.project_id)
        found = await _projects.get(id(self.served), partial(self.ask, store.projects))
        return tuple(sorted({*found, self.project_id, self.served.settings.project_id}))

    async def ask(self, work: Callable[..., T], *args: Any) -> T:
        """Run what waits for the database in a thread.

        Raises:
            StoreUnavailable: also where it does not answer at all.
        """
        try:
            return await asyncio.wait_for(self.served.ask(partial(work, *args)), _PATIENCE)
        except TimeoutError as error:
            raise StoreUnavailable("", f"no answer within {_PATIENCE} s") from error

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Without a traceback, where it is the store's trouble."""
        if isinstance(value, _TROUBLE):
            log.warning("%s can't be shown: %s", self.request.path, value)
        else:
            super().log_exception(typ, value, tb)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Flower's own page, or what is wrong with the store and what to do."""
        error = kwargs.get("exc_info", (None, None))[1]
        if not isinstance(error, _TROUBLE):
            super().write_error(status_code, **kwargs)
        elif self.part:
            self.set_status(503)
            self.set_header("Content-Type", "text/plain; charset=utf-8")
            self.finish(str(error))
        else:
            self.set_status(503)
            self.render("polos-trouble.html", error=error)
