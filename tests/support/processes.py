"""Programs that tests start, watch and kill, and waiting for what they do."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import psutil

from tests.support.guard import guard

T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[2]
_TAIL = 60


def until(
    predicate: Callable[[], T],
    deadline: float = 60.0,
    every: float = 0.05,
    message: str | Callable[[], str] = "",
) -> T:
    """The first true value of ``predicate``, asked again and again.

    Raises:
        AssertionError: after ``deadline`` seconds; with ``message``, made only then.
    """
    end = time.monotonic() + deadline
    late = False
    while not (value := predicate()):
        if late:
            said = message() if callable(message) else message
            what = said or getattr(predicate, "__qualname__", repr(predicate))
            raise AssertionError(f"not within {deadline:g} s: {what}")
        time.sleep(every)
        # Asked once more then: this process may have had no turn in between.
        late = time.monotonic() >= end
    return value


class Program:
    """A program in a process group of its own, whose output goes to a file.

    The repository's root is on its PYTHONPATH; settings of Polos and Celery in this process's
    environment don't reach it.

    Args:
        args: the command.
        log: the file that takes its output, added to.
        name: what messages call it; the command's first word by default.
        cwd: the folder that it runs in.
        env: what to set in its environment; None unsets.
        user: a system user to run as, where this process is root.
        last_signal: how it ends in a hurry.
    """

    def __init__(
        self,
        args: Sequence[str | Path],
        *,
        log: Path,
        name: str = "",
        cwd: Path | None = None,
        env: Mapping[str, str | None] | None = None,
        user: str | None = None,
        last_signal: signal.Signals = signal.SIGKILL,
    ) -> None:
        self.args = [str(arg) for arg in args]
        self.log = log
        self.name = name or Path(self.args[0]).name
        self._cwd = cwd
        self.environment = _environment(env or {})
        self._user = user
        self._last_signal = last_signal
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start it, without waiting for anything."""
        assert not self.running, f"{self.name} is running"
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self.args,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._cwd,
                env=self.environment,
                start_new_session=True,
                **run_as(self._user),
            )
        with suppress(psutil.NoSuchProcess):
            guard().watch(self._process.pid, self._last_signal)
        return self

    @property
    def pid(self) -> int:
        """Its process id, also after its end."""
        assert self._process is not None, f"{self.name} was not started"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def returncode(self) -> int | None:
        """Its exit status, -N for signal N; None while it runs."""
        return self._process.poll() if self._process else None

    def children(self) -> list[psutil.Process]:
        """Its children and theirs, such as a worker's pool."""
        return psutil.Process(self.pid).children(recursive=True) if self.running else []

    def text(self) -> str:
        """All that it has said."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def tail(self, lines: int = _TAIL) -> str:
        """The last of what it has said."""
        return "\n".join(self.text().splitlines()[-lines:])

    def wait_for(
        self, condition: str | Callable[[], T], deadline: float = 60.0, *, after: int = 0
    ) -> T | bool:
        """Wait for a text in its output, or for what a function says.

        Args:
            condition: the text, or the function, whose true value is returned.
            deadline: seconds.
            after: look for the text behind this many characters only: ``after=len(p.text())``.

        Raises:
            AssertionError: too late, or the program has ended; with the end of its output.
        """

        def met() -> T | bool:
            # Whether it runs is asked first: its last words still count.
            alive = self.running
            found = condition in self.text()[after:] if isinstance(condition, str) else condition()
            assert found or alive, (
                f"{self.name} ended with {self.returncode} before {condition!r}:\n{self.tail()}"
            )
            return found

        return until(met, deadline, message=lambda: f"{self.name}: {condition!r}\n{self.tail()}")

    def wait(self, deadline: float = 60.0) -> int:
        """Wait for its end; its exit status."""
        assert self._process is not None, f"{self.name} was not started"
        try:
            return self._process.wait(deadline)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} runs after {deadline:g} s:\n{self.tail()}") from None

    def kill(self, sig: int = signal.SIGKILL, *, group: bool = False) -> None:
        """Send a signal to it, or to its whole process group; to one that ended, nothing."""
        if not self.running:
            return
        if group:
            os.killpg(self.pid, sig)
        else:
            os.kill(self.pid, sig)

    def stop(self, deadline: float = 60.0, sig: int = signal.SIGTERM) -> int:
        """Ask it to end, and wait for that; its exit status."""
        self.kill(sig)
        return self.wait(deadline)

    def close(self, grace: float = 5.0) -> None:
        """End it and all that is left of its process group, by force after ``grace`` seconds."""
        if self._process is None:
            return
        self.kill(signal.SIGTERM)
        self.kill(signal.SIGCONT)  # a frozen one would not see the other
        try:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(grace)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()
            guard().forget(self.pid)

    def __enter__(self) -> Self:
        return self if self.running else self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _environment(changes: Mapping[str, str | None]) -> dict[str, str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("POLOS_", "CELERY_"))}
    path = os.pathsep.join(filter(None, [str(ROOT), inherited.get("PYTHONPATH")]))
    merged = {**inherited, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **changes}
    return {name: value for name, value in merged.items() if value is not None}


def run_as(name: str | None) -> dict[str, Any]:
    """What ``subprocess`` takes to run as that system user; as this one where None."""
    if name is None:
        return {}
    account = pwd.getpwnam(name)
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
