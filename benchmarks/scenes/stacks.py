"""The same on each broker and database that Polos is for: one at a time, and queued."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial

from benchmarks.figures import alternate, of_rounds
from benchmarks.scene import Options, Scene
from benchmarks.scenes import latency, queued
from benchmarks.scenes.sheet import Row, publish
from benchmarks.scenes.site import Servers, Site, on_files, on_rabbit, on_redis

STEPS = 10
QUEUED = 300
SAMPLES = {STEPS: 10}
STACKS: dict[str, Callable[[Servers], AbstractContextManager[Site]]] = {
    "PostgreSQL, Redis": on_redis,
    "PostgreSQL, RabbitMQ": on_rabbit,
    "SQLite, filesystem": on_files,
}


def rows(name: str, site: Site, options: Options) -> list[Row]:
    """With two processes of ours, and two of Celery's that wait meanwhile."""
    worker, bare = site.worker(slots=2), site.bare_worker(slots=2)
    count = 10 if options.smoke else QUEUED
    one_at_a_time = latency.rows(site, options, SAMPLES)
    found = {
        who: of_rounds(rounds)
        for who, rounds in alternate(
            {
                "ours": partial(queued.ours, site, f"{worker.name}@localhost", count, STEPS),
                "celery": partial(queued.celery, site, f"{bare.name}@localhost", count),
            },
            options.rounds,
        ).items()
    }
    return [
        *(row.called(f"{name}: {row.what}") for row in one_at_a_time),
        Row(
            f"{name}: {count} queued, {STEPS} steps each",
            "/s",
            found["ours"],
            "Celery tasks that do nothing",
            found["celery"],
        ),
    ]


def run(options: Options) -> None:
    found = []
    with Servers() as servers:
        for name, opened in STACKS.items():
            with opened(servers) as site:
                found += rows(name, site, options)
    publish(options, "stacks", found)


SCENE = Scene("stacks", "10 steps on each broker and database, one at a time and 300 queued", run)
