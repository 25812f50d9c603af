"""A function's writes and its step's checkpoint, in one transaction of one database.

The lease is looked at when the checkpoint is written, not before: to hold the execution's row for
as long as the function takes would keep its lease from being renewed.
"""

from __future__ import annotations

import itertools
import random
import sqlite3
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from sqlalchemy import Connection

from polos.errors import LeaseLost, StoreUnavailable
from polos.model.ports import Transactor
from polos.model.records import Checkpoint
from polos.store import checkpoints
from polos.store.callers import caller_of
from polos.store.prebuilt import run_in
from polos.store.refusals import first_line, is_away, is_conflict, is_cut

# After so many deadlocks in a row the function is held to have failed.
_TRIES = 8

# A flag of MySQL's protocol, and a status of libpq.
_IN_TRANSACTION, _IDLE = 1, 0

Make = Callable[[Any], Sequence[Checkpoint]]


class FunctionRaised(Exception):
    """A function has raised, and its transaction was rolled back.

    Attributes:
        error: what it raised.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


class TransactionEnded(Exception):
    """A function has ended the transaction that it was called in."""

    def __str__(self) -> str:
        return (
            "its function has committed or rolled back the transaction itself, so that what it "
            "wrote and the step's checkpoint are no longer one; leave that to Polos"
        )


class _Taken(Exception):
    """The checkpoint is there already."""


def transact(begin: Transactor, place: str, execution_id: str, token: str, make: Make) -> bool:
    """Commit what ``make`` writes through its connection together with the checkpoints it gives.

    Args:
        begin: begins the transaction.
        place: the database, for messages.
        make: may be called again, after a deadlock.

    Returns:
        False where the last checkpoint was there already; nothing was written then.

    Raises:
        LeaseLost: the token no longer holds the lease; nothing was written.
        FunctionRaised: what ``make`` raised; nothing was written.
        TransactionEnded: ``make`` has ended the transaction itself.
        StoreUnavailable: the database is away; it may have been committed.
    """
    for tried in itertools.count(1):
        once = _Once(make)
        try:
            once.run(begin, execution_id, token)
        except _Taken:
            return False
        except (LeaseLost, TransactionEnded):
            raise
        except Exception as error:
            if not is_conflict(error) or tried == _TRIES:
                raise _meaning(error, once.raised, place) from error
        else:
            return True
        time.sleep(random.random() * 0.01 * 2**tried)
    raise AssertionError("unreachable")


class _Once:
    """One transaction.

    Attributes:
        raised: what the function raised.
    """

    def __init__(self, make: Make) -> None:
        self._make = make
        self.raised: Exception | None = None

    def run(self, begin: Transactor, execution_id: str, token: str) -> None:
        """Call the function, and write what it gives."""
        with begin() as connection:
            try:
                rows = self._make(connection)
            except Exception as error:
                self.raised = error
                raise
            if isinstance(connection, Connection):
                _check_open(connection)
            run, dialect = _writer(connection)
            if not checkpoints.write_new(run, dialect, execution_id, token, rows):
                raise _Taken


def _writer(connection: Any) -> tuple[checkpoints.Run, str]:
    if isinstance(connection, Connection):
        return partial(run_in, connection), connection.dialect.name
    caller = caller_of(connection)
    return caller.run, caller.dialect.name


def _check_open(connection: Connection) -> None:
    """Raise TransactionEnded where there is no transaction any more, as far as can be known."""
    if not connection.in_transaction():
        raise TransactionEnded
    if _is_idle(connection.connection.dbapi_connection):
        raise TransactionEnded


def _is_idle(driver: Any) -> bool:
    """Whether a driver's connection is known to be in no transaction."""
    if isinstance(driver, sqlite3.Connection):
        return not driver.in_transaction
    told = getattr(driver, "server_status", None)  # PyMySQL's
    if told is not None:
        return not told & _IN_TRANSACTION
    status = getattr(getattr(driver, "info", None), "transaction_status", None)
    return status == _IDLE


def _meaning(error: Exception, raised: Exception | None, place: str) -> Exception:
    if raised is not None and not is_cut(raised):
        return FunctionRaised(raised)
    if is_away(error):
        return StoreUnavailable(place, first_line(error), uncertain=True)
    # Such as a transaction that is aborted because the function went on after an error.
    return FunctionRaised(error)
