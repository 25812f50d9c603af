"""Where an execution's time goes: CPU by the process's clock, a profile, counts by the servers.

A solo worker runs everything on its main thread. The CPU that it takes for an execution, less what
psycopg takes in it, less what a solo worker of Celery's takes for a task, is what is ours.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from celery import Celery

from benchmarks import report
from benchmarks.counters import RedisCounts, difference, per_execution
from benchmarks.figures import of_rounds
from benchmarks.flows import steps
from benchmarks.scene import Options, Scene
from benchmarks.scenes import counted, hot
from benchmarks.scenes.sheet import Goal, Row, publish
from benchmarks.scenes.site import FLOWS, Servers, Site, on_redis
from tests.support.processes import until

STEPS = 10
EXECUTIONS = 100
MEASURED = f"{FLOWS},benchmarks.scenes.cpu_tasks"
GOAL = Goal(1.5, of_ratio=False)
_SECONDS = 120.0

_FUNCTIONS = ("function", "calls", "ms itself", "ms with callees")

Cpu = dict[str, float]


class Clock:
    """The CPU clock of one solo worker."""

    def __init__(self, app: Celery, folder: Path) -> None:
        self._app = app
        self._folder = folder
        self._number = 0

    def asked(self, task: str, *more: object) -> Path:
        """Have the worker write something; the file."""
        self._number += 1
        file = self._folder / f"{self._app.main}-{self._number}"
        self._app.send_task(task, [str(file), *more], queue=self._app.conf.task_default_queue)
        until(file.exists, _SECONDS, every=0.005)
        return file

    def taken(self, work: Callable[[], None], count: int, *, driver: bool = False) -> Cpu:
        """Milliseconds of CPU for each of so many; those of the driver only where asked for."""
        before: Cpu = json.loads(self.asked("bench.cpu", driver).read_text())
        work()
        after: Cpu = json.loads(self.asked("bench.cpu").read_text())
        return {name: (after[name] - before[name]) * 1000 / count for name in after}

    def profiled(self, work: Callable[[], None]) -> Path:
        """The profile of the worker's main thread meanwhile."""
        self._app.send_task("bench.profile", queue=self._app.conf.task_default_queue)
        work()
        return self.asked("bench.profile")


def executions(site: Site, count: int) -> None:
    """Start and await so many; they wait for one another in the queue."""
    for handle in [steps.start(site.client, {"steps": STEPS}) for _ in range(count)]:
        handle.result_sync(_SECONDS)


def tasks(site: Site, count: int) -> None:
    """So many of Celery's that do nothing, without results, as our workers have none."""
    sent = [site.bare_silent.tasks["bare.moment"].apply_async() for _ in range(count - 1)]
    del sent
    site.bare_round_trip()


def cpu(site: Site, ours: Clock, bare: Clock, options: Options) -> dict[str, list[Cpu]]:
    """Of an execution and of a bare task, in turns."""
    count = 10 if options.smoke else EXECUTIONS
    found: dict[str, list[Cpu]] = {"ours": [], "bare": []}
    for _ in range(options.rounds):
        work = partial(executions, site, count)
        driver = ours.taken(work, count, driver=True)["driver"]
        found["ours"].append(ours.taken(work, count) | {"driver": driver})
        found["bare"].append(bare.taken(partial(tasks, site, count), count))
    return found


def cpu_rows(found: dict[str, list[Cpu]]) -> list[Row]:
    def figures(who: str, part: str) -> Any:
        return of_rounds([[each[part]] for each in found[who]])

    ours, bare = found["ours"], found["bare"]
    beyond = of_rounds(
        [[a["thread"] - a["driver"] - b["thread"]] for a, b in zip(ours, bare, strict=True)]
    )
    return [
        Row(
            "an execution, the main thread",
            "ms CPU",
            figures("ours", "thread"),
            "a Celery task",
            figures("bare", "thread"),
        ),
        Row("the driver in it", "ms CPU", figures("ours", "driver")),
        Row("beyond a Celery task and the driver", "ms CPU", beyond, goal=GOAL),
        Row(
            "an execution, the whole process",
            "ms CPU",
            figures("ours", "process"),
            "a Celery task",
            figures("bare", "process"),
        ),
    ]


def redis_commands(site: Site, url: str, count: int) -> list[tuple[str, float, float]]:
    """How many of each, for an execution and for a bare task."""
    redis, found = RedisCounts(url), []
    for work in (executions, tasks):
        before = redis.now()
        work(site, count)
        found.append(per_execution(difference(before, redis.now()), count))
    redis.close()
    ours, bare = found
    return [(name, ours.get(name, 0.0), bare.get(name, 0.0)) for name in sorted({*ours, *bare})]


def described(
    counts: counted.Shares,
    commands: list[tuple[str, float, float]],
    profile: hot.Profile,
    other: hot.Profile,
) -> str:
    """What stands below the table of CPU times."""
    parts = [
        f"An execution has {STEPS} steps. The driver's time is that inside psycopg.\n",
        "## Counted by the servers, for each execution\n",
        report.table(("", "count"), counts.rows()),
        "Redis commands of sender and worker together:\n",
        report.table(("", "an execution", "a Celery task"), commands),
        "## Where the worker's time goes\n",
        "CPU milliseconds on the main thread by cProfile, which makes calls dearer: "
        f"{profile.total:.2f} an execution, {other.total:.2f} a Celery task.\n",
        report.table(("room", "an execution", "a Celery task"), profile.beside(other)),
        report.table(_FUNCTIONS, profile.top()),
        "Our own functions, by the time with their callees:\n",
        report.table(_FUNCTIONS, profile.flow()),
    ]
    return "\n".join(parts)


def run(options: Options) -> None:
    with Servers() as servers:
        counts = counted.counts(2 if options.smoke else 20, STEPS)
        with on_redis(servers) as site:
            site.worker("solo", 1, flows=MEASURED)
            site.bare_worker("solo", 1)
            folder = site.stack.folder
            ours, bare = Clock(site.client.bound.app, folder), Clock(site.bare_silent, folder)
            executions(site, 10)
            tasks(site, 10)
            found = cpu(site, ours, bare, options)
            count = 10 if options.smoke else 3 * EXECUTIONS
            commands = redis_commands(site, servers.redis.url, count)
            profile = hot.Profile(ours.profiled(partial(executions, site, count)), count)
            other = hot.Profile(bare.profiled(partial(tasks, site, count)), count)
    text = described(counts, commands, profile, other)
    publish(options, "profile", cpu_rows(found), text=text, raw={"counts": counts.raw()})


SCENE = Scene("profile", "CPU, statements, commits and messages of an execution of 10 steps", run)
