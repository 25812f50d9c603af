"""A Celery chain of no-op tasks with Redis as broker and result backend: not durable."""

from __future__ import annotations

import uuid

from celery import Celery, chain
from celery.result import AsyncResult
from celery.signals import worker_ready
from protocol import REDIS, mark, noop, serve

app = Celery("celery_peer", broker=REDIS, backend=REDIS)
app.conf.broker_connection_retry_on_startup = True


@app.task
def step() -> int:
    mark("step", "-")
    return noop()


@app.task
def edge(what: str, execution: str) -> int:
    mark(what, execution)
    mark("step", "-")
    return noop()


@worker_ready.connect
def say_ready(**_: object) -> None:
    print("worker is ready.", flush=True)


def workflow(steps: int) -> chain:
    """As many tasks as a workflow has steps; the first and the last one say when they run."""
    name = uuid.uuid4().hex
    if steps == 1:
        return edge.si("end", name)
    between = [step.si() for _ in range(steps - 2)]
    return chain(edge.si("begin", name), *between, edge.si("end", name))


class CeleryDriver:
    def __init__(self) -> None:
        self._queued: list[AsyncResult] = []

    def run(self, steps: int) -> None:
        workflow(steps).apply_async().get()

    def queue(self, steps: int, count: int) -> None:
        self._queued = [workflow(steps).apply_async() for _ in range(count)]

    def sleep(self, seconds: int, count: int) -> None:
        for _ in range(count):
            name = uuid.uuid4().hex
            mark("sleep", name)
            edge.apply_async(("woke", name), countdown=seconds)

    def ended(self) -> int:
        return sum(result.successful() for result in self._queued)


if __name__ == "__main__":
    serve(CeleryDriver())
