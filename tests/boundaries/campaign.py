"""Runs one subject once for each boundary, in a process that ends there, and judges the recovery.

A campaign is a process of its own without threads, which has everything imported and its statements
compiled. Each run is a fork of it: no interpreter starts.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import random
import select
import shutil
import signal
import tempfile
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from polos.engine.loop import abandon_thread_loop, thread_loop
from polos.store.database import Database
from polos.store.migrate import upgrade
from tests.acceptance import ledger
from tests.boundaries.corpus import SUBJECTS
from tests.boundaries.door import HOME, Door
from tests.boundaries.outside import Outside
from tests.boundaries.traps import (
    ACKNOWLEDGE,
    PUBLISH,
    STORE_RESULT,
    TRAPPED,
    Boundaries,
    Fate,
    Side,
    Trap,
)
from tests.boundaries.verdict import Scene, judge
from tests.boundaries.world import World

_LONGEST = 120
_MOST_FAILURES = 5


@dataclass(slots=True)
class Report:
    """What a campaign came to.

    Attributes:
        boundaries: statements, commits and publishes of the undisturbed run, twice: each has a
            before and an after.
        tried: processes or connections that were ended at one of them.
        missed: runs that came to their end without meeting their trap.
    """

    boundaries: int = 0
    tried: int = 0
    missed: int = 0
    failures: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Order:
    """What a campaign is to do.

    Attributes:
        url: an empty database.
        name: of the subject.
        most: how many traps to try, chosen by ``seed``; all where None.
        plant: puts a defect into this process, to see it found; the first one is enough then.
        at: try deaths at boundaries of this name only.
    """

    url: str
    name: str
    most: int | None
    seed: int = 1
    plant: Callable[[], None] | None = None
    at: str = ""


class Campaign:
    """All runs of one subject on one database.

    Args:
        url: an empty database.
        name: of the subject.
        folder: for the ledger and the logs.
    """

    def __init__(self, url: str, name: str, folder: Path) -> None:
        self.subject = SUBJECTS[name]
        self._database = Database(url, synchronous="OFF")
        self._outside = Outside(url)
        self._log = folder / "log"
        self._names = folder / "names"
        self._ledger = folder / "ledger"
        self._home = folder / "home"
        os.environ[ledger.VARIABLE] = str(self._ledger)
        os.environ[HOME] = str(self._home)
        logging.basicConfig(filename=self._log, level=logging.INFO, force=True)
        upgrade(self._database)
        self._outside.prepare()
        self._prepare()

    def undisturbed(self) -> tuple[Scene, list[str]]:
        """One run without a trap, and the names of the boundaries that it met."""
        self._reset()
        self._run(None)
        return self._scene(), self._met()

    def recovery(self, first: Trap) -> list[str]:
        """The names of the boundaries that the recovery from one death meets."""
        self._reset()
        if not self._run(first):
            raise Broken(f"nothing died at {first}")
        self._run(None)
        return self._met()

    def run(self, undisturbed: Scene, traps: Sequence[Trap]) -> tuple[list[str], int]:
        """One run into traps, and the recovery: what is wrong, and how many traps were met."""
        self._reset()
        deaths: list[Scene] = []
        cut = 0
        for trap in [*traps, None]:
            if self._run(trap):
                deaths.append(self._scene())
                continue
            cut = int(trap is not None and trap.fate is Fate.CUT and self._crossed(trap))
            break
        wrong = judge(self.subject, undisturbed, deaths, self._scene())
        return list(wrong), len(deaths) + cut

    def told(self) -> str:
        """The end of the last run's log."""
        return "\n".join(self._log.read_text().splitlines()[-40:])

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()
        self._outside.close()

    def _prepare(self) -> None:
        """Compile all statements once, so that the forks need not."""
        self._reset()
        world = self._world(Boundaries())
        world.start()
        world.finish()
        thread_loop().loop.close()
        abandon_thread_loop()
        # A collection would touch, and so copy, every page that the forks share.
        gc.disable()
        gc.freeze()

    def _world(self, boundaries: Boundaries) -> World:
        kind = Door if self.subject.celery else World
        return kind(self._database, self._outside, self.subject, boundaries)

    def _reset(self) -> None:
        self._outside.empty()
        shutil.rmtree(self._home, ignore_errors=True)
        self._ledger.write_text("")
        self._log.write_text("")

    def _run(self, trap: Trap | None) -> bool:
        """In a process of its own: start the subject, or find it started, and go on to the end.

        Returns:
            whether the process met its trap and died.

        Raises:
            Broken: it ended in any other way.
        """
        self.close()
        pid = os.fork()
        if pid == 0:
            self._in_child(trap)
        _, status = os.waitpid(pid, 0)
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL and trap is not None:
            return True
        code = os.waitstatus_to_exitcode(status)
        if code not in {0, TRAPPED}:
            raise Broken(f"a run ended with {code}\n{self.told()}")
        return code == TRAPPED

    def _in_child(self, trap: Trap | None) -> None:
        signal.alarm(_LONGEST)
        code = 1
        try:
            boundaries = Boundaries(trap)
            boundaries.watch(self._database.engine)
            world = self._world(boundaries)
            world.start()
            world.finish()
            self._names.write_text("\n".join(boundaries.names))
            code = 0
        except BaseException:
            logging.exception("the run broke")
        finally:
            logging.shutdown()
            os._exit(code)

    def _met(self) -> list[str]:
        return self._names.read_text().splitlines()

    def _crossed(self, trap: Trap) -> bool:
        return len(self._met()) >= trap.number

    def _scene(self) -> Scene:
        lines = self._ledger.read_text().splitlines()
        entries = (ledger.Entry(*json.loads(line)) for line in lines)
        return Scene(self._outside.tables(), tuple(entries))


class Broken(Exception):
    """A run that neither ended well nor met its trap."""


def traps(names: Sequence[str]) -> list[Trap]:
    """Every way to end at every boundary of a run."""
    found: list[Trap] = []
    for number, name in enumerate(names, 1):
        # One way to die on either side, the other one at the next boundary.
        deaths = (Fate.EXIT, Fate.KILL) if number % 2 else (Fate.KILL, Fate.EXIT)
        found += [Trap(number, side, fate) for side, fate in zip(Side, deaths, strict=True)]
        if name not in {STORE_RESULT, ACKNOWLEDGE}:
            found.append(Trap(number, Side.BEFORE, Fate.CUT))
        if name not in {PUBLISH, STORE_RESULT, ACKNOWLEDGE}:
            found.append(Trap(number, Side.AFTER, Fate.CUT))
    return found


def chosen(all_traps: Sequence[Trap], most: int | None, seed: int) -> list[list[Trap]]:
    """Those to try, each alone, and a tenth of them in pairs: death, and death again."""
    dice = random.Random(seed)
    alone = list(all_traps) if most is None else dice.sample(all_traps, min(most, len(all_traps)))
    deadly = [trap for trap in all_traps if trap.fate is not Fate.CUT]
    pairs = [dice.sample(deadly, 2) for _ in range(max(1, len(alone) // 10))]
    return [[trap] for trap in alone] + pairs


def hold(order: Order, answer: Connection) -> None:
    """Hold one campaign, in a process of its own, and send its report."""
    report = Report()
    try:
        with tempfile.TemporaryDirectory(prefix="boundaries-") as folder:
            _hold(order, Path(folder), report, answer)
    except Exception:
        report.failures.append(traceback.format_exc())
    answer.send(report)


def _to_try(order: Order, names: Sequence[str]) -> list[list[Trap]]:
    if not order.at:
        return chosen(traps(names), order.most, order.seed)
    deaths = (trap for trap in traps(names) if trap.fate is not Fate.CUT)
    return [[trap] for trap in deaths if names[trap.number - 1] == order.at]


def _is_awaited(answer: Connection) -> bool:
    """Whether somebody will read the report: a test that is killed doesn't end its campaign."""
    poll = select.poll()
    poll.register(answer.fileno(), 0)
    return not poll.poll(0)


def _hold(order: Order, folder: Path, report: Report, answer: Connection) -> None:
    if order.plant is not None:
        order.plant()
    campaign = Campaign(order.url, order.name, folder)
    undisturbed, names = campaign.undisturbed()
    before: list[Trap] = []
    if campaign.subject.dies_before:
        before = [Trap(len(names) // 2, Side.AFTER, Fate.KILL)]
        names = campaign.recovery(before[0])
    report.boundaries = 2 * len(names)
    for tried in _to_try(order, names):
        if not _is_awaited(answer):
            break
        wrong, met = campaign.run(undisturbed, [*before, *tried])
        report.tried += met - len(before)
        report.missed += met == len(before)
        if wrong:
            where = ", then ".join(f"{trap} {names[trap.number - 1]}" for trap in tried)
            report.failures.append("\n".join([f"{where}:", *wrong, campaign.told()]))
        if len(report.failures) >= (_MOST_FAILURES if order.plant is None else 1):
            break
    campaign.close()
