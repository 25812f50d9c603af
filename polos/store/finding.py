"""Executions as people look for them: however much there is, a page reads a bounded part of it.

What an index has in its order is read from that index. What else is asked for is looked for among
the next ``WINDOW`` of them; a page that is not full by then ends there, and says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from polos.model.finding import Found, Listed, Sought
from polos.model.listing import Place
from polos.model.states import Status
from polos.store import tags
from polos.store.database import Database
from polos.store.doing import SOME, awaited_by, steps_noted
from polos.store.listing import SHOWN, summary_of
from polos.store.schema import executions as table
from polos.store.sources import WINDOW, Source, conditions, sources_of
from polos.store.windows import Order, bounds, window_of

_SHOWN = (*SHOWN, table.c.lease_steps)


@dataclass(frozen=True, slots=True)
class _Read:
    """What a source gave, in its order, and the place where reading ended, if there is more."""

    rows: Sequence[Any]
    end: Place | None = None


def find(database: Database, project_id: str, sought: Sought) -> Found:
    """One page of what is looked for."""
    order = Order.of(sought)
    named = {"project": project_id}
    reads = [
        _Reader(database, named, sought, order, source).read()
        for source in sources_of(database, sought)
    ]
    rows, end = _merged(reads, order, sought.limit)
    if sought.newer and end is None:
        # The first page, and a full one.
        return find(database, project_id, sought.at(None))
    first = _place(rows[0]) if rows else sought.place
    partly = end is not None and len(rows) < sought.limit
    if sought.newer:
        return Found(_listed(database, rows[::-1]), end, first, partly)
    newer = None if sought.place is None else first
    return Found(_listed(database, rows), newer, end, partly)


def _merged(reads: Sequence[_Read], order: Order, limit: int) -> tuple[list[Any], Place | None]:
    """The first rows of all sources, and the place behind which there may be more."""
    rows = [row for read in reads for row in read.rows]
    rows.sort(key=lambda row: order.key(_place(row)), reverse=not order.up)
    ends = [read.end for read in reads if read.end is not None]
    # Behind the nearest of them something has not been read.
    end = (min if order.up else max)(ends, key=order.key) if ends else None
    if end is not None:
        rows = [row for row in rows if order.reaches(_place(row), end)]
    if len(rows) > limit:
        return rows[:limit], _place(rows[limit - 1])
    return rows, end


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads a page from one source."""

    database: Database
    named: dict[str, str]
    sought: Sought
    order: Order
    source: Source

    def read(self) -> _Read:
        """As many as are to be shown, as far as there are some among those that are looked at."""
        most = self.sought.limit + 1
        if self.source.few:
            return self._of_rows(self.database.run(self._few().limit(most), self.named))
        window = window_of(self.sought, self.order, self.source)
        looked = window.limit(WINDOW).subquery("looked")
        wanted = conditions(dict(looked.c), self.source.rest)
        if not wanted:
            return self._of_rows(self.database.run(self._shown(window.limit(most)), self.named))
        chosen = (
            select(looked.c.id, looked.c.created_at)
            .where(*wanted)
            .order_by(*self.order.clauses(looked.c.created_at, looked.c.id))
            .limit(most)
        )
        read = self._of_rows(self.database.run(self._shown(chosen), self.named))
        if read.end is not None:
            return read
        last = self.database.run(window.offset(WINDOW - 1).limit(1), self.named)
        further = last and last[0].id.startswith(self.source.rest.id_prefix or "")
        return _Read(read.rows, _place(last[0]) if further else None)

    def _of_rows(self, rows: Sequence[Any]) -> _Read:
        shown = rows[: self.sought.limit]
        return _Read(shown, _place(shown[-1]) if len(rows) > len(shown) else None)

    def _few(self) -> Any:
        wanted = (*self.source.having, *conditions(dict(table.c), self.source.rest))
        return (
            select(*_SHOWN)
            .where(*wanted, *bounds(self.sought, self.order, table.c.created_at, table.c.id))
            .order_by(*self.order.clauses(table.c.created_at, table.c.id))
        )

    def _shown(self, chosen: Any) -> Any:
        page = chosen.subquery("chosen")
        return (
            select(*_SHOWN)
            .join_from(page, table, table.c.id == page.c.id)
            .order_by(*self.order.clauses(page.c.created_at, page.c.id))
        )


def _listed(database: Database, rows: Sequence[Any]) -> tuple[Listed, ...]:
    labels = tags.find(database, [row.id for row in rows])
    waiting = [row.id for row in rows if row.status == Status.WAITING.value]
    awaited = awaited_by(database, waiting)
    return tuple(
        Listed(
            summary_of(row, labels.get(row.id, ())),
            steps_noted(row.lease_steps),
            awaited.get(row.id, ())[:SOME],
            len(awaited.get(row.id, ())) > SOME,
        )
        for row in rows
    )


def _place(row: Any) -> Place:
    return Place(row.created_at, row.id)
