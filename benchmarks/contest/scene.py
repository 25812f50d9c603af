"""The scene ``contest``: alternating rounds of all contestants, then a page, a plot, raw data."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks import machine, plot
from benchmarks.contest import floors, measuring, page, results
from benchmarks.contest.arena import Arena, DriverFailed
from benchmarks.contest.contestants import ALL, CELERY, DEEP, POLOS, Contestant
from benchmarks.contest.measuring import SMOKE, Sizes
from benchmarks.environments import CannotInstall, make_all
from benchmarks.figures import turned
from benchmarks.report import write
from benchmarks.scene import Options, Scene, line
from tests.support.servers import PostgresServer, RedisServer

_FAILED = (DriverFailed, AssertionError)


@dataclass
class Contest:
    """One run: what was measured, and who was left out, or dropped out, and why."""

    arena: Arena
    sizes: Sizes
    rounds: dict[str, results.Rounds] = field(default_factory=dict)
    floors: results.Rounds = field(default_factory=dict)
    counted: dict[str, dict[str, float]] = field(default_factory=dict)
    out: dict[str, str] = field(default_factory=dict)

    def play(self, present: Sequence[Contestant], rounds: int) -> None:
        """All rounds, then each deep queue, then the counts."""
        for contestant in present:
            self.rounds[contestant.name] = {}
            self._attempt(contestant, self.arena.prepare)
        for number in range(rounds):
            line(f"round {number + 1} of {rounds}; load {machine.load():.1f}")
            self._measure_floors(present)
            for contestant in turned(present, number):
                self._attempt(contestant, self._round)
        line("deep queues, counts")
        for contestant in present:
            if DEEP in contestant.parts:
                self._attempt(contestant, self._deep)
                self._attempt(contestant, self._count)

    def _attempt(self, contestant: Contestant, part: Callable[[Contestant], None]) -> None:
        if contestant.name in self.out:
            return
        began = time.monotonic()
        try:
            part(contestant)
        except _FAILED as error:
            said = str(error).strip().splitlines() or ["?"]
            self.out[contestant.name] = " / ".join(dict.fromkeys((said[0], said[-1])))[:300]
            line("\n".join((f"  {contestant.name} drops out: {said[0]}", *said[-5:])))
        if (took := time.monotonic() - began) > 1:
            line(f"  {contestant.name:<26} {took:5.1f} s")

    def _round(self, contestant: Contestant) -> None:
        samples = measuring.one_round(self.arena, contestant, self.sizes)
        results.add(self.rounds[contestant.name], samples)

    def _deep(self, contestant: Contestant) -> None:
        with self.arena.turn(contestant) as turn:
            samples = measuring.deep(turn, self.sizes)
            results.add(self.rounds[contestant.name], samples)

    def _count(self, contestant: Contestant) -> None:
        self.counted[contestant.name] = measuring.counts(self.arena, contestant, self.sizes)

    def _measure_floors(self, present: Sequence[Contestant]) -> None:
        with self.arena.postgres.fresh_database() as url:
            plain = url.replace("+psycopg", "")
            results.add(self.floors, floors.postgres(plain, self.sizes))
        results.add(self.floors, floors.sqlite(self.arena.folder, self.sizes))
        for contestant in present:
            if contestant.name == CELERY.name:
                self._attempt(contestant, self._tasks)

    def _tasks(self, contestant: Contestant) -> None:
        with self.arena.turn(contestant) as turn:
            results.add(self.floors, measuring.tasks(turn, self.sizes))


def present(options: Options) -> tuple[list[Contestant], dict[str, str]]:
    """Who takes part, installed, and who can't be installed, with the reason."""
    if options.smoke:
        return [POLOS, CELERY.in_this_environment()], {}
    first_words = (POLOS.name, *options.only)
    wanted = [c for c in ALL if not options.only or c.name.startswith(first_words)]
    environments = {c.environment.name: c.environment for c in wanted if c.environment}
    missing = make_all(list(environments.values()))
    here = [c for c in wanted if c.environment is None or c.environment.name not in missing]
    out = {
        c.name: missing[c.environment.name]
        for c in wanted
        if c.environment is not None and c.environment.name in missing
    }
    return here, out


def run(options: Options) -> None:
    """Hold the contest, and write it down."""
    here, out = present(options)
    for name, reason in out.items():
        line(f"{name} can't be installed: {reason}")
    began = time.monotonic()
    with (
        PostgresServer() as postgres,
        RedisServer() as redis,
        tempfile.TemporaryDirectory() as folder,
    ):
        with postgres.connect() as connection:
            durability = machine.assert_durable_postgres(connection)
        described = machine.describe()
        described["PostgreSQL"] = durability.pop("server_version")
        described["Redis"] = machine.redis_version(redis.url)
        described |= {f"PostgreSQL {name}": value for name, value in durability.items()}
        sizes = SMOKE if options.smoke else Sizes()
        contest = Contest(Arena(Path(folder), postgres, redis), sizes, out=out)
        contest.play(here, options.rounds)
        with postgres.connect() as connection:
            machine.assert_durable_postgres(connection)
    _publish(contest, here, described, options, time.monotonic() - began)


def _publish(
    contest: Contest,
    here: Sequence[Contestant],
    described: machine.Description,
    options: Options,
    seconds: float,
) -> None:
    found = {name: results.figures(rounds) for name, rounds in contest.rounds.items()}
    floor = results.floors(contest.floors)
    text = page.page(
        page.Told(
            found=found,
            floor=floor,
            counted=contest.counted,
            here=here,
            out=contest.out,
            machine=described,
            rounds=options.rounds,
            minutes=seconds / 60,
            spread=results.spread(contest.rounds[POLOS.name]),
        )
    )
    line(text)
    raw = {
        "machine": described,
        "sizes": asdict(contest.sizes),
        "samples": contest.rounds,
        "floors": contest.floors,
        "counts": contest.counted,
        "out": contest.out,
    }
    write(options.results, NAME, text, raw)
    if not options.smoke:
        _draw(options.results, found, floor, described)


def _draw(
    folder: Path,
    found: dict[str, results.Figures],
    floor: results.Figures,
    described: machine.Description,
) -> None:
    title = "Polos and its peers; × is the ratio to Polos"
    panels = results.panels(found, floor)
    try:
        plot.draw(folder / f"{NAME}.svg", title, machine.caption(described), panels)
    except CannotInstall as error:
        line(f"no plot: {error}")


NAME = "contest"
SCENE = Scene(NAME, "this engine and its peers on the same servers, against goals", run)
