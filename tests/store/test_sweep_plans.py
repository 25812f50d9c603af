"""A sweep does not visit what is parked, however much that is."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, text

from polos.model.workers import Reach
from polos.store.sql_store import SqlStore
from tests.store.scenes import rows_read_on_mariadb
from tests.support.bulk import park_many
from tests.support.statements import statements

PARKED = 4000
REACH = Reach(("flow",), ("polos",))

Duty = Callable[[SqlStore], Any]
DUTIES: dict[str, Duty] = {
    "owners": lambda store: store.owners(),
    "lost": lambda store: store.lost(["somebody"], trust_expiry=True),
    "wake_due": lambda store: store.wake_due(500, REACH),
    "send_ahead": lambda store: store.send_ahead(500, REACH),
    "redispatch": lambda store: store.redispatch(500, REACH),
    "unclaimed": lambda store: store.unclaimed(["a", "b"]),
    "finish_descents": lambda store: store.finish_descents(500),
    "expire": lambda store: store.expire(500, 30),
    "expire_unstarted": lambda store: store.expire_unstarted(500),
    "prune": lambda store: store.prune(86_400, 500),
}


@pytest.mark.parametrize("analyzed", [False, True])
@pytest.mark.parametrize("name", DUTIES)
def test_a_duty_visits_nothing_that_is_parked(store: SqlStore, name: str, analyzed: bool) -> None:
    park_many(store, "flow", b"{}", PARKED)
    # PostgreSQL does it by itself, SQLite never.
    if store.database.dialect == "mariadb":
        if analyzed:
            store.database.run(text("ANALYZE TABLE polos_executions"))
        assert rows_read_on_mariadb(store.database, lambda: DUTIES[name](store)) < 100
        return
    if analyzed or store.database.dialect != "sqlite":
        store.database.run(text("ANALYZE"))
    with statements(store.database) as sent:
        DUTIES[name](store)
    [(statement, parameters)] = [it for it in sent if not it[0].startswith("BEGIN")]
    with store.database.engine.connect() as connection:
        visited = _visits[store.database.dialect](connection, statement, parameters)
        connection.rollback()
    assert visited == []


def _visits_of_sqlite(connection: Connection, statement: str, parameters: Any) -> list[str]:
    rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
    by_project = [f"USING INDEX polos_ix_{name}" for name in ("workflow", "created", "status")]
    return [
        row.detail
        for row in rows
        if row.detail == "SCAN polos_executions" or any(name in row.detail for name in by_project)
    ]


def _visits_of_postgresql(connection: Connection, statement: str, parameters: Any) -> list[str]:
    # Of a table this small a scan may be the cheaper one; what counts is that an index finds it.
    connection.exec_driver_sql("SET enable_seqscan = off")
    rows = connection.exec_driver_sql(f"EXPLAIN (ANALYZE) {statement}", parameters)
    lines = [row[0] for row in rows]
    # What joins nothing is planned as a scan where the table is small, and stops at its first row.
    scans = [line for line in lines if "Seq Scan on polos_executions" in line]
    long_scans = [line for line in scans if not re.search(r"actual .*rows=[01](\.0+)? ", line)]
    return long_scans + [line for line in lines if "Removed by Filter" in line]


_visits = {"sqlite": _visits_of_sqlite, "postgresql": _visits_of_postgresql}
