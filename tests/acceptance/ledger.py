"""What steps really did: a line in a file for each time that an effect begins or ends.

Workers write it, tests read it. The file's name comes from the environment.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.processes import until

VARIABLE = "ACCEPTANCE_LEDGER"
_GATE_SECONDS = 90.0


@dataclass(frozen=True, slots=True)
class Entry:
    """One line.

    Attributes:
        at: the machine's monotonic clock, the same in all processes.
        text: what the effect was given, where that is of interest.
    """

    execution: str
    step: str
    phase: str
    pid: int
    at: float
    text: str


def write(execution: str, step: str, phase: str, text: str = "") -> None:
    """Add a line; whole even where several processes write at once."""
    line = json.dumps([execution, step, phase, os.getpid(), time.monotonic(), text])
    file = os.open(os.environ[VARIABLE], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(file, f"{line}\n".encode())
    finally:
        os.close(file)


def effect(execution: str, step: str, value: Any = None, text: str = "") -> Any:
    """The effect of a plain step."""
    write(execution, step, "begin", text)
    write(execution, step, "end", text)
    return value


async def async_effect(execution: str, step: str, value: Any = None, text: str = "") -> Any:
    """The effect of an async step."""
    write(execution, step, "begin", text)
    await asyncio.sleep(0.01)
    write(execution, step, "end", text)
    return value


def gated(execution: str, step: str, value: Any = None, text: str = "") -> Any:
    """An effect that lasts until the test opens the execution's gate."""
    write(execution, step, "begin", text)
    gate = _gate(Path(os.environ[VARIABLE]), execution)
    until(gate.exists, _GATE_SECONDS, every=0.02, message=f"the gate of {execution}")
    write(execution, step, "end", text)
    return value


async def async_gated(execution: str, step: str, value: Any = None) -> Any:
    """The same without blocking the loop; says when it is cancelled."""
    write(execution, step, "begin")
    gate = _gate(Path(os.environ[VARIABLE]), execution)
    try:
        async with asyncio.timeout(_GATE_SECONDS):
            while not gate.exists():
                await asyncio.sleep(0.02)
    except asyncio.CancelledError:
        write(execution, step, "cancelled")
        raise
    write(execution, step, "end")
    return value


def gate_is_open(execution: str) -> bool:
    """Whether the test has opened the execution's gate."""
    return _gate(Path(os.environ[VARIABLE]), execution).exists()


def _gate(path: Path, execution: str) -> Path:
    return path.with_name(f"{execution}.go")


class Ledger:
    """The test's side of it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def entries(self, execution: str, step: str = "", phase: str = "") -> list[Entry]:
        """The lines of an execution, oldest first."""
        return [
            entry
            for entry in self.everything()
            if entry.execution == execution
            and step in ("", entry.step)
            and phase in ("", entry.phase)
        ]

    def everything(self) -> list[Entry]:
        """All lines, oldest first, without one that is just being written."""
        text = self.path.read_text() if self.path.exists() else ""
        whole = text[: text.rfind("\n") + 1].splitlines()
        return [Entry(*json.loads(line)) for line in whole]

    def runs(self, execution: str) -> dict[str, int]:
        """How often each step's effect began."""
        steps = [entry.step for entry in self.entries(execution, phase="begin")]
        return {step: steps.count(step) for step in steps}

    def at(self, execution: str, step: str, phase: str = "begin") -> float:
        """When a step first began, or ended."""
        return self.entries(execution, step, phase)[0].at

    def wait_for(
        self, execution: str, step: str, phase: str = "begin", *, times: int = 1
    ) -> list[Entry]:
        """Wait until a step began, or ended, so many times."""

        def enough() -> list[Entry]:
            found = self.entries(execution, step, phase)
            return found if len(found) >= times else []

        return until(enough, 60, message=lambda: f"{step} {phase}, only {self.entries(execution)}")

    def open_gate(self, execution: str) -> None:
        """Let the gated effects of an execution end."""
        _gate(self.path, execution).touch()
