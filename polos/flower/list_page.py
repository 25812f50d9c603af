"""The list of executions."""

from __future__ import annotations

from dataclasses import dataclass

from tornado.web import authenticated

from polos.flower.asked import KINDS, SPANS, Asked, asked_for
from polos.flower.page import PageHandler
from polos.flower.words import Words
from polos.model.finding import Count, Found, Sought
from polos.model.states import Status
from polos.store.sql_store import SqlStore


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
        words = Words(self.capp.timezone)
        try:
            asked = asked_for(self.argument, self.get_query_arguments, words.zone)
        except ValueError as error:
            self.set_status(400)
            await self._show(words, Asked({}, (), Sought()), str(error))
            return
        await self._show(words, asked, "")

    async def _show(self, words: Words, asked: Asked, wrong: str) -> None:
        store = await self.ask(self.store_of_project)
        shown = None if wrong else await self.ask(_look, store, asked.sought)
        given = {"asked": asked, "words": words, "shown": shown, "wrong": wrong}
        if self.part == "rows" and shown:
            self.render("polos-list-rows.html", **given)
            return
        more = {
            "kinds": KINDS,
            "spans": SPANS,
            "workflows": await self.ask(store.workflows),
            "projects": await self.projects(),
        }
        self.render("polos-list.html", **given, **more)


def _look(store: SqlStore, sought: Sought) -> _Shown:
    return _Shown(store.find(sought), store.counts(sought))
