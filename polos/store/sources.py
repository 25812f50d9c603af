"""Which index serves what is looked for, and what of it is left to look at then."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, Table, bindparam, func, literal_column, select

from polos.model.finding import Sought
from polos.model.records import SECOND
from polos.model.states import Status
from polos.store.clock import now_micros
from polos.store.database import Database
from polos.store.executions import one_of
from polos.store.schema import IS_LISTED, LISTED, tags
from polos.store.schema import executions as table
from polos.store.unindexed import of_project

WINDOW = 3000
_EQUAL = ("workflow_id", "session_id", "user_id")
# A queued one is sent again within five minutes; what waits for longer has no place near it.
_SENT_SOON = 600 * SECOND
DISPATCHED = (
    table.c.dispatch_at.is_not(None),
    table.c.dispatch_at <= select(now_micros() + _SENT_SOON).scalar_subquery(),
)
_project: Any = bindparam("project")
_in_project = table.c.project_id == _project


@dataclass(frozen=True, slots=True)
class Source:
    """Where executions are read from.

    Attributes:
        having: conditions that the index has.
        rest: what is left to look at in what that finds.
        index: its name, for MySQL, which finds it by itself but then reads it from its end.
        few: whether there are so few that they are put in order; there is no index for that.
    """

    having: tuple[ColumnElement[bool], ...]
    rest: Sought
    index: str = ""
    few: bool = False

    @property
    def of(self) -> Table:
        """The table that the index is of."""
        return tags if self.index == "polos_ix_tag" else table


def sources_of(database: Database, sought: Sought) -> list[Source]:
    """From where all that is looked for can be read, in its order; with the parameter project."""
    rest = sought.at(None)
    if sought.id_prefix is not None:
        # The order of texts is each database's own: what begins alike is no range everywhere.
        return [Source((table.c.id >= sought.id_prefix,), rest, "PRIMARY")]
    rest = replace(rest, created_after=None, created_before=None)
    if sought.tag is not None:
        having = (tags.c.project_id == _project, tags.c.tag == sought.tag)
        return [Source(having, replace(rest, tag=None), "polos_ix_tag")]
    if sought.session_id is not None:
        having = (_in_project, table.c.session_id == sought.session_id)
        return [Source(having, replace(rest, session_id=None), "polos_ix_session")]
    if sought.user_id is not None:
        having = (_in_project, table.c.user_id == sought.user_id)
        return [Source(having, replace(rest, user_id=None), "polos_ix_user")]
    statuses = set(sought.statuses)
    if not statuses or len(statuses) == len(Status):
        return [_in_time(replace(rest, statuses=()))]
    return [_of_status(database, rest, status) for status in sorted(statuses)]


def conditions(columns: Mapping[str, Any], rest: Sought) -> list[ColumnElement[bool]]:
    """What is left to look at, as conditions on these columns."""
    found = [
        columns[name] == getattr(rest, name) for name in _EQUAL if getattr(rest, name) is not None
    ]
    if rest.statuses:
        names: list[Any] = [
            literal_column(f"'{status.value}'") for status in sorted(set(rest.statuses))
        ]
        found.append(columns["status"].in_(names))
    if rest.id_prefix is not None:
        found.append(columns["project_id"] == _project)
        found.append(func.substr(columns["id"], 1, len(rest.id_prefix)) == rest.id_prefix)
    if rest.tag is not None:
        tagged = tags.c.execution_id == columns["id"], tags.c.tag == rest.tag
        found.append(select(tags.c.tag).where(*tagged).exists())
    return [*found, *created(rest, columns["created_at"])]


def created(sought: Sought, moment: Any) -> list[ColumnElement[bool]]:
    """The time that is looked at, as conditions on a column."""
    found = []
    if sought.created_after is not None:
        found.append(moment >= sought.created_after)
    if sought.created_before is not None:
        found.append(moment < sought.created_before)
    return found


def _in_time(rest: Sought) -> Source:
    if rest.workflow_id is None:
        return Source((_in_project,), rest, "polos_ix_created")
    having = (_in_project, table.c.workflow_id == rest.workflow_id)
    return Source(having, replace(rest, workflow_id=None), "polos_ix_workflow")


def _of_status(database: Database, rest: Sought, status: Status) -> Source:
    alone: tuple[ColumnElement[bool], ...] = (one_of((status,)),)
    others = replace(rest, statuses=())
    if status in LISTED:
        # SQLite finds the index by its very words. PostgreSQL takes what is said twice for rarer
        # than it is, and then reads all that there is of it.
        words: Any = literal_column(f"{table.name}.{IS_LISTED}")
        listed = (words,) if database.dialect == "sqlite" else ()
        return Source((_in_project, *alone, *listed), others, "polos_ix_status")
    if status is Status.RUNNING:
        held = table.c.lease_expires_at.is_not(None)
        return Source((of_project(), *alone, held), others, few=True)
    if status is Status.QUEUED and not _is_long(database):
        return Source((of_project(), *alone, *DISPATCHED), others, few=True)
    return _in_time(replace(rest, statuses=(status,)))


def _is_long(database: Database) -> bool:
    """Whether more are to be sent soon than can be put in order."""
    further = select(table.c.dispatch_at).where(*DISPATCHED).order_by(table.c.dispatch_at)
    return bool(database.run(further.offset(WINDOW).limit(1)))
