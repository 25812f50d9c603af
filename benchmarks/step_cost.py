"""What a step costs, and a replay of many: one process, no broker, SQLite and PostgreSQL.

Prints milliseconds a step, the ratio to an execution of 10 steps, and the time of a replay that
finds every step recorded.
"""

from __future__ import annotations

import logging
import statistics
import tempfile
import time
from collections.abc import Sequence
from uuid import uuid4

from sqlalchemy import text

from benchmarks.flows import steps
from polos.definition.registry import registry
from polos.engine.keeper import Keeper
from polos.engine.owner import this_process
from polos.engine.runner import Runner
from polos.model.records import ExecutionId, Hint, NewExecution
from polos.model.settings import Settings
from polos.store.sql_store import SqlStore
from tests.support.servers import PostgresServer

SIZES = (10, 100, 1_000, 10_000)
REPEATS = {10: 41, 100: 11, 1_000: 3, 10_000: 3}


class NoBroker:
    """Nothing measured here sends hints."""

    def dispatch(self, hints: Sequence[Hint]) -> int:
        return len(hints)

    def is_away(self) -> bool:
        return False


def measure(url: str) -> dict[int, tuple[float, float]]:
    settings = Settings.load(database_url=url, auto_migrate=True)
    store = SqlStore.open(settings)
    keeper = Keeper(store, settings.lease_seconds)
    runner = Runner(store, NoBroker(), registry, settings, keeper)
    figures = {size: _medians(store, runner, size) for size in SIZES}
    keeper.stop()
    store.close()
    return figures


def _medians(store: SqlStore, runner: Runner, size: int) -> tuple[float, float]:
    first, again = [], []
    for _ in range(REPEATS[size]):
        id_ = ExecutionId(str(uuid4()))
        data = steps.encode_payload({"steps": size})
        store.start(NewExecution(id_, steps.id, "default", data))
        first.append(_timed(runner, id_))
        _forget_end(store, id_)
        again.append(_timed(runner, id_))
    return statistics.median(first), statistics.median(again)


def _timed(runner: Runner, id_: str) -> float:
    began = time.perf_counter()
    runner.run(id_, steps.id, this_process())
    return time.perf_counter() - began


def _forget_end(store: SqlStore, id_: str) -> None:
    """As if the worker had died just before the outcome was committed."""
    store.database.run(
        text(
            "UPDATE polos_executions SET status = 'queued', result = NULL, finished_at = NULL "
            "WHERE id = :id"
        ),
        {"id": id_},
    )


def _table(name: str, figures: dict[int, tuple[float, float]]) -> None:
    base = figures[SIZES[0]][0] / SIZES[0]
    print(f"\n{name}")
    print(f"{'steps':>8} {'first pass':>12} {'a step':>12} {'ratio':>7} {'replay':>12}")
    for size, (first, again) in figures.items():
        each = first / size
        print(
            f"{size:>8} {first * 1000:>9.1f} ms {each * 1000:>9.3f} ms {each / base:>7.2f} "
            f"{again * 1000:>9.1f} ms"
        )


def main() -> None:
    logging.disable(logging.INFO)
    with tempfile.TemporaryDirectory() as folder:
        _table("SQLite, WAL, synchronous=FULL", measure(f"sqlite:///{folder}/bench.db"))
    with PostgresServer() as server, server.fresh_database() as url:
        _table("PostgreSQL, fsync and synchronous_commit on", measure(url))


if __name__ == "__main__":
    main()
