"""What it means that a database refuses something, whichever library says so."""

from __future__ import annotations

from typing import Any

from sqlalchemy.exc import DBAPIError

# PostgreSQL: serialization failure, deadlock.
_RETRIED_STATES = frozenset({"40001", "40P01"})
# Writes are refused, as by a server that was the primary before a failover.
_READ_ONLY_STATE = "25006"
_READ_ONLY_CODES = frozenset({1290, 1836})
# Connection exceptions, insufficient resources, operator intervention.
_AWAY_STATES = ("08", "53", "57P", _READ_ONLY_STATE)
# PostgreSQL: insufficient privilege.
_DENIED_STATE = "42501"
# MySQL and MariaDB: access to a database, a table, a column, or a right of the server is denied.
_DENIED_CODES = frozenset({1044, 1142, 1143, 1227})
# MySQL and MariaDB: lock wait timeout, deadlock, a row that changed since the snapshot.
_RETRIED_CODES = frozenset({1205, 1213, 1020})
# Too many connections, out of memory or disk, shutting down, read-only as after a failover, and
# those of the client that lost its connection.
_AWAY_CODES = frozenset({1021, 1037, 1038, 1040, 1041, 1053, 1077, 1078, 1079, 1080, 1114, 1129})
_AWAY_CODES |= {1158, 1159, 1160, 1161, 1203, 1226, 1290, 1317, 1836, 1927}
_AWAY_CODES |= {2002, 2003, 2005, 2006, 2012, 2013, 2014, 2026, 2055, 3032, 3169, 4031}


def _code(original: BaseException) -> int | None:
    """The number that MySQL and MariaDB give an error."""
    first = original.args[0] if original.args else None
    return first if isinstance(first, int) else None


def is_conflict(error: BaseException) -> bool:
    """Whether a transaction has to begin anew: a deadlock, or a serialization failure."""
    if not _is_called("DatabaseError", error):
        return False
    original = _driver_error(error)
    code = _code(original)
    if code is not None:
        return code in _RETRIED_CODES
    busy = "database is locked" in str(original)
    return _state(original) in _RETRIED_STATES or busy


def is_away(error: BaseException) -> bool:
    """Whether the database is out of reach, and not the statement at fault."""
    if is_cut(error) or _is_called("InterfaceError", error):
        return True
    if not _is_called("OperationalError", error):
        return False
    original = _driver_error(error)
    code = _code(original)
    if code is not None:
        # Whatever keeps a connection from being made; else many a mistake is one of these, too.
        never_sent = isinstance(error, DBAPIError) and error.statement is None
        return never_sent or code in _AWAY_CODES
    state = _state(original)
    if state is not None:
        return str(state).startswith(_AWAY_STATES)
    text = str(original)
    return "SQL variables" not in text and "compound SELECT" not in text


def is_read_only(error: BaseException) -> bool:
    """Whether this server takes no writes; another one may."""
    original = _driver_error(error)
    return _state(original) == _READ_ONLY_STATE or _code(original) in _READ_ONLY_CODES


def is_denied(error: BaseException) -> bool:
    """Whether the database's user lacks a right."""
    original = _driver_error(error)
    return _state(original) == _DENIED_STATE or _code(original) in _DENIED_CODES


def is_cut(error: BaseException) -> bool:
    """Whether the connection is known to be lost, or the server to be out of reach."""
    if not isinstance(error, DBAPIError):
        return False
    original = _driver_error(error)
    told = str(_state(original)).startswith(_AWAY_STATES) or _code(original) in _AWAY_CODES
    return told or error.connection_invalidated


def _is_called(name: str, error: BaseException) -> bool:
    # Each library has its own classes of these names.
    return any(found.__name__ == name for found in type(error).__mro__)


def _driver_error(error: BaseException) -> BaseException:
    """What the driver raised: SQLAlchemy and Django have it inside their own errors."""
    return getattr(error, "orig", None) or error.__cause__ or error


def _state(original: BaseException) -> Any:
    return getattr(original, "sqlstate", None) or getattr(original, "pgcode", None)


def was_sent(error: DBAPIError) -> bool:
    """Whether there was a connection: only an error of making one has neither of these."""
    return error.statement is not None or error.connection_invalidated


def first_line(error: BaseException) -> str:
    """The first line of what the driver said."""
    original = _driver_error(error)
    lines = [line.strip() for line in str(original).splitlines() if line.strip()]
    return lines[0] if lines else type(original).__name__
