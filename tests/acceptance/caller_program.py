"""A program with a table of its own, which starts workflows in the transactions that write to it.

It is killed at any moment and started again, and goes on with the number after the last one that it
had begun. Every third transaction is rolled back. What it has committed, its own table tells.

Usage: python -m tests.acceptance.caller_program WAY NUMBERS PROGRESS
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from polos import PolosClient
from tests.acceptance.caller_flows import order

URL = "POLOS_DATABASE_URL"
# The row, and the database's time shortly before the commit.
INSERT = (
    "INSERT INTO orders SELECT {0}, {1}, "
    "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)"
)
TABLE = "CREATE TABLE orders (number INTEGER PRIMARY KEY, execution_id TEXT, at BIGINT)"


class Undone(Exception):
    """Rolls a transaction back."""


def write(connection: Any, client: PolosClient, number: int) -> None:
    """One order, and its workflow, on SQLAlchemy's connection or session."""
    started = order.start(client, {"number": number}, connection=connection)
    values = {"number": number, "id": started.id}
    connection.execute(text(INSERT.format(":number", ":id")), values)
    if number % 3 == 0:
        raise Undone


def with_connection(engine: Engine, client: PolosClient, number: int) -> None:
    with engine.begin() as connection:
        write(connection, client, number)


def with_session(engine: Engine, client: PolosClient, number: int) -> None:
    with Session(engine) as session, session.begin():
        write(session, client, number)


def with_scoped_session(engine: Engine, client: PolosClient, number: int) -> None:
    session = scoped_session(sessionmaker(engine))
    try:
        write(session, client, number)
        session.commit()
    finally:
        session.remove()


def with_savepoint(engine: Engine, client: PolosClient, number: int) -> None:
    def lost(connection: Connection) -> None:
        with connection.begin_nested():
            order.start(client, {"number": -number}, connection=connection)
            raise Undone

    with engine.begin() as connection:
        try:
            lost(connection)
        except Undone:
            write(connection, client, number)


WAYS = (with_connection, with_session, with_scoped_session, with_savepoint)


def sqlalchemy_way() -> Callable[[PolosClient, int], None]:
    engine = create_engine(os.environ[URL])
    return lambda client, number: WAYS[number % len(WAYS)](engine, client, number)


def django_way() -> Callable[[PolosClient, int], None]:
    from tests.callers.django_callers import set_up

    set_up(os.environ[URL])
    from django.db import connection, transaction

    def start(client: PolosClient, number: int) -> None:
        with transaction.atomic():
            started = order.start(client, {"number": number}, connection=connection)
            with connection.cursor() as cursor:
                cursor.execute(INSERT.format("%s", "%s"), [number, started.id])
            if number % 3 == 0:
                raise Undone

    return start


def go_through(start: Callable[[PolosClient, int], None], numbers: int, progress: Path) -> None:
    """All numbers that were not begun before."""
    client = PolosClient()
    for number in range(progress.stat().st_size if progress.exists() else 0, numbers):
        with progress.open("ab") as file:
            file.write(b".")
        with suppress(Undone):
            start(client, number)


def die_after_commits(numbers: int) -> None:
    """Each number in a process of its own, which dies after the commit and before its hint."""
    dice = random.Random(1)
    for number in range(numbers):
        time.sleep(dice.random())
        if os.fork() == 0:
            client = PolosClient()
            client.bound.dispatcher.dispatch = lambda hints: os.kill(os.getpid(), signal.SIGKILL)
            with_session(create_engine(os.environ[URL]), client, 3 * number + 1)
            os._exit(1)
        _, status = os.wait()
        assert os.WIFSIGNALED(status), "the hint's moment did not come"


def main(way: str, numbers: int, progress: Path) -> None:
    if way == "dying":
        die_after_commits(numbers)
    else:
        go_through({"sqlalchemy": sqlalchemy_way, "django": django_way}[way](), numbers, progress)
    print("through")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
