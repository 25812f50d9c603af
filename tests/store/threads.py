"""Two at a time: work in threads with connections of their own, held where a test wants it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Generic, TypeVar
from weakref import WeakSet

from sqlalchemy import Engine, text

from polos.store.columns import MYSQL
from polos.store.database import Database
from tests.support.processes import until
from tests.support.statements import listen

T = TypeVar("T")

_DEADLINE = 60.0
# A monitoring connection of its own sees the others; this one is never blocked itself.
_BLOCKED = text(
    "SELECT count(*) FROM pg_stat_activity "
    "WHERE datname = current_database() AND wait_event_type = 'Lock' "
    "AND backend_type = 'client backend'"
)
_BLOCKED_IN_INNODB = text("SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'")


class Background(Generic[T]):
    """Work in a thread of its own."""

    def __init__(self, database: Database, work: Callable[[], T]) -> None:
        _watch(database)
        self._database = database
        self._work = work
        self._value: list[T] = []
        self._error: BaseException | None = None
        self._asked = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def done(self) -> bool:
        """Whether it has come to its end."""
        return not self._thread.is_alive()

    def is_blocked(self) -> bool:
        """Wait until it waits for a lock (True), or has come to its end without (False)."""
        until(lambda: self.done or self._blocked(), deadline=_DEADLINE, every=0.002)
        return not self.done

    def result(self) -> T:
        """What the work gave, or raised."""
        self._thread.join(_DEADLINE)
        assert self.done, "the thread is still at work"
        if self._error is not None:
            raise self._error
        return self._value[0]

    def on_statement(self, statement: str) -> None:
        """Its thread is about to send this."""
        self._asked.set()

    def on_commit(self) -> None:
        """Its thread is about to commit."""

    def _blocked(self) -> bool:
        if self._database.dialect == "sqlite":
            # No view shows it: it has sent its first statement, and somebody has the file's lock.
            return self._asked.is_set()
        if self._database.dialect in MYSQL:
            return int(self._database.run(_BLOCKED_IN_INNODB)[0][1]) > 0
        return self._database.run(_BLOCKED)[0][0] > 0

    def _run(self) -> None:
        _at_work[threading.get_ident()] = self
        try:
            self._value.append(self._work())
        except BaseException as error:
            self._error = error
        finally:
            del _at_work[threading.get_ident()]


class Held(Background[T]):
    """Work that stops before its transaction commits, or before a statement, and holds its locks.

    Args:
        before: a part of the SQL of the statement; None means the commit.
    """

    def __init__(
        self, database: Database, work: Callable[[], T], *, before: str | None = None
    ) -> None:
        self._before = before
        self._reached = threading.Event()
        self._go = threading.Event()
        super().__init__(database, work)

    def let_go(self) -> None:
        """Let it go on."""
        self._go.set()

    def wait_until_held(self) -> None:
        """Wait until it has come to the place where it is held."""
        until(lambda: self._reached.is_set() or self.done, deadline=_DEADLINE, every=0.002)
        assert self._reached.is_set(), f"it went past {self._before or 'commit'}: {self._error!r}"

    def on_statement(self, statement: str) -> None:
        super().on_statement(statement)
        if self._before is not None and self._before in statement:
            self._stop_here()

    def on_commit(self) -> None:
        if self._before is None:
            self._stop_here()

    def _stop_here(self) -> None:
        self._reached.set()
        assert self._go.wait(_DEADLINE), "nobody let it go on"


@contextmanager
def held(
    database: Database, work: Callable[[], T], *, before: str | None = None
) -> Iterator[Held[T]]:
    """Work that is held when the block begins, and let go at the latest when it ends."""
    background = Held(database, work, before=before)
    try:
        background.wait_until_held()
        yield background
    finally:
        background.let_go()


# Listeners are never removed: that isn't safe while other threads are sending.
_at_work: dict[int, Background[Any]] = {}
_watched: WeakSet[Engine] = WeakSet()


def _watch(database: Database) -> None:
    if database.engine in _watched:
        return
    _watched.add(database.engine)

    def statement(sql: str, _parameters: Any) -> None:
        if background := _at_work.get(threading.get_ident()):
            background.on_statement(sql)

    def commit() -> None:
        if background := _at_work.get(threading.get_ident()):
            background.on_commit()

    listen(database.engine, statement, commit)


def race(*works: Callable[[], Any]) -> list[Any]:
    """Start all at the same moment; what they gave, an exception being a result too."""
    barrier = threading.Barrier(len(works))
    results: list[Any] = [None] * len(works)

    def run(number: int, work: Callable[[], Any]) -> None:
        barrier.wait(_DEADLINE)
        try:
            results[number] = work()
        except BaseException as error:
            results[number] = error

    threads = [
        threading.Thread(target=run, args=(number, work), daemon=True)
        for number, work in enumerate(works)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(_DEADLINE)
        assert not thread.is_alive(), "a thread is still at work"
    return results


def errors(results: Sequence[Any]) -> list[BaseException]:
    """Those results that are exceptions."""
    return [result for result in results if isinstance(result, BaseException)]
