"""What statements read, on each database in its own way."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import Connection, text

from polos.store.database import Database
from tests.store.scenes import rows_read_on_mariadb
from tests.support.statements import statements

_SCANS = tuple(f"SCAN polos_{name}" for name in ("executions", "waits", "tags", "checkpoints"))


_SCANS = tuple(f"SCAN polos_{name}" for name in ("executions", "waits", "tags", "checkpoints"))


def analyze(database: Database) -> None:
    """Let a database find out what is in it; SQLite never does it by itself."""
    table = " TABLE polos_executions" if database.dialect == "mariadb" else ""
    database.run(text(f"ANALYZE{table}"))


def most_rows_read(database: Database, work: Callable[[], Any]) -> int:
    """How many rows ``work`` makes a server read; of SQLite, which doesn't tell, 0.

    There each plan is looked at instead: none may read a table from one end to the other.
    """
    if database.dialect == "mariadb":
        return rows_read_on_mariadb(database, work)
    with statements(database) as sent:
        work()
    with database.engine.connect() as connection:
        if database.dialect == "sqlite":
            for sql, given in sent:
                _no_scan(connection, sql, given)
            return 0
        return sum(_read_on_postgresql(connection, sql, given) for sql, given in sent)


def _no_scan(connection: Connection, sql: str, given: Any) -> None:
    plan = [row.detail for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", given)]
    scans = [line for line in plan if line.startswith(_SCANS)]
    assert not scans, (sql, plan)


def _read_on_postgresql(connection: Connection, sql: str, given: Any) -> int:
    # Of so few rows it takes those in memory one after another; of many it would not.
    connection.exec_driver_sql("SET enable_seqscan = off")
    connection.exec_driver_sql("SET enable_bitmapscan = off")
    connection.exec_driver_sql("SET enable_hashjoin = off")
    connection.exec_driver_sql("SET enable_mergejoin = off")
    explained = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", given)
    plan = explained.scalar_one()
    found = json.loads(plan) if isinstance(plan, str) else plan
    return sum(_rows(node) for node in _scans(found[0]["Plan"]))


def _scans(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "Relation Name" in node:
        yield node
    for below in node.get("Plans", ()):
        yield from _scans(below)


def _rows(node: dict[str, Any]) -> int:
    assert node["Node Type"] != "Seq Scan", node
    each = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
    return int(each * node["Actual Loops"])
