"""How long the pages of the tab take to come, beside a million executions in PostgreSQL.

Flower runs in a thread of this process, which asks it over HTTP by one connection: what is measured
is from the request to the last byte of the answer, the database's part in it.
"""

from __future__ import annotations

import time

import httpx
from sqlalchemy import text

from benchmarks.figures import summarize
from benchmarks.scene import Options, Scene, line
from benchmarks.scenes.sheet import Goal, Row, publish, scaled
from polos.model.records import Kind
from polos.model.states import Status
from polos.store.database import Database
from polos.store.migrate import upgrade
from polos.store.sql_store import SqlStore
from tests.flower import executions
from tests.flower.executions import MINUTE, MS, SECOND, Written
from tests.flower.pages import opened
from tests.support.servers import PostgresServer

COUNT, STEPS, CHILDREN = 1_000_000, 5_000, 10_000
SMOKE = 2_000, 200, 100
TURNS = 40
GOAL = Goal(100, of_ratio=False)
# Ended executions: one in a hundred not well, one in ten a child of another, with three steps each
# of the first third.
_EXECUTIONS = """
INSERT INTO polos_executions (id, project_id, workflow_id, status, payload, result, failure,
  session_id, created_at, started_at, finished_at, claims, parent_execution_id, parent_step_key)
SELECT 'e' || lpad(CAST(n AS TEXT), 8, '0'), 'default', 'flow-' || mod(n, 20),
  CASE WHEN mod(n, 100) = 7 THEN 'failed' ELSE 'completed' END, '[1]',
  CASE WHEN mod(n, 100) = 7 THEN NULL ELSE CAST('1' AS BYTEA) END,
  CASE WHEN mod(n, 100) = 7 THEN CAST('{}' AS BYTEA) END,
  CASE WHEN mod(n, 2) = 1 THEN 'session-' || mod(n, 5000) END,
  CAST(:begin AS BIGINT) + n * 1000, CAST(:begin AS BIGINT) + n * 1000,
  CAST(:begin AS BIGINT) + n * 1000 + 500, 1,
  CASE WHEN mod(n, 10) = 2 THEN 'e' || lpad(CAST(n / 1000 AS TEXT), 8, '0') END,
  CASE WHEN mod(n, 10) = 2 THEN 'kid' || n END
FROM generate_series(1, :count) n"""
_CHECKPOINTS = """
INSERT INTO polos_checkpoints (execution_id, step_key, kind, turn, position, value, attempts,
  started_at, created_at)
SELECT 'e' || lpad(CAST(n / 3 AS TEXT), 8, '0'), 's' || mod(n, 3), 'step', 0, mod(n, 3),
  convert_to(repeat('1', 200), 'UTF8'), 1,
  CAST(:begin AS BIGINT), CAST(:begin AS BIGINT)
FROM generate_series(3, :count) n"""


def fill(store: SqlStore, count: int, steps: int, children: int) -> None:
    """Write what is shown, and a crowd around it."""
    began = time.monotonic()
    begin = store.now() - count * 1000 - MINUTE
    for statement in (_EXECUTIONS, _CHECKPOINTS):
        store.database.run(text(statement), {"begin": begin, "count": count})
    executions.many(store, "many", steps)
    executions.retries(store, "retries")
    fan = Written(store, "fan", 10 * MINUTE)
    for number in range(children):
        key, id_ = f"kid_{number}", f"fan-{number}"
        fan.wait(key, number * MS, None, kind=Kind.CHILD, target_id=id_)
    fan.put(Status.WAITING)
    kid = Written(store, "fan-0", 9 * MINUTE, parent_execution_id="fan", parent_step_key="kid_0")
    kid.put(Status.COMPLETED, 2 * SECOND)
    copies = text(
        "INSERT INTO polos_executions (id, project_id, workflow_id, status, payload, result,"
        " created_at, started_at, finished_at, claims, parent_execution_id, parent_step_key)"
        " SELECT 'fan-' || n, project_id, workflow_id, status, payload, result, created_at + n,"
        " started_at + n, finished_at + n, claims, parent_execution_id, 'kid_' || n"
        " FROM polos_executions, generate_series(1, :last) n WHERE id = 'fan-0'"
    )
    store.database.run(copies, {"last": children - 1})
    store.database.run(text("ANALYZE"))
    line(f"{count:,} executions written in {time.monotonic() - began:.0f} s")


def times(client: httpx.Client, path: str, turns: int) -> list[float]:
    """Seconds that a page takes, each time; the first time is left out."""
    found = []
    for _ in range(turns + 1):
        began = time.perf_counter()
        answer = client.get(path)
        found.append(time.perf_counter() - began)
        assert answer.status_code == 200, (path, answer.status_code)
    return found[1:]


def run(options: Options) -> None:
    count, steps, children = SMOKE if options.smoke else (COUNT, STEPS, CHILDREN)
    pages = {
        "list": "/workflows",
        "list, failed": "/workflows?status=failed",
        "list, one workflow": "/workflows?workflow=flow-3",
        "list, one session": "/workflows?by=session&text=session-7",
        "list, update": "/workflows?part=rows",
        "an execution of 5 steps": "/workflows/execution/retries",
        f"an execution of {steps:,} steps": "/workflows/execution/many",
        "  from a failed step on": "/workflows/execution/many?steps=failed",
        "  its timeline alone": "/workflows/execution/many?part=timeline",
        f"an execution with {children:,} children": "/workflows/execution/fan",
    }
    with PostgresServer() as server, server.start().fresh_database("pages") as url:
        database = Database(url)
        upgrade(database)
        fill(SqlStore(database), count, steps, children)
        with opened(url) as site, httpx.Client(base_url=site.url, timeout=60) as client:
            turns = 3 if options.smoke else TURNS
            rows = [
                Row(name, "ms", scaled(summarize(times(client, path, turns)), 1000), goal=GOAL)
                for name, path in pages.items()
            ]
        database.close()
    publish(options, "pages", rows)


SCENE = Scene("pages", "the tab's pages beside 1,000,000 executions in PostgreSQL", run)
