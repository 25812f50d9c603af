"""Ends what a test process leaves behind, however that process itself came to its end.

Fixtures end what they started, but an interrupted run, a timeout or a SIGKILL may skip them. So
each test process has one guard, a program that reads from a pipe what is running; when the pipe
closes, whatever is still on its list is killed and its folders are removed.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

import psutil

_guards: dict[int, Guard] = {}


class Guard:
    """The near end of the pipe."""

    def __init__(self) -> None:
        # A session of its own: Ctrl-C must not reach it.
        self._process = subprocess.Popen(
            [sys.executable, "-I", __file__], stdin=subprocess.PIPE, start_new_session=True
        )

    def watch(self, pid: int, last_signal: int = signal.SIGKILL) -> None:
        """Kill this leader of a process group, and its group, when this process is gone."""
        self._tell(pid=pid, born=psutil.Process(pid).create_time(), signal=int(last_signal))

    def watch_folder(self, folder: Path) -> None:
        """Remove this folder when this process is gone."""
        self._tell(folder=str(folder))

    def forget(self, what: int | Path) -> None:
        """It has been ended, or removed."""
        self._tell(forget=what if isinstance(what, int) else str(what))

    def _tell(self, **message: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\n")
        self._process.stdin.flush()


def guard() -> Guard:
    """The guard of this process."""
    pid = os.getpid()
    if pid not in _guards:
        _guards[pid] = Guard()
    return _guards[pid]


def _keep_watch(pipe: IO[str]) -> None:
    groups: dict[int, dict[str, float]] = {}
    folders: list[str] = []
    for line in pipe:
        message = json.loads(line)
        if "pid" in message:
            groups[message["pid"]] = message
        elif "folder" in message:
            folders.append(message["folder"])
        elif message["forget"] in folders:
            folders.remove(message["forget"])
        else:
            groups.pop(message["forget"], None)
    for pid, group in groups.items():
        _end(pid, group["born"], int(group["signal"]))
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _end(pid: int, born: float, last_signal: int) -> None:
    with suppress(psutil.Error, OSError):
        # A number that was given to another process since then is left alone.
        if psutil.pid_exists(pid) and psutil.Process(pid).create_time() != born:
            return
        if last_signal != signal.SIGKILL:
            os.kill(pid, last_signal)
            until = time.monotonic() + 5
            while psutil.pid_exists(pid) and time.monotonic() < until:
                time.sleep(0.05)
    with suppress(OSError):
        os.killpg(pid, signal.SIGKILL)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _keep_watch(sys.stdin)
