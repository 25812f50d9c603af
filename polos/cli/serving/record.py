"""What is kept in ``.polos/server.json`` of the server that runs from there."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from polos.cli.exits import Stopped
from polos.engine.owner import lives
from polos.model.workers import Owner

_FILE = "server.json"
_LOG = "server.log"
_LOCK = "server.lock"
HOW_TO_STOP = "'polos server stop' ends it"


@dataclass(frozen=True, slots=True)
class Record:
    """A server that was started.

    Attributes:
        owner: its process, so that another one that got its id later is not taken for it.
        url: where its pages are, without a slash at the end.
        started_at: ISO 8601.
        app: the Celery app that it was started for, as ``-A`` names it.
        log: its log; None where it writes to a terminal.
    """

    owner: str
    url: str
    started_at: str
    app: str
    log: str | None = None

    @property
    def pid(self) -> int:
        """Its process id."""
        return Owner.parse(self.owner).pid

    def of(self, owner: str, log: str | None) -> Record:
        """The same, of a process that has been started."""
        return replace(self, owner=owner, log=log)

    @property
    def lives(self) -> bool:
        """Whether that very process is still there."""
        return lives(self.owner)


def log_of(home: Path) -> Path:
    """Where a server in the background writes its log."""
    return home / _LOG


def read(home: Path) -> Record | None:
    """The server that was started last from a folder; None where there was none."""
    try:
        found = json.loads((home / _FILE).read_text("utf-8"))
        record = Record(**found)
        Owner.parse(record.owner)
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    return record


def running(home: Path) -> Record | None:
    """The server that runs from a folder."""
    record = read(home)
    return record if record is not None and record.lives else None


def refuse_second(home: Path) -> None:
    """Raise Stopped where a server runs already."""
    found = running(home)
    if found is not None:
        raise Stopped(f"a server runs already at {found.url} (pid {found.pid}); {HOW_TO_STOP}")


def write(home: Path, record: Record) -> None:
    """Keep what a server is found again by."""
    draft = home / f".{_FILE}.{os.getpid()}"
    draft.write_text(json.dumps(asdict(record), indent=2) + "\n", "utf-8")
    os.replace(draft, home / _FILE)


def remove(home: Path, record: Record) -> None:
    """Forget a server, unless another one has taken its place."""
    found = read(home)
    if found is not None and found.owner == record.owner:
        (home / _FILE).unlink(missing_ok=True)


@contextmanager
def starting(home: Path) -> Iterator[None]:
    """Keep other processes from starting a server from the same folder meanwhile."""
    with (home / _LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Stopped(f"another command is just starting a server from {home}") from None
        yield
