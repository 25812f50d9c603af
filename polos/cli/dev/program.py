"""A program that ``polos dev`` runs, whose lines are told from those of its neighbours."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import IO

from polos.cli.serving.process import LEASH

_LOOK_AGAIN = 0.05

Say = Callable[[str, str], None]


class Leash:
    """Ends programs with this process, however it ends: they notice when it lets go."""

    def __init__(self) -> None:
        self.end, self._held = os.pipe()

    def let_go(self) -> None:
        """Have all of them end."""
        os.close(self._held)
        os.close(self.end)


class Program:
    """A program in a session of its own: Ctrl-C reaches only whoever started it.

    Args:
        name: what stands in front of its lines.
        command: its command line.
        environment: its environment.
        leash: what it ends with.
        say: prints a line under a name.
        told: what is in the line by which it says that it has started.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        leash: Leash,
        say: Say,
        *,
        told: str,
    ) -> None:
        self.name = name
        self._command = command
        self._environment = {
            **environment,
            LEASH: str(leash.end),
            "PYTHONUNBUFFERED": "1",
            # Of two saves within a second it would hold the first one.
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        self._leash = leash
        self._say = say
        self._told = told
        self._started = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self._process.pid if self._process is not None and self.code is None else None

    @property
    def code(self) -> int | None:
        """The exit code, where it has ended; minus the signal that ended it."""
        if self._process is None:
            return None
        if self._process.returncode is not None:
            return int(self._process.returncode)
        # Not reaped: until its group is killed, its number must stay its own.
        found = os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if found is None:
            return None
        return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status

    @property
    def has_started(self) -> bool:
        """Whether it has said so, and still runs."""
        return self._started.is_set() and self.pid is not None

    def start(self) -> int:
        """Start it; its process id."""
        self._started.clear()
        process = subprocess.Popen(
            self._command,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=[self._leash.end],
            start_new_session=True,
        )
        assert process.stdout is not None
        self._process = process
        self._reader = threading.Thread(target=self._read, args=[process.stdout], daemon=True)
        self._reader.start()
        return process.pid

    def stop(self, seconds: float) -> bool:
        """End it, by force after some seconds; whether it ended by itself.

        An interrupt meanwhile ends it at once.
        """
        if self._process is None or self._process.returncode is not None:
            return True
        os.kill(self._process.pid, signal.SIGTERM)
        try:
            return self._ends_within(seconds)
        finally:
            self._kill()

    def _ends_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.code is None:
            if time.monotonic() > deadline:
                return False
            time.sleep(_LOOK_AGAIN)
        return True

    def _kill(self) -> None:
        """End what is left of it, such as the processes of a pool."""
        assert self._process is not None and self._reader is not None
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join(1)

    def _read(self, output: IO[bytes]) -> None:
        with output:
            for line in output:
                text = line.decode(errors="replace").rstrip("\n")
                self._say(self.name, text)
                if self._told in text:
                    self._started.set()
