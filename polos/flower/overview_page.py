"""The last 24 hours of each workflow."""

from __future__ import annotations

from functools import partial
from typing import Any

from tornado.web import authenticated

from polos.flower.kept import Kept
from polos.flower.page import PageHandler
from polos.flower.spark import HEIGHT, WIDTH, bars, in_words, outline
from polos.model.inert import one_line
from polos.model.records import as_datetime
from polos.model.statistics import Day
from polos.model.words import at, lasting

# Seconds. Some hundred thousand executions are looked at: not for each who looks, nor for long.
_days: Kept[Day] = Kept(fresh=30, stale=900)
_PATIENCE = 1.0
_DAY = 86_400_000_000
_MOST_SHOWN = 50


class OverviewPage(PageHandler):
    """What each workflow did in a day."""

    @authenticated
    async def get(self) -> None:
        """Show the figures as they were worked out last."""
        seen = await self._seen()
        after: str = self.get_query_argument("after", "")
        flows = [it for it in (seen.flows if seen else ()) if it.workflow_id > after]
        given: dict[str, Any] = {"day": seen, "project_id": self.project_id, "after": after}
        given |= {"flows": flows[:_MOST_SHOWN], "more": len(flows) > _MOST_SHOWN}
        given |= {"at": at, "as_datetime": as_datetime, "lasting": lasting, "one_line": one_line}
        given |= {
            "bars": bars,
            "outline": outline,
            "in_words": in_words,
            "width": WIDTH,
            "height": HEIGHT,
        }
        given |= {"day_long": _DAY}
        if self.part == "figures":
            self.render("polos-overview-figures.html", **given)
        else:
            self.render("polos-overview.html", **given, projects=await self.projects())

    async def _seen(self) -> Day | None:
        """The figures; None while they are worked out for the first time."""
        store = await self.ask(self.served.store, self.project_id)
        key = (id(self.served), self.project_id)
        return await _days.within(_PATIENCE, key, partial(self.served.ask, store.day))
