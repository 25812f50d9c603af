"""What is measured in one turn, and the counting turns."""

from __future__ import annotations

import time
from dataclasses import dataclass

from benchmarks.contest.arena import Arena, Turn
from benchmarks.contest.contestants import RATE, WAITS, Contestant
from benchmarks.counters import PostgresCounts, RedisCounts, difference, per_execution

Samples = dict[str, list[float]]


@dataclass(frozen=True)
class Sizes:
    """How much of everything.

    Attributes:
        samples: of one latency in each round.
        budget: seconds after which a slow contestant is cut off; its samples till then count.
        window: seconds; the rate of a deep queue is taken in so many windows.
        settle: seconds of work on the deep queue before the first window.
        counted: executions whose commits and messages are counted.
    """

    samples: int = 6
    budget: float = 5.0
    queued: int = 300
    deep: int = 10_000
    windows: int = 5
    window: float = 3.0
    settle: float = 2.0
    sleepers: int = 40
    sleep: int = 1
    tasks: int = 1_000
    inserts: int = 500
    counted: int = 100


SMOKE = Sizes(2, 10.0, 8, 30, 2, 0.5, 0.1, 4, 1, 20, 20, 4)


def one_round(arena: Arena, contestant: Contestant, sizes: Sizes) -> Samples:
    """All of a contestant's parts but the deep queue."""
    parts = contestant.parts
    found: Samples = {}
    with arena.turn(contestant) as turn:
        if not contestant.idle_workers:
            found |= _latencies(turn, sizes)
        turn.work_with(2)
        if contestant.idle_workers:
            found |= _latencies(turn, sizes)
        if WAITS in parts:
            found["late"] = _lateness(turn, sizes)
        if RATE in parts:
            found["rate_2"] = [_rate(turn, sizes)]
    if RATE in parts:
        # A turn of its own: a slow contestant's queue is not empty after the other one.
        with arena.turn(contestant) as turn:
            turn.work_with(1)
            found["rate_1"] = [_rate(turn, sizes)]
    return found


def tasks(turn: Turn, sizes: Sizes) -> Samples:
    """Of Celery: the round trip of one no-op task with its result, and how many a second."""
    turn.work_with(2)
    turn.client.call("latency", steps=1, count=5, budget=sizes.budget)
    trips = turn.client.call("latency", steps=1, count=5 * sizes.samples, budget=sizes.budget)
    turn.ledger.forget()
    _held(turn, 1, sizes.tasks)
    turn.wait_for("end", sizes.tasks, sizes.budget)
    ends = turn.ledger.marks("end")
    return {"task": trips["samples"], "task_rate": [(len(ends) - 1) / (ends[-1] - ends[0])]}


def deep(turn: Turn, sizes: Sizes) -> Samples:
    """Ends a second in each window, with many queued and two processes."""
    turn.work_with(2)
    _warm(turn, sizes)
    mark, each = turn.contestant.progress
    began = time.monotonic()
    _held(turn, 10, sizes.deep)
    stored = time.monotonic() - began
    time.sleep(sizes.settle)
    found = []
    for _ in range(sizes.windows):
        before = len(turn.ledger.marks(mark))
        time.sleep(sizes.window)
        now = len(turn.ledger.marks(mark))
        if now < sizes.deep * each or not found:
            found.append((now - before) / each / sizes.window)
    return {"deep": found, "deep_stored": [sizes.deep / stored]}


def counts(arena: Arena, contestant: Contestant, sizes: Sizes) -> dict[str, float]:
    """What the servers counted for one queued execution of 10 steps, and the workers' CPU time.

    Two turns, one with more executions: the difference has no start-up in it.
    """
    few = _counted(arena, contestant, sizes.counted // 2, sizes)
    many = _counted(arena, contestant, sizes.counted // 2 + sizes.counted, sizes)
    return per_execution(difference(few, many), sizes.counted)


def _counted(arena: Arena, contestant: Contestant, count: int, sizes: Sizes) -> dict[str, int]:
    mark, each = contestant.progress
    postgres = PostgresCounts(arena.postgres, arena.database(contestant))
    redis = RedisCounts(arena.redis_url(contestant))
    try:
        with arena.turn(contestant) as turn:
            before = redis.now()
            turn.work_with(2)
            _held(turn, 10, count)
            turn.wait_for(mark, count * each, 5 * sizes.budget)
            messages = difference(before, redis.now())
            used = {"cpu microseconds": round(1e6 * turn.cpu())}
        redis_counts = {f"redis {name}": n for name, n in messages.items()}
        return postgres.after_exit() | redis_counts | used
    finally:
        postgres.close()
        redis.close()


def _latencies(turn: Turn, sizes: Sizes) -> Samples:
    turn.client.call("latency", steps=10, count=3, budget=sizes.budget)
    found = {}
    for steps in turn.contestant.steps:
        answer = turn.client.call("latency", steps=steps, count=sizes.samples, budget=sizes.budget)
        found[f"latency_{steps}"] = answer["samples"]
    return found


def _rate(turn: Turn, sizes: Sizes) -> float:
    """Workflows a second, from the first begin to the last end."""
    _warm(turn, sizes)
    mark, each = turn.contestant.progress
    _held(turn, 10, sizes.queued)
    whole = turn.wait_for(mark, sizes.queued * each, sizes.budget) == sizes.queued * each
    if whole:
        turn.wait_for_records(sizes.queued)
    ends = turn.ledger.marks(mark)
    return len(ends) / each / (ends[-1] - turn.ledger.times("begin")[0]) if ends else 0.0


def _held(turn: Turn, steps: int, count: int) -> None:
    """Queue while the workers stand still: what is measured is how they work it off."""
    turn.hold()
    try:
        turn.client.call("queue", steps=steps, count=count)
    finally:
        turn.release()


def _warm(turn: Turn, sizes: Sizes) -> None:
    """Some work for each process, all of it ended before anything is measured."""
    mark, each = turn.contestant.progress
    turn.ledger.forget()
    turn.client.call("queue", steps=10, count=8)
    turn.wait_for(mark, 8 * each, 5 * sizes.budget)
    turn.ledger.forget()


def _lateness(turn: Turn, sizes: Sizes) -> list[float]:
    turn.ledger.forget()
    turn.client.call("sleep", seconds=sizes.sleep, count=sizes.sleepers)
    turn.wait_for("woke", sizes.sleepers, 2 * sizes.budget + sizes.sleep)
    return [span - sizes.sleep for span in turn.ledger.spans("sleep", "woke")]
