"""The list of executions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from tornado.web import authenticated

from polos.flower.asked import KINDS, SPANS, Asked, asked_for
from polos.flower.doing import doing
from polos.flower.kept import Kept
from polos.flower.page import PageHandler
from polos.model.finding import Count, Found, Sought
from polos.model.inert import one_line
from polos.model.states import Status
from polos.model.words import at, lasting

_counts: Kept[dict[Status, Count]] = Kept(fresh=1.5, stale=6)
_names: Kept[tuple[str, ...]] = Kept(fresh=15, stale=300)


@dataclass(frozen=True, slots=True)
class _Shown:
    """What the list shows."""

    found: Found
    counts: dict[Status, Count]


class ListPage(PageHandler):
    """Executions, newest first, or those of them that are asked for."""

    @authenticated
    async def get(self) -> None:
        """Show one page of the list."""
        try:
            asked = asked_for(
                partial(self.get_query_argument, default=""), self.get_query_arguments
            )
        except ValueError as error:
            self.set_status(400)
            await self._show(Asked({}, (), Sought()), None, str(error))
        else:
            await self._show(asked, await self._look(asked))

    async def _look(self, asked: Asked) -> _Shown:
        store = await self.ask(self.served.store, self.project_id)
        found = await self.ask(store.find, asked.sought)
        key = (id(self.served), self.project_id, asked.counted)
        counts = await _counts.get(key, partial(self.ask, store.counts, asked.counted))
        return _Shown(found, counts)

    async def _show(self, asked: Asked, shown: _Shown | None, wrong: str = "") -> None:
        given: dict[str, Any] = {
            "asked": asked,
            "shown": shown,
            "wrong": wrong,
            "project_id": self.project_id,
        }
        given |= {"at": at, "lasting": lasting, "one_line": one_line, "doing": doing}
        given |= {"statuses": tuple(Status), "may_change": self.caller.may_change}
        if self.part == "rows" and shown is not None:
            self.render("polos-list-rows.html", **given)
            return
        store = await self.ask(self.served.store, self.project_id)
        key = (id(self.served), self.project_id)
        workflows = await _names.get(key, partial(self.ask, store.workflows))
        given |= {"workflows": workflows, "projects": await self.projects()}
        self.render("polos-list.html", **given, kinds=KINDS, spans=SPANS)
