"""What all contestants' programs share; of the standard library, for each peer's environment.

A driver reads one call a line from stdin, as JSON, and answers with one line on stdout. What
workflows do is written to a ledger, a file that all processes append to: no contestant's own
records are needed to tell when work began and ended.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any, Protocol

DATABASE = os.environ.get("CONTEST_DATABASE", "")
"""PostgreSQL's URL, ``postgresql://…``."""

REDIS = os.environ.get("CONTEST_REDIS", "")
LEDGER = os.environ.get("CONTEST_LEDGER", "")

_ledger: int | None = None


class Driver(Protocol):
    """What a contestant can do, from a client process with warm connections."""

    def run(self, steps: int) -> None:
        """Start one workflow and wait for its result."""

    def queue(self, steps: int, count: int) -> None:
        """Start so many for the workers, and return when all are stored."""

    def sleep(self, seconds: int, count: int) -> None:
        """Start so many that wait for so long."""

    def ended(self) -> int:
        """How many of the queued have ended well, by the contestant's own records."""


def mark(what: str, execution: object) -> None:
    """Append a line to the ledger: begin, end, sleep or woke."""
    global _ledger
    if _ledger is None:
        _ledger = os.open(LEDGER, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(_ledger, f"{what} {execution} {time.monotonic():.6f}\n".encode())


def noop() -> int:
    """What a step does."""
    return 1


def serve(driver: Driver) -> None:
    """Answer calls until stdin ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not be taken for an answer
    print(json.dumps({"ready": os.getpid()}), file=answers, flush=True)
    for line in sys.stdin:
        try:
            answer = _answer(driver, json.loads(line))
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


def _answer(driver: Driver, call: dict[str, Any]) -> dict[str, Any]:
    match call["call"]:
        case "latency":
            return {"samples": _latency(driver, call)}
        case "queue":
            driver.queue(call["steps"], call["count"])
        case "sleep":
            driver.sleep(call["seconds"], call["count"])
        case "ended":
            return {"ended": driver.ended()}
    return {}


def _latency(driver: Driver, call: dict[str, Any]) -> list[float]:
    """Seconds of each, one after another, so many or for as long as the budget lasts."""
    samples: list[float] = []
    end = time.monotonic() + call["budget"]
    while len(samples) < call["count"] and time.monotonic() < end:
        began = time.perf_counter()
        driver.run(call["steps"])
        samples.append(time.perf_counter() - began)
    return samples
