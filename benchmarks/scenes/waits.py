"""How late waits end, by the database's clock, beside Celery's countdown."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from benchmarks.figures import Figures, summarize
from benchmarks.flows import wait
from benchmarks.scene import Options, Scene
from benchmarks.scenes.sheet import Goal, Row, one, publish, scaled
from benchmarks.scenes.site import Servers, Site, on_files, on_redis

SECONDS = (1.0, 1.5, 2.0, 3.0)
COUNT = 120
# Apart, so that none waits for the slot that another one has.
_APART = 0.1
MEDIAN, P99, NEVER_EARLY = (
    Goal(15, of_ratio=False),
    Goal(100, of_ratio=False),
    Goal(0, most=False, of_ratio=False),
)


def lateness(site: Site, count: int) -> tuple[list[float], list[float]]:
    """Seconds that our waits, and Celery's countdowns, end too late."""
    waits, countdowns = [], []
    for wanted in spread(count):
        waits.append(wait.start(site.client, {"seconds": wanted}))
        countdowns.append((time.time() + wanted, site.bare_send(countdown=wanted)))
    ours = [handle.result_sync(60) for handle in waits]
    theirs = [float(sent.get(60, interval=0.002)) - due for due, sent in countdowns]
    return ours, theirs


def spread(count: int) -> Iterator[float]:
    """Seconds to wait; the next one a moment later."""
    for wanted in itertools.islice(itertools.cycle(SECONDS), count):
        yield wanted
        time.sleep(_APART)


def shown(name: str, ours: Figures, theirs: Figures, *, goals: bool) -> list[Row]:
    beside = "Celery's countdown"
    medians = Row(f"{name}, median", "ms", ours, beside, theirs, MEDIAN if goals else None)
    p99 = Row(f"{name}, p99", "ms", one(ours.p99), beside, one(theirs.p99), P99 if goals else None)
    return [medians, p99, Row(f"{name}, least", "ms", one(ours.least), goal=NEVER_EARLY)]


def on(
    name: str,
    opened: Callable[[], AbstractContextManager[Site]],
    pool: str,
    options: Options,
    *,
    goals: bool,
) -> list[Row]:
    with opened() as site:
        site.worker(pool)
        site.bare_worker(pool)
        ours, theirs = lateness(site, 4 if options.smoke else COUNT)
    figures = [scaled(summarize(late), 1000) for late in (ours, theirs)]
    return shown(f"{name}, {pool}", figures[0], figures[1], goals=goals)


def run(options: Options) -> None:
    found = []
    with Servers() as servers:
        for pool in ("prefork", "threads"):
            found += on(
                "Redis and PostgreSQL", lambda: on_redis(servers), pool, options, goals=True
            )
            found += on("embedded", on_files, pool, options, goals=False)
    publish(options, "waits", found)


SCENE = Scene("waits", "how late waits of 1 to 3 s end", run)
