"""DBOS: workflows called directly in an application's process, or queued for workers."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from dbos import DBOS, WorkflowHandle
from protocol import DATABASE, mark, noop, serve

QUEUE = "contest"
THROUGH_QUEUE = bool(os.environ.get("CONTEST_THROUGH_QUEUE"))
POLLING = 0.02
WORKER_CONCURRENCY = int(os.environ.get("CONTEST_CONCURRENCY", "8"))


@DBOS.step()
def step() -> int:
    return noop()


@DBOS.workflow()
def steps(count: int) -> int:
    mark("begin", DBOS.workflow_id)
    for _ in range(count):
        step()
    mark("end", DBOS.workflow_id)
    return count


@DBOS.workflow()
def sleep(seconds: float) -> None:
    mark("sleep", DBOS.workflow_id)
    DBOS.sleep(seconds)
    mark("woke", DBOS.workflow_id)


def launch(*, listen: bool, executor: str) -> None:
    DBOS(
        config={
            "name": "contest",
            "system_database_url": DATABASE,
            "executor_id": executor,
            "application_version": "1",
            "log_level": "WARNING",
            "scheduler_polling_interval_sec": 30.0,
        }
    )
    DBOS.listen_queues([QUEUE] if listen else [])
    DBOS.launch()
    DBOS.register_queue(
        QUEUE,
        worker_concurrency=WORKER_CONCURRENCY,
        polling_interval_sec=POLLING,
        on_conflict="never_update",
    )


class DbosDriver:
    def __init__(self) -> None:
        self._queued: list[WorkflowHandle[Any]] = []

    def run(self, count: int) -> None:
        if THROUGH_QUEUE:
            handle = DBOS.enqueue_workflow(QUEUE, steps, count)
            assert handle.get_result(polling_interval_sec=POLLING) == count
        else:
            assert steps(count) == count

    def queue(self, count: int, workflows: int) -> None:
        self._queued = [DBOS.enqueue_workflow(QUEUE, steps, count) for _ in range(workflows)]

    def sleep(self, seconds: int, count: int) -> None:
        for _ in range(count):
            DBOS.enqueue_workflow(QUEUE, sleep, seconds)

    def ended(self) -> int:
        ids = [handle.workflow_id for handle in self._queued]
        return len(DBOS.list_workflows(workflow_ids=ids, status="SUCCESS", load_output=False))


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        launch(listen=True, executor=f"worker-{sys.argv[2]}")
        print("worker is ready.", flush=True)
        signal.pause()
    launch(listen=False, executor="driver")
    if sys.argv[1] == "driver":
        serve(DbosDriver())
