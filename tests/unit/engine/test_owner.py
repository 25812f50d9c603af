"""Who is judged dead: only a process that is known to be."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from polos.engine.owner import is_dead, is_stopped, lives, process, this_process
from polos.model.workers import Owner

SLEEP = "print('ready', flush=True); import time; time.sleep(60)"


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process of its own, which nobody reaps but the test."""
    with subprocess.Popen([sys.executable, "-c", SLEEP], stdout=subprocess.PIPE) as started:
        assert started.stdout is not None
        assert started.stdout.readline() == b"ready\n"
        yield started
        started.send_signal(signal.SIGCONT)
        started.kill()


def test_this_process_lives() -> None:
    owner = this_process("worker@a")
    assert (owner.pid, owner.worker) == (os.getpid(), "worker@a")
    assert owner.boot_id
    assert owner.pid_namespace
    assert owner.started > 0
    assert not is_dead(str(owner))
    assert replace(owner, worker="") == process(os.getpid())


def test_another_living_process_is_not_dead(child: subprocess.Popen[bytes]) -> None:
    owner = process(child.pid)
    assert owner.started >= this_process().started
    assert not is_dead(str(owner))


def test_a_killed_process_is_dead_before_and_after_it_is_reaped(
    child: subprocess.Popen[bytes], until: Callable[..., Any]
) -> None:
    owner = str(process(child.pid))
    child.kill()
    # Not waited for: it stays in the table as a zombie.
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert os.path.exists(f"/proc/{child.pid}")
    assert is_dead(owner)
    child.wait()
    until(lambda: not os.path.exists(f"/proc/{child.pid}"))
    assert is_dead(owner)


def test_a_process_with_a_recycled_pid_is_another_one(child: subprocess.Popen[bytes]) -> None:
    living = process(child.pid)
    assert is_dead(str(replace(living, started=living.started - 1)))
    assert is_dead(str(replace(living, started=living.started + 1)))
    assert not is_dead(str(living))


@pytest.mark.parametrize("change", [{"boot_id": "another"}, {"pid_namespace": "another"}])
def test_elsewhere_nothing_is_known_of_a_process(
    child: subprocess.Popen[bytes], change: dict[str, str]
) -> None:
    owner = replace(process(child.pid), **change)
    child.kill()
    child.wait()
    assert not is_dead(str(owner))


@pytest.mark.parametrize("text", ["", "nonsense", "a/b/c/d", "a/b/1/2/3"])
def test_what_is_no_owner_is_not_dead(text: str) -> None:
    assert not is_dead(text)


def test_an_owner_of_which_too_little_is_known_is_not_dead() -> None:
    here = this_process()
    unused = 2**22 + 1
    assert is_dead(str(replace(here, pid=unused)))
    assert not is_dead(str(replace(here, pid=unused, started=0)))
    assert not is_dead(str(Owner("", here.pid_namespace, unused, 5)))


def test_a_stopped_process_is_seen_as_such(
    child: subprocess.Popen[bytes], until: Callable[..., Any]
) -> None:
    assert not is_stopped(child.pid)
    child.send_signal(signal.SIGSTOP)
    until(lambda: is_stopped(child.pid))
    assert not is_dead(str(process(child.pid)))
    child.send_signal(signal.SIGCONT)
    until(lambda: not is_stopped(child.pid))


def test_a_process_that_is_gone_is_not_stopped(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.wait()
    assert not is_stopped(child.pid)


def test_a_name_with_spaces_and_parentheses_confuses_nobody(until: Callable[..., Any]) -> None:
    rename = "import ctypes; ctypes.CDLL(None).prctl(15, b'a) Z 0 (b', 0, 0, 0)\n"
    args = [sys.executable, "-c", rename + SLEEP]
    with subprocess.Popen(args, stdout=subprocess.PIPE) as odd:
        assert odd.stdout is not None
        assert odd.stdout.readline() == b"ready\n"
        with open(f"/proc/{odd.pid}/comm") as name:
            assert name.read() == "a) Z 0 (b\n"
        assert not is_dead(str(process(odd.pid)))
        odd.kill()


def test_only_that_very_process_lives(child: subprocess.Popen[bytes]) -> None:
    owner = process(child.pid)
    assert lives(str(owner))
    others = [replace(owner, started=owner.started - 1), replace(owner, pid_namespace="1")]
    assert not [other for other in [*map(str, others), "", "nonsense"] if lives(other)]
    child.kill()
    child.wait()
    assert not lives(str(owner))
