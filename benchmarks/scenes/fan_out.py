"""A parent with many children, to its end, beside as many single workflows."""

from __future__ import annotations

from benchmarks.figures import alternate, of_rounds
from benchmarks.flows import fan_out, noop
from benchmarks.scene import Options, Scene
from benchmarks.scenes.sheet import Goal, Row, publish
from benchmarks.scenes.site import Servers, Site, on_redis, seconds

CHILDREN = 1_000
GOAL = Goal(1.5)
_SECONDS = 600.0


def singles(site: Site, count: int) -> None:
    """Start them one by one, and wait for all."""
    for handle in [noop.start(site.client) for _ in range(count)]:
        handle.result_sync(_SECONDS)


def rows(site: Site, options: Options) -> list[Row]:
    count = 20 if options.smoke else CHILDREN
    sizes = {"children": count}
    found = {
        name: of_rounds(rounds)
        for name, rounds in alternate(
            {
                "parent": lambda: seconds(lambda: fan_out.run_sync(site.client, sizes)),
                "singles": lambda: seconds(lambda: singles(site, count)),
            },
            options.rounds,
        ).items()
    }
    return [
        Row(
            f"a gather of {count:,} children",
            "s",
            found["parent"],
            "as many workflows, each started by the client",
            found["singles"],
            GOAL,
        )
    ]


def run(options: Options) -> None:
    with Servers() as servers, on_redis(servers) as site:
        site.worker(slots=2)
        publish(options, "fan_out", rows(site, options))


SCENE = Scene("fan_out", "a gather of 1,000 children, two processes", run)
