"""What ``polos dev`` does from its start to its end."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from queue import Empty, Queue
from typing import TypeAlias

import click
from watchfiles import Change, PythonFilter, watch

from polos.cli.dev.program import Leash, Program, Say
from polos.cli.exits import Code
from polos.cli.serving import record
from polos.cli.serving.plan import Plan, celery_command, environment
from polos.cli.serving.record import Record
from polos.engine.owner import process

Changes: TypeAlias = set[tuple[Change, str]]

# How long a step may go on when code changes; then its execution is the next worker's.
_SOFT = "POLOS_SOFT_SHUTDOWN_SECONDS"
_SOFT_SECONDS = 2.0
_WORKER_SECONDS = _SOFT_SECONDS + 8.0
_SERVER_SECONDS = 5.0
_LOOK_AGAIN = 0.1
_MOST_NAMED = 3
_SELF = "dev"
_COLOURS = {_SELF: "yellow", "worker": "green", "server": "cyan"}


class Session:
    """A worker that starts again when code changes, and a server that follows it.

    The server has the code too, for the forms and the payloads that it checks. It gets the new one
    as soon as a worker has started with it, so code that can't be imported takes no page away.

    Args:
        worker: runs the workflows.
        server: shows them.
        say: prints a line under a name.
        served: called with the process id of each server.
    """

    def __init__(
        self, worker: Program, server: Program, say: Say, served: Callable[[int], None]
    ) -> None:
        self._worker = worker
        self._server = server
        self._say = say
        self._served = served
        self._serves_newest = False
        self._mourned = False

    def run(self, changes: Queue[Changes], stop: threading.Event) -> Code:
        """Go on until ``stop`` is set, somebody interrupts it, or the server ends by itself."""
        self._worker.start()
        while not stop.is_set():
            with suppress(Empty):
                self._begin_again(changes.get(timeout=_LOOK_AGAIN))
            self._follow()
            self._mourn()
            if self._serves_newest and self._server.code is not None:
                self._say(_SELF, f"the server has ended with {self._server.code}")
                return Code.FAILED
        return Code.OK

    def end(self) -> None:
        """End both programs."""
        try:
            self._worker.stop(_WORKER_SECONDS)
        finally:
            self._server.stop(_SERVER_SECONDS)

    def _begin_again(self, changes: Changes) -> None:
        self._say(_SELF, f"{_named(changes)} changed, the worker starts again")
        if not self._worker.stop(_WORKER_SECONDS):
            self._say(_SELF, "the old worker did not end in time and was killed")
        self._worker.start()
        self._serves_newest = self._mourned = False

    def _follow(self) -> None:
        """Give the server the code that a worker has started with."""
        if self._serves_newest or not self._worker.has_started:
            return
        self._server.stop(_SERVER_SECONDS)
        self._served(self._server.start())
        self._serves_newest = True

    def _mourn(self) -> None:
        code = self._worker.code
        if code is not None and not self._mourned:
            self._mourned = True
            self._say(_SELF, f"the worker has ended with {code}; the next save starts it again")


def run(plan: Plan, workflows: str, options: Sequence[str], watched: Sequence[Path]) -> Code:
    """Run a session to its end.

    Args:
        plan: of the server.
        workflows: what POLOS_WORKFLOWS is to say; empty to leave it.
        options: of the worker.
        watched: folders in which code may change.
    """
    leash, stop, changes = Leash(), threading.Event(), Queue[Changes]()
    worker, server = _programs(plan, workflows, options, leash)
    made = Record("", plan.address.url, datetime.now(UTC).isoformat(), plan.app)
    session = Session(
        worker, server, say, lambda pid: record.write(plan.home, made.of(str(process(pid)), None))
    )
    threading.Thread(target=_watch, args=[watched, changes, stop], daemon=True).start()
    say(
        _SELF,
        f"{plan.address.url}, with the code in {', '.join(map(str, watched))}; Ctrl-C ends it",
    )
    with _ended_by_signals(stop):
        try:
            return session.run(changes, stop)
        finally:
            stop.set()
            session.end()
            leash.let_go()
    return Code.OK


def _programs(
    plan: Plan, workflows: str, options: Sequence[str], leash: Leash
) -> tuple[Program, Program]:
    soft = os.environ.get(_SOFT) or f"{_SOFT_SECONDS:g}"
    both = {_SOFT: soft} | ({"POLOS_WORKFLOWS": workflows} if workflows else {})
    alone = ("--without-gossip", "--without-mingle", "--loglevel", "INFO", "--hostname", "dev@%h")
    worker = celery_command(plan.app, "worker", *alone, *options)
    return (
        Program("worker", worker, environment(plan.home) | both, leash, say, told=" ready."),
        Program("server", plan.command(), plan.environment | both, leash, say, told="Visit me"),
    )


def _watch(folders: Sequence[Path], changes: Queue[Changes], stop: threading.Event) -> None:
    try:
        for found in watch(*folders, watch_filter=PythonFilter(), stop_event=stop):
            changes.put(found)
    except Exception as error:  # such as more files than the system can watch
        say(_SELF, f"changes are not seen: {error}")


@contextmanager
def _ended_by_signals(stop: threading.Event) -> Iterator[None]:
    """Have SIGTERM and the terminal's end do what Ctrl-C does."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    with suppress(KeyboardInterrupt):
        yield


_speaking = threading.Lock()


def say(name: str, text: str) -> None:
    """Print a line under a name, whole."""
    with _speaking, suppress(BrokenPipeError):
        click.echo(f"{click.style(f'{name:>6} |', fg=_COLOURS[name])} {text}")
        sys.stdout.flush()


def _named(changes: Iterable[tuple[Change, str]]) -> str:
    names = sorted({_relative(Path(path)) for _, path in changes})
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more


def _relative(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
