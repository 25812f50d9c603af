"""What an index has in its order, from a place on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select

from polos.model.finding import Sought
from polos.model.listing import Place
from polos.store.columns import MYSQL
from polos.store.schema import executions as table
from polos.store.sources import Source, created

_CHECKED = ("project_id", "status", "workflow_id", "session_id", "user_id")


@dataclass(frozen=True, slots=True)
class Order:
    """In which order a page is read: by id or by time, up or down."""

    by_id: bool
    up: bool

    @classmethod
    def of(cls, sought: Sought) -> Order:
        """Ids go up, times go down, and a page before a place is read backwards."""
        by_id = sought.id_prefix is not None
        return cls(by_id, by_id != sought.newer)

    def key(self, place: Place) -> tuple[Any, ...]:
        """What places are compared by."""
        return (place.id,) if self.by_id else (place.created_at, place.id)

    def clauses(self, created_at: Any, id_: Any) -> list[Any]:
        """For ORDER BY."""
        parts = [id_] if self.by_id else [created_at, id_]
        return [part.asc() if self.up else part.desc() for part in parts]

    def behind(self, place: Place, created_at: Any, id_: Any) -> ColumnElement[bool]:
        """Whether an execution comes after a place; in words for which MySQL has an index."""
        beyond: ColumnElement[bool] = id_ > place.id if self.up else id_ < place.id
        if self.by_id:
            return beyond
        at = place.created_at
        if self.up:
            return and_(created_at >= at, or_(created_at > at, beyond))
        return and_(created_at <= at, or_(created_at < at, beyond))

    def reaches(self, place: Place, end: Place) -> bool:
        """Whether a place is not behind an end."""
        here, there = self.key(place), self.key(end)
        return bool(here <= there) if self.up else bool(here >= there)


def window_of(sought: Sought, order: Order, source: Source) -> Any:
    """The ids and times that the index has, with what else of them is looked at."""
    of = source.of
    id_ = table.c.id if of is table else of.c.execution_id
    looked_at = [table.c[name] for name in _CHECKED] if source.rest.is_narrow else []
    window: Any = select(id_.label("id"), of.c.created_at, *looked_at)
    if looked_at and of is not table:
        window = window.join_from(of, table, table.c.id == id_)
    window = window.where(*source.having, *bounds(sought, order, of.c.created_at, id_))
    for dialect in sorted(MYSQL):
        # It finds the index by itself, but then reads it from its end.
        window = window.with_hint(of, f"FORCE INDEX ({source.index})", dialect)
    return window.order_by(*order.clauses(of.c.created_at, id_))


def bounds(sought: Sought, order: Order, created_at: Any, id_: Any) -> list[ColumnElement[bool]]:
    """The time and the place that are looked for, as conditions on what an index is in order of."""
    found = [] if order.by_id else created(sought, created_at)
    place = sought.place
    return found if place is None else [*found, order.behind(place, created_at, id_)]
