"""A gather of steps, and a parent with one child, each beside what it is made of."""

from __future__ import annotations

from functools import partial

from benchmarks.figures import alternate, of_rounds
from benchmarks.flows import gather, noop, parent, steps
from benchmarks.scene import Options, Scene
from benchmarks.scenes.sheet import Goal, Row, publish, scaled
from benchmarks.scenes.site import Servers, Site, on_redis, seconds

STEPS = 100
SAMPLES = {"gather": 6, "sequence": 6, "parent": 20, "noop": 20}
CHILD_GOAL = Goal(3)


def rows(site: Site, options: Options) -> list[Row]:
    sizes = {"steps": STEPS}
    calls = {
        "gather": lambda: gather.run_sync(site.client, sizes),
        "sequence": lambda: steps.run_sync(site.client, sizes),
        "parent": lambda: parent.run_sync(site.client),
        "noop": lambda: noop.run_sync(site.client),
    }
    contestants = {
        name: partial(seconds, call, 1 if options.smoke else SAMPLES[name])
        for name, call in calls.items()
    }
    found = {
        name: scaled(of_rounds(rounds), 1000)
        for name, rounds in alternate(contestants, options.rounds).items()
    }
    one = "a workflow without steps"
    return [
        Row(
            f"gather of {STEPS} steps",
            "ms",
            found["gather"],
            "the same one after another",
            found["sequence"],
        ),
        Row("a parent and its child", "ms", found["parent"], one, found["noop"], CHILD_GOAL),
    ]


def run(options: Options) -> None:
    with Servers() as servers, on_redis(servers) as site:
        site.worker()
        publish(options, "branches", rows(site, options))


SCENE = Scene("branches", "a gather of 100 steps; a parent and its child", run)
