"""Who this process is, and whether another one still lives."""

from __future__ import annotations

import os
from functools import cache, lru_cache
from pathlib import Path

from polos.model.workers import Owner

_PROC = Path("/proc")


def this_process(worker: str = "") -> Owner:
    """The owner that leases taken by this process name."""
    return _owner(os.getpid(), worker)


def process(pid: int) -> Owner:
    """The owner that another process of this pid namespace is."""
    return Owner(_boot_id(), _pid_namespace(), pid, _started(pid) or 0)


@lru_cache(maxsize=8)
def _owner(own_pid: int, worker: str) -> Owner:
    return Owner(_boot_id(), _pid_namespace(), own_pid, _started(own_pid) or 0, worker)


def is_dead(text: str) -> bool:
    """Whether an owner is known to be dead; never said of one on another boot or pid namespace."""
    try:
        owner = Owner.parse(text)
    except ValueError:
        return False
    if not owner.boot_id or not owner.started:
        return False
    if (owner.boot_id, owner.pid_namespace) != (_boot_id(), _pid_namespace()):
        return False
    stat = _stat(owner.pid)
    if not stat:
        return not _exists(owner.pid)
    return int(stat[19]) != owner.started or stat[0] in {"Z", "X"}


def lives(text: str) -> bool:
    """Whether an owner is a living process on this boot and in this pid namespace."""
    try:
        owner = Owner.parse(text)
    except ValueError:
        return False
    here = (owner.boot_id, owner.pid_namespace) == (_boot_id(), _pid_namespace())
    return here and not is_dead(text) and _exists(owner.pid)


def is_stopped(pid: int) -> bool:
    """Whether a process is stopped by a signal, and so does nothing at all."""
    return _state(pid) in {"T", "t"}


@cache
def _boot_id() -> str:
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _pid_namespace() -> str:
    try:
        return os.readlink(_PROC / "self/ns/pid").removeprefix("pid:").strip("[]")
    except OSError:
        return ""


def _stat(pid: int) -> list[str]:
    try:
        # The name in parentheses may hold spaces; what counts comes after it.
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _exists(pid: int) -> bool:
    # Where /proc hides the processes of other users, only a signal tells.
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _state(pid: int) -> str:
    stat = _stat(pid)
    return stat[0] if stat else "X"


def _started(pid: int) -> int | None:
    stat = _stat(pid)
    return int(stat[19]) if stat else None
