"""Hears of ends on behalf of one process, where the database can tell of them.

A connection behind a pooler that hands out another one for each transaction hears nothing, and one
that looks like a pooler is not listened through. Any other line has to prove itself by a message
that is sent on another connection; until it has, and wherever it can't, whoever waits goes on
asking.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from uuid import uuid4

from polos.errors import StoreUnavailable
from polos.store.listening import Line, Unheard
from polos.store.sql_store import SqlStore

log = logging.getLogger("polos.client")

_LOOK_UP = 0.5
_PROOF_TIME = 2.0
_PROOF_EVERY = 20.0
_AGAIN_AFTER = 2.0
# A pooler may be taken away; a database that was moved behind one is found out by the proof.
_DEAF_FOR = 300.0
_IDLE = 60.0


class Listener:
    """One line to the database, begun when somebody waits and ended when nobody does any more.

    Args:
        store: where the executions are.
        heard: called with the id of each execution that ended.
        changed: called when ``healthy`` changes.
    """

    def __init__(
        self, store: SqlStore, heard: Callable[[str], None], changed: Callable[[], None]
    ) -> None:
        self.channel = f"polos_{uuid4().hex}"
        self.healthy = False
        self._store = store
        self._heard = heard
        self._changed = changed
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self._deaf_until = 0.0
        self._needed_at = 0.0

    def begin(self) -> bool:
        """See that there is a line; whether it is worth naming the channel."""
        self._needed_at = time.monotonic()
        if not self._store.can_tell or self._closed.is_set() or self._needed_at < self._deaf_until:
            return False
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="polos-listener", daemon=True)
            self._thread.start()
        return True

    def close(self) -> None:
        """End the line."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def _run(self) -> None:
        while self._is_needed():
            try:
                with self._store.listen(self.channel) as line:
                    self._listen(line)
            except Unheard:
                self._become_deaf()
            except StoreUnavailable as error:
                log.debug("listening for ends: %s", error)
            except Exception:
                log.exception("listening for ends failed; they are asked for instead")
                self._deaf_until = time.monotonic() + _DEAF_FOR
            finally:
                self._set_healthy(False)
            if not self._is_deaf():
                self._closed.wait(_AGAIN_AFTER)

    def _listen(self, line: Line) -> None:
        while self._is_needed():
            if not self._is_proven(line):
                self._become_deaf()
                return
            self._set_healthy(True)
            until = time.monotonic() + _PROOF_EVERY
            while self._is_needed() and time.monotonic() < until:
                self._hear(line, _LOOK_UP)

    def _become_deaf(self) -> None:
        log.info("no notifications come through to this process; it asks for ends instead")
        self._deaf_until = time.monotonic() + _DEAF_FOR

    def _is_proven(self, line: Line) -> bool:
        proof, until = uuid4().hex, time.monotonic() + _PROOF_TIME
        self._store.notify(self.channel, proof)
        while (left := until - time.monotonic()) > 0:
            if proof in self._hear(line, left):
                return True
        return False

    def _hear(self, line: Line, seconds: float) -> list[str]:
        heard = line.heard(seconds)
        for execution_id in heard:
            self._heard(execution_id)
        return heard

    def _is_needed(self) -> bool:
        now = time.monotonic()
        return not (self._closed.is_set() or self._is_deaf() or now > self._needed_at + _IDLE)

    def _is_deaf(self) -> bool:
        return time.monotonic() < self._deaf_until

    def _set_healthy(self, healthy: bool) -> None:
        if self.healthy != healthy:
            self.healthy = healthy
            self._changed()
