"""One run: start everything, let the faults strike, heal, wait for the ends, and judge."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from tests.chaos.evidence import collect
from tests.chaos.faults import FAULTS, NothingToHit, Scene, kinds_for
from tests.chaos.fleet import Fleet
from tests.chaos.invariants import interruptions, violations
from tests.chaos.schedule import Blow, schedule
from tests.chaos.setups import Setup, opened
from tests.chaos.stream import Stream

# An end must come within this time of the one before, once nothing is broken any more: a hint
# that was lost again and again is sent again after up to 300 s.
_PATIENCE = 320.0
_MOST_OPEN = 40
_LEFT = text(
    "SELECT count(*) FROM polos_executions "
    "WHERE status IN ('queued', 'running', 'waiting') OR unannounced"
)


@dataclass
class Report:
    """What a run came to.

    Attributes:
        struck, hits: how often each kind of fault came, and how often it hit work in flight.
        leases_lost, run_again: how many leases were taken away or given back, and how many runs
            of steps that cost.
        violations: what is broken; empty where all is well.
    """

    setup: str
    seed: int
    seconds: float
    executions: int = 0
    settled_in: float = 0.0
    leases_lost: int = 0
    run_again: int = 0
    struck: Counter[str] = field(default_factory=Counter)
    hits: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def fault_kinds_below(self, least: int) -> list[str]:
        """The kinds of faults that hit work in flight less often."""
        return [kind for kind in self.struck if self.hits[kind] < least]

    def table(self) -> str:
        """For people."""
        head = (
            f"chaos on {self.setup}, seed {self.seed}, {self.seconds:g} s of faults: "
            f"{self.executions} executions, settled {self.settled_in:.1f} s after the last fault; "
            f"{self.leases_lost} leases lost, {self.run_again} steps run again"
        )
        rows = [f"  {'fault':<18}{'struck':>8}{'hit':>8}"]
        rows += [f"  {kind:<18}{self.struck[kind]:>8}{self.hits[kind]:>8}" for kind in self.struck]
        return "\n".join([head, *rows, *self.violations])

    @property
    def replay(self) -> str:
        """The command that does the same once more."""
        return f"make chaos SETUP={self.setup} SEED={self.seed} SECONDS={self.seconds:g}"


class Drive:
    """Runs faults beside a stream of executions.

    Args:
        setup: where.
        seed: from which all is drawn.
        seconds: how long faults come.
        least: how many executions there are to be at least.
    """

    def __init__(self, setup: Setup, seed: int, seconds: float, least: int) -> None:
        self._setup = setup
        self._ledger = setup.ledger()
        self._stream = Stream(setup, seed, _MOST_OPEN, least)
        self._kinds = kinds_for(setup)
        self._blows = schedule(seed, seconds, self._kinds)
        self._seconds = seconds
        self._errors: list[BaseException] = []
        self.report = Report(setup.name, seed, seconds)
        self.report.struck.update(dict.fromkeys(self._kinds, 0))

    def run(self) -> Report:
        """All of it."""
        fleet = Fleet(self._setup)
        try:
            fleet.wait_until_ready()
            self._stream.start()
            self._strike_all(Scene(self._setup, fleet, self._ledger))
            healed = time.monotonic()
            self._stream.finish(_PATIENCE)
            self._settle()
            self.report.settled_in = time.monotonic() - healed
        finally:
            fleet.close()
        evidence = collect(self._setup.direct, self._ledger, self._stream.started)
        self.report.executions = len(evidence.executions)
        self.report.leases_lost, self.report.run_again = interruptions(evidence)
        self.report.violations += violations(evidence)
        return self.report

    def _strike_all(self, scene: Scene) -> None:
        began = time.monotonic()
        threads = []
        for blow in self._blows:
            time.sleep(max(0.0, began + blow.at - time.monotonic()))
            thread = threading.Thread(target=self._strike, args=(scene, blow), daemon=True)
            thread.start()
            threads.append(thread)
        time.sleep(max(0.0, began + self._seconds - time.monotonic()))
        for thread in threads:
            thread.join(_PATIENCE)
            assert not thread.is_alive(), "a fault does not heal"
        if self._errors:
            raise self._errors[0]

    def _strike(self, scene: Scene, blow: Blow) -> None:
        try:
            hit = FAULTS[blow.kind].strike(scene, random.Random(blow.seed))
        except NothingToHit:
            return
        except BaseException as error:
            self._errors.append(error)
            return
        self.report.struck[blow.kind] += 1
        self.report.hits[blow.kind] += hit

    def _settle(self) -> None:
        """Wait until all has ended, for as long as something still does."""
        left, since = -1, time.monotonic()
        while (now := self._left()) and time.monotonic() - since < _PATIENCE:
            if now != left:
                left, since = now, time.monotonic()
            time.sleep(0.5)

    def _left(self) -> int:
        try:
            with self._setup.direct.connect() as connection:
                return int(connection.execute(_LEFT).scalar_one())
        except SQLAlchemyError:
            return -1


def run(setup: str, seed: int, seconds: float, folder: Path, least: int = 0) -> Report:
    """One run on a set-up of that name, in that folder."""
    with opened(setup, folder) as made:
        return Drive(made, seed, seconds, least).run()
