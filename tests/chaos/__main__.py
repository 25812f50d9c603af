"""``make chaos``: the long run, on one set-up or on all of them."""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from pathlib import Path

from tests.chaos.drive import Report, run
from tests.chaos.setups import NAMES

_LONG = 500.0
_LEAST_HITS = 20
_LEAST_EXECUTIONS = 500


def main() -> int:
    """Run, print, and say whether all held."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600, help="how long faults come")
    parser.add_argument("--seed", type=int, help="a random one where left out")
    parser.add_argument("--setup", choices=(*NAMES, "all"), default="all")
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(10**6) if options.seed is None else options.seed
    names = NAMES if options.setup == "all" else (options.setup,)
    return max(_one(name, seed, options.seconds) for name in names)


def _one(name: str, seed: int, seconds: float) -> int:
    folder = Path(tempfile.mkdtemp(prefix=f"polos-chaos-{name}-"))
    this = Report(name, seed, seconds)
    print(f"{this.replay}   (in {folder})", flush=True)
    try:
        report = run(name, seed, seconds, folder, _LEAST_EXECUTIONS)
    except BaseException:
        print(f"it broke off; again with: {this.replay}", flush=True)
        raise
    print(report.table(), flush=True)
    few = report.fault_kinds_below(_LEAST_HITS if seconds >= _LONG else 1)
    if few:
        print(f"too few hits on work in flight: {', '.join(few)}")
    if report.violations or few:
        print(f"FAILED; logs and ledger in {folder}; again with: {report.replay}", flush=True)
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
