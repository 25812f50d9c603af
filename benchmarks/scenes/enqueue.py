"""Starting many executions, one by one and in bulk, with nobody who runs them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import polos
from benchmarks.figures import alternate, of_rounds
from benchmarks.flows import noop
from benchmarks.scene import Options, Scene
from benchmarks.scenes import bare
from benchmarks.scenes.sheet import Goal, Row, publish
from benchmarks.scenes.site import Servers, Site, on_redis

ONE_BY_ONE, BULK = 500, 5_000
ONE_GOAL, BULK_GOAL = Goal(0.8, most=False), Goal(10, most=False)
NO_BULK = "In bulk: not measured, `client.batch_invoke` is missing.\n"


def rate(count: int, work: Callable[[], object]) -> list[float]:
    """How many a second."""
    began = time.perf_counter()
    work()
    return [count / (time.perf_counter() - began)]


class Contest:
    """Who starts, and what it stands beside."""

    def __init__(self, site: Site, one_by_one: int, bulk: int) -> None:
        self._site = site
        self._one_by_one = one_by_one
        self._bulk = bulk
        # Over connections that are open.
        noop.start(site.client)
        self._floor(1)

    def contestants(self) -> dict[str, Callable[[], list[float]]]:
        found = {"start": self.start, "floor": self.floor}
        if can_bulk():
            found |= {"bulk": self.bulk, "celery": self.celery}
        return found

    def start(self) -> list[float]:
        """One after another, each stored and sent when the call returns."""
        count = self._one_by_one
        return rate(count, lambda: [noop.start(self._site.client) for _ in range(count)])

    def floor(self) -> list[float]:
        """A commit by the driver and a message by Celery, one after another."""
        return rate(self._one_by_one, lambda: self._floor(self._one_by_one))

    def bulk(self) -> list[float]:
        """All in one call."""
        given: Any = polos
        inputs = [given.BatchWorkflowInput(id=noop.id) for _ in range(self._bulk)]
        client: Any = self._site.client
        self._site.forget_messages()
        found = rate(self._bulk, lambda: asyncio.run(client.batch_invoke(inputs)))
        assert self._site.stack.queued_messages() == self._bulk
        return found

    def celery(self) -> list[float]:
        """Messages by Celery, one after another: it has no other way, and stores nothing."""
        task = bare.task(self._site.bare_silent)
        self._site.forget_messages()
        return rate(self._bulk, lambda: [task.apply_async() for _ in range(self._bulk)])

    def _floor(self, count: int) -> None:
        task = bare.task(self._site.bare_silent)
        for _ in range(count):
            self._site.floor.commit()
            task.apply_async()


def can_bulk() -> bool:
    """Whether there is a call for many at once."""
    return hasattr(polos.PolosClient, "batch_invoke") and hasattr(polos, "BatchWorkflowInput")


def rows(site: Site, options: Options) -> list[Row]:
    sizes = (20, 100) if options.smoke else (ONE_BY_ONE, BULK)
    contest = Contest(site, *sizes)
    found = {
        name: of_rounds(rounds)
        for name, rounds in alternate(contest.contestants(), options.rounds).items()
    }
    beside = "a commit and a Celery message"
    made = [Row("one by one", "/s", found["start"], beside, found["floor"], ONE_GOAL)]
    if can_bulk():
        celery, name = found["celery"], f"{sizes[1]:,} in one call"
        made += [Row(name, "/s", found["bulk"], "Celery's apply_async", celery, BULK_GOAL)]
    return made


def run(options: Options) -> None:
    with Servers() as servers, on_redis(servers) as site:
        publish(options, "enqueue", rows(site, options), text="" if can_bulk() else NO_BULK)


SCENE = Scene("enqueue", "starting executions, one by one and in bulk", run)
