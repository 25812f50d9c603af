"""What steps really did, in a file that Polos does not know.

Workers write it, one line for each thing that happens, whole even where several processes write at
once and some of them are killed. Each run of a workflow's function takes a token of its own.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any
from uuid import uuid4

from polos import SyncWorkflowContext, WorkflowContext

VARIABLE = "CHAOS_LEDGER"


class Phase(StrEnum):
    """What a line tells."""

    ATTEMPT = "attempt"
    BEGIN = "begin"
    END = "end"
    FAIL = "fail"
    CANCELLED = "cancelled"
    ASK = "ask"
    PASSED = "passed"


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened.

    Attributes:
        attempt: the token of the run of the workflow's function.
        at: seconds since 1970; the databases are on the same machine and have the same clock.
        text: what the effect was given, or how long a wait was to be.
    """

    execution: str
    step: str
    attempt: str
    phase: Phase
    pid: int
    at: float
    text: str


class PlannedFailure(Exception):
    """What an effect raises that is to be tried again."""


class Scribe:
    """Writes down what one run of a workflow's function does."""

    def __init__(self, execution: str) -> None:
        self.execution = execution
        self.attempt = uuid4().hex[:12]
        self.write("", Phase.ATTEMPT)

    @classmethod
    def of(cls, ctx: WorkflowContext | SyncWorkflowContext) -> Scribe:
        """The scribe of this attempt; made in a workflow's first line."""
        return cls(ctx.execution_id)

    def work(self, step: str, value: Any = None, seconds: float = 0.0, text: str = "") -> Any:
        """The effect of a plain step."""
        self.write(step, Phase.BEGIN, text)
        time.sleep(seconds)
        self.write(step, Phase.END, text)
        return value

    async def async_work(
        self, step: str, value: Any = None, seconds: float = 0.0, text: str = ""
    ) -> Any:
        """The effect of an async step."""
        self.write(step, Phase.BEGIN, text)
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self.write(step, Phase.CANCELLED, text)
            raise
        self.write(step, Phase.END, text)
        return value

    def unsure(self, step: str, failures: int, value: Any = None) -> Any:
        """An effect that fails so many times, whichever attempts see that, and then succeeds."""
        self.write(step, Phase.BEGIN)
        for number in range(failures):
            if self._first_to_fail(step, number):
                self.write(step, Phase.FAIL, str(number))
                raise PlannedFailure(f"failure {number} of {step}")
        self.write(step, Phase.END)
        return value

    def hopeless(self, step: str) -> None:
        """An effect that always fails."""
        self.write(step, Phase.BEGIN)
        self.write(step, Phase.FAIL)
        raise PlannedFailure(f"{step} can't succeed")

    def ask(self, step: str, seconds: float) -> None:
        """A wait of so many seconds is asked for."""
        self.write(step, Phase.ASK, repr(seconds))

    def passed(self, step: str) -> None:
        """That wait has ended."""
        self.write(step, Phase.PASSED)

    def write(self, step: str, phase: Phase, text: str = "") -> None:
        """Add a line."""
        line = [self.execution, step, self.attempt, phase, os.getpid(), time.time(), text]
        file = os.open(_path(), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(file, f"{json.dumps(line)}\n".encode())
        finally:
            os.close(file)

    def _first_to_fail(self, step: str, number: int) -> bool:
        marker = _path().with_name(f"failed-{self.execution}-{step}-{number}")
        try:
            os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return False
        return True


def _path() -> Path:
    return Path(os.environ[VARIABLE])


class Ledger:
    """The test's side: reads what was added since the last look."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: list[Line] = []
        self._read = 0
        self._rest = b""
        self._open: dict[int, dict[tuple[str, str, str], Line]] = defaultdict(dict)

    def update(self) -> Ledger:
        """Read what is new."""
        if not self.path.exists():
            return self
        with self.path.open("rb") as file:
            file.seek(self._read)
            data = file.read()
        self._read += len(data)
        *whole, self._rest = (self._rest + data).split(b"\n")
        for text in whole:
            execution, step, attempt, phase, pid, at, told = json.loads(text)
            self._add(Line(execution, step, attempt, Phase(phase), pid, at, told))
        return self

    def in_flight(self, pids: set[int]) -> int:
        """How many effects of these processes were begun and not ended."""
        return sum(len(self._open[pid]) for pid in pids if pid in self._open)

    def _add(self, line: Line) -> None:
        self.lines.append(line)
        of_pid = self._open[line.pid]
        key = (line.execution, line.step, line.attempt)
        if line.phase is Phase.BEGIN:
            of_pid[key] = line
        elif line.phase in (Phase.END, Phase.FAIL, Phase.CANCELLED):
            of_pid.pop(key, None)
        elif line.phase is Phase.ATTEMPT:
            # A pool process has one execution at a time; what it left open before is over.
            of_pid.clear()
