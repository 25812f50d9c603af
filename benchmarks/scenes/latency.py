"""From start to result while nothing else runs, beside its commits and one Celery round trip."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from benchmarks.figures import alternate, of_rounds
from benchmarks.flows import steps
from benchmarks.scene import Options, Scene
from benchmarks.scenes.sheet import Goal, Row, publish, scaled
from benchmarks.scenes.site import Servers, Site, on_redis, seconds

# How many of each size in one round.
SAMPLES = {0: 20, 1: 20, 10: 20, 100: 6}
GOALS = {10: Goal(1.6), 100: Goal(1.7)}
# Beside the steps' own: the row, the claim, the outcome.
FIXED_COMMITS = 3

Contestant = tuple[str, int]


def ours(site: Site, size: int, count: int) -> list[float]:
    """Seconds from start to result, one at a time."""
    return seconds(lambda: steps.run_sync(site.client, {"steps": size}), count)


def floor(site: Site, size: int, count: int) -> list[float]:
    """Seconds of the commits that this needs, and of a Celery task's round trip."""
    took = []
    for _ in range(count):
        commits = site.floor.commits(size + FIXED_COMMITS)
        took.append(commits + seconds(site.bare_round_trip)[0])
    return took


def contestants(
    site: Site, samples: dict[int, int]
) -> dict[Contestant, Callable[[], Sequence[float]]]:
    found: dict[Contestant, Callable[[], Sequence[float]]] = {}
    for size, count in samples.items():
        found["ours", size] = partial(ours, site, size, count)
        found["floor", size] = partial(floor, site, size, count)
    return found


def rows(site: Site, options: Options, samples: dict[int, int]) -> list[Row]:
    """One for each size; the workers are ready."""
    if options.smoke:
        samples = dict.fromkeys(samples, 1)
    found = {
        name: scaled(of_rounds(rounds), 1000)
        for name, rounds in alternate(contestants(site, samples), options.rounds).items()
    }
    return [
        Row(
            f"{size} steps, start to result",
            "ms",
            found["ours", size],
            f"{size + FIXED_COMMITS} commits + a Celery round trip",
            found["floor", size],
            GOALS.get(size),
        )
        for size in samples
    ]


def run(options: Options) -> None:
    with Servers() as servers, on_redis(servers) as site:
        site.worker()
        site.bare_worker()
        publish(options, "latency", rows(site, options, SAMPLES))


SCENE = Scene("latency", "start to result of 0 to 100 steps, idle", run)
