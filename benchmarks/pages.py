"""The pages of the tab over 1,000,000 executions: milliseconds from a request to its last byte.

A real ``celery flower`` with PostgreSQL and Redis of its own, asked for one page after another over
one connection. The first answer of each kind is left out, as is what the browser does with it.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
from sqlalchemy import text

from benchmarks.figures import Figures, summarize
from benchmarks.scene import Options, Scene, line
from benchmarks.scenes.sheet import Goal, Row, publish, scaled
from polos import PolosClient
from polos.store.database import Database
from tests.acceptance.stacks import Stack, server_stack
from tests.support.processes import Program
from tests.support.servers import HOST, PostgresServer, RedisServer, free_port

COUNT, STEPS, CHILDREN, TIMES = 1_000_000, 5_000, 10_000, 50
SMOKE = 2_000, 50, 50, 3
GOAL = Goal(100, of_ratio=False)
_LONG = "00000000-long"
_WIDE = "00000000-wide"
_START_SECONDS = 120.0

# Thirty days of twenty workflows: one in fifty fails, one in a hundred waits, some are queued.
_EXECUTIONS = """
INSERT INTO polos_executions (id, project_id, workflow_id, status, payload, result, failure,
  session_id, user_id, claims, created_at, started_at, finished_at, wake_at, dispatch_at)
SELECT md5(n::text)::uuid::text, 'default', 'flow-' || (n % 20), status, '{}',
  CASE WHEN status = 'completed' THEN '1'::bytea END,
  CASE WHEN status = 'failed' THEN '{}'::bytea END,
  'session-' || (n % 50000), 'user-' || (n % 1000), 1, made,
  CASE WHEN status <> 'queued' THEN made + 1000 END,
  CASE WHEN status IN ('completed', 'failed', 'cancelled') THEN made + (n % 977) * 10000 END,
  CASE WHEN status = 'waiting' THEN :now + 86400000000 END,
  CASE WHEN status = 'waiting' THEN :now + 86370000000 WHEN status = 'queued' THEN :now END
FROM (
  SELECT n, :now - (:count - n) * (2592000000000 / :count) AS made, CASE
    WHEN n > :count - 100 THEN 'queued' WHEN n % 100 = 3 THEN 'waiting'
    WHEN n % 50 = 7 THEN 'failed' WHEN n % 200 = 11 THEN 'cancelled' ELSE 'completed' END AS status
  FROM generate_series(1, :count) AS n
) AS made
"""
_TAGS = """
INSERT INTO polos_tags (execution_id, tag, project_id, created_at)
SELECT id, 'tag-' || (created_at % 100), 'default', created_at FROM polos_executions
WHERE created_at % 10 = 1
"""
_WAITS = """
INSERT INTO polos_waits (execution_id, step_key, kind, due_at, attempts)
SELECT id, 'delivery', 'wait', wake_at, 0 FROM polos_executions WHERE status = 'waiting'
"""
_LONG_ONE = """
INSERT INTO polos_executions (id, project_id, workflow_id, status, payload, result, claims,
  created_at, started_at, finished_at)
VALUES (:id, 'default', 'long', 'completed', '{}', '1', 1,
  :now - 9000000000, :now - 9000000000, :now)
"""
_STEPS = """
INSERT INTO polos_checkpoints (execution_id, step_key, kind, turn, position, value, failure,
  attempts, started_at, created_at)
SELECT :id, 'step-' || n, 'step', 1, n, CASE WHEN n % 999 <> 5 THEN '{"number": 7}'::bytea END,
  CASE WHEN n % 999 = 5 THEN '{"reason": "no luck", "error_type": "ValueError"}'::bytea END, 1,
  :now - 9000000000 + n * 1000000, :now - 9000000000 + n * 1000000 + 900000
FROM generate_series(1::bigint, :steps) AS n
"""
# It waits for all of them, of which a tenth has ended.
_WIDE_ONE = """
INSERT INTO polos_executions (id, project_id, workflow_id, status, payload, claims, created_at,
  started_at)
VALUES (:id, 'default', 'wide', 'waiting', '{}', 1, :now - 9000000000, :now - 9000000000)
"""
_CHILDREN = """
INSERT INTO polos_executions (id, project_id, workflow_id, status, payload, result, claims,
  created_at, started_at, finished_at, parent_execution_id, parent_step_key, parent_waits)
SELECT :id || '-' || n, 'default', 'kid', CASE WHEN n % 10 = 1 THEN 'completed' ELSE 'waiting' END,
  '{}', CASE WHEN n % 10 = 1 THEN '1'::bytea END, 1, :now - 8000000000 + n, :now - 8000000000 + n,
  CASE WHEN n % 10 = 1 THEN :now - 7000000000 + n END, :id, 'kid-' || n, true
FROM generate_series(1::bigint, :children) AS n
"""
_AWAITED = """
INSERT INTO polos_waits (execution_id, step_key, kind, target_id, attempts, started_at)
SELECT parent_execution_id, parent_step_key, 'invoke_and_wait', id, 0, created_at
FROM polos_executions WHERE parent_execution_id = :id
"""


def pages(middle: int) -> dict[str, str]:
    """What is asked for, by what a table calls it."""
    return {
        "list, newest": "/workflows",
        "list, its live part": "/workflows?part=rows",
        "list, failed": "/workflows?status=failed",
        "list, all that is open": "/workflows?status=queued&status=running&status=waiting",
        "list, completed of a workflow": "/workflows?status=completed&workflow=flow-3",
        "list, failed of one without any": "/workflows?status=failed&workflow=flow-4",
        "list, a session": "/workflows?by=session&text=session-77",
        "list, a user": "/workflows?by=user&text=user-7",
        "list, a tag": "/workflows?by=tag&text=tag-1",
        "list, beginning of an ID": "/workflows?by=id&text=c4ca",
        "list, the last 7 days of a workflow": "/workflows?span=7d&workflow=flow-5",
        "list, until fifteen days ago": f"/workflows?span=between&to={_iso(middle)}",
        "overview": "/workflows/overview",
        f"execution, {STEPS:,} steps": f"/workflows/execution/{_LONG}",
        "  from the first that failed on": f"/workflows/execution/{_LONG}?steps=failed",
        "  its timeline alone": f"/workflows/execution/{_LONG}?part=timeline",
        f"execution, {CHILDREN:,} children": f"/workflows/execution/{_WIDE}",
    }


def _iso(micros: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M", time.gmtime(micros // 1_000_000))


def fill(database: Database, count: int, steps: int, children: int) -> int:
    """Write so many executions, one with many steps and one with many children.

    Returns:
        the moment of the newest.
    """
    now = int(time.time() * 1_000_000)
    database.run(text(_EXECUTIONS), {"now": now, "count": count})
    for statement in (_TAGS, _WAITS):
        database.run(text(statement))
    database.run(text(_LONG_ONE), {"id": _LONG, "now": now})
    database.run(text(_STEPS), {"id": _LONG, "now": now, "steps": steps})
    database.run(text(_WIDE_ONE), {"id": _WIDE, "now": now})
    database.run(text(_CHILDREN), {"id": _WIDE, "now": now, "children": children})
    database.run(text(_AWAITED), {"id": _WIDE})
    database.run(text("VACUUM ANALYZE"))
    return now


@contextmanager
def flower(stack: Stack) -> Iterator[httpx.Client]:
    """A running Flower, with nobody else to serve."""
    port = free_port()
    command = [sys.executable, "-m", "celery", "-A", "polos.celery_app", "flower"]
    program = Program(
        [*command, f"--address={HOST}", f"--port={port}", "--logging=error"],
        log=stack.folder / "flower.log",
        cwd=stack.folder,
        env=stack.env,
    )
    with (
        program,
        httpx.Client(base_url=f"http://{HOST}:{port}", timeout=120, trust_env=False) as client,
    ):
        program.wait_for(lambda: _answers(client), _START_SECONDS)
        yield client


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/healthcheck").status_code == 200
    except httpx.TransportError:
        return False


def measure(client: httpx.Client, addresses: Mapping[str, str], times: int) -> dict[str, Figures]:
    """Milliseconds of each page, in turns: whatever disturbs the machine meets all of them."""
    took: dict[str, list[float]] = {name: [] for name in addresses}
    for turn in range(times + 1):
        for name, address in addresses.items():
            began = time.perf_counter()
            answer = client.get(address)
            if turn:
                took[name].append(time.perf_counter() - began)
            assert answer.status_code == 200, (address, answer.text[:500])
    return {name: scaled(summarize(samples), 1000) for name, samples in took.items()}


def play(count: int, steps: int, children: int, times: int) -> list[Row]:
    """Fill, ask."""
    with (
        PostgresServer(settings={"shared_buffers": "512MB", "max_wal_size": "4GB"}) as postgres,
        RedisServer() as redis,
        tempfile.TemporaryDirectory() as folder,
        server_stack(Path(folder), redis, postgres) as stack,
    ):
        client: PolosClient = stack.client()
        began = time.monotonic()
        now = fill(client.bound.store.database, count, steps, children)
        client.close()
        line(f"{count:,} executions written in {time.monotonic() - began:.0f} s")
        with flower(stack) as asked:
            found = measure(asked, pages(now - 15 * 86_400_000_000), times)
    return [Row(name, "ms", figures, goal=GOAL) for name, figures in found.items()]


def run(options: Options) -> None:
    """Play it and publish the table."""
    rows = play(*(SMOKE if options.smoke else (COUNT, STEPS, CHILDREN, TIMES)))
    worst = "\n".join(f"- {row.what}: at worst {row.ours.most:.0f} ms" for row in rows)
    publish(options, "pages", rows, text=f"\n{worst}\n")


SCENE = Scene("pages", "the tab's pages over 1,000,000 executions in PostgreSQL", run, True)
