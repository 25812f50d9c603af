"""``make bench``: all scenes, or those that are named."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from benchmarks.contest import scene as contest
from benchmarks.figures import ROUNDS
from benchmarks.scene import RESULTS, SMOKE_RESULTS, Options, Scene, line
from benchmarks.scenes.every import OURS

SCENES: tuple[Scene, ...] = (contest.SCENE, *OURS)


def described(scene: Scene) -> str:
    """A line of the help."""
    return f"{scene.name}: {scene.summary}{' (on request)' if scene.on_request else ''}"


def main() -> None:
    """Run the command."""
    names = [scene.name for scene in SCENES]
    parser = argparse.ArgumentParser(
        prog="make bench ARGS=",
        description="\n".join(map(described, SCENES)),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "scenes", nargs="*", metavar="scene", help="when none is named, all but those on request"
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--smoke", action="store_true", help="tiny sizes: does it run?")
    parser.add_argument(
        "--only", default="", help="the first words of contestants, separated by commas"
    )
    parser.add_argument("--results", type=Path, help="the folder for tables and figures")
    given = parser.parse_args()
    if unknown := set(given.scenes) - set(names):
        parser.error(f"no scene {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    only = tuple(filter(None, given.only.split(",")))
    results = given.results or (SMOKE_RESULTS if given.smoke else RESULTS)
    options = Options(1 if given.smoke else given.rounds, given.smoke, only, results)
    logging.disable(logging.WARNING)
    for scene in SCENES:
        if scene.name in given.scenes or not (given.scenes or scene.on_request):
            line(f"\n== {scene.name}: {scene.summary}")
            scene.run(options)


if __name__ == "__main__":
    main()
