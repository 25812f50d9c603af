"""From a SIGKILL in the middle of a step to the moment when the step begins again elsewhere.

Real prefork workers; each row of the table says what notices the death. ``--samples`` of each.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.scene import Options, Scene
from polos import ExecutionHandle, PolosClient
from tests.acceptance import flows
from tests.acceptance.stacks import Stack, Workers, embedded_stack, server_stack
from tests.support.processes import Program, until
from tests.support.servers import PostgresServer, RedisServer

STEP = "slow"
SLOTS = 3
SAMPLES = 15
OWN_NAMESPACE = ("unshare", "--pid", "--fork", "--mount-proc")

Handles = list[ExecutionHandle[Any]]


class Site:
    """A broker, a database, and a client of theirs."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.client: PolosClient = stack.client()

    @contextmanager
    def workers(self) -> Iterator[Workers]:
        made = Workers(self.stack)
        try:
            yield made
        finally:
            made.close()

    def begun(self, count: int) -> Handles:
        """Executions that are in the middle of their step."""
        handles = [flows.interrupted.start(self.client) for _ in range(count)]
        for handle in handles:
            self.stack.ledger.wait_for(handle.id, STEP)
        return handles

    def begun_again(self, handles: Handles) -> list[float]:
        """When each step began for the second time; the executions are let go."""
        times = [self.stack.ledger.wait_for(handle.id, STEP, times=2)[1].at for handle in handles]
        for handle in handles:
            self.stack.ledger.open_gate(handle.id)
        for handle in handles:
            assert handle.result_sync(60) == [0, 1, 2, 3]
        return times


def pool_process(site: Site, samples: int, slots: int) -> list[float]:
    """One process of a pool is killed, its worker lives."""
    late = []
    with site.workers() as workers:
        workers(slots=slots)
        for _ in range(samples):
            handles = site.begun(1)
            [entry] = site.stack.ledger.entries(handles[0].id, STEP, "begin")
            killed = time.monotonic()
            os.kill(entry.pid, signal.SIGKILL)
            late += [at - killed for at in site.begun_again(handles)]
    return late


def worker_beside_another(site: Site, samples: int, *, namespace: bool) -> list[float]:
    """A whole worker is killed, another one lives."""
    late: list[float] = []
    with site.workers() as workers:
        heir = workers(slots=SLOTS)
        while len(late) < samples:
            victim = workers(slots=SLOTS, prefix=OWN_NAMESPACE if namespace else ())
            # As many as both have slots: each takes its share.
            handles = _leave(site, site.begun(2 * SLOTS), {child.pid for child in heir.children()})
            killed = time.monotonic()
            victim.kill(signal.SIGKILL, group=True)
            late += [at - killed for at in site.begun_again(handles)]
    return late


def _leave(site: Site, handles: Handles, heirs: set[int]) -> Handles:
    """Let go of what the heir runs; the others."""
    ledger = site.stack.ledger
    own = [h for h in handles if ledger.entries(h.id, STEP, "begin")[0].pid in heirs]
    for handle in own:
        ledger.open_gate(handle.id)
    for handle in own:
        handle.result_sync(60)
    assert len(own) == SLOTS
    return [handle for handle in handles if handle not in own]


def only_worker(site: Site, samples: int) -> tuple[list[float], list[float]]:
    """The only worker is killed and started again: seconds from its start, and from "ready"."""
    from_start: list[float] = []
    from_ready: list[float] = []
    with site.workers() as workers:
        worker = workers(slots=SLOTS)
        while len(from_start) < samples:
            handles = site.begun(SLOTS)
            worker.kill(signal.SIGKILL, group=True)
            worker.wait()
            started = time.monotonic()
            worker = workers(slots=SLOTS, ready=False)
            ready = _ready(worker)
            for at in site.begun_again(handles):
                from_start.append(at - started)
                from_ready.append(at - ready)
    return from_start, from_ready


def _ready(worker: Program) -> float:
    until(lambda: " ready." in worker.text(), 60, every=0.01)
    return time.monotonic()


def show(name: str, noticed_by: str, late: list[float]) -> None:
    ordered = sorted(late)
    p95 = ordered[max(0, round(len(ordered) * 0.95) - 1)]
    print(
        f"{name:<46} {noticed_by:<28} {len(late):>3} {statistics.median(late):>6.2f} "
        f"{p95:>6.2f} {max(late):>6.2f}",
        flush=True,
    )


def measure(site: Site, samples: int, *, lease: bool) -> None:
    own = "its worker"
    show("a pool process, 1 slot", own, pool_process(site, samples, 1))
    show("a pool process, 4 slots", own, pool_process(site, samples, 4))
    by_table = "the process table"
    same_host = worker_beside_another(site, samples, namespace=False)
    show("a worker, another lives on the host", by_table, same_host)
    if lease:
        elsewhere = worker_beside_another(site, samples, namespace=True)
        show("a worker, another lives elsewhere", "its lease of 15 s running out", elsewhere)
    from_start, from_ready = only_worker(site, samples)
    show("the only worker, from its next start", by_table, from_start)
    show("the only worker, from being ready again", by_table, from_ready)


def on_stack(title: str, opened: Callable[[Path], Any], samples: int, *, lease: bool) -> None:
    print(f"\n{title}")
    print(f"{'SIGKILL of':<46} {'noticed by':<28} {'n':>3} {'p50':>6} {'p95':>6} {'max':>6}")
    with tempfile.TemporaryDirectory() as folder, opened(Path(folder)) as stack:
        site = Site(stack)
        measure(site, samples, lease=lease)
        site.client.close()


def play(samples: int) -> None:
    """On servers, and embedded."""
    if os.geteuid() != 0:
        print("not root: a worker in a pid namespace of its own is left out", file=sys.stderr)
    with PostgresServer() as postgres, RedisServer() as redis:
        on_stack(
            "Redis and PostgreSQL, seconds",
            lambda folder: server_stack(folder, redis, postgres),
            samples,
            lease=os.geteuid() == 0,
        )
    on_stack("Embedded broker and SQLite, seconds", embedded_stack, samples, lease=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=SAMPLES)
    samples = parser.parse_args().samples
    logging.disable(logging.WARNING)
    play(samples)


def run(options: Options) -> None:
    play(1 if options.smoke else SAMPLES)


SCENE = Scene("recovery", "from SIGKILL in a step to its next begin", run, True)

if __name__ == "__main__":
    main()
