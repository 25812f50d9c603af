"""How fast workers take what is queued: all of it waits before they may begin."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import Celery
from sqlalchemy import select

from benchmarks.flows import steps
from benchmarks.scenes import bare
from benchmarks.scenes.site import Site
from polos.binding.app_factory import QUEUE
from polos.store.schema import executions

_SECONDS = 300.0
# How long a worker may take to say that it has stopped fetching.
_REPLY = 10.0


@contextmanager
def held(app: Celery, queue: str, node: str) -> Iterator[None]:
    """A worker fetches nothing from a queue while this is open."""
    _told(app, "cancel_consumer", queue, node)
    yield
    _told(app, "add_consumer", queue, node)


def _told(app: Celery, command: str, queue: str, node: str) -> None:
    wanted = {"queue": queue}
    replies = app.control.broadcast(
        command, wanted, destination=[node], reply=True, timeout=_REPLY, limit=1
    )
    assert replies, f"{node} did not answer {command}"


def ours(site: Site, node: str, count: int, size: int) -> list[float]:
    """Executions a second between the first end and the last, by the database's clock."""
    with held(site.client.bound.app, QUEUE, node):
        handles = [steps.start(site.client, {"steps": size}) for _ in range(count)]
    for handle in handles:
        handle.result_sync(_SECONDS)
    ends = executions.c.finished_at
    ids = executions.c.id.in_([handle.id for handle in handles])
    rows = site.client.bound.store.database.run(select(ends).where(ids))
    return [rate([row.finished_at / 1_000_000 for row in rows])]


def celery(site: Site, node: str, count: int) -> list[float]:
    """Bare Celery's tasks a second, likewise."""
    with held(site.bare, bare.QUEUE, node):
        sent: list[Any] = [site.bare_send() for _ in range(count)]
    return [rate([float(each.get(_SECONDS, interval=0.002)) for each in sent])]


def rate(ends: list[float]) -> float:
    """How many a second, between the first and the last."""
    return (len(ends) - 1) / (max(ends) - min(ends))
