"""Boundaries: the moments before and after each store statement, commit and publish.

They are found where SQLAlchemy hands over to the driver, so that nothing is missed. A trap is set
at one of them; there the process ends at once, or its connection does.
"""

from __future__ import annotations

import os
import re
import signal
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

import psycopg
import pymysql
from sqlalchemy import Engine

T = TypeVar("T")

# What a process that met its trap ends with.
TRAPPED = 71
PUBLISH = "publish"
STORE_RESULT = "store result"
ACKNOWLEDGE = "acknowledge"
_WRITES = re.compile(r"(INSERT INTO|UPDATE|DELETE FROM) (polos_\w+)")
_READS = re.compile(r"(FROM) (polos_\w+)")


class Side(StrEnum):
    """Before what the boundary is named for, or after it has taken effect."""

    BEFORE = "before"
    AFTER = "after"


class Fate(StrEnum):
    """What happens there.

    ``CUT`` lets the process live and ends its connection: after a commit, its answer is lost. Of
    a publish it means that the broker is away.
    """

    EXIT = "exit"
    KILL = "kill"
    CUT = "cut"


@dataclass(frozen=True, slots=True)
class Trap:
    """One boundary, and what happens there."""

    number: int
    side: Side
    fate: Fate

    def __str__(self) -> str:
        return f"{self.fate} {self.side} #{self.number}"


class BrokerAway(OSError):
    """A publish that is cut."""


@dataclass(slots=True)
class Boundaries:
    """Counts what this process asks of its store and its broker, and springs the trap.

    Attributes:
        names: what was met, in order.
    """

    trap: Trap | None = None
    names: list[str] = field(default_factory=list)

    def watch(self, engine: Engine) -> None:
        """Count all statements and commits of an engine."""
        dialect: Any = engine.dialect
        for method in ("do_execute", "do_executemany", "do_execute_no_params"):
            setattr(dialect, method, self._statement(getattr(dialect, method)))
        commit = dialect.do_commit

        def do_commit(connection: Any) -> None:
            cut = _cut(getattr(connection, "driver_connection", connection))
            self.cross("COMMIT", lambda: commit(connection), cut)

        dialect.do_commit = do_commit

    def cross(self, name: str, act: Callable[[], T], cut: Callable[[], None]) -> T:
        """Do one thing that has a boundary on either side; ``cut`` raises what a loss raises."""
        self.names.append(name)
        trap = self.trap
        met = trap is not None and trap.number == len(self.names)
        if trap is None or not met:
            return act()
        if trap.side is Side.BEFORE:
            self._spring(trap, cut)
        result = act()
        self._spring(trap, cut)
        return result

    def _spring(self, trap: Trap, cut: Callable[[], None]) -> None:
        if trap.fate is Fate.EXIT:
            os._exit(TRAPPED)
        if trap.fate is Fate.KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        cut()

    def _statement(self, execute: Callable[..., None]) -> Callable[..., None]:
        def crossing(cursor: Any, statement: str, *rest: Any, **named: Any) -> None:
            act = lambda: execute(cursor, statement, *rest, **named)  # noqa: E731
            self.cross(_name(statement), act, _cut(cursor.connection))

        return crossing


def _cut(connection: Any) -> Callable[[], None]:
    """Ends the connection, and raises what its driver raises then."""

    def postgresql() -> None:
        connection.close()
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    def sqlite() -> None:
        raise sqlite3.OperationalError("disk I/O error")

    def mariadb() -> None:
        connection._force_close()
        raise pymysql.OperationalError(2013, "Lost connection to server during query")

    if isinstance(connection, pymysql.Connection):
        return mariadb
    return sqlite if isinstance(connection, sqlite3.Connection) else postgresql


def _name(statement: str) -> str:
    found = _WRITES.search(statement) or _READS.search(statement)
    return " ".join(found.groups()) if found else statement[:30]
