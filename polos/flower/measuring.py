"""Reads what is measured, beside the requests: the answer to a scrape waits for no database."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from polos.errors import StoreError
from polos.model.measures import Ended, Present, Spread
from polos.model.records import Micros, micros
from polos.server.served import Served
from polos.store.overview import projects_at_work

log = logging.getLogger("polos.flower")

# Seconds between two looks; a look that takes long makes the pause longer.
_PAUSE = 10.0
_SHARE = 20.0
# What is committed later than so many seconds after its end is not counted.
_LATE = 5.0
# Nobody has asked for so many seconds: nothing is read any more until somebody does.
_IDLE = 300.0
# Of more projects, those with workers now come first.
_MOST_PROJECTS = 50


@dataclass(frozen=True, slots=True)
class Measured:
    """What was read last.

    Attributes:
        up: whether the database answered.
        seconds: how long reading it took.
        present: how each project stands.
        ended: what has ended in each project since the first look.
    """

    up: bool = False
    seconds: float = 0.0
    present: Mapping[str, Present] = field(default_factory=dict)
    ended: Mapping[str, Ended] = field(default_factory=dict)


class Measuring:
    """A thread that looks from time to time, for as long as somebody asks.

    Args:
        served: whose projects are measured.
    """

    def __init__(self, served: Served) -> None:
        self._served = served
        self._last = Measured()
        self._asked = 0.0
        self._until: dict[str, Micros] = {}
        self._ended: dict[str, Ended] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def last(self) -> Measured:
        """What was read last; the first time that is nothing."""
        self._asked = time.monotonic()
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="polos-metrics", daemon=True)
                self._thread.start()
        return self._last

    def look(self) -> Measured:
        """Read everything now.

        Raises:
            StoreError: the database is away, or of no use.
        """
        began = time.monotonic()
        own = self._served.settings.project_id
        store = self._served.store(own)
        # Also those without a worker: what waits there is what somebody has to be told of.
        names = dict.fromkeys((own, *projects_at_work(store.database), *store.projects()))
        present = {it: self._of(it) for it in list(names)[:_MOST_PROJECTS]}
        seconds = time.monotonic() - began
        self._last = Measured(True, seconds, present, dict(self._ended))
        return self._last

    def _of(self, project_id: str) -> Present:
        store = self._served.store(project_id)
        found = store.present()
        until = Micros(found.now - micros(_LATE))
        after = self._until.get(project_id, until)
        more = store.ended_between(after, until)
        before = self._ended.get(project_id, Ended())
        self._ended[project_id] = Ended(
            _added(before.executions, more.executions), _added(before.steps, more.steps)
        )
        self._until[project_id] = until
        return found

    def _run(self) -> None:
        while time.monotonic() - self._asked < _IDLE:
            try:
                pause = max(_PAUSE, _SHARE * self.look().seconds)
            except StoreError as error:
                log.debug("metrics: %s", error)
                self._last, pause = Measured(), _PAUSE
            except Exception:
                log.exception("what is measured can't be read; it is tried again")
                self._last, pause = Measured(), _PAUSE
            time.sleep(pause)


def _added(
    one: Mapping[tuple[str, str], Spread], two: Mapping[tuple[str, str], Spread]
) -> dict[tuple[str, str], Spread]:
    return {key: one.get(key, Spread()) + two.get(key, Spread()) for key in one.keys() | two.keys()}
