"""Starts in other programs' own transactions: exactly what they commit runs, and soon."""

from __future__ import annotations

import random
import statistics
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from polos import PolosClient
from tests.acceptance import caller_program
from tests.acceptance.conftest import opened
from tests.acceptance.stacks import Stack, Workers
from tests.support.processes import Program, until

FLOWS = "tests.acceptance.caller_flows"
SECOND = 1_000_000


@pytest.fixture(scope="module")
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """Redis and PostgreSQL, with a worker that runs the whole time."""
    with opened(request, "servers") as made:
        client = made.client()
        client.bound.store.close()
        workers = Workers(made)
        workers(slots=2, flows=FLOWS)
        yield made
        workers.close()
        client.close()


@pytest.fixture
def ask(stack: Stack) -> Iterator[Callable[[str], list[tuple]]]:
    """Run a query; the caller's table is there, and empty."""
    engine = create_engine(stack.database)

    def asked(query: str) -> list[tuple]:
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]

    with engine.begin() as connection:
        connection.execute(text(caller_program.TABLE))
    yield asked
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE orders"))
        connection.execute(text("DELETE FROM polos_executions"))
    engine.dispose()


def runs(stack: Stack, known: set[str]) -> Counter[str]:
    """How often each execution's step has run."""
    begun = [entry for entry in stack.ledger.everything() if entry.phase == "begin"]
    return Counter(entry.execution for entry in begun if entry.execution in known)


def killed_until_through(
    start: Callable[[], Program], progress: Path, numbers: int, most: int
) -> int:
    """Kill the program at random moments, and start it again, until it is through; how often."""
    dice = random.Random(7)
    for kills in range(1000):
        current = start()
        begun = progress.stat().st_size if progress.exists() else 0
        aim = begun + dice.randint(1, most)
        until(
            lambda: not current.running or _size(progress) >= aim,  # noqa: B023
            90,
            every=dice.choice([0.001, 0.004, 0.01]),
        )
        if not current.running:
            assert current.returncode == 0, current.tail()
            assert _size(progress) == numbers
            return kills
        current.kill()
        current.wait()
    raise AssertionError("it never comes through")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


@pytest.mark.parametrize(
    ("way", "numbers", "most"), [("sqlalchemy", 1000, 300), ("django", 60, 40)]
)
def test_exactly_what_was_committed_runs(
    stack: Stack,
    ask: Callable[[str], list[tuple]],
    program: Callable[..., Program],
    tmp_path: Path,
    way: str,
    numbers: int,
    most: int,
) -> None:
    progress = tmp_path / "progress"

    def start() -> Program:
        args = ("-m", "tests.acceptance.caller_program", way, str(numbers), progress)
        return program(sys.executable, *args, env=stack.env, name=way)

    kills = killed_until_through(start, progress, numbers, most)
    assert kills >= 2
    committed = {id_ for (id_,) in ask("SELECT execution_id FROM orders")}
    # Two thirds, without those in whose midst it was killed.
    assert numbers * 2 // 3 - kills <= len(committed) <= numbers * 2 // 3
    open_ones = "SELECT count(*) FROM polos_executions WHERE status <> 'completed'"
    until(lambda: ask(open_ones) == [(0,)], 120, message=lambda: str(ask(open_ones)))
    assert {id_ for (id_,) in ask("SELECT id FROM polos_executions")} == committed
    ran = runs(stack, committed)
    assert ran == dict.fromkeys(committed, 1)
    numbers_run = "SELECT count(*) FROM orders WHERE number % 3 = 0"
    assert ask(numbers_run) == [(0,)]


def test_it_runs_within_a_second_though_the_process_died_after_the_commit(
    stack: Stack,
    ask: Callable[[str], list[tuple]],
    program: Callable[..., Program],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    numbers = 10
    args = ("-m", "tests.acceptance.caller_program", "dying", str(numbers), tmp_path / "none")
    dying = program(sys.executable, *args, env=stack.env, name="dying")
    assert dying.wait(90) == 0, dying.tail()
    query = "SELECT started_at - at FROM orders JOIN polos_executions ON id = execution_id"
    until(lambda: len(ask(f"{query} WHERE started_at IS NOT NULL")) == numbers, 30)
    delays = [delay / SECOND for (delay,) in ask(query)]
    record_property("lateness", statistics.median(delays))
    # An idle worker looks once a second, and without that look five would pass; this machine may be
    # a busy one, at some of these moments.
    assert statistics.median(delays) <= 3, delays
    assert max(delays) <= 10, delays


def test_where_the_program_lives_it_runs_at_once(
    stack: Stack, ask: Callable[[str], list[tuple]], record_property: Callable[[str, object], None]
) -> None:
    client: PolosClient = stack.client()
    engine = create_engine(stack.database)
    for number in range(1, 31, 3):
        caller_program.with_session(engine, client, number)
    query = "SELECT started_at - at FROM orders JOIN polos_executions ON id = execution_id"
    until(lambda: len(ask(f"{query} WHERE started_at IS NOT NULL")) == 10, 30)
    delays = sorted(delay / SECOND for (delay,) in ask(query))
    record_property("lateness", statistics.median(delays))
    assert statistics.median(delays) < 1, delays
    engine.dispose()
    client.close()
