"""Three workers, and somebody who starts another one for each that has ended."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import suppress

import psutil

from tests.acceptance.stacks import Workers
from tests.chaos.setups import Setup
from tests.support.processes import Program, until

FLOWS = "tests.chaos.flows"
_WORKERS = 3
_SLOTS = 4
# As service managers do with one that was asked to end and goes on.
_PATIENCE = 30.0


class Fleet:
    """Keeps so many workers running, as a service manager would.

    Args:
        setup: what they stand on.
        flows: what they import.
        workers: how many.
    """

    def __init__(self, setup: Setup, flows: str = FLOWS, workers: int = _WORKERS) -> None:
        self._start = Workers(setup.stack)
        self._setup = setup
        self._flows = flows
        self._lock = threading.Lock()
        self._places: list[Program] = []
        self._asked: dict[int, float] = {}
        self._stop = threading.Event()
        self.impatient = 0
        for _ in range(workers):
            self._places.append(self._begin())
        self._thread = threading.Thread(target=self._run, name="fleet", daemon=True)

    def wait_until_ready(self) -> None:
        """Wait until all take work; from then on each that ends is replaced."""
        for worker in self._places:
            worker.wait_for(" ready.", 90)
        self._thread.start()

    def running(self) -> list[Program]:
        """Those that run now."""
        with self._lock:
            return [worker for worker in self._places if worker.running]

    def ask_to_end(self, worker: Program) -> None:
        """SIGTERM; SIGKILL where that has not helped after a while."""
        self._asked[worker.pid] = time.monotonic()
        worker.kill(signal.SIGTERM)

    def close(self) -> None:
        """End all of them."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(10)
        self._start.close()

    def _begin(self) -> Program:
        return self._start(
            "prefork", _SLOTS, "chaos", flows=self._flows, env=self._setup.env, ready=False
        )

    def _run(self) -> None:
        while not self._stop.wait(0.2):
            for number, worker in enumerate(self._places):
                self._see_to(number, worker)

    def _see_to(self, number: int, worker: Program) -> None:
        if worker.running:
            asked = self._asked.get(worker.pid)
            if asked is not None and time.monotonic() - asked > _PATIENCE:
                self.impatient += 1
                worker.kill(signal.SIGKILL, group=True)
            return
        with self._lock:
            self._places[number] = self._begin()


def pool_of(worker: Program) -> list[psutil.Process]:
    """The pool's processes of a worker."""
    with suppress(psutil.Error):
        return worker.children()
    return []


def processes_of(worker: Program) -> set[int]:
    """The ids of all its processes."""
    return {worker.pid, *(child.pid for child in pool_of(worker))}


def wait_for_end(worker: Program) -> None:
    """Wait until a killed one is gone."""
    until(lambda: not worker.running, 10)
