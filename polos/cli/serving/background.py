"""A server in the background: started, waited for, and ended again."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

from polos.cli.exits import Stopped
from polos.cli.serving import probe, record
from polos.cli.serving.plan import Plan
from polos.cli.serving.record import Record
from polos.engine.owner import process
from polos.model.inert import inert

# With the code of a large project to import, on a busy machine.
_START_SECONDS = 90.0
_STOP_SECONDS = 15.0
_LOOK_AGAIN = 0.1
_LINES_SHOWN = 20
_LOG_BYTES = 5_000_000
_OLD_LOGS = 2


def start(plan: Plan, made: Record) -> Record:
    """Start a server in the background, and return when it answers.

    Args:
        plan: what it is started with.
        made: what is known of it, but for its process.

    Raises:
        Stopped: it has ended, or doesn't answer; with the end of its log.
    """
    log = record.log_of(plan.home)
    log.touch()
    begin = log.stat().st_size
    child = _spawn(plan, log)
    started = made.of(str(process(child.pid)), str(log))
    record.write(plan.home, started)
    try:
        _wait_until_it_answers(child, started)
    except BaseException as error:
        _end(child)
        record.remove(plan.home, started)
        if isinstance(error, Stopped):
            raise Stopped(f"{error.message}\n{_tail(log, begin)}", error.code) from None
        raise
    return started


def _spawn(plan: Plan, log: Path) -> subprocess.Popen[bytes]:
    # Tornado bounds what is logged; the file as such is for what is said before and beside that.
    bounded = (
        f"--log_file_prefix={log}",
        f"--log_file_max_size={_LOG_BYTES}",
        f"--log_file_num_backups={_OLD_LOGS}",
    )
    with log.open("ab") as output:
        return subprocess.Popen(
            plan.command(*bounded),
            env=plan.environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def _wait_until_it_answers(child: subprocess.Popen[bytes], started: Record) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        answer = probe.health(started.url)
        if child.poll() is not None:
            raise Stopped(f"the server did not start, it ended with {child.returncode}")
        if answer.well:
            return
        if answer.status is not None:
            raise Stopped(f"the server started without the pages of Polos ({answer.why})")
        time.sleep(_LOOK_AGAIN)
    raise Stopped(f"the server does not answer within {_START_SECONDS:g} s at {started.url}")


def _end(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _tail(log: Path, begin: int) -> str:
    """The end of what was logged since a place; of all where the log was begun anew since."""
    with log.open("rb") as file:
        file.seek(begin if log.stat().st_size >= begin else 0)
        lines = file.read().decode(errors="replace").splitlines()
    said = "\n".join(f"  {inert(line)}" for line in lines[-_LINES_SHOWN:])
    return f"the end of {log}:\n{said}" if lines else f"{log} says nothing"


def stop(home: Path, found: Record) -> bool:
    """End a server; whether it did so by itself.

    Raises:
        Stopped: it is another user's.
    """
    ended = _signal(found, signal.SIGTERM) and _gone(found)
    if not ended:
        _signal(found, signal.SIGKILL)
        _gone(found)
    record.remove(home, found)
    return ended


def _signal(found: Record, number: signal.Signals) -> bool:
    try:
        os.kill(found.pid, number)
    except ProcessLookupError:
        return True
    except PermissionError:
        raise Stopped(f"the server, pid {found.pid}, is another user's") from None
    return True


def _gone(found: Record) -> bool:
    deadline = time.monotonic() + _STOP_SECONDS
    while found.lives:
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_AGAIN)
    return True
