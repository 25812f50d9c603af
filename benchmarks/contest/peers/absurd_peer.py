"""Absurd: synchronous workers, one process each, that poll PostgreSQL."""

from __future__ import annotations

import sys
from typing import Any

import psycopg
from absurd_sdk import Absurd
from protocol import DATABASE, mark, noop, serve

QUEUE = "contest"
POLLING = 0.01
BATCH = 4

app = Absurd(psycopg.connect(DATABASE, autocommit=True), queue_name=QUEUE)


@app.register_task(name="steps")
def steps(params: dict[str, Any], ctx: Any) -> int:
    mark("begin", ctx.task_id)
    for number in range(params["steps"]):
        ctx.step(f"s{number}", noop)
    mark("end", ctx.task_id)
    return params["steps"]


@app.register_task(name="sleep")
def sleep(params: dict[str, Any], ctx: Any) -> None:
    mark("sleep", ctx.task_id)
    ctx.sleep_for("wait", params["seconds"])
    mark("woke", ctx.task_id)


def prepare() -> None:
    from absurdctl import BUNDLED_SCHEMA_SQL

    with psycopg.connect(DATABASE, autocommit=True) as connection:
        connection.execute(BUNDLED_SCHEMA_SQL)
    app.create_queue(QUEUE)


class AbsurdDriver:
    def __init__(self) -> None:
        self._queued: list[str] = []

    def run(self, count: int) -> None:
        spawned = app.spawn("steps", {"steps": count})
        snapshot = app.await_task_result(spawned["task_id"], timeout=60)
        assert snapshot.result == count

    def queue(self, count: int, workflows: int) -> None:
        spawn = app.spawn
        self._queued = [spawn("steps", {"steps": count})["task_id"] for _ in range(workflows)]

    def sleep(self, seconds: int, count: int) -> None:
        for _ in range(count):
            app.spawn("sleep", {"seconds": seconds})

    def ended(self) -> int:
        found = (app.fetch_task_result(task_id) for task_id in self._queued)
        return sum(snapshot is not None and snapshot.state == "completed" for snapshot in found)


if __name__ == "__main__":
    match sys.argv[1]:
        case "prepare":
            prepare()
        case "worker":
            print("worker is ready.", flush=True)
            app.start_worker(concurrency=1, batch_size=BATCH, poll_interval=POLLING)
        case "driver":
            serve(AbsurdDriver())
