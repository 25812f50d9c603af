"""The examples on a real Celery worker, then a worker that is killed in the middle of an order.

Everything that it starts is its own: two workers, one after the other, and a temporary folder with
their database, their messages and their logs. It ends with 1 where a finished step ran twice.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
HOME = Path(tempfile.mkdtemp(prefix="polos-demo-"))
LEDGER = HOME / "ledger.jsonl"
COMMAND = ["-m", "celery", "-A", "polos.celery_app", "worker", "--concurrency", "2"]

# Before Polos is imported: neither the user's own settings nor a .polos/ folder is to be used.
for name in [name for name in os.environ if name.startswith("POLOS_")]:
    del os.environ[name]
os.environ |= {"POLOS_HOME": str(HOME), "POLOS_WORKFLOWS": "workflows,slow_order"}
sys.path.insert(0, str(HERE))

import main as examples  # noqa: E402
from slow_order import STEPS, SlowOrder, slow_order  # noqa: E402

from polos import PolosClient, PolosError  # noqa: E402

KILLED_IN = "pack_parcel"
COLUMNS = 56


# -- workers -------------------------------------------------------------------------------


class CeleryWorker:
    """``celery worker`` in a process group of its own, its pool processes included."""

    def __init__(self, name: str) -> None:
        self.log = HOME / f"{name}.log"
        with self.log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, *COMMAND, "--hostname", f"{name}@demo", "--loglevel", "INFO"],
                cwd=HERE,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.pid = self._process.pid

    def wait_until_ready(self, seconds: float = 30) -> None:
        until = time.monotonic() + seconds
        while " ready." not in self.log.read_text(errors="replace"):
            if self._process.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"the worker did not start:\n{self.tail()}")
            time.sleep(0.05)

    def kill(self) -> None:
        """SIGKILL to all of its processes: nothing can be caught, saved or handed over."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(10)
        self.kill()

    def tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-30:])


@contextmanager
def celery_worker(name: str) -> Iterator[CeleryWorker]:
    worker = CeleryWorker(name)
    try:
        worker.wait_until_ready()
        say(f"worker {name} is ready, pid {worker.pid}")
        yield worker
    except (PolosError, SystemExit):
        print(f"\nThe last lines of the worker's log:\n{worker.tail()}", file=sys.stderr)
        raise
    finally:
        worker.stop()


# -- the crash -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Crash:
    """When what happened, in seconds since 1970."""

    started: float
    killed: float
    restarted: float
    completed: float
    order: str
    confirmation: str


async def crash(client: PolosClient) -> Crash:
    """Start an order, kill its worker in the middle of a step, start another one, wait."""
    with celery_worker("first") as worker:
        handle = await slow_order.invoke(client, SlowOrder(order_id="B-2002", ledger=str(LEDGER)))
        started = time.time()
        say(f"order {handle.id} started")
        await happens(KILLED_IN, "begin")
        await asyncio.sleep(0.6)
        before = handle.status()
        worker.kill()
        killed = time.time()
    say(f"in the middle of {KILLED_IN}: SIGKILL to the worker and its pool processes")
    say(f"the store said {str(before)!r}; now nothing runs, not even the broker's message is left")
    await asyncio.sleep(1.5)
    restarted = time.time()
    with celery_worker("second"):
        result = await handle.result(timeout=60)
        completed = time.time()
    say(f"the order is {handle.status()}")
    return Crash(started, killed, restarted, completed, handle.id, result.confirmation)


async def happens(step: str, event: str, seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while not any((line.step, line.event) == (step, event) for line in ledger()):
        if time.monotonic() > until:
            raise SystemExit(f"no {event} of {step} within {seconds} s")
        await asyncio.sleep(0.02)


# -- what really ran -----------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    step: str
    event: str
    pid: int
    time: float


def ledger() -> list[Line]:
    if not LEDGER.exists():
        return []
    return [Line(**json.loads(text)) for text in LEDGER.read_text().splitlines()]


def times(lines: list[Line], step: str, event: str) -> list[float]:
    return [line.time for line in lines if (line.step, line.event) == (step, event)]


def verdict(lines: list[Line], killed: float) -> list[str]:
    """What went wrong; nothing, if all is well."""
    faults = []
    for step in STEPS:
        begun, ended = times(lines, step, "begin"), times(lines, step, "end")
        if len(ended) != 1:
            faults.append(f"{step} finished {len(ended)} times")
        if any(end < killed for end in ended) and len(begun) != 1:
            faults.append(f"{step} was finished before the kill and ran again")
    return faults


def table(lines: list[Line]) -> Iterator[str]:
    yield f"{'step':<15} {'begun':>6} {'finished':>9}   by process"
    for step in STEPS:
        begun, ended = times(lines, step, "begin"), times(lines, step, "end")
        own = [line for line in lines if (line.step, line.event) == (step, "begin")]
        pids = ", ".join(str(line.pid) for line in own)
        remark = "   <- killed in the middle, so it ran again" if len(begun) > len(ended) else ""
        yield f"{step:<15} {len(begun):>6} {len(ended):>9}   {pids}{remark}"


def timeline(lines: list[Line], crash: Crash) -> Iterator[str]:
    """A row for each step; ``#`` where it ran, ``x`` where it was cut off."""
    length = crash.completed - crash.started

    def column(moment: float) -> int:
        return round((moment - crash.started) / length * COLUMNS)

    for step in STEPS:
        row = [" "] * (COLUMNS + 1)
        row[column(crash.killed)] = row[column(crash.restarted)] = "|"
        ends = times(lines, step, "end")
        for begin in times(lines, step, "begin"):
            end = next((end for end in ends if end > begin), crash.killed)
            cut = begin < crash.killed <= end
            last = column(crash.killed if cut else end)
            row[column(begin) : last] = "#" * (last - column(begin))
            if cut:
                row[last] = "x"
        yield f"{step:<15} {''.join(row)}"
    marks = [" "] * (COLUMNS + 10)
    for moment, text in ((crash.killed, "^kill"), (crash.restarted, "^restart")):
        marks[column(moment) : column(moment) + len(text)] = text
    yield f"{'':<15} {''.join(marks)}".rstrip()
    ticks = [" "] * (COLUMNS + 10)
    for second in range(0, int(length) + 1, 2):
        text = f"{second}s"
        ticks[column(crash.started + second) : column(crash.started + second) + len(text)] = text
    yield f"{'seconds':<15} {''.join(ticks)}".rstrip()


# -- the show ------------------------------------------------------------------------------


def say(text: str) -> None:
    print(f"  * {text}", flush=True)


def chapter(text: str) -> None:
    print(f"\n=== {text}\n", flush=True)


async def show() -> int:
    client = PolosClient()
    try:
        chapter("1. The examples, on a Celery worker with two processes")
        say("celery -A polos.celery_app worker --concurrency 2")
        say("broker: files, database: SQLite, both in a temporary folder")
        with celery_worker("examples"):
            await examples.show_all(client)

        chapter("2. A crash in the middle of an order")
        say(f"five steps: {', '.join(STEPS)}")
        seen = await crash(client)
    finally:
        client.close()

    lines = ledger()
    chapter("3. What ran, as the steps' own functions wrote it down")
    for text in table(lines):
        print(f"  {text}")
    print()
    for text in timeline(lines, seen):
        print(f"  {text}")
    faults = verdict(lines, seen.killed)
    print()
    for fault in faults:
        print(f"  WRONG: {fault}")
    if not faults:
        print("  No finished step ran twice, and the order was completed.")
    return 1 if faults else 0


def end(_number: int, _frame: object) -> None:
    raise SystemExit("interrupted")


def run() -> int:
    signal.signal(signal.SIGTERM, end)
    try:
        return asyncio.run(show())
    except PolosError as error:
        print(f"\n{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        shutil.rmtree(HOME, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(run())
