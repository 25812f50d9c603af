"""What a step costs in a long execution, and a replay: one process, no broker."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from uuid import uuid4

from sqlalchemy import text

from benchmarks.figures import alternate, of_rounds
from benchmarks.flows import steps
from benchmarks.scene import Options, Scene
from benchmarks.scenes.floors import Floor
from benchmarks.scenes.sheet import Goal, Row, publish, scaled
from benchmarks.scenes.site import Servers
from polos.definition.registry import registry
from polos.engine.keeper import Keeper
from polos.engine.owner import this_process
from polos.engine.runner import Runner
from polos.model.records import ExecutionId, Hint, NewExecution
from polos.model.settings import Settings
from polos.store.sql_store import SqlStore

SHORT, LONG = 10, 10_000
# Of 10 steps in one round: a single one says little.
SHORT_RUNS = 20
COMMITS = 1_000
GOAL = Goal(1.2)


class NoBroker:
    """Nothing measured here sends hints."""

    def dispatch(self, hints: Sequence[Hint]) -> int:
        return len(hints)

    def is_away(self) -> bool:
        return False


class Engine:
    """A store with a runner in this process."""

    def __init__(self, url: str) -> None:
        self.settings = Settings.load(database_url=url, auto_migrate=True)
        self.store = SqlStore.open(self.settings)
        self.floor = Floor(url)
        self._keeper = Keeper(self.store, self.settings.lease_seconds)
        self._runner = Runner(self.store, NoBroker(), registry, self.settings, self._keeper)

    def first(self, size: int, times: int) -> list[float]:
        """Seconds a step, when nothing is recorded."""
        return [self._timed(self._started(size)) / size for _ in range(times)]

    def replay(self) -> list[float]:
        """Seconds of another attempt of the last execution: it finds every step recorded."""
        self._forget_end(self._last)
        return [self._timed(self._last)]

    def close(self) -> None:
        self._keeper.stop()
        self.floor.close()
        self.store.close()

    def _started(self, size: int) -> ExecutionId:
        id_ = ExecutionId(str(uuid4()))
        data = steps.encode_payload({"steps": size})
        self.store.start(NewExecution(id_, steps.id, "default", data))
        self._last = id_
        return id_

    def _timed(self, id_: str) -> float:
        began = time.perf_counter()
        self._runner.run(id_, steps.id, this_process())
        return time.perf_counter() - began

    def _forget_end(self, id_: str) -> None:
        """As if the worker had died just before the outcome was committed."""
        self.store.database.run(
            text(
                "UPDATE polos_executions SET status = 'queued', result = NULL, finished_at = NULL "
                "WHERE id = :id"
            ),
            {"id": id_},
        )


@contextmanager
def opened(url: str) -> Iterator[Engine]:
    engine = Engine(url)
    engine.first(SHORT, 2)
    try:
        yield engine
    finally:
        engine.close()


def rows(name: str, url: str, options: Options) -> list[Row]:
    long = 100 if options.smoke else LONG
    with opened(url) as engine:
        rounds = alternate(
            {
                "short": partial(engine.first, SHORT, SHORT_RUNS),
                "long": lambda: [*engine.first(long, 1), *engine.replay()],
                "floor": lambda: [engine.floor.commits(COMMITS) / COMMITS],
            },
            options.rounds,
        )
    rounds["again"] = [[replay] for _, replay in rounds["long"]]
    rounds["long"] = [[first] for first, _ in rounds["long"]]
    found = {what: scaled(of_rounds(samples), 1000) for what, samples in rounds.items()}
    return [
        Row(f"{name}: a step of {SHORT}", "ms", found["short"], "a commit", found["floor"]),
        Row(
            f"{name}: a step of {long:,}",
            "ms",
            found["long"],
            f"a step of {SHORT}",
            found["short"],
            GOAL,
        ),
        Row(f"{name}: a replay of {long:,} steps", "ms", found["again"]),
    ]


def run(options: Options) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = rows("SQLite", f"sqlite:///{folder}/bench.db", options)
    with Servers() as servers, servers.postgres.fresh_database() as url:
        found += rows("PostgreSQL", url, options)
    publish(options, "step_cost", found)


SCENE = Scene("step_cost", "a step at 10,000 steps against 10, in one process", run)
