"""The database's own time, in whole microseconds since the epoch."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction


class now_micros(GenericFunction[int]):  # noqa: N801
    """The moment at which the database evaluates it, or begins the statement; no earlier one."""

    type = BigInteger()
    inherit_cache = True


@compiles(now_micros, "postgresql")
def _postgresql(element: Any, compiler: Any, **kw: Any) -> str:
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)"


@compiles(now_micros, "sqlite")
def _sqlite(element: Any, compiler: Any, **kw: Any) -> str:
    # unixepoch('subsec') needs SQLite 3.42; 'now' is one moment within a statement.
    text = (
        "(CAST(strftime('%s', 'now') AS INTEGER) * 1000000"
        " + CAST(substr(strftime('%f', 'now'), 4) AS INTEGER) * 1000)"
    )
    # Django writes parameters as %s on each database.
    return text.replace("%", "%%") if compiler.dialect.paramstyle == "format" else text


@compiles(now_micros, "mysql")
@compiles(now_micros, "mariadb")
def _mysql(element: Any, compiler: Any, **kw: Any) -> str:
    # One moment within a statement, else no index serves it; and no session's time zone is in it.
    return "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))"
