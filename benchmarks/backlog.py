"""A long queue and one slot: messages for each execution, and the longest pause after a loss.

``--count`` executions are queued, and as many messages. One prefork worker with one slot takes
them for ``--seconds``; then the broker forgets everything, and it goes on for as long again, or to
the end with ``--drain``.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
from collections import Counter
from pathlib import Path

from redis import Redis

from benchmarks.scene import Options, Scene
from polos import PolosClient
from tests.acceptance.backlogs import begins, longest_gap, messages, queue_up, rate
from tests.acceptance.ledger import Entry
from tests.acceptance.stacks import Stack, Workers, server_stack
from tests.support.processes import Program
from tests.support.servers import PostgresServer, RedisServer

COUNT, SECONDS = 20_000, 60.0
SMOKE = 200, 5.0


class Site:
    """A stack with one worker, and what was counted at the begin of each phase."""

    def __init__(self, stack: Stack, worker: Program) -> None:
        self.stack = stack
        self.worker = worker
        self._redis = Redis.from_url(stack.broker)

    def published(self) -> int:
        """Messages that the broker was given, ever."""
        stats: dict[str, dict[str, int]] = self._redis.info("commandstats")
        return stats.get("cmdstat_lpush", {}).get("calls", 0)

    def work(self, seconds: float, until_count: int) -> list[Entry]:
        """Let the worker work for so long, or until so many have begun; those that began."""
        before = len(begins(self.stack.ledger))
        end = time.monotonic() + seconds
        while time.monotonic() < end and len(begins(self.stack.ledger)) < until_count:
            time.sleep(1)
        return begins(self.stack.ledger)[before:]


def line(name: str, value: object) -> None:
    print(f"{name:<58} {value!s:>12}", flush=True)


def before_loss(site: Site, count: int, seconds: float) -> None:
    published = site.published()
    taken = site.work(seconds, count)
    doubles = site.published() - published
    got = messages(site.worker)
    line("nothing lost: executions begun", len(taken))
    line("  a second", f"{rate(taken):.1f}")
    line("  messages sent again, for each that began", f"{doubles / len(taken):.3f}")
    line("  messages for each execution, all in all", f"{1 + doubles / count:.3f}")
    for times, executions in sorted(Counter(got.values()).items()):
        line(f"  executions of which the worker got {times}", executions)
    line("  longest pause of the slot, s", f"{longest_gap(taken):.2f}")


def after_loss(site: Site, count: int, seconds: float) -> None:
    last = begins(site.stack.ledger)[-1]
    assert site.stack.redis is not None
    site.stack.redis.flush()
    published = site.published()
    taken = site.work(seconds, count)
    again = site.published() - published
    line("after FLUSHALL: executions begun", len(taken))
    line("  a second, in the last third", f"{rate(taken[-len(taken) // 3 :]):.1f}")
    line("  messages sent, for each that began", f"{again / len(taken):.3f}")
    line("  longest pause of the slot, s", f"{longest_gap([last, *taken]):.2f}")
    begun = Counter(entry.execution for entry in begins(site.stack.ledger))
    line("executions that began more than once", sum(n > 1 for n in begun.values()))


def measure(stack: Stack, client: PolosClient, count: int, seconds: float, drain: bool) -> None:
    began = time.monotonic()
    queue_up(client, count)
    line("queued executions", count)
    line("  seconds to store them and send their messages", f"{time.monotonic() - began:.1f}")
    workers = Workers(stack)
    try:
        site = Site(stack, workers(slots=1))
        before_loss(site, count, seconds)
        after_loss(site, count, 3600 if drain else seconds)
    finally:
        workers.close()


def play(count: int, seconds: float, drain: bool = False) -> None:
    """Queue, work, lose all messages, work."""
    with (
        PostgresServer() as postgres,
        RedisServer() as redis,
        tempfile.TemporaryDirectory() as folder,
        server_stack(Path(folder), redis, postgres) as stack,
    ):
        client = stack.client()
        measure(stack, client, count, seconds, drain)
        client.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--drain", action="store_true")
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    play(given.count, given.seconds, given.drain)


def run(options: Options) -> None:
    play(*(SMOKE if options.smoke else (COUNT, SECONDS)))


SCENE = Scene("backlog", "20,000 queued for one slot, and a broker that forgets", run, True)

if __name__ == "__main__":
    main()
